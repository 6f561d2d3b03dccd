// The demo's upstream: the same seed gives the same history, and the shapes are what the demo promises.

import FreshetCore
import JSON
import Testing

@testable import freshet

@Suite("The demo's world")
struct DemoWorldTests {
    private let start = WallTime(milliseconds: 1_800_000_000_000)

    private func bodies(seed: UInt64, after steps: Int) -> [[UInt8]] {
        var world = DemoWorld(seed: seed, now: self.start)
        for step in 0..<steps {
            world.advance(now: WallTime(milliseconds: self.start.milliseconds + Int64(step) * 1000))
        }
        return DemoWorld.Resource.allCases.map { world.body(of: $0, now: self.start) }
    }

    @Test("the same seed gives the same history, another seed another")
    func reproducible() {
        #expect(self.bodies(seed: 3, after: 200) == self.bodies(seed: 3, after: 200))
        #expect(self.bodies(seed: 3, after: 200) != self.bodies(seed: 4, after: 200))
    }

    @Test(
        "every body is JSON, and its tag changes exactly when its content does",
        arguments: DemoWorld.Resource.allCases
    )
    func tags(resource: DemoWorld.Resource) throws {
        var world = DemoWorld(seed: 1, now: self.start)
        var body = world.body(of: resource, now: self.start)
        var tag = world.entityTag(of: resource)
        var changes = 0
        for step in 0..<500 {
            world.advance(now: WallTime(milliseconds: self.start.milliseconds + Int64(step) * 1000))
            let next = world.body(of: resource, now: self.start)
            _ = try Document(parsing: next)
            if resource == .weather {
                #expect(world.entityTag(of: resource) == nil)
            } else {
                #expect((next == body) == (world.entityTag(of: resource) == tag))
            }
            changes += next == body ? 0 : 1
            (body, tag) = (next, world.entityTag(of: resource))
        }
        #expect(changes > 20)
    }

    @Test("stations come and go, with identities of their own; news is a window, newest first")
    func shapes() throws {
        var world = DemoWorld(seed: 1, now: self.start)
        var counts: Set<Int> = []
        for step in 0..<600 {
            let now = WallTime(milliseconds: self.start.milliseconds + Int64(step) * 1000)
            world.advance(now: now)
            let stations = try Document(parsing: world.body(of: .stations, now: now)).root
            let ids = stations.elements.compactMap { $0["id"]?.int }
            #expect(Set(ids).count == stations.count)
            counts.insert(stations.count)
            for station in stations.elements {
                let (bikes, capacity) = (station["bikes"]?.int ?? -1, station["capacity"]?.int ?? -1)
                #expect(bikes >= 0 && bikes <= capacity)
            }
        }
        #expect(counts.count > 1)
        let news = try Document(parsing: world.body(of: .news, now: self.start)).root["items"]
        let ids = news?.elements.compactMap { $0["id"]?.int } ?? []
        #expect(ids.count == DemoWorld.newsCount)
        #expect(ids == ids.sorted(by: >))
    }
}

@Suite("Requests to the demo's upstream")
struct DemoRequestTests {
    private func answer(_ head: String) -> String {
        var world = DemoWorld(seed: 1, now: WallTime(milliseconds: 0))
        let request = SmallRequest(head: Array(head.replacing("\n", with: "\r\n").utf8)[...])
        return String(decoding: request.answer(&world, now: WallTime(milliseconds: 0)), as: UTF8.self)
    }

