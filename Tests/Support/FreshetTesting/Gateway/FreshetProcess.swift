import CLinux
import Foundation
import Glibc
import Synchronization

/// The program itself, started as a user would: with arguments, its output read, its signals sent, its exit awaited.
///
/// The last reference kills it. Any thread or task may call.
package final class FreshetProcess: Sendable {
    /// The process's number.
    package let pid: Int32
    private let core: ProcessCore
    /// `$RUNTIME_DIRECTORY` of the program, unless the environment was given another.
    private let runtimeFolder: TemporaryFolder

    /// Starts the program.
    ///
    /// - Parameters:
    ///   - arguments: Those after the program's name.
    ///   - environment: Added to this process's own; `nil` takes a variable away.
    ///   - workingDirectory: The default is this process's own.
    ///   - binary: The default is `locateBinary()`.
    /// - Throws: `TestingError` when it cannot be started.
    package init(
        _ arguments: [String],
        environment: [String: String?] = [:],
        workingDirectory: String? = nil,
        binary: String? = nil
    ) throws {
        let path = try binary ?? Self.locateBinary()
        self.runtimeFolder = try TemporaryFolder()
        let variables: [String: String?] = ["RUNTIME_DIRECTORY": self.runtimeFolder.path].merging(environment) { $1 }
        let spawned = try SpawnedProcess.spawn(
            path,
            arguments: arguments,
            environment: ProcessInfo.processInfo.environment.merging(variables.compactMapValues { $0 }) { $1 }
                .filter { !(variables.keys.contains($0.key) && variables[$0.key] == .some(nil)) },
            workingDirectory: workingDirectory
        )
        self.pid = spawned.pid
        self.core = ProcessCore(pid: spawned.pid)
        self.core.start(output: spawned.output, errors: spawned.errors)
    }

    deinit { self.core.send(SIGKILL) }

    /// The path of the program: `FRESHET_BINARY` if set, else `freshet` beside the test bundle.
    ///
    /// - Throws: `TestingError` when there is none: build it before the tests that need it.
    package static func locateBinary() throws -> String {
        if let path = ProcessInfo.processInfo.environment["FRESHET_BINARY"] { return path }
        // The bundle is named by the runner, or is the very program that runs.
        let bundles = CommandLine.arguments.filter { $0.contains(".xctest") } + [CommandLine.arguments[0]]
        let running = try? FileManager.default.destinationOfSymbolicLink(atPath: "/proc/self/exe")
        let candidates = (bundles + [running].compactMap { $0 }).map { bundle in
            URL(filePath: bundle).deletingLastPathComponent().appending(path: "freshet").path
        }
        for candidate in candidates where FileManager.default.isExecutableFile(atPath: candidate) { return candidate }
        throw TestingError(.missing, "no freshet among \(candidates); build it, or set FRESHET_BINARY")
    }

    /// Whether `locateBinary()` finds the program: for `.enabled(if:)`.
    package static var isBuilt: Bool { (try? self.locateBinary()) != nil }

    /// The port of 127.0.0.1 that the program says it listens on, by its first `http://127.0.0.1:PORT`.
    ///
    /// - Throws: `TestingError` with the program's output when it says no such thing in time, or has ended.
    package func listeningPort(timeout: Duration = .patience) async throws -> UInt16 {
        let port = await self.core.state.wait(timeout: timeout) { state -> UInt16?? in
            if let port = state.listeningPort { return .some(port) }
            return state.status == nil || !state.isOutputComplete ? nil : .some(nil)
        }
        if let port = port ?? nil { return port }
        throw self.failure("did not say where it listens")
    }

    /// Where the program listens. Throws as `listeningPort(timeout:)`.
    package func endpoint(timeout: Duration = .patience) async throws -> Endpoint {
        .port(try await self.listeningPort(timeout: timeout))
    }

    /// A client of the program that may administer it: with the key that it keeps while it runs.
    ///
    /// - Throws: As `listeningPort(timeout:)`, and `TestingError` when there is no key.
    package func client(timeout: Duration = .patience) async throws -> HTTPTestClient {
        let endpoint = try await self.endpoint(timeout: timeout)
        return HTTPTestClient(endpoint, headers: ["Authorization": "Bearer \(try self.key())"])
    }

    /// The key that administers the program, once it listens.
    ///
    /// - Throws: `TestingError` when there is none.
    package func key() throws -> String {
        let text = try? String(contentsOfFile: self.runtimeFolder.path("admin.key"), encoding: .utf8)
        guard let key = text?.split(separator: "\n").first else { throw self.failure("left no key") }
        return String(key)
    }

    /// What it has written to its standard output so far.
    package var output: String { String(decoding: self.core.state.value.output, as: UTF8.self) }
    /// What it has written to its standard error so far.
    package var errors: String { String(decoding: self.core.state.value.errors, as: UTF8.self) }
    /// Whether it has not ended.
    package var isRunning: Bool { self.core.state.value.status == nil }

    /// Waits for `text` on either output, and returns whether it came.
    package func waitForOutput(containing text: String, timeout: Duration = .patience) async -> Bool {
        let needle = [UInt8](text.utf8)
        let found = await self.core.state.wait(timeout: timeout) { state -> Bool? in
            if state.output.contains(needle) || state.errors.contains(needle) { return true }
            return state.status != nil && state.isOutputComplete ? false : nil
        }
        return found ?? false
    }

    /// Sends a signal, as `SIGTERM`; nothing happens when the program has ended.
    package func send(_ signal: Int32) { self.core.send(signal) }

    /// Waits for the program to end and to have written its last byte, and returns how it ended.
    ///
    /// - Throws: `TestingError` with the program's output when it does not end in time.
    @discardableResult
    package func exitStatus(timeout: Duration = .patience) async throws -> ExitStatus {
        let status = await self.core.state.wait(timeout: timeout) { $0.isOutputComplete ? $0.status : nil }
        guard let status else { throw self.failure("did not end") }
        return status
    }

    /// Sends SIGTERM and waits for the end.
    ///
    /// - Throws: `TestingError` when it does not end in time; it is then killed by the last reference.
    @discardableResult
    package func terminate(timeout: Duration = .patience) async throws -> ExitStatus {
        self.send(SIGTERM)
        return try await self.exitStatus(timeout: timeout)
    }

    private func failure(_ what: String) -> TestingError {
        let state = self.isRunning ? "is running" : "has ended: \(self.core.state.value.status.map { "\($0)" } ?? "")"
        return TestingError(
            .process,
            "freshet \(what) (\(state))\n--- output\n\(self.output)\n--- errors\n\(self.errors)"
        )
    }
}

