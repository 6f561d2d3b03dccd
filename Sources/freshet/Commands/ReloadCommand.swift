// `freshet reload`: another configuration, without a restart, and whether it is in force.

import ArgumentParser
import FreshetConfiguration
import JSON

struct ReloadCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "reload",
        abstract: "Have a running gateway read its configuration again, and wait until it is in force.",
        discussion: """
            A configuration with errors changes nothing: every problem is printed, and the exit code is 1. Settings that \
            are read at the start only are named; they wait for a restart. SIGHUP does the same and reports to the \
            gateway's log.

            Examples:
              freshet reload
              sudo freshet reload --gateway unix:/run/freshet/admin.sock
            """
    )

    @OptionGroup var gateway: GatewayOptions

    func run() async throws {
        // Files are read, and certificates checked: more than a moment where there are many.
        let administration = Administration(target: self.gateway.target(), timeout: .seconds(60))
        do throws(GatewayConnectionError) {
            let answer = try administration.ask("POST", "/v1/admin/reload")
            let waiting = answer.root["needs_restart"]?.elements.compactMap(\.string) ?? []
            Terminal.print("\(administration.target.address): \(Self.outcome(waiting).escapingControls())")
        } catch {
            Terminal.complain(
                "\(administration.target.address): not reloaded, nothing has changed:\n\(error)".escapingControls(
                    keepingNewlines: true
                )
            )
            throw ExitCode(1)
        }
    }

    /// What is in force, where `waiting` are the settings that are not.
    static func outcome(_ waiting: [String]) -> String {
        guard !waiting.isEmpty else { return "the new configuration is in force" }
        let names = waiting.joined(separator: ", ")
        return "the new configuration is in force, but not these settings, which are read at the start only: \(names); "
            + "restart the gateway (freshet restart)"
    }
}
