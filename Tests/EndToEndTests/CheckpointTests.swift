import EventStream
import FreshetTesting
import JSON
import Testing

/// R29: what subscribers in the mode `items` get of changes that touch no item.
@Suite("Checkpoints", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct CheckpointTests {
    /// A clock beside a list, then rows in another order, then a change of one row, and the clock again.
    private static let bodies =
        (1...6).map { body(clock: $0, rows: Array(0..<8)) } + [
            body(clock: 6, rows: (0..<8).reversed()), body(clock: 6, rows: (0..<8).reversed(), third: 5),
            body(clock: 7, rows: (0..<8).reversed(), third: 5),
        ]

    private static func body(clock: Int, rows: [Int], third: Int = 1) -> String {
        let list = rows.map { "{\"id\":\"row \($0)\",\"n\":\($0 == 3 ? third : 1)}" }.joined(separator: ",")
        return "{\"clock\":\(clock),\"rows\":[\(list)]}"
    }

    private static func gateway(_ upstream: ScriptedUpstream, log: String = "") throws -> Gateway {
        try Gateway(
            """
            heartbeat: 10m
            \(log)
            sources:
              value: { url: "\(upstream.url("/value"))", interval: 20ms, items: /rows, key: /id }
            """
        )
    }

    /// Goes on to the next version and waits until the gateway has it.
    private static func advance(_ resource: VersionedResource, _ gateway: Gateway) async throws {
        let client = try await gateway.client
        let tag = try await client.get("/v1/values/value").headers["ETag"] ?? ""
        resource.advance()
        let reply = try await client.get("/v1/values/value?wait=20s", headers: ["If-None-Match": tag])
        try #require(reply.status == 200)
        #expect(reply.body == resource.body)
    }

    @Test("R29 one checkpoint a heartbeat, in streams, JSON lines and the log, and the next item change after it")
    func live() async throws {
        let resource = VersionedResource(versions: Self.bodies.map { Array($0.utf8) })
        let upstream = try ScriptedUpstream()
        upstream.serve(resource, at: "/value")
        let gateway = try Self.gateway(upstream)
        try await gateway.waitForValues(of: ["value"])
        let endpoint = try await gateway.process.endpoint()
        let path = "/v1/streams/value?mode=items"
        let events = try EventStreamClient(endpoint, path: path)
        let lines = try LineClient(endpoint, path: path)
        #expect(try await events.next()?.type == "hello")
        let first = try #require(try await events.next())
        #expect(first.type == "snapshot")
        _ = try await lines.next()
        _ = try await lines.next()
        while resource.version < Self.bodies.count - 1 { try await Self.advance(resource, gateway) }

        let checkpoint = try #require(try await events.next())
        #expect(checkpoint.type == "checkpoint")
        #expect(String(decoding: checkpoint.data, as: UTF8.self) == #"{"source":"value"}"#)
        #expect(checkpoint.lastEventID != first.lastEventID)
        let change = try #require(try await events.next())
        #expect(change.type == "items")
        #expect(try Document(parsing: change.data).root["items"]?["updated"]?.count == 1)

        let line = try Document(parsing: try #require(try await lines.next()))
        #expect(line.root["event"]?.string == "checkpoint")
        #expect(line.root["id"]?.string == checkpoint.lastEventID)
        #expect(line.root["data"]?["source"]?.string == "value")
        #expect(try Document(parsing: try #require(try await lines.next())).root["event"]?.string == "items")

        // The log: what comes after the item's change is a checkpoint, what comes before it is the change alone.
        try await Self.advance(resource, gateway)
        let client = try await gateway.client
        func changes(after id: String) async throws -> [String] {
            let page = try Document(parsing: try await client.get("/v1/changes/value?mode=items&since=\(id)").body)
            return page.root["events"]?.elements.compactMap { $0["event"]?.string } ?? []
        }
        #expect(try await changes(after: first.lastEventID) == ["items", "checkpoint"])
        #expect(try await changes(after: change.lastEventID) == ["checkpoint"])

        // A subscriber that comes back is moved to where the log stands, once.
        let again = try EventStreamClient(endpoint, path: path, lastEventID: first.lastEventID)
        #expect(try await again.next()?.type == "hello")
        #expect(try await again.next()?.type == "items")
        let moved = try #require(try await again.next())
        #expect(moved.type == "checkpoint")
        let value = try await client.get("/v1/values/value")
        #expect(moved.lastEventID == value.headers["Freshet-Cursor"])
        for client in [events, again] { await client.close() }
        await lines.close()
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("R29 after a restart the log has checkpoints in the place of such changes")
    func restart() async throws {
        let resource = VersionedResource(versions: Self.bodies.map { Array($0.utf8) })
        let upstream = try ScriptedUpstream()
        upstream.serve(resource, at: "/value")
        let folder = try TemporaryFolder()
        let log = "log: { path: \"\(folder.path)/log.db\" }"
        var gateway = try Self.gateway(upstream, log: log)
        try await gateway.waitForValues(of: ["value"])
        let first = try #require(try await gateway.client.get("/v1/values/value").headers["Freshet-Cursor"])
        for _ in 0..<4 { try await Self.advance(resource, gateway) }
        #expect(try await gateway.terminate() == .exited(0))

        gateway = try Self.gateway(upstream, log: log)
        let stream = try EventStreamClient(
            try await gateway.process.endpoint(),
            path: "/v1/streams/value?mode=items",
            lastEventID: first
        )
        #expect(try await stream.next()?.type == "hello")
        let checkpoint = try #require(try await stream.next())
        #expect(checkpoint.type == "checkpoint")
        #expect(checkpoint.lastEventID == (try await gateway.client.get("/v1/values/value").headers["Freshet-Cursor"]))
        await stream.close()
        #expect(try await gateway.terminate() == .exited(0))
    }
}
