// `freshet log`: the change log's file, looked at and copied.

import ArgumentParser
import Foundation
import FreshetConfiguration
import FreshetCore
import FreshetStorage
import JSON

struct LogCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "log",
        abstract: "Check, back up, export and import the change log.",
        discussion: """
            The log is that of --log, or `log.path` of the configuration. While a gateway has it open, the gateway is asked \
            for a copy, and that is read instead; it takes the gateway's key, as `freshet reload` does.

            Examples:
              freshet log verify
              freshet log backup /backup/changes.db
              freshet log export -o changes.jsonl
              freshet log import changes.jsonl --log /var/lib/freshet/changes.db
            """,
        subcommands: [
            LogVerifyCommand.self, LogBackupCommand.self, LogExportCommand.self, LogImportCommand.self,
        ]
    )
}

/// Which log, and how to get at it.
struct LogPlace: ParsableArguments {
    @OptionGroup var configuration: ConfigurationOptions

    @Option(name: .customLong("log"), help: "The file of the log (default: log.path of the configuration).")
    var file: String?

    @OptionGroup var gateway: GatewayOptions

    /// - Throws: ``StartFailure`` where none is named.
    func path() throws(StartFailure) -> String {
        if let file { return file }
        guard let log = try self.configuration.load().configuration.log else {
            throw StartFailure("The configuration keeps no log on a disk. Name a file: --log PATH")
        }
        return log.path
    }

    /// Reads the log, or a copy of it that the gateway makes where it has the log open; the copy is deleted afterwards.
    func read<Result>(_ body: (StoppedLog) throws -> Result) throws -> Result {
        let path = try self.path()
        let log: StoppedLog
        do throws(StoreError) {
            log = try StoppedLog(path)
        } catch {
            guard error.kind == .locked else { throw error }
            let copy = try self.copyOfGateway(path)
            defer { try? FileManager.default.removeItem(atPath: copy) }
            return try body(try StoppedLog(copy))
        }
        return try body(log)
    }

    /// Asks the gateway for a copy of its log.
    ///
    /// - Returns: Where the copy is.
    func copyOfGateway(_ path: String) throws(StartFailure) -> String {
        let target = self.gateway.target()
        let answer: Document
        do throws(GatewayConnectionError) {
            // As long as the disk takes: without a byte until the copy is there.
            answer = try Administration(target: target, timeout: .seconds(3600)).ask("POST", "/v1/admin/log/backup")
        } catch {
            throw StartFailure("\(path) is open in a gateway, and \(target.address) made no copy: \(error)")
        }
        let expected = URL(filePath: path).standardizedFileURL.path + ".backup"
        guard let copy = answer.root["path"]?.string, URL(filePath: copy).standardizedFileURL.path == expected else {
            throw StartFailure("\(path) is open in another gateway than \(target.address); name that one: --gateway")
        }
        return copy
    }
}

extension LogReport {
    /// What is in it, in one line.
    var summary: String {
        "\(self.sources) source\(self.sources == 1 ? "" : "s"), \(self.changes) change\(self.changes == 1 ? "" : "s") "
            + "up to \(self.cursor), \(self.writeKeys) idempotency key\(self.writeKeys == 1 ? "" : "s"), "
            + "format \(self.format), \(SizeText.describe(self.bytes))"
    }
}

/// Runs a verb of the log; what goes wrong is a line on standard error and exit code 1.
func runLogVerb(_ body: () throws -> Void) throws {
    do {
        try body()
    } catch let error as StoreError {
        try StartFailure(error.message.escapingControls()).exit()
    } catch let error as StartFailure {
        try error.exit()
    } catch let error as CocoaError {
        try StartFailure(error.localizedDescription.escapingControls()).exit()
    }
}

