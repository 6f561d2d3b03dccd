// `freshet validate`: everything that is wrong with a configuration, at once.

import ArgumentParser

struct ValidateCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "validate",
        abstract: "Check a configuration, and print every problem.",
        discussion: """
            Each problem is one line: FILE:LINE:COLUMN: path: what is wrong; what to do. \
            The exit code is 0 when the configuration can be run (there may be warnings), and 1 when it cannot.

            Examples:
              freshet validate
              freshet validate --config /etc/freshet/freshet.yaml
            """
    )

    @OptionGroup var configuration: ConfigurationOptions

    func run() async throws {
        do throws(StartFailure) {
            let loaded = try self.configuration.load()
            for warning in loaded.warnings {
                Terminal.print(warning.description)
            }
            let count = loaded.configuration.sources.count
            Terminal.print(
                "\(self.configuration.path ?? ConfigurationOptions.defaultPath): fine, \(count) source\(count == 1 ? "" : "s")"
            )
        } catch {
            try error.exit()
        }
    }
}
