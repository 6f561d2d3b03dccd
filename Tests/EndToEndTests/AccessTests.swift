import EventStream
import Foundation
import FreshetTesting
import Testing

/// Who may read, asked of the program itself.
@Suite("Access", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct AccessTests {
    private static let mobile = "canary-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa"

    @Test("S9, S27: keys open what they may, a reload that removes one ends its streams, and nothing shows a secret")
    func keys() async throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("\(Self.mobile)\n", to: "mobile")
        let upstream = try ScriptedUpstream()
        upstream.on("/", respond: .json("[1]"))
        let sources = """
            sources:
              orders: { url: "\(upstream.url("/"))", interval: 1h }
              rates: { url: "\(upstream.url("/"))", interval: 1h }
            """
        let auth = """
            auth:
              anonymous: { read: [rates] }
              keys:
                - { id: mobile, secret_file: "\(file)", read: ["*"] }
            """
        let gateway = try Gateway("\(auth)\n\(sources)")
        let endpoint = try await gateway.process.endpoint()
        func status(_ path: String, _ fields: HeaderFields = [:]) async throws -> Int {
            try await RawHTTP.send("GET", path, to: endpoint, headers: fields).status
        }
        let credential: HeaderFields = ["Authorization": "Bearer \(Self.mobile)"]
        try await gateway.waitForValues(of: ["rates"])
        #expect(try await status("/v1/values/orders") == 401)
        #expect(try await status("/v1/values/nothing") == 401)
        let waiting = HeaderFields([("Authorization", "Bearer \(Self.mobile)"), ("If-None-Match", "\"none\"")])
        #expect(try await status("/v1/values/orders?wait=20s", waiting) == 200)
        #expect(try await status("/v1/values/nothing", credential) == 404)
        #expect(try await status("/metrics") == 401)
        #expect(try await status("/metrics", credential) == 403)

        let stream = try EventStreamClient(
            endpoint,
            path: "/v1/streams/orders",
            headers: credential
        )
        #expect(try await stream.next(2).map(\.type) == ["hello", "snapshot"])
        try gateway.write("auth: { anonymous: { read: [rates] } }\n\(sources)")
        gateway.process.send(SIGHUP)
        let bye = try #require(try await stream.next())
        #expect(bye.type == "bye")
        #expect(bye.text.contains(#""revoked""#))
        #expect(try await status("/v1/values/orders", credential) == 401)
        #expect(try await status("/v1/values/rates") == 200)
        #expect(try await gateway.terminate() == .exited(0))
        #expect(!gateway.process.errors.contains("canary-"))
    }
}
