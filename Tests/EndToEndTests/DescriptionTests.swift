import Foundation
import FreshetTesting
import JSON
import Testing

/// `/openapi.json` by tools of others: its schema, and schemathesis against the gateway that serves it. Some 20 s a source, and
/// at the first use what pip takes.
@Suite("The description of the interface", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct DescriptionTests {
    private static let tools = PythonTools.programs(
        "openapi",
        check: "schemathesis, openapi_spec_validator",
        libraries: ["schemathesis==4.32.5", "openapi-spec-validator==0.9.0"]
    )

    /// Runs a command; what schemathesis keeps between runs stays out of the repository.
    private static func run(_ command: [String], environment: [String: String] = [:]) -> PythonTools.Outcome? {
        let folder = FileManager.default.temporaryDirectory
        return PythonTools.run(command, environment: environment, in: folder, withErrors: true)
    }

    private static let file = Suites.packageRoot.appending(path: "Sources/CWeb/openapi.json").path

    @Test(
        "is valid OpenAPI 3.2, schemas included",
        .enabled("skipped: pip cannot install openapi-spec-validator") { Self.tools != nil }
    )
    func valid() async throws {
        let tools = try #require(Self.tools)
        let command = ["\(tools)/openapi-spec-validator", Self.file]
        let result = try #require(await Task.detached { Self.run(command) }.value)
        #expect(result.status == 0 && result.text.contains("OK"), "\(result.text)")
    }

    @Test(
        "schemathesis finds nothing that a gateway does otherwise, streams included",
        .enabled("skipped: pip cannot install schemathesis") { Self.tools != nil },
        arguments: ["value", "items", "pushed"]
    )
    func conformance(source: String) async throws {
        let tools = try #require(Self.tools)
        let upstream = try ScriptedUpstream()
        upstream.on("/value", respond: .json(#"{"n":1,"a":{"b":[1,2]}}"#))
        upstream.on("/items") { request in
            [.respond(request.method == "GET" ? .json(#"[{"id":1,"x":1},{"id":2,"x":2}]"#) : .status(204))]
        }
        let folder = try TemporaryFolder()
        let items = upstream.url("/items")
        let gateway = try Gateway(
            """
            heartbeat: 1s
            log: { path: "\(folder.path("changes.db"))" }
            sources:
              value: { url: "\(upstream.url("/value"))", interval: 1s }
              items:
                url: "\(items)"
                interval: 1s
                items: ""
                key: /id
                write: { item_url: "\(items)/{key}", methods: [PUT, PATCH, DELETE, POST] }
              pushed: {}
            """
        )
        // A stream of a source without a value would be waited for until its time-out.
        let push = try await gateway.client.send("POST", "/v1/admin/sources/pushed/value", body: Array("[1]".utf8))
        #expect(push.status == 200, "\(push.text)")
        try await gateway.waitForValues(of: ["value", "items"])
        let address = "http://127.0.0.1:\(try await gateway.process.listeningPort())"
        let configuration = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "schemathesis.toml")
        let command = [
            "\(tools)/schemathesis", "--config-file", configuration.path, "run", "--no-color", "-H",
            "Authorization: Bearer \(try gateway.process.key())", "\(address)/openapi.json",
        ]
        let result = try #require(
            await Task.detached { Self.run(command, environment: ["SOURCE": source]) }.value
        )
        let failures = result.text.range(of: "= FAILURES =").map { result.text[$0.lowerBound...].prefix(8000) }
        #expect(result.status == 0, "\(failures ?? result.text.suffix(4000))")
        #expect(gateway.process.isRunning)
        #expect(try await gateway.terminate() == .exited(0))
    }
}
