// One effect a key: what a client is told when writes are repeated, cut, killed, or of somebody else.

import FreshetTesting
import JSON
import Testing

@Suite("Writes that are repeated", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct WriteOutcomeTests {
    @Test("the same key: the same answer, another request 422, one under way 409, and another caller another key")
    func keys() async throws {
        let upstream = try WritableUpstream(WriteFixture.items)
        let folder = try TemporaryFolder()
        let (one, two) = ("alice-Qm4Zr8L2vXc7Yb1NwK5sDhUeGa3fJ9tq", "bob-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa")
        let auth = """
            auth:
              keys:
                - { id: alice, secret_file: "\(try folder.write(one, to: "one"))", read: ["*"], write: [orders] }
                - { id: bob, secret_file: "\(try folder.write(two, to: "two"))", read: ["*"], write: ["*"] }
            """
        let fixture = try WriteFixture(upstream, "conflict: overwrite", before: auth)
        let endpoint = try await fixture.gateway.process.endpoint()
        let alice = HTTPTestClient(endpoint, headers: ["Authorization": "Bearer \(one)"])
        let bob = HTTPTestClient(endpoint, headers: ["X-API-Key": two])
        while try await alice.get("/v1/values/orders?wait=20s", headers: ["If-None-Match": "\"none\""]).status != 200 {}
        let first = try await alice.write("POST", "/v1/values/orders", #"{"n":1}"#, key: "k1")
        #expect(first.status == 201, "\(first.text)")
        for _ in 0..<3 {
            let again = try await alice.write("POST", "/v1/values/orders", #"{"n":1}"#, key: "k1")
            #expect(again.status == 201 && again.text == first.text)
            #expect(again.headers["Freshet-Cursor"] == first.headers["Freshet-Cursor"])
            #expect(
                again.headers["Location"] == first.headers["Location"] && again.headers["ETag"] == first.headers["ETag"]
            )
        }
        let other = try await alice.write("POST", "/v1/values/orders", #"{"n":2}"#, key: "k1")
        #expect(try other.status == 422 && (other.member("code")?.string) == "idempotency_key_reused")
        #expect(upstream.writes.count == 1)
        // The same key of another caller is another key; without one every request is a write of its own.
        #expect(try await bob.write("POST", "/v1/values/orders", #"{"n":1}"#, key: "k1").status == 201)
        #expect(try await bob.write("POST", "/v1/values/orders", #"{"n":1}"#).status == 201)
        #expect(upstream.writes.count == 3)
        #expect(
            try await bob.write("POST", "/v1/values/orders", "{}", key: String(repeating: "k", count: 256)).status
                == 400
        )
        // One that is still under way.
        let gate = try Gate()
        upstream.nextWrite(isApplied: true, [.hold(gate), .respond(.status(204))])
        async let slow = alice.write("PATCH", "/v1/items/orders/a", #"{"n":5}"#, key: "k2")
        #expect(await upstream.upstream.waitForRequest { $0.method == "PATCH" } != nil)
        let busy = HTTPTestClient(endpoint, headers: ["Authorization": "Bearer \(one)"])
        let meanwhile = try await busy.write("PATCH", "/v1/items/orders/a", #"{"n":5}"#, key: "k2")
        #expect(
            try meanwhile.status == 409 && (meanwhile.member("code")?.string) == "write_under_way",
            "\(meanwhile.text)"
        )
        gate.open()
        #expect(try await slow.status == 200)
        #expect(try await alice.write("PATCH", "/v1/items/orders/a", #"{"n":5}"#, key: "k2").status == 200)
        #expect(upstream.writes.count == 4)
        // The gateway's own keys went nowhere.
        for request in upstream.upstream.requests {
            #expect(request.headers["Authorization"] == nil && request.headers["X-API-Key"] == nil)
            #expect(request.headers["Idempotency-Key"] == nil)
        }
        // Grants: nobody without a credential, and no other source with one.
        let nobody = HTTPTestClient(endpoint)
        #expect(try await nobody.write("POST", "/v1/values/orders", "{}").status == 401)
        #expect(try await nobody.write("POST", "/v1/values/none", "{}").status == 401)
        #expect(try await alice.write("POST", "/v1/values/none", "{}").status == 404)
        #expect(try await fixture.gateway.terminate() == .exited(0))
    }

    @Test("not reached is 502, cut is 504 and resolved by the first validator, once")
    func cuts() async throws {
        let upstream = try WritableUpstream(WriteFixture.items)
        let fixture = try WriteFixture(upstream, "conflict: reject")
        let client = try await fixture.ready()
        let tag = try await fixture.tag("a")
        // Carried out, and the answer lost.
        upstream.nextWrite(isApplied: true, [.reset])
        let cut = try await client.write("PATCH", "/v1/items/orders/a", #"{"n":2}"#, match: tag, key: "k1")
        #expect(try cut.status == 504 && (cut.member("outcome")?.string) == "unknown", "\(cut.text)")
        let resolved = try await client.write("PATCH", "/v1/items/orders/a", #"{"n":2}"#, match: tag, key: "k1")
        #expect(resolved.status == 200 && resolved.text == #"{"id":"a","n":2,"m":1}"#, "\(resolved.text)")
        let sent = upstream.writes.map { $0.headers["If-Match"] }
        #expect(sent == ["\"v1\"", "\"v1\""], "with the validator of the first time")
        let again = try await client.write("PATCH", "/v1/items/orders/a", #"{"n":2}"#, match: tag, key: "k1")
        #expect(again.status == 200 && upstream.writes.count == 2)
        // Not carried out: the second try is the first effect.
        let second = try #require(resolved.headers["ETag"])
        upstream.nextWrite(isApplied: false, [.reset])
        #expect(
            try await client.write("PATCH", "/v1/items/orders/a", #"{"n":3}"#, match: second, key: "k2").status == 504
        )
        #expect(
            try await client.write("PATCH", "/v1/items/orders/a", #"{"n":3}"#, match: second, key: "k2").status == 200
        )
        #expect(upstream.text("a") == #"{"id":"a","n":3,"m":1}"#)
        // Carried out, and written over since: nobody can say.
        let third = try await fixture.tag("a")
        upstream.nextWrite(isApplied: true, [.reset])
        #expect(
            try await client.write("PATCH", "/v1/items/orders/a", #"{"n":4}"#, match: third, key: "k3").status == 504
        )
        try upstream.set("a", #"{"id":"a","n":99,"m":1}"#)
        #expect(
            try await client.write("PATCH", "/v1/items/orders/a", #"{"n":4}"#, match: third, key: "k3").status == 504
        )
        #expect(upstream.text("a") == #"{"id":"a","n":99,"m":1}"#)
        // A POST that was cut is never sent again.
        upstream.nextWrite(isApplied: true, [.reset])
        let count = upstream.writes.count
        #expect(try await client.write("POST", "/v1/values/orders", #"{"n":1}"#, key: "k4").status == 504)
        #expect(try await client.write("POST", "/v1/values/orders", #"{"n":1}"#, key: "k4").status == 504)
        #expect(upstream.writes.count == count + 1)
        await upstream.upstream.goDown()
        let down = try await client.write("POST", "/v1/values/orders", #"{"n":1}"#, key: "k5")
        #expect(try down.status == 502 && (down.member("outcome")?.string) == "not_applied", "\(down.text)")
        try upstream.upstream.comeUp()
        #expect(try await client.write("POST", "/v1/values/orders", #"{"n":1}"#, key: "k5").status == 201)
        #expect(try await fixture.gateway.terminate() == .exited(0))
    }

    @Test("after kill -9 the keys still answer, and what was under way is resolved")
    func killed() async throws {
        let upstream = try WritableUpstream(WriteFixture.items)
        let folder = try TemporaryFolder()
        let log = "log: { path: \"\(folder.path("changes.db"))\" }"
        let first = try WriteFixture(upstream, "conflict: reject", before: log)
        let client = try await first.ready()
        let (tagA, tagB) = (try await first.tag("a"), try await first.tag("b"))
        let done = try await client.write("POST", "/v1/values/orders", #"{"n":1}"#, key: "k1")
        #expect(done.status == 201, "\(done.text)")
        // Killed while the upstream holds its answer back, the write carried out; and another, not carried out.
        upstream.nextWrite(isApplied: true, [.stall])
        async let lost = try? client.write("PATCH", "/v1/items/orders/a", #"{"n":2}"#, match: tagA, key: "k2")
        #expect(await upstream.upstream.waitForRequest { $0.method == "PATCH" } != nil)
        let other = try await first.gateway.client
        upstream.nextWrite(isApplied: false, [.stall])
        async let held = try? other.write("PATCH", "/v1/items/orders/b", #"{"n":2}"#, match: tagB, key: "k3")
        #expect(await upstream.upstream.waitForRequest { $0.method == "PATCH" && $0.path == "/orders/b" } != nil)
        first.gateway.process.send(9)
        _ = await (lost, held)
        _ = try await first.gateway.process.exitStatus()

        let second = try WriteFixture(upstream, "conflict: reject", before: log)
        let next = try await second.ready()
        let replayed = try await next.write("POST", "/v1/values/orders", #"{"n":1}"#, key: "k1")
        #expect(replayed.status == 201 && replayed.text == done.text)
        #expect(replayed.headers["Freshet-Cursor"] == done.headers["Freshet-Cursor"])
        #expect(try await next.write("POST", "/v1/values/orders", #"{"n":2}"#, key: "k1").status == 422)
        let resolved = try await next.write("PATCH", "/v1/items/orders/a", #"{"n":2}"#, match: tagA, key: "k2")
        #expect(resolved.status == 200 && upstream.text("a") == #"{"id":"a","n":2,"m":1}"#, "\(resolved.text)")
        let late = try await next.write("PATCH", "/v1/items/orders/b", #"{"n":2}"#, match: tagB, key: "k3")
        #expect(late.status == 200 && upstream.text("b") == #"{"id":"b","n":2,"m":1}"#, "\(late.text)")
        #expect(upstream.writes.filter { $0.method == "POST" }.count == 1)
        let metrics = try await next.get("/metrics").text.split(separator: "\n").filter { !$0.hasPrefix("#") }
        let lines = metrics.filter { $0.hasPrefix("freshet_writes_total") || $0.hasPrefix("freshet_idempotency") }
        #expect(lines.contains(#"freshet_writes_total{source="orders",outcome="replayed"} 1"#), "\(lines)")
        #expect(lines.contains("freshet_idempotency_keys 3"), "\(lines)")
        #expect(try await second.gateway.terminate() == .exited(0))
    }

    @Test("fields of the client that are named go on, and the source's own credentials then stay")
    func forwarding() async throws {
        let upstream = try WritableUpstream(WriteFixture.items)
        let own = "auth: { bearer: own-secret }"
        let fixture = try WriteFixture(
            upstream,
            "conflict: overwrite, forward: [Authorization, X-Tenant], idempotency: forward",
            source: own
        )
        let client = try await fixture.ready()
        let headers: HeaderFields = ["X-Tenant": "t1", "X-Other": "no", "Authorization": "Bearer client-secret"]
        // Without auth the gateway takes no credential, and so this is the client's own.
        let reply = try await client.write("PATCH", "/v1/items/orders/a", #"{"n":2}"#, key: "k1", headers: headers)
        #expect(reply.status == 200, "\(reply.text)")
        let write = try #require(upstream.writes.first)
        #expect(write.headers["X-Tenant"] == "t1" && write.headers["X-Other"] == nil)
        #expect(write.headers["Authorization"] == "Bearer client-secret" && write.headers["Idempotency-Key"] == "k1")
        let bare = try await client.write("PATCH", "/v1/items/orders/a", #"{"n":3}"#)
        #expect(
            bare.status == 200 && upstream.writes.last?.headers["Authorization"] == nil,
            "never the source's in its place"
        )
        #expect(
            upstream.upstream.requests(to: "/orders").allSatisfy { $0.headers["Authorization"] == "Bearer own-secret" }
        )
        #expect(try await fixture.gateway.terminate() == .exited(0))
        let plain = try WriteFixture(upstream, "conflict: overwrite", source: own)
        let tenant = try await plain.ready()
        #expect(try await tenant.write("PATCH", "/v1/items/orders/a", #"{"n":4}"#, headers: headers).status == 200)
        #expect(upstream.writes.last?.headers["Authorization"] == "Bearer own-secret")
        #expect(upstream.writes.last?.headers["X-Tenant"] == nil)
        #expect(try await plain.gateway.terminate() == .exited(0))
    }

    @Test("a trace goes on to the upstream beside the source's own credentials, where it is forwarded")
    func tracing() async throws {
        let upstream = try WritableUpstream(WriteFixture.items)
        let own = "auth: { bearer: own-secret }"
        let trace: HeaderFields = [
            "Traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Tracestate": "a=1",
            "Authorization": "Bearer client-secret",
        ]
        for isForwarded in [true, false] {
            let forward = isForwarded ? ", forward: [traceparent, tracestate]" : ""
            let fixture = try WriteFixture(upstream, "conflict: overwrite\(forward)", source: own)
            let client = try await fixture.ready()
            let reply = try await client.write("PATCH", "/v1/items/orders/a", #"{"n":2}"#, headers: trace)
            #expect(reply.status == 200, "\(reply.text)")
            let write = try #require(upstream.writes.last)
            #expect(write.headers["Authorization"] == "Bearer own-secret")
            #expect(write.headers["Traceparent"] == (isForwarded ? trace["Traceparent"] : nil))
            #expect(write.headers["Tracestate"] == (isForwarded ? "a=1" : nil))
            #expect(try await fixture.gateway.terminate() == .exited(0))
        }
    }

    @Test("polls wait for a write, and one that was under way brings nothing older after it")
    func polls() async throws {
        let upstream = try WritableUpstream(WriteFixture.items)
        let fixture = try WriteFixture(upstream, "conflict: overwrite", interval: "20ms")
        let client = try await fixture.ready()
        var follower = try await fixture.gateway.follow("orders", mode: "snapshot")
        for round in 2...30 {
            let reply = try await client.write("PATCH", "/v1/items/orders/a", "{\"n\":\(round)}")
            #expect(reply.status == 200, "\(reply.text)")
            let shown = try await client.get("/v1/items/orders/a")
            #expect(try shown.member("n")?.int == round, "the answer is no sooner than the value")
        }
        var last = 1
        while last < 30 {
            try await follower.takeChange()
            let now = try #require(follower.value?.root["orders"]?[0]?["n"]?.int)
            #expect(now >= last, "\(now) after \(last)")
            last = now
        }
        await follower.close()
        #expect(try await fixture.gateway.terminate() == .exited(0))
    }
}
