import EventStream
import Foundation
import FreshetTesting
import JSON
import Testing

/// Issuers that are slow, broken or hostile, and clients that make the gateway ask them, with the program itself.
@Suite("Issuers", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct IssuerTests {
    private static func text(_ bytes: some Sequence<UInt8>) -> String {
        Data(bytes).base64EncodedString().replacing("+", with: "-").replacing("/", with: "_").replacing("=", with: "")
    }

    /// A token of which everything is right but the signature, which is none.
    private static func unsigned(_ issuer: String, kid: String) -> String {
        let end = Int(Date().timeIntervalSince1970) + 3600
        let header = self.text(#"{"alg":"ES256","kid":"\#(kid)"}"#.utf8)
        let claims = self.text(#"{"iss":"\#(issuer)","aud":"freshet","exp":\#(end)}"#.utf8)
        return "\(header).\(claims).\(String(repeating: "A", count: 86))"
    }

    private static func issuer(_ name: String, _ url: String) -> String {
        "    - { issuer: \(name), audience: freshet, algorithms: [ES256], jwks_url: \"\(url)\" }"
    }

    @Test("S7: 10,000 requests with 10,000 unknown kids make the gateway ask the issuer once in 30 s")
    func flood() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/jwks", respond: .json(#"{"keys":[]}"#))
        let gateway = try Gateway(
            "auth:\n  jwt:\n\(Self.issuer("us", upstream.url("/jwks")))\nsources: { one: {} }"
        )
        let endpoint = try await gateway.process.endpoint()
        let start = ContinuousClock.now
        let refused = try await withThrowingTaskGroup(of: Int.self) { group in
            for client in 0..<8 {
                group.addTask {
                    let connection = HTTPTestClient(endpoint)
                    var refused = 0
                    for number in 0..<1250 {
                        let token = Self.unsigned("us", kid: "\(client)-\(number)")
                        let path = number.isMultiple(of: 2) ? "/v1/streams/one" : "/v1/values/one"
                        let reply = try await connection.get(path, headers: ["Authorization": "Bearer \(token)"])
                        refused += reply.status == 401 ? 1 : 0
                    }
                    return refused
                }
            }
            return try await group.reduce(0, +)
        }
        #expect(refused == 10_000)
        let halfMinutes = Int((ContinuousClock.now - start) / .seconds(30))
        let asked = upstream.requests(to: "/jwks").count
        #expect(asked >= 1 && asked <= 1 + halfMinutes, "\(asked) requests in \(ContinuousClock.now - start)")
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test(
        "S7: an issuer that fails, sends 10 MB, or redirects to a private address makes its tokens unavailable, no more"
    )
    func hostile() async throws {
        let (upstream, target) = (try ScriptedUpstream(), try ScriptedUpstream())
        target.on("*", respond: .json(#"{"keys":[]}"#))
        upstream.on("/good", respond: .json(#"{"keys":[]}"#))
        upstream.on("/error", respond: .status(500))
        upstream.on("/large", respond: .json(#"{"keys":["# + String(repeating: " ", count: 10 << 20) + "]}"))
        upstream.on("/moved", respond: .status(302, headers: ["Location": target.url("/jwks")]))
        upstream.on("/metadata", respond: .status(307, headers: ["Location": "http://169.254.169.254/latest/"]))
        upstream.on("/nonsense", respond: .json("[]"))
        let names = ["good", "error", "large", "moved", "metadata", "nonsense"]
        let issuers = names.map { Self.issuer($0, upstream.url("/\($0)")) }.joined(separator: "\n")
        let gateway = try Gateway("auth:\n  jwt:\n\(issuers)\nsources: { one: {} }")
        let client = HTTPTestClient(try await gateway.process.endpoint())
        for name in names {
            let token = Self.unsigned(name, kid: "k")
            let reply = try await client.get("/v1/values/one", headers: ["Authorization": "Bearer \(token)"])
            #expect(reply.status == (name == "good" ? 401 : 503), "\(name): \(reply.text)")
            guard name != "good" else { continue }
            #expect(try Document(parsing: reply.body).root["code"]?.string == "issuer_unavailable")
            #expect(reply.headers["Retry-After"] != nil)
            #expect(!reply.text.contains(upstream.url("")), "an answer names no issuer's address")
        }
        #expect(target.requests.isEmpty, "a redirect was followed")
        let metrics = try await gateway.client.get("/metrics").text
        #expect(metrics.contains("freshet_credentials_refused_total{reason=\"unavailable\"} 5"))
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("S8, S27: a credential shows in no log, answer, metric or page, wherever a client puts it")
    func canaries() async throws {
        let folder = try TemporaryFolder()
        let key = "canary-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa"
        let file = try folder.write(
            """
            listen: 127.0.0.1:0
            auth:
              keys: [{ id: mobile, secret_file: "\(try folder.write(key, to: "mobile"))", read: ["*"], publish: ["*"] }]
              jwt: [{ issuer: us, audience: freshet, algorithms: [HS256], secret_file: "\(try folder.write(key, to: "shared"))" }]
              cookie: id
              query_token: true
            sources: { one: {} }

            """,
            to: "freshet.yaml"
        )
        let gateway = try FreshetProcess(["serve", "--config", file, "--log-level", "trace"])
        let endpoint = try await gateway.endpoint()
        let client = HTTPTestClient(endpoint)
        let made = try FreshetProcess([
            "token", "new", "--config", file, "--issuer", "us", "--subject", "u", "--read", "*",
        ])
        try await made.exitStatus()
        let token = made.output.trimmingCharacters(in: .newlines)
        let signature = String(token.split(separator: ".").last ?? "none")
        var answers: [String] = []
        func ask(_ method: String, _ path: String, _ fields: HeaderFields = [:]) async throws {
            let body: [UInt8]? = method == "POST" ? Array("[1]".utf8) : nil
            let reply = try await client.send(method, path, headers: fields, body: body)
            answers.append(reply.text + reply.headers.all.map(\.value).joined(separator: "\n"))
        }
        for value in [key, token, "\(token)x", "canary-wrong", "canary-a.canary-b.canary-c", "a b canary"] {
            for path in [
                "/v1/values/one", "/v1/changes/one", "/v1/sources/one", "/v1/me", "/metrics", "/nothing", "/v1/sources",
            ] {
                try await ask("GET", path, ["Authorization": "Bearer \(value)"])
                try await ask("GET", path, ["Authorization": "\(value)"])
                try await ask("GET", path, ["X-API-Key": value])
                try await ask("GET", path, ["Cookie": "id=\(value)"])
                let escaped = value.replacing(" ", with: "%20")
                try await ask("GET", "\(path)?access_token=\(escaped)")
                try await ask("GET", "\(path)?ticket=\(escaped)")
                try await ask("GET", "\(path)?since=\(escaped)", ["X-API-Key": key])
            }
            try await ask(
                "POST",
                "/v1/sources/one/value?canary=\(value.replacing(" ", with: ""))",
                ["X-API-Key": value]
            )
            try await ask("DELETE", "/v1/admin/subscribers/1?canary=canary", ["X-API-Key": value])
            try await ask("BREW", "/v1/values/one?canary=canary")
        }
        let stream = try EventStreamClient(endpoint, path: "/v1/streams/one?access_token=\(key)")
        answers.append(try await stream.next(2).map(\.text).joined())
        let admin = try await gateway.client()
        for path in ["/v1/admin/subscribers", "/metrics", "/readyz?verbose", "/", "/openapi.json"] {
            answers.append(try await admin.get(path).text)
        }
        answers.append((try? String(contentsOfFile: "/proc/\(gateway.pid)/cmdline", encoding: .utf8)) ?? "")
        await stream.close()
        #expect(try await gateway.terminate() == .exited(0))
        let show = try FreshetProcess(["config", "show", "--config", file])
        try await show.exitStatus()
        let valid = try FreshetProcess(["validate", "--config", file])
        try await valid.exitStatus()
        answers += [show.output, show.errors, valid.output, valid.errors, gateway.output]
        for text in answers { #expect(!text.contains("canary") && !text.contains(signature), "\(text)") }
        #expect(gateway.errors.contains("/v1/values/one"), "the log has the requests")
        #expect(!gateway.errors.contains("canary") && !gateway.errors.contains(signature))
    }
}
