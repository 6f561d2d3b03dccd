import Foundation
import FreshetTesting
import Testing

/// What `freshet try` shows beside the changes.
@Suite("try, through the program", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct TryTests {
    private func upstream() throws -> ScriptedUpstream {
        let upstream = try ScriptedUpstream()
        upstream.serve(VersionedResource(versions: [Array("[1]".utf8)]), at: "/rates")
        return upstream
    }

    @Test("Ctrl-C prints the five lines that do the same, and they do")
    func configuration() async throws {
        let upstream = try self.upstream()
        let process = try FreshetProcess([
            "try", "--listen", "127.0.0.1:0", "--interval", "30ms", upstream.url("/rates"),
        ])
        try #require(await process.waitForOutput(containing: "a list of 1"))
        process.send(SIGINT)
        #expect(try await process.exitStatus() == .exited(0))
        let start = try #require(process.output.firstRange(of: "# freshet.yaml\n")).lowerBound
        let text = String(process.output[start...])
        #expect(text.split(separator: "\n").count == 5)
        #expect(!process.output.contains("polls,"), "no line of progress where there is no terminal")
        let gateway = try Gateway(text)
        try await gateway.waitForValues(of: ["rates"])
        _ = try await gateway.terminate()
    }

    @Test(
        "a replayed history is shown as differences",
        .enabled(if: Suites.available, "the suites are not here")
    )
    func history() async throws {
        let (replay, url) = try await RecordReplayTests.replay(Suites.folder(ofHistory: "exchange-rates"))
        let process = try FreshetProcess(["try", "--listen", "127.0.0.1:0", "--interval", "100ms", url])
        #expect(await process.waitForOutput(containing: "/timestamp  "), "\(process.output)\(process.errors)")
        #expect(await process.waitForOutput(containing: " → "))
        #expect(try await process.terminate() == .exited(0))
        _ = try await replay.terminate()
    }

    @Test(
        "in a terminal one line says when the next poll is, why, and what was saved",
        .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/script"), "no script(1)")
    )
    func progress() async throws {
        let upstream = try self.upstream()
        let program = try FreshetProcess.locateBinary()
        let command = "\(program) try --listen 127.0.0.1:0 --interval 30ms \(upstream.url("/rates"))"
        let process = try FreshetProcess(
            ["-qefc", command, "/dev/null"],
            environment: ["COLUMNS": "200", "TERM": "xterm"],
            binary: "/usr/bin/script"
        )
        #expect(await process.waitForOutput(containing: "ETag"), "\(process.output)")
        #expect(await process.waitForOutput(containing: "of them 304"), "\(process.output)")
        _ = try? await process.terminate()
    }
}