    @Test(
        "answered by method, path and validator",
        arguments: [
            ("GET /api/v1/prices HTTP/1.1\nHost: x\n\n", "HTTP/1.1 200 OK"),
            ("GET /api/v1/prices?x=y HTTP/1.1\n\n", "HTTP/1.1 200 OK"),
            ("GET /api/v1/prices HTTP/1.1\nIf-None-Match: \"prices-1\"\n\n", "HTTP/1.1 304 Not Modified"),
            ("GET /api/v1/prices HTTP/1.1\nif-none-match: \"prices-0\"\n\n", "HTTP/1.1 200 OK"),
            ("GET /api/v1/weather HTTP/1.1\nIf-None-Match: \"weather-1\"\n\n", "HTTP/1.1 200 OK"),
            ("GET / HTTP/1.1\n\n", "HTTP/1.1 404 Not Found"),
            ("POST /api/v1/prices HTTP/1.1\n\n", "HTTP/1.1 405 Method Not Allowed"),
            ("nonsense\n\n", "HTTP/1.1 405 Method Not Allowed"),
            ("GET /api/v1/orders HTTP/1.1\n\n", "HTTP/1.1 200 OK"),
            ("POST /api/v1/orders HTTP/1.1\nContent-Length: 16385\n\n", "HTTP/1.1 413 Content Too Large"),
            ("POST /api/v1/orders HTTP/1.1\nContent-Length: -1\n\n", "HTTP/1.1 413 Content Too Large"),
            ("POST /api/v1/orders HTTP/1.1\nTransfer-Encoding: chunked\n\n", "HTTP/1.1 413 Content Too Large"),
        ]
    )
    func status(head: String, line: String) {
        #expect(self.answer(head).hasPrefix(line + "\r\n"))
    }

    @Test("HEAD has the length and no body")
    func head() {
        let answer = self.answer("HEAD /api/v1/prices HTTP/1.1\n\n")
        #expect(answer.contains("Content-Length: "))
        #expect(answer.hasSuffix("\r\n\r\n"))
    }

    @Test(
        "a head ends with its empty line",
        arguments: [("", nil), ("a\r\n", nil), ("a\r\n\r\n", 5), ("a\r\n\r\nb\r\n\r\n", 5), ("\r\n\r\n", 4)]
    )
    func headEnd(text: String, end: Int?) {
        #expect(SmallRequest.headEnd(in: Array(text.utf8)) == end)
    }
}

@Suite("The demo's orders")
struct DemoOrdersTests {
    /// What one request is answered with: status, tag and body.
    private struct Reply {
        var status: String
        var tag: String?
        var text: String
    }

    private static func send(
        _ method: String,
        _ place: String,
        _ body: String = "",
        _ fields: [String: String] = [:],
        to world: inout DemoWorld
    ) -> Reply {
        let fields = fields.map { "\($0): \($1)\r\n" }.joined()
        var request = SmallRequest(
            head: Array("\(method) \(DemoOrders.path)\(place) HTTP/1.1\r\n\(fields)\r\n".utf8)[...]
        )
        request.body = Array(body.utf8)
        let answer = String(decoding: request.answer(&world, now: WallTime(milliseconds: 0)), as: UTF8.self)
        let parts = answer.split(separator: "\r\n\r\n", maxSplits: 1, omittingEmptySubsequences: false)
        let lines = parts[0].split(separator: "\r\n")
        let tag = lines.first { $0.hasPrefix("ETag: ") }.map { String($0.dropFirst(6)) }
        return Reply(status: String(lines[0].dropFirst(9).prefix(3)), tag: tag, text: String(parts[1]))
    }

    private static let merge = "application/merge-patch+json"

    private func world() -> DemoWorld { DemoWorld(seed: 1, now: WallTime(milliseconds: 0)) }

