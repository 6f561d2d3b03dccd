// `--log-format` and `--log-level`. Logs go to standard error.

import ArgumentParser
import FreshetCore
import Logging

struct LogOptions: ParsableArguments {
    @Option(help: "How log lines are written.")
    var logFormat = LogFormat.text

    @Option(help: "The minimum level that is logged: trace, debug, info, notice, warning, error or critical.")
    var logLevel: LogLevel?

    /// A logger at the level that was asked for, or else at `defaultLevel`.
    func logger(default defaultLevel: Logger.Level, to sink: LogSink) -> Logger {
        let level = self.logLevel?.level ?? defaultLevel
        let format = self.logFormat
        return Logger(label: "freshet") { label in
            LineLogHandler(label: label, format: format, sink: sink, clock: { WallTime.now }, logLevel: level)
        }
    }
}

/// A level as an argument.
struct LogLevel: ExpressibleByArgument {
    var level: Logger.Level

    init?(argument: String) {
        guard let level = Logger.Level(rawValue: argument.lowercased()) else { return nil }
        self.level = level
    }

    static var allValueStrings: [String] { Logger.Level.allCases.map(\.rawValue) }
}
