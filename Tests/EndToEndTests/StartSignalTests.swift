import FreshetTesting
import Glibc
import Testing

/// Signals while the program starts. Its configuration is a pipe, so that the test says how far the start gets.
@Suite("Signals during the start", .serialized, .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct StartSignalTests {
    private let folder: TemporaryFolder
    private let pipe: String
    private let log: String

    init() throws {
        self.folder = try TemporaryFolder()
        self.pipe = self.folder.path("freshet.yaml")
        self.log = self.folder.path("changes.db")
        try #require(mkfifo(self.pipe, 0o600) == 0)
    }

    /// Waits until the program reads its configuration, and returns where it can be written.
    private func configurationIsRead() -> Int32 {
        // Returns when the other end is opened.
        Glibc.open(self.pipe, O_WRONLY | O_CLOEXEC)
    }

    private func configuration(_ source: String) -> String {
        """
        listen: 127.0.0.1:0
        shutdown: { drain: 100ms }
        log: { path: "\(self.log)" }
        sources:
          \(source): { url: "http://127.0.0.1:1/", interval: 1h }
        """
    }

    private func write(_ source: String, to descriptor: Int32) {
        let text = self.configuration(source)
        #expect(Glibc.write(descriptor, text, text.utf8.count) == text.utf8.count)
        _ = Glibc.close(descriptor)
    }

    private func start() throws -> FreshetProcess {
        try FreshetProcess(["serve", "--log-level", "info", "--config", self.pipe])
    }

    @Test("A17 SIGHUP before the configuration is read ends nothing, and is a reload once the gateway is there")
    func reload() async throws {
        let process = try self.start()
        let first = self.configurationIsRead()
        process.send(SIGHUP)
        process.send(SIGHUP)
        self.write("one", to: first)
        _ = try await process.listeningPort()
        // The reload reads the pipe a second time.
        self.write("two", to: self.configurationIsRead())
        #expect(await process.waitForOutput(containing: "configuration reloaded"))
        #expect(await process.waitForOutput(containing: "added=two removed=one"))
        #expect(try await process.terminate() == .exited(0))
    }

    @Test(
        "A17 SIGTERM and SIGINT while the configuration is read end the program with 0",
        arguments: [SIGTERM, SIGINT]
    )
    func early(signal: Int32) async throws {
        let process = try self.start()
        let first = self.configurationIsRead()
        process.send(signal)
        #expect(try await process.exitStatus() == .exited(0))
        _ = Glibc.close(first)
    }

    @Test("A17 a signal at any moment of the start ends the program in order, or not at all", arguments: 0..<12)
    func anyMoment(step: Int) async throws {
        let process = try self.start()
        let first = self.configurationIsRead()
        // A reload reads a file: what another one writes into the pipe would follow what is in it, and be read with it.
        let file = try self.folder.write(self.configuration("one"), to: "reload.yaml")
        try #require(rename(file, self.pipe) == 0)
        self.write("one", to: first)
        // Later by some of the start's steps each time; what is asserted holds at every moment.
        for _ in 0..<(step * step * 2000) { sched_yield() }
        process.send(SIGHUP)
        process.send(SIGTERM)
        #expect(try await process.exitStatus() == .exited(0))
    }
}
