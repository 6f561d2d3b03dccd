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
        func refusals() -> Int { upstream.requests(to: "/").count { $0.headers["Authorization"] == "Bearer one" } }

        _ = try folder.write("two\n", to: "token")
        valid.update { $0 = "two" }
        let client = try await gateway.client
        let renewed = try await self.value(of: "guarded", in: client) { $0.contains("two") }
        #expect(renewed, "\(gateway.process.errors)")

        valid.update { $0 = "three" }
        let isRefused = await upstream.waitForRequest(timeout: .seconds(30)) { request in
            request.path == "/" && request.headers["Authorization"] == "Bearer two" && valid.value == "three"
        }
        #expect(isRefused != nil)
        let failing = try await self.source("guarded", in: client) { $0.contains(#""kind":"auth""#) }
        #expect(failing)
        let before = upstream.requests(to: "/").count
        let others = upstream.requests(to: "/other").count
        #expect(await upstream.waitForRequests(count: before + others + 50, timeout: .seconds(30)))
        #expect(upstream.requests(to: "/").count <= before + 1, "once a minute at most")
        #expect(try await client.get("/v1/values/guarded").text == #"{"token":"two"}"#)
        #expect(try await gateway.terminate() == .exited(0))
    }

    /// Asks until the answer fits, for half a minute.
    private func ask(_ path: String, in client: HTTPTestClient, until fits: (String) -> Bool) async throws -> Bool {
        let deadline = ContinuousClock.now + .seconds(30)
        while ContinuousClock.now < deadline {
            if fits(try await client.get(path).text) { return true }
            try await Task.sleep(for: .milliseconds(20))
        }
        return false
    }

    private func value(
        of source: String,
        in client: HTTPTestClient,
        until fits: (String) -> Bool
    ) async throws -> Bool {
        try await self.ask("/v1/values/\(source)", in: client, until: fits)
    }

    private func source(_ name: String, in client: HTTPTestClient, until fits: (String) -> Bool) async throws -> Bool {
        try await self.ask("/v1/sources/\(name)", in: client, until: fits)
    }
}
