// `freshet restart`: by the service manager, and whether everybody came back.

import ArgumentParser
import Foundation
import FreshetConfiguration
import FreshetCore
import JSON
import System

struct RestartCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "restart",
        abstract: "Restart the gateway that systemd runs, and wait until its subscribers are back.",
        discussion: """
            Runs `systemctl restart UNIT`, waits until the new process is ready, and then until as many streams are open as \
            before. With freshet.socket enabled no connection is refused meanwhile. The exit code is 0 when the gateway is \
            ready again, and 1 when it is not within the time; subscribers that stay away are reported, and no failure.

            Examples:
              sudo freshet restart
              sudo freshet restart --unit freshet@eu --timeout 2m
            """
    )

    @OptionGroup var gateway: GatewayOptions

    @Option(help: "The unit.")
    var unit = "freshet"

    @Option(
        help: "How long to wait, for the gateway and then for subscribers (default: 60s).",
        transform: SourceArguments.duration
    )
    var timeout: Duration?

    /// What the restart is judged by.
    private struct Figures {
        var startedAt: String
        var subscribers: Int?
    }

    private static let pause = Duration.milliseconds(100)

    func validate() throws {
        guard !self.unit.isEmpty, !self.unit.hasPrefix("-") else { throw ValidationError("--unit names a unit.") }
    }

    func run() async throws {
        let before = try? self.figures()
        let begin = ContinuousClock.now
        try self.restart()
        guard let after = self.patiently({ try self.ready(after: before?.startedAt) }) else {
            Terminal.complain("\(self.unit): restarted, and not ready in time; see: journalctl -u \(self.unit)")
            throw ExitCode(1)
        }
        let taken = DurationText.describe(.milliseconds((ContinuousClock.now - begin).milliseconds))
        Terminal.print("\(self.unit): restarted, ready after \(taken)")
        guard let count = before?.subscribers, count > 0, after.subscribers != nil else { return }
        var back = 0
        let isComplete = self.patiently {
            back = try self.figures().subscribers ?? 0
            return back >= count ? true : nil
        }
        let all = DurationText.describe(.milliseconds((ContinuousClock.now - begin).milliseconds))
        Terminal.print("\(self.unit): \(back) of \(count) streams are back after \(all)")
        if isComplete == nil { Terminal.complain("\(self.unit): the others have not come back yet") }
    }

    /// - Throws: `ExitCode` 1 where the service manager is not there, or cannot.
    private func restart() throws {
        let process = Process()
        process.executableURL = URL(filePath: "/usr/bin/env")
        process.arguments = ["systemctl", "restart", "--", self.unit]
        do {
            try process.run()
        } catch {
            Terminal.complain("systemctl cannot be run: \(error)")
            throw ExitCode(1)
        }
        process.waitUntilExit()
        guard process.terminationStatus == 0 else {
            let hint =
                process.terminationStatus == 127
                ? "there is no systemctl; restart the gateway where you started it" : "systemctl says why"
            Terminal.complain("\(self.unit): not restarted; \(hint)")
            throw ExitCode(1)
        }
    }

    /// Tries again until there is a result, and no longer than allowed. Failures count as none: the gateway is away.
    private func patiently<Result>(_ body: () throws -> Result?) -> Result? {
        let deadline = ContinuousClock.now + (self.timeout ?? .seconds(60))
        while true {
            if let result = try? body() { return result }
            guard ContinuousClock.now < deadline else { return nil }
            SystemThread.sleep(Self.pause)
        }
    }

    /// The figures of a gateway that is ready and was started after the other; `nil` while it is not.
    private func ready(after startedAt: String?) throws -> Figures? {
        // Its key is a new one, so it is looked for again.
        let address = self.gateway.target().address
        let connection = try GatewayConnection(address, timeout: .seconds(5))
        guard try connection.get("/readyz", fields: [], address: address).status == 200 else { return nil }
        let figures = try self.figures()
        return figures.startedAt == startedAt ? nil : figures
    }

    private func figures() throws -> Figures {
        let document = try Administration(target: self.gateway.target()).ask("GET", "/v1/gateway")
        return Figures(
            startedAt: document.root["started_at"]?.string ?? "",
            subscribers: document.root["subscribers"]?.int
        )
    }
}