    @Test("an order is created, changed in part, replaced and removed, each time with a tag that no version had before")
    func life() throws {
        var world = self.world()
        var tags: Set<String> = []
        let made = Self.send("POST", "", #"{"title":"Milk","status":"open"}"#, to: &world)
        #expect(made.status == "201" && made.text == #"{"title":"Milk","status":"open","id":7}"#)
        let patched = Self.send(
            "PATCH",
            "/7",
            #"{"status":"packed","note":"cold"}"#,
            ["If-Match": try #require(made.tag), "Content-Type": Self.merge + "; charset=utf-8"],
            to: &world
        )
        #expect(patched.status == "200" && patched.text.contains(#""note":"cold""#))
        let put = Self.send("PUT", "/7", #"{"id":7}"#, ["If-Match": try #require(patched.tag)], to: &world)
        #expect(put.status == "200" && put.text == #"{"id":7}"#)
        #expect(Self.send("DELETE", "/7", "", ["If-Match": try #require(put.tag)], to: &world).status == "204")
        #expect(Self.send("GET", "/7", to: &world).status == "404")
        let again = Self.send("PUT", "/7", #"{"id":7}"#, ["If-None-Match": "*"], to: &world)
        #expect(again.status == "201")
        for tag in [made.tag, patched.tag, put.tag, again.tag] { #expect(tags.insert(try #require(tag)).inserted) }
    }

    @Test("the collection's tag changes exactly with a write")
    func collection() throws {
        var world = self.world()
        let first = Self.send("GET", "", to: &world)
        #expect(first.status == "200" && first.text.hasPrefix("[{") && first.text.contains("Apples for Grace"))
        let tag = try #require(first.tag)
        #expect(Self.send("GET", "", "", ["If-None-Match": tag], to: &world).status == "304")
        #expect(Self.send("PATCH", "/1", "{}", ["Content-Type": "text/plain"], to: &world).status == "415")
        #expect(Self.send("GET", "", to: &world).tag == tag)
        #expect(Self.send("PATCH", "/1", #"{"note":"x"}"#, ["Content-Type": Self.merge], to: &world).status == "200")
        #expect(Self.send("GET", "", "", ["If-None-Match": tag], to: &world).status == "200")
    }

    @Test(
        "what is refused changes nothing",
        arguments: [
            ("PATCH", "/1", "{}", ["If-Match": "\"order-1-99\""], "412"),
            ("PUT", "/1", "{}", ["If-None-Match": "*"], "412"),
            ("DELETE", "/1", "", ["If-Match": "\"order-2-2\""], "412"), ("PUT", "/99", "{}", ["If-Match": "*"], "412"),
            ("DELETE", "/99", "", [:], "404"), ("PATCH", "/99", "{}", ["Content-Type": Self.merge], "404"),
            ("PUT", "/1", #"{"id":2}"#, [:], "422"), ("PUT", "/1", "[]", [:], "422"), ("PUT", "/1", "{", [:], "422"),
            ("POST", "", "7", [:], "422"), ("POST", "/1", "{}", [:], "405"), ("PUT", "", "[]", [:], "405"),
            ("PUT", "/01", "{}", [:], "404"), ("PUT", "/-1", "{}", [:], "404"), ("PUT", "/1/2", "{}", [:], "404"),
            ("PUT", "/99999999999999999999", "{}", [:], "404"),
            ("POST", "", #"{"title":""# + String(repeating: "x", count: DemoOrders.maxBytes) + #""}"#, [:], "422"),
        ] as [(String, String, String, [String: String], String)]
    )
    func refused(method: String, place: String, body: String, fields: [String: String], status: String) {
        var world = self.world()
        let before = Self.send("GET", "", to: &world)
        #expect(Self.send(method, place, body, fields, to: &world).status == status)
        let after = Self.send("GET", "", to: &world)
        #expect(after.text == before.text && after.tag == before.tag)
    }

    @Test("there are at most so many, however they come, and a place is free again")
    func bound() {
        var world = self.world()
        var statuses: [String] = []
        for _ in 0...DemoOrders.maxCount { statuses.append(Self.send("POST", "", "{}", to: &world).status) }
        #expect(statuses.last == "422" && statuses.first == "201")
        #expect(Self.send("PUT", "/9999", "{}", to: &world).status == "422")
        #expect(Self.send("DELETE", "/1", to: &world).status == "204")
        #expect(Self.send("POST", "", "{}", to: &world).status == "201")
    }
}
