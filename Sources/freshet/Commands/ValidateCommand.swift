// `freshet validate`: everything that is wrong with a configuration, at once.

import ArgumentParser
import FreshetConfiguration

struct ValidateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate",
        abstract: "Check a configuration, and print every problem.",
        discussion: """
            Each problem is one line: FILE:LINE:COLUMN: path: what is wrong; what to do. \
            The exit code is 0 when the configuration can be run (there may be warnings), and 1 when it cannot. \
            With --online each source is polled once, and a source that fails makes it 1 too.

            Examples:
              freshet validate
              freshet validate --config /etc/freshet/freshet.yaml --online
            """
    )

    @OptionGroup var configuration: ConfigurationOptions

    @Flag(help: "Poll each source once.")
    var online = false

    func run() async throws {
        do {
            let loaded = try self.configuration.load()
            for warning in loaded.warnings {
                Terminal.print(warning.description)
            }
            let name = self.configuration.path ?? ConfigurationOptions.defaultPath
            let count = loaded.configuration.sources.count
            Terminal.print("\(name): fine, \(count) source\(count == 1 ? "" : "s")")
            if self.online {
                try await self.poll(loaded.configuration)
            }
        } catch let failure as StartFailure {
            try failure.exit()
        }
    }

    private func poll(_ configuration: GatewayConfiguration) async throws {
        let findings = try await OnlineCheck.run(configuration)
        for finding in findings {
            let text = "\(finding.source): \(finding.text)".escapingControls()
            Terminal.print(finding.isFine ? text : Colour.red(text))
        }
        if findings.contains(where: { !$0.isFine }) { throw ExitCode(1) }
    }
}
