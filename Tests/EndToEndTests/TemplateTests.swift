import EventStream
import Foundation
import FreshetTesting
import JSON
import Testing

/// Sources with parameters, with the program itself.
@Suite("Sources with parameters", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct TemplateTests {
    /// Answers each user with a value of their own that is another at each request.
    private static func upstream() throws -> ScriptedUpstream {
        let upstream = try ScriptedUpstream()
        upstream.on("*") { request in
            let user = request.path.split(separator: "/").last ?? ""
            return [.respond(.json(#"{"of":"user-\#(user)-","n":\#(request.number)}"#))]
        }
        return upstream
    }

    private static func text(_ gateway: Gateway, _ path: String) async throws -> String {
        try await gateway.client.get(path).text
    }

    /// Waits until there is no such instance.
    private static func waitUntilForgotten(_ name: String, by gateway: Gateway) async throws {
        let client = try await gateway.client
        let deadline = ContinuousClock.now + .patience
        while try await client.get("/v1/sources/\(name)").status != 404 {
            try #require(ContinuousClock.now < deadline, "\(name) is not forgotten")
            try await Task.sleep(for: .milliseconds(20))
        }
    }

    @Test("of 1,000 instances the 50 that are listened to are polled, each shows its own bytes, and `*` none")
    func thousand() async throws {
        let upstream = try Self.upstream()
        let gateway = try Gateway(
            """
            sources:
              user: { url: "\(upstream.url("/u/{id}"))", interval: 100ms, linger: 1h }
              plain: { url: "\(upstream.url("/plain"))", interval: 1h }
            """
        )
        let endpoint = try await gateway.process.endpoint()
        let everything = try EventStreamClient(endpoint, path: "/v1/streams/*?mode=snapshot")
        try await withThrowingTaskGroup(of: Void.self) { group in
            for worker in 0..<8 {
                group.addTask {
                    let client = HTTPTestClient(endpoint)
                    for number in stride(from: worker, to: 1000, by: 8) {
                        let reply = try await client.get("/v1/values/user/\(number)")
                        #expect(reply.status == 200 && reply.text.contains("user-\(number)-"), "\(reply.text)")
                    }
                }
            }
            try await group.waitForAll()
        }
        #expect(try await Self.text(gateway, "/metrics").contains("freshet_instances{source=\"user\"} 1000\n"))
        let listened = Set((0..<50).map { $0 * 20 })
        let streams = try listened.map { number in
            (number, try EventStreamClient(endpoint, path: "/v1/streams/user/\(number)?mode=snapshot"))
        }
        for (number, stream) in streams {
            for event in try await stream.next(4).dropFirst() {
                #expect(event.text.contains("user-\(number)-") && event.text.contains("user/\(number)\""))
            }
        }
        // By now what was still under way for others has ended.
        let before = upstream.requests.count
        #expect(await upstream.waitForRequests(count: before + 500))
        let asked = Set(upstream.requests.dropFirst(before).map(\.path))
        #expect(asked == Set(listened.map { "/u/\($0)" }))
        for (number, stream) in streams {
            while stream.pendingCount > 0, let event = try await stream.next() {
                guard event.type == "snapshot" else { continue }
                #expect(event.text.contains("user-\(number)-"), "\(event.text)")
            }
            await stream.close()
        }
        #expect(everything.bodyBytes.firstRange(of: Array("user-plain-".utf8)) != nil)
        #expect(everything.bodyBytes.firstRange(of: Array("user/".utf8)) == nil)
        await everything.close()
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("an instance goes when nobody has read it for its `linger`, also while `*` is read, and leaves no trace")
    func linger() async throws {
        let upstream = try Self.upstream()
        let gateway = try Gateway(
            """
            sources:
              user: { url: "\(upstream.url("/u/{id}"))", interval: 50ms, linger: 200ms }
              plain: { url: "\(upstream.url("/plain"))", interval: 1h }
            """
        )
        let endpoint = try await gateway.process.endpoint()
        let everything = try EventStreamClient(endpoint, path: "/v1/streams/*")
        let stream = try EventStreamClient(endpoint, path: "/v1/streams/user/7")
        let cursor = try await stream.next { !$0.lastEventID.isEmpty }.lastEventID
        // A change that whoever comes back with this cursor has not seen.
        _ = try await stream.next { !$0.lastEventID.isEmpty && $0.lastEventID != cursor }
        #expect(try await gateway.client.get("/v1/sources/user%2F7").status == 200)
        #expect(try await gateway.client.get("/v1/sources/user/7").status == 200)
        #expect(try await Self.text(gateway, "/v1/sources").contains(#""name":"user/7""#))
        await stream.close()
        try await Self.waitUntilForgotten("user%2F7", by: gateway)
        let asked = upstream.requests(to: "/u/7").count
        let other = try EventStreamClient(endpoint, path: "/v1/streams/user/8")
        _ = try await other.next(8)
        await other.close()
        #expect(upstream.requests(to: "/u/7").count == asked, "what nobody reads is not polled")
        let metrics = try await Self.text(gateway, "/metrics")
        #expect(
            !metrics.contains("user/") && metrics.contains(#"freshet_polls_total{source="user",outcome="changed"}"#)
        )
        #expect(metrics.contains(#"freshet_instances_forgotten_total{source="user",reason="linger"} "#))
        // The list is shared for a second.
        let deadline = ContinuousClock.now + .patience
        while try await Self.text(gateway, "/v1/sources").contains("user/7") {
            try #require(ContinuousClock.now < deadline, "it stays in the list")
            try await Task.sleep(for: .milliseconds(50))
        }
        // One who comes back is told that the changes in between are not known.
        let again = try EventStreamClient(endpoint, path: "/v1/streams/user/7", lastEventID: cursor)
        #expect(try await again.next(2).map(\.type) == ["hello", "gap"])
        await again.close()
        #expect(everything.bodyBytes.firstRange(of: Array("user/".utf8)) == nil)
        await everything.close()
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("a value is waited for until its first poll has ended, and asked for again once it is old")
    func firstPoll() async throws {
        let upstream = try Self.upstream()
        let gate = try Gate()
        upstream.on("/u/slow") { _ in [.hold(gate), .respond(.json(#"{"n":1}"#))] }
        upstream.on("/u/none") { _ in [.respond(.status(404))] }
        upstream.on("/u/never") { _ in [.stall] }
        let folder = try TemporaryFolder()
        let gateway = try Gateway(
            """
            log: { path: "\(folder.path("changes.db"))" }
            sources:
              user: { url: "\(upstream.url("/u/{id}"))", interval: 100ms, timeout: 2s, linger: 1h }
            """
        )
        let client = HTTPTestClient(try await gateway.process.endpoint())
        let slow = Task { [endpoint = try await gateway.process.endpoint()] in
            try await HTTPTestClient(endpoint).get("/v1/values/user/slow")
        }
        _ = await upstream.waitForRequest { $0.path == "/u/slow" }
        gate.open()
        #expect(try await slow.value.text == #"{"n":1}"#)
        let start = ContinuousClock.now
        let none = try await client.get("/v1/values/user/none")
        #expect(none.status == 503 && none.text.contains("no_value_yet") && none.headers["Retry-After"] != nil)
        #expect(ContinuousClock.now - start < .seconds(2), "a refusal of the upstream is waited for, and no longer")
        #expect(try await client.get("/v1/values/user/never").status == 503)
        // Nobody reads it, so it is not polled; who reads it then gets no old value.
        let first = try Document(parsing: try await client.get("/v1/values/user/1").body).root["n"]?.int
        let asked = upstream.requests(to: "/u/1").count
        try await Task.sleep(for: .milliseconds(400))
        #expect(upstream.requests(to: "/u/1").count == asked)
        let next = try Document(parsing: try await client.get("/v1/values/user/1").body).root["n"]?.int
        #expect(next != first, "an old value is served")
        // A long poll returns with the first value.
        let polled = try await client.get("/v1/values/user/2?wait=20s")
        #expect(polled.status == 200 && polled.text.contains("user-2-"))
        let changes = try await client.get("/v1/changes/user/3")
        #expect(changes.status == 200 && changes.text.contains(#""source":"user/3""#), "\(changes.text)")
        #expect(try await client.get("/v1/sources/user%2F3/schema").text.contains(#""of""#))
        #expect(try await client.head("/v1/values/user/3").status == 200)
        for path in [
            "/v1/values/user", "/v1/values/user/", "/v1/values/user/1/2", "/v1/values/nobody/1", "/v1/values/user*",
        ] {
            #expect(try await client.get(path).status == 404, "\(path)")
        }
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("the one that nobody has read for longest makes room; where each is read, 503, and 429 for a caller's share")
    func bounds() async throws {
        let upstream = try Self.upstream()
        let folder = try TemporaryFolder()
        let key = { (name: String) in "\(name)-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa" }
        let keys = try ["one", "two"].map { name in
            "    - { id: \(name), secret_file: \"\(try folder.write(key(name), to: name))\", read: [user, small] }"
        }
        let gateway = try Gateway(
            """
            auth:
              keys:
            \(keys.joined(separator: "\n"))
            sources:
              user: { url: "\(upstream.url("/u/{id}"))", interval: 1h, max_instances: 2, max_instances_per_caller: 2 }
              small: { url: "\(upstream.url("/s/{id}"))", interval: 1h, max_instances: 10, max_instances_per_caller: 1 }
            """
        )
        let endpoint = try await gateway.process.endpoint()
        let admin = try await gateway.client
        func client(_ name: String) -> HTTPTestClient {
            HTTPTestClient(endpoint, headers: ["Authorization": "Bearer \(key(name))"])
        }
        func stream(_ path: String, _ name: String) throws -> EventStreamClient {
            try EventStreamClient(endpoint, path: path, headers: ["Authorization": "Bearer \(key(name))"])
        }
        for number in 1...3 { #expect(try await client("one").get("/v1/values/user/\(number)").status == 200) }
        #expect(try await admin.get("/v1/sources/user%2F1").status == 404)
        #expect(try await admin.get("/v1/sources/user%2F2").status == 200)
        let two = try stream("/v1/streams/user/2", "one")
        _ = try await two.next(2)
        #expect(try await client("two").get("/v1/values/user/4").status == 200)
        #expect(try await admin.get("/v1/sources/user%2F3").status == 404, "the one that is listened to stays")
        let four = try stream("/v1/streams/user/4", "two")
        _ = try await four.next(2)
        let full = try await client("two").get("/v1/values/user/5")
        #expect(full.status == 503 && full.text.contains("too_many_instances") && full.headers["Retry-After"] != nil)
        #expect(try await client("two").get("/v1/values/user/2").status == 200, "those that there are can be read")
        await four.close()
        let deadline = ContinuousClock.now + .patience
        while try await client("two").get("/v1/values/user/5").status != 200 {
            try #require(ContinuousClock.now < deadline, "no room is made")
        }
        let small = try stream("/v1/streams/small/1", "one")
        _ = try await small.next(2)
        let share = try await client("one").get("/v1/values/small/2")
        #expect(share.status == 429 && share.text.contains("too_many_instances_of_caller"))
        #expect(try await client("two").get("/v1/values/small/2").status == 200)
        let metrics = try await Self.text(gateway, "/metrics")
        #expect(metrics.contains(#"freshet_instances_refused_total{source="small",reason="caller"} 1"#))
        #expect(metrics.contains(#"freshet_instances_limit{source="user"} 2"#))
        for stream in [two, small] { await stream.close() }
        #expect(try await gateway.terminate() == .exited(0))
    }
}
