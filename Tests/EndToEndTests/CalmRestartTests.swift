import Foundation
import FreshetTesting
import Glibc
import JSON
import Testing

/// A restart with the socket handed over, as `systemctl restart` does it with freshet.socket: seen by subscribers that come
/// back as browsers do, and by the upstream.
@Suite(
    "The calm restart",
    .serialized,
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: FileManager.default.isExecutableFile(atPath: "/usr/bin/python3"), "skipped: no python3")
)
struct CalmRestartTests {
    /// `FRESHET_CALM_SUBSCRIBERS`; 300 by default.
    private static let subscribers =
        Int(ProcessInfo.processInfo.environment["FRESHET_CALM_SUBSCRIBERS"] ?? "") ?? 300
    private static let interval = Duration.milliseconds(500)

    private static func script(_ name: String) -> String {
        URL(filePath: #filePath).deletingLastPathComponent().appending(path: name).path
    }

    /// A gateway under a service manager that holds its socket.
    private static func managed(
        _ arguments: [String],
        environment: [String: String?] = [:]
    ) throws -> FreshetProcess {
        let program = try FreshetProcess.locateBinary()
        let command = [Self.script("socket_manager.py"), program] + arguments
        return try FreshetProcess(command, environment: environment, binary: "/usr/bin/python3")
    }

    @Test("no half second has twice the mean of reconnects; none is lost, doubled or refused, and no poll is added")
    func calm() async throws {
        let upstream = try ScriptedUpstream()
        // A value that is another at each poll, and longer than a patch of it: a snapshot then is a gap.
        let pad = String(repeating: "x", count: 200)
        upstream.on("/value") { [.respond(.json(#"{"n":\#($0.number),"pad":"\#(pad)"}"#))] }
        let folder = try TemporaryFolder()
        let file = try folder.write(
            """
            listen: 127.0.0.1:1
            log: { path: "\(folder.path("changes.db"))" }
            retry: 1s
            shutdown: { drain: 3s }
            limits: { max_subscribers_per_address: 100000 }
            sources:
              value: { url: "\(upstream.url("/value"))", interval: 500ms }

            """,
            to: "freshet.yaml"
        )
        let gateway = try Self.managed(["serve", "--config", file])
        let port = try await gateway.listeningPort()
        #expect(await gateway.waitForOutput(containing: "listening on http://127.0.0.1:\(port)"))
        let crowd = try FreshetProcess(
            [Self.script("restart_crowd.py"), "127.0.0.1", "\(port)", "/v1/streams/value", "\(Self.subscribers)"],
            binary: "/usr/bin/python3"
        )
        #expect(await crowd.waitForOutput(containing: "ready\n", timeout: .seconds(120)), "\(crowd.errors)")
        let first = upstream.requests.count
        gateway.send(SIGUSR1)
        #expect(await gateway.waitForOutput(containing: "ended with 0"), "\(gateway.errors)")
        let client = HTTPTestClient(.port(port))
        let deadline = ContinuousClock.now + .seconds(60)
        while try await Self.count(client) < Self.subscribers, ContinuousClock.now < deadline {
            try await Task.sleep(for: .milliseconds(50))
        }
        // One change more, which everybody has to see.
        let polls = upstream.requests.count
        #expect(await upstream.waitForRequests(count: polls + 3))
        crowd.send(SIGUSR1)
        #expect(try await crowd.exitStatus() == .exited(0))
        let line = try #require(crowd.output.split(separator: "\n").last)
        let seen = try Document(parsing: Array(line.utf8)).root
        for name in ["lost", "doubled", "gaps", "refused"] { #expect(seen[name]?.int == 0, "\(name)") }
        let times = seen["reconnects"]?.elements.compactMap(\.double).sorted() ?? []
        #expect(times.count == Self.subscribers, "each comes back once")
        let (most, mean) = Self.spread(times)
        #expect(Double(most) <= 2 * mean, "\(most) reconnects in half a second, \(mean) in the mean")
        let requests = upstream.requests.dropFirst(first).map(\.receivedAt)
        // As many as without a restart: one each interval. A late one may be followed at once by that of the next point, and the
        // second answer over a new connection is asked for again over another, until the upstream is trusted.
        let points = try #require(requests.last) - (try #require(requests.first))
        #expect(Double(requests.count - 1) <= points / Self.interval + 2, "\(requests.count) polls in \(points)")
        print(
            "calm restart: \(times.count) reconnects over \(times.last.map { $0 - times[0] } ?? 0) s, at most \(most) in half a "
                + "second, \(mean) in the mean, \(seen["events"]?.int ?? 0) events"
        )
        #expect(try await gateway.terminate(timeout: .seconds(60)) == .exited(0))
    }

    private static func count(_ client: HTTPTestClient) async throws -> Int {
        guard let reply = try? await client.get("/v1/gateway"), reply.status == 200 else { return 0 }
        return try Document(parsing: reply.body).root["subscribers"]?.int ?? 0
    }

    /// The most in any half second, and the mean of half a second, between the first and the last.
    private static func spread(_ times: [Double]) -> (most: Int, mean: Double) {
        guard let first = times.first, let last = times.last, last > first else { return (times.count, 0) }
        var (start, most) = (0, 0)
        for (index, time) in times.enumerated() {
            while time - times[start] > 0.5 { start += 1 }
            most = max(most, index - start + 1)
        }
        return (most, Double(times.count) * 0.5 / max(last - first, 0.5))
    }

    @Test("a connection that comes while there is no process waits for the next one")
    func waiting() async throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("sources: { a: { url: \"http://127.0.0.1:1/\" } }\n", to: "freshet.yaml")
        let gateway = try Self.managed(["serve", "--config", file])
        let client = HTTPTestClient(.port(try await gateway.listeningPort()))
        for _ in 0..<3 {
            let started = try Document(parsing: try await client.get("/v1/gateway").body).root["started_at"]?.string
            gateway.send(SIGUSR1)
            while true {
                // Not one of them is refused: an error of the connection ends the test.
                let reply = try await client.get("/v1/gateway", headers: ["Connection": "close"])
                #expect(reply.status == 200)
                guard try Document(parsing: reply.body).root["started_at"]?.string == started else { break }
            }
        }
        #expect(try await gateway.terminate(timeout: .seconds(60)) == .exited(0))
    }

    @Test("what is no socket to listen on ends the start, and says the fix")
    func unusable() async throws {
        let folder = try TemporaryFolder()
        let file = try folder.write("sources: { a: { url: \"http://127.0.0.1:1/\" } }\n", to: "freshet.yaml")
        // Descriptor 3 is a file here, or the second of two for one listener.
        for (count, word) in [("1", "ListenStream="), ("17", "at most three"), ("2", "ListenStream=")] {
            let command = "export LISTEN_PID=$$ LISTEN_FDS=\(count); exec \"$0\" \"$@\" 3</dev/null 4</dev/null"
            let arguments = ["-c", command, try FreshetProcess.locateBinary(), "serve", "--config", file]
            let process = try FreshetProcess(arguments, binary: "/bin/sh")
            #expect(try await process.exitStatus() == .exited(1))
            #expect(process.errors.contains(word), "\(process.errors)")
        }
        // Meant for another process: not looked at.
        let other = try FreshetProcess(
            ["serve", "--config", file, "--listen", "127.0.0.1:0"],
            environment: ["LISTEN_PID": "1", "LISTEN_FDS": "1"]
        )
        _ = try await other.listeningPort()
        #expect(try await other.terminate() == .exited(0))
    }

    @Test("`freshet restart` waits until the gateway is ready and its streams are back, and says so")
    func command() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/value", respond: .json(#"{"n":1}"#))
        let folder = try TemporaryFolder()
        let file = try folder.write(
            """
            log: { path: "\(folder.path("changes.db"))" }
            retry: 200ms
            shutdown: { drain: 200ms }
            sources: { value: { url: "\(upstream.url("/value"))", interval: 100ms } }

            """,
            to: "freshet.yaml"
        )
        let run = folder.path("run")
        try FileManager.default.createDirectory(atPath: run, withIntermediateDirectories: true)
        let gateway = try Self.managed(["serve", "--config", file], environment: ["RUNTIME_DIRECTORY": run])
        let port = try await gateway.listeningPort()
        let crowd = try FreshetProcess(
            [Self.script("restart_crowd.py"), "127.0.0.1", "\(port)", "/v1/streams/value", "3"],
            binary: "/usr/bin/python3"
        )
        #expect(await crowd.waitForOutput(containing: "ready\n"))
        // What stands in for systemctl.
        let tools = folder.path("bin")
        try FileManager.default.createDirectory(atPath: tools, withIntermediateDirectories: true)
        let script = "#!/bin/sh\necho \"$@\" >'\(folder.path("asked"))'\nexec kill -USR1 \(gateway.pid)\n"
        let systemctl = try folder.write(script, to: "bin/systemctl")
        #expect(chmod(systemctl, 0o755) == 0)
        let path = "\(tools):\(ProcessInfo.processInfo.environment["PATH"] ?? "")"
        let restart = try FreshetProcess(
            ["restart", "--unit", "one", "--timeout", "30s"],
            environment: ["RUNTIME_DIRECTORY": run, "PATH": path]
        )
        #expect(try await restart.exitStatus(timeout: .seconds(70)) == .exited(0), "\(restart.errors)")
        #expect(try String(contentsOfFile: folder.path("asked"), encoding: .utf8) == "restart -- one\n")
        #expect(restart.output.contains("one: restarted, ready after"))
        #expect(restart.output.contains("one: 3 of 3 streams are back"), "\(restart.output)\(restart.errors)")
        let bad = try FreshetProcess(["restart"], environment: ["RUNTIME_DIRECTORY": run, "PATH": "/nowhere"])
        #expect(try await bad.exitStatus() == .exited(1))
        crowd.send(SIGUSR1)
        _ = try await crowd.exitStatus()
        #expect(try await gateway.terminate(timeout: .seconds(60)) == .exited(0))
    }
}
