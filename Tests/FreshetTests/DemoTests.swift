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
        let world = DemoWorld(seed: 1, now: WallTime(milliseconds: 0))
        let request = DemoRequest(head: Array(head.replacing("\n", with: "\r\n").utf8)[...])
        return String(decoding: request.answer(world, now: WallTime(milliseconds: 0)), as: UTF8.self)
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
        #expect(DemoRequest.headEnd(in: Array(text.utf8)) == end)
    }
}
