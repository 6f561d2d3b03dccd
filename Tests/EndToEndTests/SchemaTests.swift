import Crypto
import Foundation
import FreshetTesting
import JSON
import Testing

extension Gateway {
    /// Waits until what `/v1/sources` says of a source is so.
    fileprivate func waitForRow(of source: String, _ isWanted: (Value) -> Bool) async throws -> Value {
        let deadline = ContinuousClock.now + .patience
        while true {
            let row = try await self.document("/v1/sources/\(source)").root
            if isWanted(row) { return row }
            try #require(
                ContinuousClock.now < deadline,
                "it does not come about: \(String(decoding: row.text, as: UTF8.self))"
            )
            try await Task.sleep(for: .milliseconds(5))
        }
    }
}

@Suite("Schemas, calls and validators that lie, through the program", .enabled(if: FreshetProcess.isBuilt, "not built"))
struct SchemaTests {
    @Test("a violation fails the poll, the last good value stays, and a push is refused with 422")
    func schema() async throws {
        let upstream = try ScriptedUpstream()
        let folder = try TemporaryFolder()
        _ = try folder.write(#"{"properties":{"n":{"$ref":"n.json"}}}"#, to: "value.json")
        _ = try folder.write(#"{"type":"integer"}"#, to: "n.json")
        upstream.on("/a", respond: .json(#"{"n":1}"#))
        let gateway = try Gateway(
            """
            auth: { anonymous: { read: ["*"], publish: [a] } }
            sources:
              a: { url: "\(upstream.url("/a"))", interval: 50ms, schema: "\(folder.path("value.json"))" }
            """
        )
        try await gateway.waitForValues(of: ["a"])
        upstream.on("/a", respond: .json(#"{"n":"2"}"#))
        let row = try await gateway.waitForRow(of: "a") { $0["state"]?.string == "failing" }
        #expect(row["last_error"]?["kind"]?.string == "schema")
        #expect(row["last_error"]?["message"]?.string?.contains("/n is a string, not an integer") == true)
        #expect(try await gateway.document("/v1/values/a").root["n"]?.int == 1)
        upstream.on("/a", respond: .json(#"{"n":3}"#))
        try await gateway.waitForValue({ $0.root["n"]?.int == 3 }, of: "a")
        let push = try await gateway.client.send(
            "POST",
            "/v1/sources/a/value",
            headers: ["Content-Type": "application/json"],
            body: Array(#"{"n":null}"#.utf8)
        )
        #expect(push.status == 422)
        #expect(push.text.contains("/n is null, not an integer"))
        let schema = try await gateway.client.get("/v1/sources/a/schema")
        #expect(schema.text == #"{"properties":{"n":{"$ref":"n.json"}}}"#)
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("a source with calls and an interval of an hour is fresh, and a burst of calls is few polls")
    func hooks() async throws {
        let upstream = try ScriptedUpstream()
        let folder = try TemporaryFolder()
        _ = try folder.write("0123456789abcdef0123456789abcdef\n", to: "secret")
        upstream.on("/a", respond: .json("[1]"))
        let gateway = try Gateway(
            """
            sources:
              a: { url: "\(upstream.url("/a"))", interval: 1h, hook: { style: plain, secret_file: "\(folder.path("secret"))" } }
            """
        )
        try await gateway.waitForValues(of: ["a"])
        func call(_ body: String) async throws -> Int {
            let key = SymmetricKey(data: Array("0123456789abcdef0123456789abcdef".utf8))
            let code = HMAC<SHA256>.authenticationCode(for: Array(body.utf8), using: key)
            let text = code.map { String(UInt16($0) + 256, radix: 16).dropFirst() }.joined()
            let headers: HeaderFields = ["X-Signature": text]
            return try await gateway.client.send("POST", "/v1/hooks/a", headers: headers, body: Array(body.utf8)).status
        }
        upstream.on("/a", respond: .json("[2]"))
        #expect(try await call("changed") == 202)
        try await gateway.waitForValue({ $0.root[0]?.int == 2 }, of: "a")
        let before = upstream.requests.count
        let forged = try await gateway.client.send(
            "POST",
            "/v1/hooks/a",
            headers: ["X-Signature": String(repeating: "0", count: 64)],
            body: []
        )
        #expect(forged.status == 401)
        upstream.on("/a", respond: .json("[3]"))
        let start = ContinuousClock.now
        for number in 0..<1000 { #expect(try await call("\(number)") == 202) }
        let seconds = (ContinuousClock.now - start) / .seconds(1)
        try await gateway.waitForValue({ $0.root[0]?.int == 3 }, of: "a")
        // One poll for each second that the burst took, and none for the forged call.
        #expect(Double(upstream.requests.count - before) <= 2 + seconds)
        #expect(try await gateway.terminate() == .exited(0))
    }

    /// Eight seconds: five changes, each a second and more after the last.
    @Test("a source with calls is as fresh as one that is polled every second, with a hundredth of the requests")
    func freshness() async throws {
        let upstream = try ScriptedUpstream()
        let folder = try TemporaryFolder()
        let secret = "0123456789abcdef0123456789abcdef"
        _ = try folder.write(secret, to: "secret")
        for path in ["/called", "/polled"] { upstream.on(path, respond: .json("[0]")) }
        let hook = #"{ style: plain, secret_file: "\#(folder.path("secret"))" }"#
        let gateway = try Gateway(
            """
            sources:
              called: { url: "\(upstream.url("/called"))", interval: 1h, hook: \(hook) }
              polled: { url: "\(upstream.url("/polled"))", interval: 10ms }
            """
        )
        try await gateway.waitForValues(of: ["called", "polled"])
        func requests(_ path: String) -> Int { upstream.requests(to: path).count }
        // Time is counted in polls of the other source: a hundred are a second.
        for number in 1...5 {
            let start = requests("/polled")
            upstream.on("/called", respond: .json("[\(number)]"))
            let body = "\(number)"
            let key = SymmetricKey(data: Array(secret.utf8))
            let code = HMAC<SHA256>.authenticationCode(for: Array(body.utf8), using: key)
            let text = code.map { String(UInt16($0) + 256, radix: 16).dropFirst() }.joined()
            let reply = try await gateway.client.send(
                "POST",
                "/v1/hooks/called",
                headers: ["X-Signature": text],
                body: Array(body.utf8)
            )
            #expect(reply.status == 202)
            try await gateway.waitForValue({ $0.root[0]?.int == number }, of: "called")
            #expect(requests("/polled") - start <= 100, "within a second")
            let called = requests("/called")
            #expect(await upstream.waitForRequests(count: start + 160 + called))
        }
        #expect(requests("/called") * 100 <= requests("/polled"))
        // The first, one for each call, and at most one to confirm.
        #expect((6...7).contains(requests("/called")))
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("a tag that answers 304 for ever is found out")
    func lie() async throws {
        let upstream = try ScriptedUpstream()
        let clock = ContinuousClock.now
        // Changes five times a second; from the third second on the tag stays.
        upstream.on("/a") { request in
            let elapsed = (ContinuousClock.now - clock) / .milliseconds(200)
            let (version, tag) = (Int(elapsed), "\"\(min(Int(elapsed), 15))\"")
            let headers: HeaderFields = ["ETag": tag]
            let isSame = request.headers["If-None-Match"] == tag
            return [.respond(isSame ? .status(304, headers: headers) : .json("[\(version)]", headers: headers))]
        }
        let gateway = try Gateway("sources: { a: { url: \"\(upstream.url("/a"))\", interval: 20ms } }")
        try await gateway.waitForValue({ ($0.root[0]?.int ?? 0) > 20 }, of: "a")
        let row = try await gateway.document("/v1/sources/a").root
        #expect(row["validator"]?["caught_at"]?.string != nil)
        #expect(row["warnings"]?.elements.contains { $0["kind"]?.string == "etag_reused" } == true)
        #expect(try await gateway.terminate() == .exited(0))
    }
}
