import EventStream
import FreshetTesting
import JSON
import Testing

/// Faults found in the field, where the whole program has to be right: over restarts, through the configuration, in
/// what subscribers are sent.
@Suite(
    "Habits of real upstreams, through the program",
    .enabled(if: FreshetProcess.isBuilt, "the program is not built")
)
struct UpstreamHabitTests {
    private func tagged(_ body: String, _ request: UpstreamRequest) -> [UpstreamStep] {
        let headers: HeaderFields = ["ETag": "\"1\""]
        return [
            .respond(
                request.headers["If-None-Match"] == "\"1\""
                    ? .status(304, headers: headers) : .json(body, headers: headers)
            )
        ]
    }

    @Test("R04 a validator belongs to the URL that gave it, over a restart too", arguments: [true, false])
    func restart(moves: Bool) async throws {
        let upstream = try ScriptedUpstream()
        let folder = try TemporaryFolder()
        upstream.on("/latest", respond: .status(302, headers: ["Location": "/v1.json"]))
        upstream.on("/v1.json") { self.tagged(#"{"v":1}"#, $0) }
        upstream.on("/v2.json") { self.tagged(#"{"v":2}"#, $0) }
        let configuration = """
            log: { path: "\(folder.path("changes.db"))" }
            sources:
              value: { url: "\(upstream.url("/latest"))", interval: 50ms }
            """
        let first = try Gateway(configuration)
        try await first.waitForValues(of: ["value"])
        #expect(try await first.document("/v1/values/value").root["v"]?.int == 1)
        #expect(try await first.terminate() == .exited(0))
        if moves { upstream.on("/latest", respond: .status(302, headers: ["Location": "/v2.json"])) }
        let count = upstream.requests.count
        let second = try Gateway(configuration)
        let path = moves ? "/v2.json" : "/v1.json"
        // The second poll of the value was made by what the first brought.
        _ = await upstream.waitForRequest { $0.number > count && $0.path == path && $0.headers["If-None-Match"] != nil }
        let requests = upstream.requests.filter { $0.number > count }
        #expect(requests.first { $0.path == path }?.headers["If-None-Match"] == (moves ? nil : "\"1\""))
        #expect(requests.allSatisfy { $0.path != "/latest" || $0.headers["If-None-Match"] == nil })
        if moves { try await second.waitForValue({ $0.root["v"]?.int == 2 }, of: "value") }
        #expect(try await second.document("/v1/values/value").root["v"]?.int == (moves ? 2 : 1))
        #expect(try await second.terminate() == .exited(0))
    }

    @Test("R05 subscribers of items are sent ids after a poll in which one row had none")
    func guessedKey() async throws {
        let pad = String(repeating: "x", count: 100)
        func rows(_ ids: [Int?]) -> [UInt8] {
            let rows = ids.enumerated().map { index, id in
                #"{\#(id.map { "\"id\":\($0)," } ?? "")"name":"n\#(index)","pad":"\#(pad)"}"#
            }
            return Array("[\(rows.joined(separator: ","))]".utf8)
        }
        let resource = VersionedResource(versions: [
            rows([1, 2, 3]), rows([nil, 2, 3]), rows([1, 2, 3]), rows([1, 2]),
        ])
        let upstream = try ScriptedUpstream()
        upstream.serve(resource, at: "/value")
        let gateway = try Gateway("sources:\n  value: { url: \"\(upstream.url("/value"))\", interval: 30ms }")
        try await gateway.waitForValues(of: ["value"])
        let stream = try EventStreamClient(try await gateway.process.endpoint(), path: "/v1/streams/value?mode=items")
        #expect(try await stream.next()?.type == "hello")
        #expect(try await stream.next()?.type == "snapshot")
        for _ in 0..<2 {
            resource.advance()
            #expect(try await stream.next { $0.type != "status" }.type == "snapshot")
        }
        resource.advance()
        let last = try await stream.next { $0.type != "status" }
        #expect(last.type == "items")
        let deleted = try Document(parsing: last.data).root["items"]?["deleted"]
        #expect(deleted?.count == 1 && deleted?[0]?.int == 3)
        await stream.close()
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("R05 the key stays after a restart at a value from which another would be guessed")
    func guessedKeyAfterRestart() async throws {
        let pad = String(repeating: "x", count: 100)
        func rows(_ ids: [Int?]) -> [UInt8] {
            let rows = ids.enumerated().map { index, id in
                #"{\#(id.map { "\"id\":\($0)," } ?? "")"name":"n\#(index)","pad":"\#(pad)"}"#
            }
            return Array("[\(rows.joined(separator: ","))]".utf8)
        }
        let resource = VersionedResource(versions: [
            rows([1, 2, 3]), rows([nil, 2, 3]), rows([1, 2, 3]), rows([1, 2]),
        ])
        let upstream = try ScriptedUpstream()
        let folder = try TemporaryFolder()
        upstream.serve(resource, at: "/value")
        let configuration = """
            log: { path: "\(folder.path("changes.db"))" }
            sources:
              value: { url: "\(upstream.url("/value"))", interval: 30ms }
            """
        let first = try Gateway(configuration)
        try await first.waitForValues(of: ["value"])
        var follower = try await first.follow("value", mode: "snapshot")
        resource.advance()
        try await follower.takeChange()
        #expect(try await first.terminate() == .exited(0))

        let second = try Gateway(configuration)
        let stream = try EventStreamClient(try await second.process.endpoint(), path: "/v1/streams/value?mode=items")
        #expect(try await stream.next()?.type == "hello")
        #expect(try await stream.next()?.type == "snapshot")
        #expect(try await second.document("/v1/sources/value").root["collection"]?["key"]?.string == "/id")
        resource.advance()
        #expect(try await stream.next { $0.type != "status" }.type == "snapshot")
        resource.advance()
        let last = try await stream.next { $0.type != "status" }
        let deleted = try Document(parsing: last.data).root["items"]?["deleted"]
        #expect(deleted?.count == 1 && deleted?[0]?.int == 3)
        await stream.close()
        #expect(try await second.terminate() == .exited(0))
    }

    @Test("R17 s-maxage holds back no poll unless the source says so; R30 and R16 show in the source's row")
    func row() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/shared", respond: .json("[1]", headers: ["Cache-Control": "public, s-maxage=3600"]))
        upstream.on("/own", respond: .json("[1]", headers: ["Cache-Control": "public, s-maxage=3600"]))
        upstream.on("/clock") { [.respond(.json(#"{"v":1,"generated":\#($0.number)}"#))] }
        upstream.on("/text") { request in
            let isFirst = request.headers["If-None-Match"] == nil
            let body = isFirst ? #"{"a":1}"# : "down for maintenance"
            return [
                .respond(
                    UpstreamResponse(headers: ["Content-Type": "text/plain", "ETag": "\"1\""], body: Array(body.utf8))
                )
            ]
        }
        let gateway = try Gateway(
            """
            sources:
              own: { url: "\(upstream.url("/own"))", interval: 20ms }
              shared: { url: "\(upstream.url("/shared"))", interval: 20ms, respect_cache: shared }
              clock: { url: "\(upstream.url("/clock"))", interval: 20ms, settle: 2 }
              text: { url: "\(upstream.url("/text"))", interval: 20ms }
            """
        )
        try await gateway.waitForValues(of: ["own", "shared", "clock", "text"])
        while upstream.requests(to: "/own").count < 5 || upstream.requests(to: "/clock").count < 12
            || upstream.requests(to: "/text").count < 2
        {
            try #require(await upstream.waitForRequests(count: upstream.requests.count + 1))
        }
        #expect(upstream.requests(to: "/shared").count == 1)
        let shared = try await gateway.document("/v1/sources/shared").root["interval_reason"]?.string
        #expect(shared?.contains("fresh until then") == true)
        let warning = try await gateway.document("/v1/sources/clock").root["warnings"]?[0]
        #expect(warning?["kind"]?.string == "unsettled")
        #expect(warning?["message"]?.string?.contains("/generated") == true)
        // The answer to the second request may be under way still.
        _ = await upstream.waitForRequest { $0.path == "/text" && $0.headers["If-None-Match"] != nil }
        while upstream.requests(to: "/text").count < 3 {
            try #require(await upstream.waitForRequests(count: upstream.requests.count + 1))
        }
        let error = try await gateway.document("/v1/sources/text").root["last_error"]?["message"]?.string
        #expect(error?.contains("`format`") == true)
        #expect(try await gateway.terminate() == .exited(0))
    }
}
