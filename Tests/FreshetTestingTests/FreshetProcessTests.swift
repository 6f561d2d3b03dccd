import Foundation
import FreshetTesting
import Testing

/// The program under test is a shell here: what is tested is how it is watched.
@Suite("Process", .timeLimit(.minutes(1)))
struct FreshetProcessTests {
    private func start(_ script: String, environment: [String: String?] = [:]) throws -> FreshetProcess {
        try FreshetProcess(["-c", script], environment: environment, binary: "/bin/sh")
    }

    @Test("the port is read from whichever output names it", arguments: ["", ">&2"])
    func port(redirection: String) async throws {
        let process = try self.start(
            "echo starting; echo 'listening on http://127.0.0.1:4711/' \(redirection); exec sleep 600"
        )
        #expect(try await process.listeningPort() == 4711)
        #expect(process.isRunning)
        process.send(SIGKILL)
        #expect(try await process.exitStatus() == .killed(signal: SIGKILL))
    }

    @Test("a program that ends without a port is an error that shows its output")
    func noPort() async throws {
        let process = try self.start("echo 'no such file: freshet.yaml' >&2; exit 1")
        let error = await #expect(throws: TestingError.self) { try await process.listeningPort() }
        #expect(error?.reason == .process)
        #expect(error?.description.contains("no such file: freshet.yaml") == true)
        #expect(try await process.exitStatus() == .exited(1))
    }

    @Test("a signal reaches it, and its last words are read")
    func terminated() async throws {
        let process = try self.start("trap 'echo draining; exit 3' TERM; echo ready; while :; do sleep 0.01; done")
        #expect(await process.waitForOutput(containing: "ready\n"))
        #expect(try await process.terminate() == .exited(3))
        #expect(process.output == "ready\ndraining\n")
        #expect(!process.isRunning)
        process.send(SIGTERM)
    }

    @Test("it gets the environment that was asked for, and no descriptor of this process")
    func surroundings() async throws {
        let environment: [String: String?] = ["FRESHET_TEST_SET": "1", "HOME": nil]
        let process = try self.start(
            "echo ${FRESHET_TEST_SET-unset} ${HOME-unset}; ls /proc/$$/fd",
            environment: environment
        )
        #expect(try await process.exitStatus() == .exited(0))
        let lines = process.output.split(separator: "\n")
        #expect(lines.first == "1 unset")
        #expect(lines.dropFirst().allSatisfy { ["0", "1", "2"].contains($0) })
    }

    @Test("its use of the machine can be read")
    func usage() async throws {
        let process = try self.start("echo ready; read never < /dev/zero; exec sleep 600")
        #expect(await process.waitForOutput(containing: "ready"))
        let usage = try process.usage()
        #expect(usage.residentBytes > 100_000)
        #expect(usage.descriptors >= 3)
        #expect(usage.threads == 1)
        process.send(SIGKILL)
        try await process.exitStatus()
        #expect(throws: TestingError.self) { try process.usage() }
    }

    @Test("a program that is not there is an error that names it")
    func missing() {
        let error = #expect(throws: TestingError.self) { try FreshetProcess([], binary: "/no/such/freshet") }
        #expect(error?.description == "/no/such/freshet: No such file or directory")
    }

    @Test("a process without an owner is killed")
    func released() async throws {
        let folder = try TemporaryFolder()
        let fifo = folder.path("alive")
        try #require(mkfifo(fifo, 0o600) == 0)
        // The reader of the pipe sees its end when the last writer, the process, is gone.
        var process: FreshetProcess? = try self.start("exec 3>'\(fifo)'; echo open >&3; exec sleep 600")
        let reader = try #require(FileHandle(forReadingAtPath: fifo))
        #expect(try reader.read(upToCount: 5) == Data("open\n".utf8))
        #expect(process?.isRunning == true)
        process = nil
        #expect(try reader.readToEnd() ?? Data() == Data())
    }
}
