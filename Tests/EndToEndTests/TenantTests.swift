import EventStream
import Foundation
import FreshetTesting
import JSON
import Testing

/// Tenants of one program: none ever sees a byte of another's.
@Suite("Tenants", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct TenantTests {
    private static let tenants = ["north", "south", "east"]

    private static func key(_ tenant: String) -> String { "\(tenant)-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa" }
    private static func credential(_ tenant: String) -> HeaderFields { ["Authorization": "Bearer \(self.key(tenant))"] }

    /// `read`: what each tenant may read.
    private static func auth(_ read: [String: String], in folder: TemporaryFolder) throws -> String {
        let keys = try self.tenants.map { tenant in
            let file = try folder.write(self.key(tenant), to: tenant)
            return "    - { id: \(tenant), secret_file: \"\(file)\", read: [\(read[tenant] ?? "")] }"
        }
        return "auth:\n  keys:\n\(keys.joined(separator: "\n"))"
    }

    @Test(
        "S10: two tenants on one URL with different credentials share no byte, though the upstream's tags are the same"
    )
    func oneURL() async throws {
        let folder = try TemporaryFolder()
        let upstream = try ScriptedUpstream()
        // A different body for each credential and poll, under one tag of the two: a cache that knows a URL alone would
        // give the one the other's, or a 304.
        upstream.on("/orders") { request in
            let tenant = request.headers["Authorization"]?.hasSuffix("north-token") == true ? "north" : "south"
            let body =
                #"{"owner":"\#(tenant)","n":\#(request.number),"pad":"\#(String(repeating: tenant, count: 50))"}"#
            return [.respond(.json(body, headers: ["ETag": "\"\(request.number / 4)\"", "Vary": "*"]))]
        }
        // Names whose parts could be joined to the same text.
        let gateway = try Gateway(
            """
            \(try Self.auth(["north": "a_b", "south": "a.b_b"], in: folder))
            sources:
              a_b: { url: "\(upstream.url("/orders"))", interval: 10ms, auth: { bearer: north-token } }
              a.b_b: { url: "\(upstream.url("/orders"))", interval: 10ms, auth: { bearer: south-token } }
            """
        )
        let endpoint = try await gateway.process.endpoint()
        let sources = ["north": "a_b", "south": "a.b_b"]
        try await withThrowingTaskGroup(of: Void.self) { group in
            for (tenant, source) in sources {
                for mode in ["patch", "snapshot"] {
                    group.addTask {
                        let other = tenant == "north" ? "south" : "north"
                        let stream = try EventStreamClient(
                            endpoint,
                            path: "/v1/streams/*?mode=\(mode)",
                            headers: Self.credential(tenant)
                        )
                        for event in try await stream.next(120) {
                            #expect(!event.text.contains(other), "\(event.text)")
                            guard event.type != "hello" else { continue }
                            #expect(try Document(parsing: event.data).root["source"]?.string == source)
                        }
                        await stream.close()
                    }
                }
            }
            try await group.waitForAll()
        }
        for (tenant, source) in sources {
            let client = HTTPTestClient(endpoint, headers: Self.credential(tenant))
            let other = tenant == "north" ? "south" : "north"
            for path in [
                "/v1/values/\(source)", "/v1/changes/*?since=earliest", "/v1/sources", "/v1/sources/\(source)",
            ] {
                let reply = try await client.get(path)
                #expect(reply.status == 200 && !reply.text.contains(other), "\(path): \(reply.text)")
            }
            let foreign = try #require(sources[other])
            for name in [foreign, "a%5Fb", "a.b%5Fb", "a%00b", "a%2Fb_b", "A_B"] {
                let reply = try await client.get("/v1/values/\(name)")
                let isOwn = name.removingPercentEncoding == source
                #expect(reply.status == (isOwn ? 200 : 404), "\(tenant) \(name)")
                #expect(!reply.text.contains("pad") || isOwn)
            }
        }
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("streams that run while grants change show what is granted then, and after their end no byte of the rest")
    func changingGrants() async throws {
        let folder = try TemporaryFolder()
        let sources = "sources: { one: {}, two: {}, three: {}, all: {} }"
        func configuration(_ turn: Int) throws -> String {
            let names = ["one", "two", "three"]
            let read = Self.tenants.enumerated().map { ($1, "\(names[($0 + turn) % 3]), all") }
            return "\(try Self.auth(Dictionary(uniqueKeysWithValues: read), in: folder))\n\(sources)"
        }
        let gateway = try Gateway(try configuration(0))
        let endpoint = try await gateway.process.endpoint()
        let admin = try await gateway.client
        func push(_ source: String, _ turn: Int) async throws {
            let body = Array(#"{"of":"\#(source)","turn":\#(turn)}"#.utf8)
            #expect(try await admin.post("/v1/admin/sources/\(source)/value", body: body).status == 200)
        }
        for source in ["one", "two", "three", "all"] { try await push(source, 0) }
        func open(_ tenant: String, after id: String? = nil) throws -> EventStreamClient {
            try EventStreamClient(
                endpoint,
                path: "/v1/streams/*?mode=snapshot",
                lastEventID: id,
                headers: Self.credential(tenant)
            )
        }
        var streams: [String: EventStreamClient] = [:]
        for tenant in Self.tenants { streams[tenant] = try open(tenant) }
        for turn in 1...4 {
            try gateway.write(try configuration(turn))
            let reload = try await admin.post("/v1/admin/reload", body: [])
            #expect(reload.status == 200, "\(reload.text)")
            for (index, tenant) in Self.tenants.enumerated() {
                let stream = try #require(streams[tenant])
                let lost = ["one", "two", "three"][(index + turn - 1) % 3]
                let gained = ["one", "two", "three"][(index + turn) % 3]
                // The stream loses a source: it says so, or ends.
                let notice = try await stream.next { event in
                    event.type == "bye" || event.type == "status" && event.text.contains("removed")
                }
                #expect(notice.type == "bye" || notice.text.contains(#""\#(lost)""#))
                let next = try open(tenant)
                await stream.close()
                streams[tenant] = next
                let opening = try await next.next(3)
                let shown = Set(
                    try opening.dropFirst().compactMap { try Document(parsing: $0.data).root["source"]?.string }
                )
                #expect(shown == [gained, "all"], "\(tenant), turn \(turn)")
            }
            // All are told anew; each gets what is its own now.
            for source in ["one", "two", "three", "all"] { try await push(source, turn) }
            for (index, tenant) in Self.tenants.enumerated() {
                let gained = ["one", "two", "three"][(index + turn) % 3]
                let live = try await streams[tenant]?.next(2) ?? []
                let shown = try live.compactMap { try Document(parsing: $0.data).root["source"]?.string }
                #expect(Set(shown) == [gained, "all"], "\(tenant), turn \(turn)")
            }
        }
        for stream in streams.values { await stream.close() }
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("behind a proxy on this machine nobody administers by address, with `auth` neither: the grant does")
    func proxied() async throws {
        let folder = try TemporaryFolder()
        let chief = try folder.write("chief-\(Self.key("x"))", to: "chief")
        let gateway = try Gateway(
            """
            \(try Self.auth(["north": "one"], in: folder))
                - { id: chief, secret_file: "\(chief)", read: ["*"], admin: true }
            sources: { one: {} }
            """
        )
        let port = try await gateway.process.listeningPort()
        let proxy = try await NginxProcess(
            "http://127.0.0.1:\(port)",
            configuration: "proxy_set_header X-Forwarded-For 127.0.0.1;"
        )
        let client = HTTPTestClient(proxy.endpoint)
        let paths = [
            ("GET", "/v1/admin/subscribers"), ("POST", "/v1/admin/reload"), ("POST", "/v1/admin/sources/one/pause"),
            ("POST", "/v1/admin/sources/one/value"), ("GET", "/metrics"), ("GET", "/readyz?verbose"),
        ]
        for (method, path) in paths {
            for (fields, status): (HeaderFields, Int) in [
                ([:], 401), (["X-Real-IP": "127.0.0.1"], 401), (Self.credential("north"), 403),
                (["Authorization": "Bearer chief-\(Self.key("x"))"], 200),
            ] {
                let body: [UInt8]? = method == "POST" ? Array("[1]".utf8) : nil
                let reply = try await client.send(method, path, headers: fields, body: body)
                #expect(reply.status == status, "\(method) \(path)")
            }
        }
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("the limits of a caller are those of the configuration, and another caller does not feel them")
    func limits() async throws {
        let folder = try TemporaryFolder()
        let gateway = try Gateway(
            """
            \(try Self.auth(["north": "one", "south": "one"], in: folder))
            limits: { max_requests_per_caller: 1, max_subscribers_per_caller: 1 }
            sources: { one: {} }
            """
        )
        let endpoint = try await gateway.process.endpoint()
        let stream = try EventStreamClient(endpoint, path: "/v1/streams/one", headers: Self.credential("north"))
        #expect(try await stream.head().status == 200)
        let second = try await RawHTTP.get("/v1/streams/one", from: endpoint, headers: Self.credential("north"))
        #expect(second.status == 429)
        #expect(second.text.contains("too_many_streams_of_caller"))
        var statuses: Set<Int> = []
        for _ in 0..<15 {
            statuses.insert(try await RawHTTP.get("/v1/me", from: endpoint, headers: Self.credential("north")).status)
        }
        #expect(statuses == [200, 429])
        #expect(try await RawHTTP.get("/v1/me", from: endpoint, headers: Self.credential("south")).status == 200)
        await stream.close()
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test(
        "the start-up log says that everything is open, where others than this machine reach it and there is no `auth`",
        arguments: [
            ("0.0.0.0:0", "", true), ("0.0.0.0:0", "auth: { anonymous: { read: [one] } }", false),
            ("127.0.0.1:0", "", false),
        ]
    )
    func openness(listen: String, auth: String, isSaid: Bool) async throws {
        let gateway = try Gateway("\(auth)\nsources: { one: {} }", listen: listen)
        #expect(await gateway.process.waitForOutput(containing: "listening on"))
        #expect(gateway.process.errors.contains("may read every source") == isSaid)
        #expect(try await gateway.terminate() == .exited(0))
    }
}