struct LogVerifyCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "verify",
        abstract: "Read the whole log, and print everything that is wrong with it.",
        discussion: """
            Checks the file by SQLite's own means, the checksum of every row, that no change is missing, that every patch \
            applies and that the changes lead to the latest values. Changes nothing. Exit code 0 for a sound log, else 1.

            Examples:
              freshet log verify
              freshet log verify --log /backup/changes.db
            """
    )

    @OptionGroup var place: LogPlace

    func run() async throws {
        try runLogVerb {
            let report = try self.place.read { try $0.verify() }
            for problem in report.problems { Terminal.complain(problem.escapingControls()) }
            if report.problems.count == StoppedLog.maxProblems { Terminal.complain("There may be more.") }
            guard report.problems.isEmpty else { throw ExitCode(1) }
            Terminal.print("\(try self.place.path()): sound; \(report.summary)")
        }
    }
}

struct LogBackupCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "backup",
        abstract: "Copy the log into a file, also while a gateway writes it, and verify the copy.",
        discussion: """
            The copy is one file, of one moment. Put in the place of a log, it begins a new epoch with the values that it \
            has: subscribers get a gap and a snapshot. To keep its history, export it and import that.

            Example:
              freshet log backup /backup/changes-$(date +%F).db
            """
    )

    @OptionGroup var place: LogPlace

    @Argument(help: "Where to put the copy. There must be no such file.")
    var target: String

    func run() async throws {
        try runLogVerb {
            guard !FileManager.default.fileExists(atPath: self.target) else {
                throw StartFailure("\(self.target) exists; name another file")
            }
            let path = try self.place.path()
            do throws(StoreError) {
                _ = try StoppedLog(path).copy(to: self.target)
            } catch {
                guard error.kind == .locked else { throw error }
                try FileManager.default.moveItem(atPath: self.place.copyOfGateway(path), toPath: self.target)
            }
            let report = try StoppedLog(self.target).verify()
            if let problem = report.problems.first {
                throw StartFailure(
                    "\(self.target): copied, and the log is damaged: \(problem); see: freshet log verify"
                )
            }
            Terminal.print("\(self.target): \(report.summary)")
        }
    }
}

struct LogExportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "export",
        abstract: "Write the log as JSON lines.",
        discussion: """
            The first line names the form and the cursor; then come the sources with their latest values, every change in \
            order, and the idempotency keys of writes, with what they were answered; the last line counts the others. A \
            damaged log is exported up to the damage, with exit code 1.

            Examples:
              freshet log export -o changes.jsonl
              freshet log export | gzip > changes.jsonl.gz
            """
    )

    @OptionGroup var place: LogPlace

    @Option(name: .shortAndLong, help: "The file to write; there must be none (default: standard output).")
    var output: String?

    func run() async throws {
        try runLogVerb {
            let file = try self.output.map { try LogLines.create($0) } ?? .standardOutput
            var buffer = Data()
            let report = try self.place.read { log in
                try log.export { line in
                    buffer.append(contentsOf: line)
                    guard buffer.count >= LogLines.blockBytes else { return }
                    try file.write(contentsOf: buffer)
                    buffer.removeAll(keepingCapacity: true)
                }
            }
            try file.write(contentsOf: buffer)
            Terminal.complain("exported: \(report.summary)")
        }
    }
}

struct LogImportCommand: AsyncParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "import",
        abstract: "Make a log of JSON lines that were exported.",
        discussion: """
            The log begins an epoch of its own, with the values, the history and the idempotency keys of the export. There \
            must be no log at its path.

            Examples:
              freshet log import changes.jsonl
              gunzip -c changes.jsonl.gz | freshet log import - --log /var/lib/freshet/changes.db
            """
    )

    @OptionGroup var place: LogPlace

    @Argument(help: "The file to read, or - for standard input.")
    var input: String

    func run() async throws {
        try runLogVerb {
            let path = try self.place.path()
            var lines = LogLines(try LogLines.open(self.input))
            var generator = SystemRandomNumberGenerator()
            let report = try LogImport.read(into: StoreSettings(path: path), using: &generator) { try lines.next() }
            LogLines.giveToOwnerOfFolder(path)
            Terminal.print("\(path): \(report.summary)")
        }
    }
}
