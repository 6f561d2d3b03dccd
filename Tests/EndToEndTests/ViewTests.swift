// Parts of a value through the running program: what is polled, selected, followed and resumed after a restart.

import EventStream
import FreshetTesting
import JSON
import Testing

@Suite("Views", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct ViewTests {
    private static func body(_ clock: Int, _ states: [(Int, String)]) -> [UInt8] {
        let pad = String(repeating: "p", count: 60)
        let rows = states.map { #"{"id":\#($0.0),"status":"\#($0.1)","pad":"\#(pad)"}"# }.joined(separator: ",")
        return Array(#"{"data":{"clock":\#(clock),"orders":[\#(rows)]},"pad":"\#(pad)\#(pad)"}"#.utf8)
    }

    private static func gateway(_ upstream: ScriptedUpstream, log: String = "") throws -> Gateway {
        try Gateway(
            """
            heartbeat: 10m
            \(log)
            sources:
              orders: { url: "\(upstream.url("/value"))", interval: 20ms, items: /data/orders, key: /id }
              open: { url: "\(upstream.url("/value"))", interval: 20ms, select: "$.data.orders[?@.status == 'open']", key: /id }
              one: { url: "\(upstream.url("/value"))", interval: 20ms, root: /data, select: "$.clock" }
            """
        )
    }

    private static func advance(_ resource: VersionedResource, _ gateway: Gateway) async throws {
        let client = try await gateway.client
        let tag = try await client.get("/v1/values/orders").headers["ETag"] ?? ""
        resource.advance()
        let reply = try await client.get("/v1/values/orders?wait=20s", headers: ["If-None-Match": tag])
        try #require(reply.status == 200)
    }

    @Test("pointer, item, where and select over HTTP, live and after a restart")
    func program() async throws {
        let versions = [
            Self.body(1, [(1, "open"), (2, "done")]), Self.body(2, [(1, "open"), (2, "done")]),
            Self.body(2, [(2, "open"), (1, "open")]), Self.body(2, [(2, "open"), (1, "done"), (3, "done")]),
            Self.body(3, [(2, "done"), (3, "open")]),
        ]
        let resource = VersionedResource(versions: versions)
        let upstream = try ScriptedUpstream()
        upstream.serve(resource, at: "/value")
        let folder = try TemporaryFolder()
        let log = "log: { path: \"\(folder.path)/log.db\" }"
        var gateway = try Self.gateway(upstream, log: log)
        try await gateway.waitForValues(of: ["orders", "open", "one"])
        let client = try await gateway.client
        let start = try #require(try await client.get("/v1/values/orders").headers["Freshet-Cursor"])

        // What is selected is the value, and its items are found in it.
        #expect(try await client.get("/v1/values/one").body == Array("1".utf8))
        let open = try Document(parsing: try await client.get("/v1/values/open").body)
        #expect(open.root.elements.compactMap { $0["id"]?.int } == [1])
        let status = try await client.get("/v1/values/orders?pointer=/data/orders/0/status")
        #expect(status.body == Array(#""open""#.utf8))
        let tag = try #require(status.headers["ETag"])
        let item = try Document(parsing: try await client.get("/v1/values/orders?item=2").body)
        #expect(item.root["data"]?["orders"]?[0]?["id"]?.int == 2 && item.root["data"]?.count == 1)

        let endpoint = try await gateway.process.endpoint()
        let clock = try EventStreamClient(endpoint, path: "/v1/streams/orders?pointer=/data/clock")
        let filter = try LineClient(endpoint, path: "/v1/streams/orders?where=/status:open&mode=items")
        #expect(try await clock.next()?.type == "hello")
        #expect(String(decoding: try #require(try await clock.next()).data, as: UTF8.self).hasSuffix(#""value":1}"#))
        for _ in 0..<2 { _ = try await filter.next() }
        for version in 1..<versions.count {
            try await Self.advance(resource, gateway)
            if version == 1 {
                let same = try await client.get(
                    "/v1/values/orders?pointer=/data/orders/0/status",
                    headers: ["If-None-Match": tag]
                )
                #expect(same.status == 304)
            }
        }
        let second = try #require(try await clock.next())
        #expect(second.type == "snapshot")
        #expect(try Document(parsing: second.data).root["value"]?.int == 2)
        var types: [String] = []
        while types.last != "snapshot" { types.append(try #require(try await clock.next()).type) }
        #expect(types.filter { $0 == "checkpoint" }.count <= 1, "one a heartbeat")

        func lists(_ line: [UInt8]) throws -> [[Int]] {
            let items = try Document(parsing: line).root["data"]?["items"]
            return ["created", "updated", "deleted"].map { name in
                items?[name]?.elements.compactMap { $0.int ?? $0["id"]?.int } ?? []
            }
        }
        var live: [[[Int]]] = []
        while live.count < 3 {
            let line = try #require(try await filter.next())
            if try Document(parsing: line).root["event"]?.string == "items" { live.append(try lists(line)) }
        }
        #expect(live == [[[2], [], []], [[], [], [1]], [[3], [], [2]]])
        await clock.close()
        await filter.close()
        #expect(try await gateway.terminate() == .exited(0))

        // Another process knows the views of what happened before it.
        gateway = try Self.gateway(upstream, log: log)
        try await gateway.waitForValues(of: ["orders"])
        let again = try LineClient(
            try await gateway.process.endpoint(),
            path: "/v1/streams/orders?where=/status:open&mode=items&since=\(start)"
        )
        _ = try await again.next()
        var resumed: [[[Int]]] = []
        while resumed.count < 3 { resumed.append(try lists(try #require(try await again.next()))) }
        #expect(resumed == live)
        let reply = try await gateway.client.get("/v1/changes/orders?pointer=/data/clock&since=\(start)&mode=snapshot")
        let values = try Document(parsing: reply.body).root["events"]?.elements.compactMap { $0["data"]?["value"]?.int }
        #expect(values == [2, 3])
        await again.close()
        #expect(try await gateway.terminate() == .exited(0))
    }
}
