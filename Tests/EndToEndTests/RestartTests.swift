import EventStream
import FreshetTesting
import Glibc
import JSON
import Testing

/// Beginnings and ends of the program with its neighbours in a bad state, or in its place.
@Suite("Starts and restarts", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct RestartTests {
    @Test("F75: with its upstreams down it starts, is ready, says so, and takes their values when they come")
    func upstreamsDown() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/value", respond: .init(status: 503))
        let gateway = try Gateway(
            """
            sources:
              refused: { url: "http://127.0.0.1:1/", interval: 50ms }
              value: { url: "\(upstream.url("/value"))", interval: 50ms }
            """
        )
        let client = try await gateway.client
        #expect(try await client.get("/readyz").status == 200)
        _ = await upstream.waitForRequest(timeout: .seconds(30)) { $0.path == "/value" && $0.number > 2 }
        #expect(try await client.get("/readyz").status == 200)
        #expect(try await client.get("/livez").status == 200)
        #expect(try await client.get("/v1/values/refused").status == 503)
        let stream = try EventStreamClient(try await gateway.process.endpoint(), path: "/v1/streams/value")
        #expect(try await stream.next()?.type == "hello")

        upstream.on("/value", respond: .json(#"{"n":1}"#))
        let snapshot = try await stream.next(timeout: .seconds(30)) { $0.type == "snapshot" }
        #expect(try Document(parsing: snapshot.data).root["value"]?["n"]?.int == 1)
        #expect(gateway.process.isRunning)
        await stream.close()
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("F78: a client that a load balancer sends from one node to another is told of a gap, and has the value")
    func rolling() async throws {
        let resource = VersionedResource(versions: (0..<6).map { Array(#"{"n":\#($0)}"#.utf8) })
        let upstream = try ScriptedUpstream()
        upstream.serve(resource, at: "/value")
        let sources = "sources:\n  value: { url: \"\(upstream.url("/value"))\", interval: 30ms }"
        let nodes = [try Gateway(sources), try Gateway(sources)]
        for node in nodes { try await node.waitForValues(of: ["value"]) }
        var first = try await nodes[0].follow("value", mode: "snapshot")
        resource.advance()
        try await first.takeChanges(until: ["value": resource.body])
        nodes[0].process.send(SIGTERM)
        #expect(try await first.bye() == "drain")
        resource.advance()

        // The other node's log is another: the id of the first means nothing in it, however much alike they count.
        let stream = try EventStreamClient(
            try await nodes[1].process.endpoint(),
            path: "/v1/streams/value?mode=snapshot",
            lastEventID: first.lastEventID
        )
        #expect(try await stream.next()?.type == "hello")
        let gap = try #require(try await stream.next())
        #expect(gap.type == "gap")
        #expect(try Document(parsing: gap.data).root["reason"]?.string == "epoch")
        let goal = try Document(parsing: resource.body)
        // Throws when it does not come.
        _ = try await stream.next(timeout: .seconds(30)) { event in
            let value = try? Document(parsing: event.data).root["value"]
            return event.type == "snapshot" && value?["n"]?.int == goal.root["n"]?.int
        }
        await stream.close()
        #expect(try await nodes[0].process.exitStatus(timeout: .seconds(30)) == .exited(0))
        #expect(try await nodes[1].terminate() == .exited(0))
    }
}
