import Foundation
import FreshetTesting
import Glibc
import JSON
import Testing

/// `admin.key` of the program itself, and which verbs send it where.
@Suite("admin.key", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct AdminKeyTests {
    private let folder: TemporaryFolder
    private static let source = "sources:\n  a: { url: \"http://127.0.0.1:1/\", interval: 1h }\n"

    init() throws {
        self.folder = try TemporaryFolder()
    }

    /// `RUNTIME_DIRECTORY` and `XDG_RUNTIME_DIR` as given, or taken away.
    private func start(_ configuration: String = "", runtime: String?, user: String? = nil) throws -> FreshetProcess {
        let name = "\(UUID().uuidString).yaml"
        let file = try self.folder.write("listen: 127.0.0.1:0\n\(configuration)\(Self.source)", to: name)
        return try FreshetProcess(
            ["serve", "--config", file],
            environment: ["RUNTIME_DIRECTORY": runtime, "XDG_RUNTIME_DIR": user]
        )
    }

    private func subfolder(_ name: String) throws -> String {
        try FileManager.default.createDirectory(atPath: self.folder.path(name), withIntermediateDirectories: false)
        return self.folder.path(name)
    }

    private func status(_ path: String) -> stat? {
        var status = stat()
        return lstat(path, &status) == 0 ? status : nil
    }

    /// The status of a request to administration with the key in the file.
    private func administer(_ process: FreshetProcess, keyIn path: String) async throws -> Int {
        let key = try String(contentsOfFile: path, encoding: .utf8).split(separator: "\n")[0]
        let headers: HeaderFields = ["Authorization": "Bearer \(key)"]
        let endpoint = try await process.endpoint()
        return try await RawHTTP.get("/v1/admin/subscribers", from: endpoint, headers: headers).status
    }

    @Test("A02: it is made where the contract says, for its owner alone, new at each start, and goes at the end")
    func places() async throws {
        let (runtime, log, user) = try (self.subfolder("run"), self.subfolder("log"), self.subfolder("user"))
        let logs = "log: { path: \"\(log)/changes.db\" }\n"
        var keys: Set<String> = []
        for (configuration, runtime, place) in [
            (logs, "\(runtime):/nonexistent", runtime), (logs, nil, log), ("", nil, user),
        ] as [(String, String?, String)] {
            let process = try self.start(configuration, runtime: runtime, user: user)
            let endpoint = try await process.endpoint()
            let path = "\(place)/admin.key"
            let status = try #require(self.status(path), "\(process.errors)")
            #expect(status.st_mode == S_IFREG | 0o600)
            #expect(status.st_uid == geteuid())
            let text = try String(contentsOfFile: path, encoding: .utf8)
            #expect(text.split(separator: "\n").last.map { "\($0)" } == "http://\(Self.text(endpoint))")
            keys.insert(text)
            #expect(try await self.administer(process, keyIn: path) == 200)
            #expect(!process.errors.contains(text.split(separator: "\n")[0]), "the log does not show it")
            #expect(try await process.terminate() == .exited(0))
            #expect(self.status(path) == nil)
        }
        #expect(keys.count == 3)
        for place in [runtime, user] {
            #expect(try FileManager.default.contentsOfDirectory(atPath: place).isEmpty)
        }
    }

    private static func text(_ endpoint: Endpoint) -> String {
        if case .tcp(let host, let port) = endpoint { "\(host):\(port)" } else { "" }
    }

    @Test("A02: what a killed gateway left is replaced, its key is dead, and the CLI does not send it")
    func killed() async throws {
        let runtime = try self.subfolder("run")
        let path = "\(runtime)/admin.key"
        let first = try self.start(runtime: runtime)
        _ = try await first.endpoint()
        first.send(SIGKILL)
        try await first.exitStatus()
        let old = try String(contentsOfFile: path, encoding: .utf8)
        let upstream = try ScriptedUpstream()
        upstream.on("*", respond: .status(404))
        _ = try await self.tail("--gateway", upstream.url(""), runtime: runtime)
        #expect(upstream.requests.count == 1)
        #expect(upstream.requests.allSatisfy { $0.headers["Authorization"] == nil })
        let second = try self.start(runtime: runtime)
        _ = try await second.endpoint()
        #expect(try String(contentsOfFile: path, encoding: .utf8) != old)
        #expect(try await self.administer(second, keyIn: path) == 200)
        second.send(SIGKILL)
    }

    @Test(
        "A02: what somebody planted in its place is neither written nor used",
        arguments: ["link", "dangling link", "foreign file", "folder", "live gateway"]
    )
    func planted(kind: String) async throws {
        let runtime = try self.subfolder("run")
        let path = "\(runtime)/admin.key"
        let target = try self.folder.write("untouched", to: "target")
        var other: FreshetProcess?
        switch kind {
        case "link": symlink(target, path)
        case "dangling link": symlink(self.folder.path("nowhere"), path)
        case "foreign file":
            try "untouched".write(toFile: path, atomically: true, encoding: .utf8)
            try #require(geteuid() != 0 || chown(path, 65_534, 65_534) == 0)
        case "folder": mkdir(path, 0o700)
        case _: other = try self.start(runtime: runtime)
        }
        _ = try await other?.endpoint()
        let before = try #require(self.status(path))
        let process = try self.start(runtime: runtime)
        let endpoint = try await process.endpoint()
        #expect(await process.waitForOutput(containing: "no admin.key"))
        let after = try #require(self.status(path))
        #expect(after.st_ino == before.st_ino && after.st_size == before.st_size)
        #expect(try String(contentsOfFile: target, encoding: .utf8) == "untouched")
        #expect(self.status(self.folder.path("nowhere")) == nil)
        #expect(try await RawHTTP.get("/v1/admin/subscribers", from: endpoint).status == 401)
        #expect(try await process.terminate() == .exited(0))
        #expect(self.status(path)?.st_ino == before.st_ino, "it is not removed at the end either")
    }

    @Test("A02: a forced quit removes it as well")
    func forced() async throws {
        let runtime = try self.subfolder("run")
        let process = try self.start("shutdown: { delay: 1m }\n", runtime: runtime)
        _ = try await process.endpoint()
        #expect(self.status("\(runtime)/admin.key") != nil)
        process.send(SIGTERM)
        #expect(await process.waitForOutput(containing: "shutting down"))
        process.send(SIGTERM)
        #expect(try await process.exitStatus() == .exited(2))
        #expect(self.status("\(runtime)/admin.key") == nil)
    }

    /// Runs `tail` until the gateway refuses it.
    private func tail(_ arguments: String..., runtime: String?) async throws -> String {
        let process = try FreshetProcess(["tail", "none"] + arguments, environment: ["RUNTIME_DIRECTORY": runtime])
        #expect(try await process.exitStatus() == .exited(1))
        return process.errors
    }

    @Test("A02: a verb finds the gateway by its key, and sends the key to the recorded address alone")
    func sentNowhereElse() async throws {
        let runtime = try self.subfolder("run")
        let gateway = try self.start(runtime: runtime)
        let address = "http://\(Self.text(try await gateway.endpoint()))"
        #expect(try await self.tail(runtime: runtime).contains("\(address): "))

        let upstream = try ScriptedUpstream()
        upstream.on("*", respond: .status(404))
        _ = try await self.tail("--gateway", upstream.url(""), runtime: runtime)
        #expect(upstream.requests.map { $0.headers["Authorization"] } == [nil])

        // A process of ours holds the lock, as a gateway would.
        let key = "\(runtime)/admin.key"
        let text = try String(contentsOfFile: key, encoding: .utf8).split(separator: "\n")[0]
        let own = try self.subfolder("own")
        try "\(text)\n\(upstream.url(""))\n".write(toFile: "\(own)/admin.key", atomically: true, encoding: .utf8)
        chmod("\(own)/admin.key", 0o600)
        let lock = open("\(own)/admin.key", O_RDONLY | O_CLOEXEC)
        defer { close(lock) }
        try #require(flock(lock, LOCK_EX | LOCK_NB) == 0)
        _ = try await self.tail(runtime: own)
        #expect(upstream.requests.last?.headers["Authorization"] == "Bearer \(text)")
        for unsafe in ["mode", "owner"] {
            switch unsafe {
            case "mode": chmod("\(own)/admin.key", 0o640)
            case _:
                chmod("\(own)/admin.key", 0o600)
                guard geteuid() == 0 else { continue }
                chown("\(own)/admin.key", 65_534, 65_534)
            }
            let errors = try await self.tail("--gateway", upstream.url(""), runtime: own)
            #expect(errors.contains("is not used"), "\(unsafe)")
            #expect(upstream.requests.last?.headers["Authorization"] == nil, "\(unsafe)")
        }
    }

    @Test("A02: try and demo give the page its key in the fragment", arguments: ["try", "demo"])
    func page(verb: String) async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("*", respond: .json("[1]"))
        let process = try FreshetProcess(
            [verb, "--listen", "127.0.0.1:0"] + (verb == "try" ? [upstream.url("/a")] : [])
        )
        let endpoint = try await process.endpoint()
        #expect(await process.waitForOutput(containing: "/#key="))
        let output = process.output
        let start = try #require(output.range(of: "/#key=")).upperBound
        let key = output[start...].prefix { !$0.isWhitespace }
        let headers: HeaderFields = ["Authorization": "Bearer \(key)"]
        #expect(try await RawHTTP.get("/v1/admin/subscribers", from: endpoint, headers: headers).status == 200)
        #expect(try await RawHTTP.get("/v1/admin/subscribers", from: endpoint).status == 401)
        process.send(SIGINT)
        try await process.exitStatus()
    }
}
