// `--config FILE`, and what happens without it. Shared by every verb that reads a configuration.

import ArgumentParser
import Foundation
import FreshetConfiguration
import System

struct ConfigurationOptions: ParsableArguments {
    @Option(
        name: [.customShort("c"), .customLong("config")],
        help: "The configuration file (default: ./freshet.yaml).",
        completion: .file(extensions: ["yaml", "yml"])
    )
    var path: String?

    static let defaultPath = "freshet.yaml"

    /// Whether there is a configuration to read.
    var exists: Bool { self.path != nil || FileManager.default.fileExists(atPath: Self.defaultPath) }

    /// How often a configuration is read that changes while it is, and the time between.
    private static let maxReads = 10
    private static let readInterval = Duration.milliseconds(50)

    /// Loads the file. One that is being written, or swapped for another, is read again until it stays as it is.
    ///
    /// - Throws: ``StartFailure`` with every problem, for exit code 1.
    func load() throws(StartFailure) -> LoadedConfiguration {
        let path = self.path ?? Self.defaultPath
        guard self.exists else { throw .noConfiguration }
        for _ in 0..<Self.maxReads {
            let stamps = FileStamps()
            let result = Self.load(path, stamps.files)
            if stamps.areCurrent { return try result.get() }
            SystemThread.sleep(Self.readInterval)
        }
        throw StartFailure("\(path): changes while it is read; write it elsewhere and rename it to its place")
    }

    private static func load(_ path: String, _ files: ConfigurationFiles) -> Result<LoadedConfiguration, StartFailure> {
        do throws(ConfigurationErrors) {
            return .success(
                try ConfigurationLoader.load(
                    path,
                    environment: { ProcessInfo.processInfo.environment[$0] },
                    files: files
                )
            )
        } catch {
            return .failure(StartFailure(error.description))
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
