import Crypto
import Foundation
import FreshetTesting
import JSON
import Testing

/// Recorded upstreams through the dialects, read by their published clients (PyPI's `cloudevents` and `durable-streams`), and by
/// a client written by the protocol of the Streamdata.io SDK. Some 30 s, and at the first use what pip takes.
@Suite(
    "Recorded upstreams in other dialects",
    .serialized,
    .enabled(if: Suites.available, "the suites are not here"),
    .enabled(if: FreshetProcess.isBuilt, "the program is not built")
)
struct DialectHistoryTests {
    /// How often each reader goes on elsewhere; `FRESHET_RESUMES`, 12 by default.
    private static let resumes = Int(ProcessInfo.processInfo.environment["FRESHET_RESUMES"] ?? "") ?? 12
    /// The versions of each recording; all of them where there are more resumes than by default.
    private static let count = Self.resumes > 12 ? Int.max : 20

    /// The recordings that are JSON.
    private static let histories = Suites.histories.filter { (try? Suites.history($0).fileExtension) == "json" }

    private static func script(_ name: String) -> String {
        URL(filePath: #filePath).deletingLastPathComponent().appending(path: name).path
    }

    // MARK: Python

    private static let python = PythonTools.python(
        "dialects",
        check: "cloudevents.core.formats.json, durable_streams",
        libraries: ["cloudevents==2.*", "durable-streams==0.1.*"]
    )

    /// Writes the values that a source has in turn to a folder, neighbours different.
    private static func write(_ bodies: [[UInt8]], to folder: TemporaryFolder) throws -> Int {
        try FileManager.default.createDirectory(atPath: folder.path("values"), withIntermediateDirectories: true)
        var last: Document?
        var count = 0
        for body in bodies {
            let document = try Document(parsing: body)
            guard document != last else { continue }
            try folder.write(String(decoding: body, as: UTF8.self), to: "values/\(count).json")
            last = document
            count += 1
        }
        return count
    }

    @Test(
        "cloudevents and durable-streams read every value exactly, while it comes and from anywhere later",
        .enabled("skipped: pip cannot install cloudevents and durable-streams") { Self.python != nil },
        arguments: Self.histories
    )
    func libraries(name: String) async throws {
        let python = try #require(Self.python)
        let history = try Suites.history(name)
        let folder = try TemporaryFolder()
        let count = try Self.write(Array(history.bodies.prefix(Self.count)), to: folder)
        let replay = try await Replay(history, count: Self.count, settings: "cache: { max_bytes: 2GiB }")
        let base = "http://127.0.0.1:\(try await replay.gateway.process.listeningPort())"
        @Sendable func read(_ kind: String, _ path: String) async throws -> Value {
            let arguments = [
                python, Self.script("dialect_readers.py"), kind, "\(base)\(path)", folder.path("values"),
                "\(Self.resumes)",
            ]
            let outcome = await Task.detached { PythonTools.run(arguments, withErrors: true) }.value
            let result = try #require(outcome, "no Python")
            try #require(result.status == 0, "\(name), \(kind): \(result.text)")
            return try Document(parsing: Array(result.output)).root
        }
        async let live = read("durable-live", "/v1/durable/value")
        try await replay.run { _, _ in }
        let seen = try await live
        #expect(seen["values"]?.int == count)
        for (kind, path) in [("durable", "/v1/durable/value"), ("cloudevents", "/v1/streams/value")] {
            let result = try await read(kind, path)
            #expect(result["values"]?.int == count, "\(kind)")
            if count > 1 { #expect(result["resumes"]?.int == Self.resumes, "\(kind)") }
        }
    }

    // MARK: Streamdata

    private static let node = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        .map { "\($0)/node" }.first { FileManager.default.isExecutableFile(atPath: $0) }

    private static let token = "tok+/=of-sixteen-bytes"
    private static let key = Data((String(repeating: "k", count: 36) + String(repeating: "s", count: 36)).utf8)
        .base64EncodedString()

    @Test(
        "a client of Streamdata.io's SDK reads every value exactly, with signed URLs, fields and reconnections",
        .enabled(if: Self.node != nil, "no node: apt install nodejs"),
        arguments: Self.histories
    )
    func streamdata(name: String) async throws {
        let node = try #require(Self.node)
        let bodies = Array(try Suites.history(name).bodies.prefix(Self.count))
        let folder = try TemporaryFolder()
        let count = try Self.write(bodies, to: folder)
        let values = try (0..<count).map {
            [UInt8](try Data(contentsOf: URL(filePath: folder.path("values/\($0).json"))))
        }
        try folder.write("\(Self.token) \(Self.key)\n", to: "tokens")
        let upstream = try ScriptedUpstream()
        let resource = VersionedResource(versions: values)
        let isDown = Watched(false)
        upstream.on("/stocks/all") { request in
            let isRight =
                request.query == "x=1&y=%20" && request.headers["Accept"] == "application/json"
                && request.headers["X-Tenant"] == "a: b"
                && request.headers["Content-Type"] == nil && request.headers["Host"]?.hasPrefix("127.0.0.1:") == true
            if isDown.value || !isRight { return [.respond(.status(isRight ? 404 : 400))] }
            return [.respond(resource.answer(request))]
        }
        let gateway = try Gateway(
            """
            streamdata: { tokens_file: "\(folder.path("tokens"))", allow: ["\(upstream.url("/stocks"))"] }
            defaults: { interval: 10ms, max_interval: 20ms }
            sources: { other: { url: "http://127.0.0.1:1/" } }
            """
        )
        let port = try await gateway.process.listeningPort()
        let client = try FreshetProcess(
            [
                Self.script("streamdata_client.mjs"), "\(port)", upstream.url("/stocks/all?x=1&y=%20"), Self.token,
                Self.key,
                folder.path("values"), "X-Tenant: a: b", "Content-Type: text/plain", "Host: evil.example",
            ],
            binary: node
        )
        for index in 0..<count {
            // Once in the middle the upstream is down, and comes back.
            if index == count / 2, count > 2 {
                isDown.update { $0 = true }
                let hasFailed = await client.waitForOutput(containing: "error 2005\n")
                #expect(hasFailed, "\(client.output)")
                isDown.update { $0 = false }
            }
            if index > 0 { resource.advance() }
            let hasCome = await client.waitForOutput(containing: "value \(index)\n")
            try #require(
                hasCome,
                "\(name), value \(index): \(client.output)\(client.errors)\(gateway.process.errors)"
            )
        }
        #expect(try await client.exitStatus() == .exited(0))
        _ = try await gateway.terminate()
    }
}
