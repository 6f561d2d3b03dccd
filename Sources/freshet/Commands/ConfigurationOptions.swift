// `--config FILE`, and what happens without it. Shared by every verb that reads a configuration.

import ArgumentParser
import Foundation

struct ConfigurationOptions: ParsableArguments {
    @Option(
        name: [.customShort("c"), .customLong("config")],
        help: "The configuration file (default: ./freshet.yaml)."
    )
    var path: String?

    static let defaultPath = "freshet.yaml"

    /// Loads the file.
    ///
    /// - Throws: ``StartFailure`` with every problem, for exit code 1.
    func load() throws(StartFailure) -> LoadedConfiguration {
        let path = self.path ?? Self.defaultPath
        guard self.path != nil || FileManager.default.fileExists(atPath: path) else { throw .noConfiguration }
        do throws(ConfigurationErrors) {
            return try ConfigurationLoader.load(path, environment: { ProcessInfo.processInfo.environment[$0] })
        } catch {
            throw StartFailure(error.description)
        }
    }
}

/// Why the program did not start: what, why and the fix, for a person. Exit code 1.
struct StartFailure: Error, CustomStringConvertible {
    var description: String

    init(_ description: String) {
        self.description = description
    }

    static let noConfiguration = StartFailure(
        """
        There is no freshet.yaml in this directory, and neither --config nor a URL was given.

        Five lines are enough:

            sources:
              rates:
                url: https://api.example.com/rates
                interval: 10s

        Or without any file:

            freshet serve https://api.example.com/rates
            freshet demo
        """
    )
}

extension StartFailure {
    /// Writes the failure to standard error and ends with code 1.
    func exit() throws -> Never {
        Terminal.complain(self.description)
        throw ExitCode(1)
    }
}
