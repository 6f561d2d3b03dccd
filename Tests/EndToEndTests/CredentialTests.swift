import EventStream
import Foundation
import FreshetTesting
import Testing

/// Secrets that rotate while the gateway runs.
@Suite("Credentials", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct CredentialTests {
    @Test("F30, F85: a secret file is read again when the upstream refuses, and an old secret is not tried on and on")
    func rotation() async throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("one\n", to: "token")
        let valid = Watched("one")
        let upstream = try ScriptedUpstream()
        upstream.on("/") { request in
            let isValid = request.headers["Authorization"] == "Bearer \(valid.value)"
            return [.respond(isValid ? .json(#"{"token":"\#(valid.value)"}"#) : .status(401))]
        }
        upstream.on("/other", respond: .json("[1]"))
        let gateway = try Gateway(
            """
            sources:
              guarded: { url: "\(upstream.url("/"))", interval: 20ms, auth: { bearer_file: "\(file)" } }
              other: { url: "\(upstream.url("/other"))", interval: 20ms }
            """
        )
        try await gateway.waitForValues(of: ["guarded", "other"])
        let stream = try EventStreamClient(try await gateway.process.endpoint(), path: "/v1/streams/guarded")
        #expect(try await stream.next(2).map(\.type) == ["hello", "snapshot"])

        _ = try folder.write("two\n", to: "token")
        valid.update { $0 = "two" }
        let client = try await gateway.client
        _ = try await stream.next { $0.text.contains(#""two""#) }

        valid.update { $0 = "three" }
        let isRefused = await upstream.waitForRequest(timeout: .seconds(30)) { request in
            request.path == "/" && request.headers["Authorization"] == "Bearer two" && valid.value == "three"
        }
        #expect(isRefused != nil)
        _ = try await stream.next { $0.type == "status" && $0.text.contains(#""kind":"auth""#) }
        let before = upstream.requests(to: "/").count
        let others = upstream.requests(to: "/other").count
        #expect(await upstream.waitForRequests(count: before + others + 50, timeout: .seconds(30)))
        #expect(upstream.requests(to: "/").count <= before + 1, "once a minute at most")
        #expect(try await client.get("/v1/values/guarded").text == #"{"token":"two"}"#)
        await stream.close()
        #expect(try await gateway.terminate() == .exited(0))
    }
}
