import Foundation
import FreshetTesting
import JSON
import Testing

/// `freshet init` through the program: what it writes is found right, is valid, and runs.
@Suite("init, through the program", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct InitTests {
    /// What each recorded upstream is about, by its own index; and what of it changes with every poll and is noise.
    struct Expected: Sendable, CustomTestStringConvertible {
        var name: String
        var items: String?
        var key: String?
        var noise: [String] = []

        var testDescription: String { self.name }
    }

    static let histories = [
        Expected(name: "calfire-incidents", items: "/Incidents", key: "/UniqueId"),
        Expected(name: "dockerhub-repo"),
        Expected(name: "exchange-rates", items: "/rates", noise: ["/timestamp"]),
        Expected(name: "hn-by-domain", items: "", key: "/id"),
        Expected(name: "mastodon-instances-big", items: "", key: "/name"),
        Expected(name: "usgs-quakes", items: "/features", key: "/id", noise: ["/metadata/generated"]),
    ]

    private func run(_ arguments: [String]) async throws -> FreshetProcess {
        let process = try FreshetProcess(["init", "--pause", "10ms"] + arguments)
        _ = try await process.exitStatus()
        return process
    }

    @Test(
        "key and noise of every open history are found, and what is written is valid and runs",
        .enabled(if: Suites.available, "the suites are not here"),
        arguments: Self.histories
    )
    func history(expected: Expected) async throws {
        let (replay, url) = try await RecordReplayTests.replay(Suites.folder(ofHistory: expected.name))
        let folder = try TemporaryFolder()
        let file = folder.path("freshet.yaml")
        let process = try await self.run([url, "-o", file])
        #expect(try await process.exitStatus() == .exited(0), "\(process.errors)")
        let text = try String(contentsOfFile: file, encoding: .utf8)
        let lines = Set(text.split(separator: "\n").map { $0.trimmingCharacters(in: .whitespaces) })
        func has(_ key: String, _ value: String?) -> Bool {
            value.map { lines.contains("\(key): \"\($0)\"") } ?? !lines.contains { $0.hasPrefix("\(key):") }
        }
        #expect(has("items", expected.items) && has("key", expected.key), "\(text)")
        let noise = expected.noise.map { "\"\($0)\"" }.joined(separator: ", ")
        #expect(lines.contains("ignore: [\(noise)]") || noise.isEmpty, "\(text)")
        #expect(!noise.isEmpty || !lines.contains { $0.hasPrefix("ignore:") }, "\(text)")
        let validated = try FreshetProcess(["validate", "--config", file])
        #expect(try await validated.exitStatus() == .exited(0), "\(validated.output)\(text)")
        let gateway = try FreshetProcess(["serve", "--config", file, "--listen", "127.0.0.1:0"])
        let reply = try await gateway.client().get(
            "/v1/values/\(expected.name)?wait=20s",
            headers: ["If-None-Match": "\"none\""]
        )
        #expect(reply.status == 200, "\(gateway.errors)")
        let row = try Document(parsing: try await gateway.client().get("/v1/sources/\(expected.name)").body).root
        if expected.items != nil { #expect(row["collection"]?["origin"]?.string == "configured") }
        #expect(try await gateway.terminate() == .exited(0))
        #expect(try await replay.terminate() == .exited(0))
    }

    @Test("several URLs, a refusal, and one that is not there: each says so, and a file is never written over")
    func several() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/rates", respond: .json(#"{"eur":1}"#, headers: ["Cache-Control": "max-age=60"]))
        upstream.on("/orders", respond: .json("{}", status: 401, headers: ["WWW-Authenticate": "Bearer realm=x"]))
        let process = try await self.run([upstream.url("/rates"), upstream.url("/orders")])
        #expect(try await process.exitStatus() == .exited(0))
        #expect(process.output.contains("interval: 1m"))
        #expect(process.output.contains("# auth: { bearer_file: \"secrets/orders\" }"))
        #expect(process.errors.contains("orders: the upstream asks for a credential"))
        let folder = try TemporaryFolder()
        let file = try folder.write(process.output, to: "freshet.yaml")
        let validated = try FreshetProcess(["validate", "--config", file])
        #expect(try await validated.exitStatus() == .exited(0), "\(validated.output)")
        let again = try await self.run([upstream.url("/rates"), "-o", file])
        #expect(try await again.exitStatus() == .exited(1))
        #expect(try String(contentsOfFile: file, encoding: .utf8) == process.output)
        let missing = try await self.run([upstream.url("/missing")])
        #expect(try await missing.exitStatus() == .exited(1))
        #expect(missing.errors.contains("404"))
    }
}
