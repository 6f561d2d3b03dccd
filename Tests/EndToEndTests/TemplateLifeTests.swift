import EventStream
import Foundation
import FreshetTesting
import JSON
import Testing

/// Sources with parameters over reloads and restarts, with claims, and in their thousands.
@Suite("Instances and their lives", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct TemplateLifeTests {
    private static func key(_ name: String) -> String { "\(name)-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa" }
    private static func credential(_ name: String) -> HeaderFields { ["Authorization": "Bearer \(self.key(name))"] }

    @Test("a parameter that is bound to a claim: what is not the caller's own is as if it were not there")
    func claims() async throws {
        let upstream = try ScriptedUpstream()
        // The same URL and the same tag for all: who is asked for stands in a field alone.
        upstream.on("/me") { request in
            let user = request.headers["X-User"] ?? "nobody"
            return [.respond(.json(#"{"of":"secret-\#(user)-","n":\#(request.number)}"#, headers: ["ETag": "\"1\""]))]
        }
        let folder = try TemporaryFolder()
        let keys = try ["42", "43"].map { name in
            "    - { id: \"\(name)\", secret_file: \"\(try folder.write(Self.key(name), to: name))\", read: [\"*\"] }"
        }
        let gateway = try Gateway(
            """
            auth:
              anonymous: { read: ["*"] }
              keys:
            \(keys.joined(separator: "\n"))
            sources:
              me:
                url: "\(upstream.url("/me"))"
                interval: 20ms
                headers: { X-User: "{id}" }
                parameters: { id: { pattern: "[0-9]+", claim: sub } }
            """
        )
        let endpoint = try await gateway.process.endpoint()
        let streams = try ["42", "43"].map { name in
            try EventStreamClient(
                endpoint,
                path: "/v1/streams/me/\(name)?mode=snapshot",
                headers: Self.credential(name)
            )
        }
        for (name, stream) in zip(["42", "43"], streams) {
            for event in try await stream.next(20).dropFirst() {
                #expect(event.type == "status" || event.text.contains("secret-\(name)-"), "\(event.text)")
                #expect(event.text.contains("me/\(name)\""))
            }
        }
        for (name, other) in [("42", "43"), ("43", "42")] {
            let client = HTTPTestClient(endpoint, headers: Self.credential(name))
            #expect(try await client.get("/v1/values/me/\(name)").text.contains("secret-\(name)-"))
            for path in [
                "/v1/values/me/", "/v1/streams/me/", "/v1/changes/me/", "/v1/sources/me%2F", "/v1/streams/me%2F",
            ] {
                let foreign = try await client.get("\(path)\(other)")
                let absent = try await client.get("\(path)99")
                #expect(foreign.status == 404 && absent.status == 404, "\(path)")
                #expect(foreign.text.replacing(other, with: "99") == absent.text, "\(foreign.text)")
                #expect(foreign.headers.all.map(\.name) == absent.headers.all.map(\.name))
            }
            let list = try await client.get("/v1/sources").text
            #expect(list.contains("me/\(name)\"") && !list.contains("me/\(other)\""))
            let ticket = try await client.post("/v1/tickets", body: Array(#"{"sources":"me/\#(other)"}"#.utf8))
            #expect(ticket.status == 404)
            let own = try await client.post("/v1/tickets", body: Array(#"{"sources":"me/\#(name)"}"#.utf8))
            let text = try #require(try Document(parsing: own.body).root["ticket"]?.string)
            for target in [other, name] {
                let reply = try EventStreamClient(endpoint, path: "/v1/streams/me/\(target)?ticket=\(text)")
                #expect(try await reply.head().status == (target == name ? 200 : 401))
                await reply.close()
            }
        }
        let nobody = HTTPTestClient(endpoint)
        for path in ["/v1/values/me/42", "/v1/values/me/99", "/v1/values/me/x", "/v1/streams/me/42"] {
            #expect(try await nobody.get(path).status == 401, "\(path)")
        }
        #expect(try await nobody.get("/v1/values/you/42").status == 404)
        #expect(!(try await nobody.get("/v1/sources").text.contains("me/")))
        let admin = try await gateway.client
        #expect(try await admin.get("/v1/values/me/42").status == 200)
        #expect(try await admin.post("/v1/admin/sources/me%2F42/poll", body: []).status == 200)
        #expect(try await admin.post("/v1/admin/sources/me%2F99/poll", body: []).status == 404)
        for stream in streams { await stream.close() }
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("instances whose requests differ in a field alone share neither a poll nor a byte")
    func sharing() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("*") { request in
            [.respond(.json(#"{"who":"who-\#(request.headers["X-Who"] ?? "")-","n":\#(request.number)}"#))]
        }
        let gateway = try Gateway(
            """
            defaults: { interval: 1h }
            sources:
              a: { url: "\(upstream.url("/u"))", headers: { X-Who: "{id}" }, parameters: { id: {} } }
              b: { url: "\(upstream.url("/u"))", headers: { X-Who: "{id}" }, parameters: { id: {} } }
            """
        )
        let endpoint = try await gateway.process.endpoint()
        let names = ["a/1", "a/2", "b/1", "b/3"]
        let values = try await withThrowingTaskGroup(of: (String, String).self) { group in
            for name in names {
                group.addTask { (name, try await HTTPTestClient(endpoint).get("/v1/values/\(name)").text) }
            }
            return try await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        for name in names { #expect(values[name]?.contains("who-\(name.last ?? "-")-") == true, "\(values)") }
        #expect(Set(upstream.requests(to: "/u").compactMap { $0.headers["X-Who"] }) == ["1", "2", "3"])
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("a reload changes what the instances of a template are, or takes them with it")
    func reload() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("*") { request in [.respond(.json(#"{"path":"\#(request.path)","n":\#(request.number)}"#))] }
        func configuration(_ source: String) -> String { "sources:\n  plain: {}\n\(source)" }
        let user = { (path: String, pattern: String) in
            "  user: { url: \"\(upstream.url(path))\", interval: 30ms, parameters: { id: { pattern: \"\(pattern)\" } } }"
        }
        let gateway = try Gateway(configuration(user("/one/{id}", "[0-9]+")))
        let admin = try await gateway.client
        let endpoint = try await gateway.process.endpoint()
        func reload(_ source: String) async throws {
            try gateway.write(configuration(source))
            let reply = try await admin.post("/v1/admin/reload", body: [])
            #expect(reply.status == 200, "\(reply.text)")
        }
        let stream = try EventStreamClient(endpoint, path: "/v1/streams/user/7?mode=snapshot")
        _ = try await stream.next(3)
        try await reload(user("/two/{id}", "[0-9]+"))
        _ = try await stream.next { $0.text.contains("/two/7") }
        try await reload(user("/two/{id}", "[a-z]+"))
        #expect(try await stream.next { $0.type == "bye" }.text.contains("removed"))
        #expect(try await admin.get("/v1/values/user/7").status == 404)
        let other = try EventStreamClient(endpoint, path: "/v1/streams/user/x,plain?mode=snapshot")
        _ = try await other.next { $0.text.contains("/two/x") }
        try await reload("")
        #expect(try await admin.get("/v1/values/user/x").status == 404)
        #expect(try await admin.get("/v1/sources/user%2Fx").status == 404)
        await other.close()
        await stream.close()
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("after a restart a cursor resumes where the log still has the instance, and the first poll is conditional")
    func restart() async throws {
        let folder = try TemporaryFolder()
        let upstream = try ScriptedUpstream()
        let resource = VersionedResource(versions: (1...9).map { Array(#"{"n":\#($0)}"#.utf8) })
        upstream.serve(resource, at: "/u/7")
        upstream.on("/u/8", respond: .json("[8]"))
        let configuration = """
            log: { path: "\(folder.path("changes.db"))" }
            sources:
              user: { url: "\(upstream.url("/u/{id}"))", interval: 30ms, linger: 1h }
            """
        let first = try Gateway(configuration)
        var follower = try await first.follow("user/7", mode: "patch")
        #expect(try await first.client.get("/v1/values/user/8").status == 200)
        resource.advance()
        try await follower.takeChange()
        let (cursor, values) = (follower.lastEventID, follower.values)
        resource.advance()
        try await follower.takeChange()
        await follower.close()
        #expect(try await first.terminate() == .exited(0))
        let asked = upstream.requests.count
        let second = try Gateway(configuration)
        var resumed = try await second.follow("user/7", mode: "patch", after: cursor, holding: values)
        try await resumed.takeChange()
        #expect(resumed.values["user/7"]?.root["n"]?.int == 3)
        resource.advance()
        try await resumed.takeChange()
        #expect(resumed.values["user/7"]?.root["n"]?.int == 4)
        let firstPoll = upstream.requests.dropFirst(asked).first
        #expect(firstPoll?.path == "/u/7" && firstPoll?.headers["If-None-Match"] != nil)
        await resumed.close()
        #expect(try await second.terminate() == .exited(0))
    }

    /// Some seconds; with `FRESHET_CHURN` some minutes.
    @Test("instances that come and go in their thousands leave nothing behind in memory")
    func churn() async throws {
        let isLong = ProcessInfo.processInfo.environment["FRESHET_CHURN"] != nil
        let total = isLong ? 100_000 : 2_000
        let upstream = try ScriptedUpstream()
        upstream.on("*") { request in
            [.respond(.json(#"{"of":"\#(request.path)","pad":"\#(String(repeating: "x", count: 200))"}"#))]
        }
        let gateway = try Gateway(
            """
            cache: { max_bytes: 1MiB }
            sources:
              user: { url: "\(upstream.url("/u/{id}"))", interval: 1h, max_instances: 100, linger: 100ms }
            """
        )
        let endpoint = try await gateway.process.endpoint()
        func read(_ range: Range<Int>) async throws {
            try await withThrowingTaskGroup(of: Void.self) { group in
                for worker in 0..<4 {
                    group.addTask {
                        let client = HTTPTestClient(endpoint)
                        for number in stride(from: range.lowerBound + worker, to: range.upperBound, by: 4) {
                            let reply = try await client.get("/v1/values/user/\(number)")
                            #expect(reply.status == 200 && reply.text.contains("/u/\(number)\""), "\(reply.text)")
                        }
                    }
                }
                try await group.waitForAll()
            }
            let deadline = ContinuousClock.now + .patience
            let client = try await gateway.client
            while try await !client.get("/metrics").text.contains("freshet_instances{source=\"user\"} 0\n") {
                try #require(ContinuousClock.now < deadline, "instances stay")
                // Nothing tells when the last instance is forgotten: the gauge is read again.
                try await Task.sleep(for: .milliseconds(50))
            }
        }
        try await read(0..<1_000)
        let before = try gateway.process.usage().residentBytes
        try await read(1_000..<1_000 + total)
        let after = try gateway.process.usage().residentBytes
        #expect(after <= before + before / 10, "\(before >> 10) KiB before, \(after >> 10) KiB after \(total)")
        let metrics = try await gateway.client.get("/metrics").text
        #expect(metrics.contains(#"freshet_polls_total{source="user",outcome="changed"} \#(1_000 + total)"#))
        #expect(!metrics.contains("user/"))
        #expect(gateway.process.errors.split(separator: "\n").count < 100, "a line of log for each would fill the disk")
        #expect(try await gateway.terminate() == .exited(0))
    }
}