/// How a process ended.
package enum ExitStatus: Hashable, Sendable {
    case exited(Int32)
    case killed(signal: Int32)
}

/// What the process's threads know of it; lives until they have ended.
private final class ProcessCore: Sendable {
    struct State: Sendable {
        var output: [UInt8] = []
        var errors: [UInt8] = []
        var openOutputs = 2
        var listeningPort: UInt16?
        var status: ExitStatus?

        var isOutputComplete: Bool { self.openOutputs == 0 }
    }

    let state = Watched(State())
    private let pid: Int32

    init(pid: Int32) { self.pid = pid }

    func start(output: Int32, errors: Int32) {
        self.read(output, into: \.output)
        self.read(errors, into: \.errors)
        PlainThread.start("freshet-wait") { self.reap() }
    }

    /// Sends a signal under the lock under which the end is noted, so that it never reaches another process of this number.
    func send(_ signal: Int32) {
        self.state.update { state in
            if state.status == nil { _ = kill(self.pid, signal) }
        }
    }

    private func read(_ descriptor: Int32, into output: any WritableKeyPath<State, [UInt8]> & Sendable) {
        PlainThread.start("freshet-output") {
            var buffer = [UInt8](repeating: 0, count: 64 << 10)
            // Blocks until there is something; the end is when the last process that holds the pipe has closed it.
            while case let count = Glibc.read(descriptor, &buffer, buffer.count), count != 0 {
                if count < 0 {
                    guard errno == EINTR else { break }
                    continue
                }
                self.state.update { state in
                    state[keyPath: output] += buffer[..<count]
                    state.listeningPort =
                        state.listeningPort ?? Self.port(in: state[keyPath: output], isLog: output == \.errors)
                }
            }
            _ = clinux_close(descriptor)
            self.state.update { $0.openOutputs -= 1 }
        }
    }

    /// Waits without reaping first, then reaps and notes the end in one step: see `send(_:)`.
    private func reap() {
        var info = siginfo_t()
        while waitid(P_PID, id_t(self.pid), &info, WEXITED | WNOWAIT) != 0 {
            guard errno == EINTR else { break }
        }
        self.state.update { state in
            var status: Int32 = 0
            _ = waitpid(self.pid, &status, 0)
            let signal = status & 0x7F
            state.status = signal == 0 ? .exited((status >> 8) & 0xFF) : .killed(signal: signal)
        }
    }

    /// The port of the first `http://127.0.0.1:PORT` that is followed by something, so that it is whole.
    private static func port(in output: [UInt8], isLog: Bool) -> UInt16? {
        let text = String(decoding: output, as: UTF8.self)
        // A line of the log may name an upstream first.
        let mark = "http://127.0.0.1:"
        guard let start = text.range(of: isLog ? "listening on \(mark)" : mark) else { return nil }
        let digits = text[start.upperBound...].prefix { $0.isASCII && $0.isNumber }
        return digits.endIndex == text.endIndex ? nil : UInt16(digits)
    }
}
