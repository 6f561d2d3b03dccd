import Foundation
import FreshetTesting
import Glibc
import JSON
import Testing

/// `freshet log` and `freshet reload` beside a gateway that runs, and without one.
@Suite("Verbs for operators", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct LogCommandTests {
    /// A gateway with a log, its key where the verbs look for it.
    private struct Setting {
        let folder: TemporaryFolder
        let upstream: ScriptedUpstream
        let resource: VersionedResource
        let gateway: FreshetProcess
        let run: String
        var log: String { self.folder.path("changes.db") }

        init() async throws {
            self.folder = try TemporaryFolder()
            self.upstream = try ScriptedUpstream()
            self.resource = VersionedResource(versions: (1...50).map { Array(#"{"n":\#($0)}"#.utf8) })
            self.upstream.serve(self.resource, at: "/value")
            self.run = self.folder.path("run")
            try FileManager.default.createDirectory(atPath: self.run, withIntermediateDirectories: true)
            try self.folder.write(Self.configuration(self.upstream, self.folder.path("changes.db")), to: "freshet.yaml")
            self.gateway = try FreshetProcess(
                ["serve", "--config", self.folder.path("freshet.yaml")],
                environment: ["RUNTIME_DIRECTORY": self.run]
            )
            let client = try await self.gateway.client(keyIn: self.run)
            for version in 2...10 {
                #expect(await self.resource.waitUntilSent(version: version - 1))
                self.resource.go(to: version)
            }
            var reply = try await client.get("/v1/values/value?wait=20s", headers: ["If-None-Match": "\"none\""])
            while !reply.text.contains("10") {
                let tag = try #require(reply.headers["ETag"])
                reply = try await client.get("/v1/values/value?wait=20s", headers: ["If-None-Match": tag])
            }
        }

        private static func configuration(_ upstream: ScriptedUpstream, _ log: String) -> String {
            """
            listen: 127.0.0.1:0
            log: { path: "\(log)" }
            sources: { value: { url: "\(upstream.url("/value"))", interval: 20ms } }

            """
        }

        func freshet(_ arguments: [String]) async throws -> (
            status: FreshetTesting.ExitStatus, output: String, errors: String
        ) {
            let process = try FreshetProcess(
                arguments,
                environment: ["RUNTIME_DIRECTORY": self.run],
                workingDirectory: self.folder.path("")
            )
            let status = try await process.exitStatus()
            return (status, process.output, process.errors)
        }
    }

    @Test("verify, backup and export read the log of a gateway that runs, and leave nothing behind")
    func running() async throws {
        let setting = try await Setting()
        let verified = try await setting.freshet(["log", "verify"])
        #expect(verified.status == .exited(0), "\(verified.errors)")
        let said = try #require(verified.output.firstMatch(of: /sound; 1 source, (\d+) changes/), "\(verified.output)")
        let count = try #require(Int(said.1))
        #expect(count > 1)
        let copy = setting.folder.path("copy.db")
        let backup = try await setting.freshet(["log", "backup", copy])
        #expect(backup.status == .exited(0), "\(backup.errors)")
        let again = try await setting.freshet(["log", "backup", copy])
        #expect(again.status == .exited(1) && again.errors.contains("exists"))
        let exported = try await setting.freshet(["log", "export"])
        #expect(exported.status == .exited(0), "\(exported.errors)")
        let lines = exported.output.split(separator: "\n")
        #expect(lines.count == count + 3 && lines.allSatisfy { (try? Document(parsing: Array($0.utf8))) != nil })
        let names = try FileManager.default.contentsOfDirectory(atPath: setting.folder.path(""))
        #expect(!names.contains { $0.contains(".backup") })
        // The backup of a running gateway, without it.
        let offline = try await setting.freshet(["log", "verify", "--log", copy])
        #expect(offline.status == .exited(0) && offline.output.contains("\(count) changes"))
        // Another log that somebody has open is not this gateway's.
        let other = try await setting.freshet(["log", "verify", "--log", setting.folder.path("none.db")])
        #expect(other.status == .exited(1) && other.errors.contains("no such log"))
        #expect(try await setting.gateway.terminate() == .exited(0))
    }

    @Test("a log goes through JSON lines into another file, and a gateway serves it with its history")
    func roundTrip() async throws {
        let setting = try await Setting()
        #expect(try await setting.gateway.terminate() == .exited(0))
        let lines = setting.folder.path("lines.jsonl")
        let exported = try await setting.freshet(["log", "export", "-o", lines])
        #expect(exported.status == .exited(0), "\(exported.errors)")
        let exportedLines = try String(contentsOfFile: lines, encoding: .utf8).split(separator: "\n")
        let count = exportedLines.count { $0.hasPrefix(#"{"change":"#) }
        let attributes = try FileManager.default.attributesOfItem(atPath: lines)
        #expect(attributes[.posixPermissions] as? Int == 0o600)
        let second = setting.folder.path("second.db")
        let imported = try await setting.freshet(["log", "import", lines, "--log", second])
        #expect(imported.status == .exited(0), "\(imported.errors)")
        let refused = try await setting.freshet(["log", "import", lines, "--log", second])
        #expect(refused.status == .exited(1) && refused.errors.contains("exists"))
        let newer = try setting.folder.write(#"{"freshet_log":99,"cursor":"a-1"}"# + "\n", to: "newer.jsonl")
        let third = try await setting.freshet(["log", "import", newer, "--log", setting.folder.path("third.db")])
        #expect(third.status == .exited(1) && third.errors.contains("newer version"), "\(third.errors)")
        let configuration = """
            listen: 127.0.0.1:0
            log: { path: "\(second)" }
            sources: { value: { url: "\(setting.upstream.url("/value"))", interval: 1h } }

            """
        let file = try setting.folder.write(configuration, to: "second.yaml")
        let gateway = try FreshetProcess(["serve", "--config", file], environment: ["RUNTIME_DIRECTORY": setting.run])
        let client = try await gateway.client(keyIn: setting.run)
        let changes = try Document(parsing: try await client.get("/v1/changes/value?since=earliest").body)
        let events = changes.root["events"]?.elements.compactMap { $0["id"]?.string } ?? []
        #expect(events.count == count && events.last?.hasSuffix("-\(count)") == true, "\(events)")
        #expect(try await client.get("/v1/values/value").text == #"{"n":10}"#)
        #expect(try await gateway.terminate() == .exited(0))
    }

    @Test("reload waits for the new configuration, or says why there is none")
    func reload() async throws {
        let setting = try await Setting()
        let good = try String(contentsOfFile: setting.folder.path("freshet.yaml"), encoding: .utf8)
        let more = good.replacing("interval: 20ms }", with: "interval: 20ms }, other: { url: \"http://127.0.0.1:1/\" }")
        try setting.folder.write(more, to: "freshet.yaml")
        let done = try await setting.freshet(["reload"])
        #expect(done.status == .exited(0) && done.output.contains("in force"), "\(done.errors)")
        let client = try await setting.gateway.client(keyIn: setting.run)
        #expect(try await client.get("/v1/sources/other").status == 200)
        try setting.folder.write("sources: [", to: "freshet.yaml")
        let refused = try await setting.freshet(["reload"])
        #expect(refused.status == .exited(1) && refused.errors.contains("freshet.yaml:"), "\(refused.errors)")
        #expect(try await client.get("/v1/sources/other").status == 200)
        #expect(try await setting.gateway.terminate() == .exited(0))
        let nobody = try await setting.freshet(["reload", "--gateway", "http://127.0.0.1:1"])
        #expect(nobody.status == .exited(1))
    }
}

extension FreshetProcess {
    /// A client with the key that is kept in another folder than the process's own.
    fileprivate func client(keyIn folder: String) async throws -> HTTPTestClient {
        let endpoint = try await self.endpoint()
        var key: Substring?
        let deadline = ContinuousClock.now + .patience
        while key == nil, ContinuousClock.now < deadline {
            key = try? String(contentsOfFile: "\(folder)/admin.key", encoding: .utf8).split(separator: "\n").first
            if key == nil { try await Task.sleep(for: .milliseconds(10)) }
        }
        return HTTPTestClient(endpoint, headers: ["Authorization": "Bearer \(try #require(key))"])
    }
}
