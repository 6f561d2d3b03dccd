// What a hundred hostile clients do to the others: the program itself beside a run without them.

import Foundation
import FreshetTesting

/// Runs the program with 1,000 subscribers of 50 sources, then again beside 100 hostile clients from ten addresses, which do
/// everything of ``Attack`` at once, at nice 10: they would be on other machines, and are not to take the gateway's cores. Prints a table, and whether the goal is met: latencies and lateness of the others at
/// most 1.5 times those of the quiet run and 50 ms, memory within `limits.max_memory`, nothing lost, a clean end.
///
/// `--seconds S` a run (60), `--subscribers N` (1000), `--clients N` (100), `--pace MS` between two steps of a client (100),
/// `--memory MIB` (400), `--seed N` (1), `--gateway PATH` of the program (`freshet` beside this one), `--counts-only` to judge
/// nothing that depends on time or memory, `--json` to print the figures as a line of JSON.
///
/// - Returns: The exit code: 0 where the goal is met, 1 where it is not.
/// - Throws: where a process cannot be run.
func runHostileBenchmark(arguments: [String]) throws -> Int32 {
    let options = try HostileOptions(arguments)
    guard FileManager.default.isExecutableFile(atPath: options.gateway) else {
        throw BenchmarkFailure("no program at \(options.gateway): make build")
    }
    let quiet = try HostileRun(options: options).measure(isAttacked: false)
    let attacked = try HostileRun(options: options).measure(isAttacked: true)
    let report = HostileReport(options: options, quiet: quiet, attacked: attacked)
    if options.isJSON {
        print(String(decoding: try report.json(), as: UTF8.self))
    } else {
        report.printTables()
    }
    return report.failures.isEmpty ? 0 : 1
}

/// What the benchmark was asked to do.
struct HostileOptions {
    var seconds = 60
    var subscribers = 1000
    var clients = 100
    var paceMilliseconds = 100
    var memoryMebibytes = 400
    var seed: UInt64 = 1
    var gateway = Bundle.main.bundlePath + "/freshet"
    /// Whether only what is independent of time and memory is judged.
    var countsOnly = false
    var isJSON = false

    /// - Throws: `BenchmarkFailure` for an unknown option or a value that is no number.
    init(_ arguments: [String]) throws {
        var arguments = arguments[...]
        func number(_ flag: String) throws -> Int {
            guard let value = arguments.popFirst().flatMap({ Int($0) }), value > 0 else {
                throw BenchmarkFailure("\(flag) takes a positive number")
            }
            return value
        }
        while let flag = arguments.popFirst() {
            switch flag {
            case "--seconds": self.seconds = min(try number(flag), 4000)
            case "--subscribers": self.subscribers = try number(flag)
            case "--clients": self.clients = try number(flag)
            case "--pace": self.paceMilliseconds = try number(flag)
            case "--memory": self.memoryMebibytes = try number(flag)
            case "--seed": self.seed = UInt64(try number(flag))
            case "--gateway": self.gateway = arguments.popFirst() ?? self.gateway
            case "--counts-only": self.countsOnly = true
            case "--json": self.isJSON = true
            case _: throw BenchmarkFailure("unknown option \(flag)")
            }
        }
    }
}

/// Both runs side by side.
struct HostileReport {
    let options: HostileOptions
    let quiet: HostileFigures
    let attacked: HostileFigures

    private struct Line {
        let name: String
        let value: KeyPath<HostileFigures, Double>
        /// The median is shown, and only the 99th percentile judged.
        let isJudged: Bool

        init(_ name: String, _ value: KeyPath<HostileFigures, Double>, isJudged: Bool = true) {
            (self.name, self.value, self.isJudged) = (name, value, isJudged)
        }
    }

    private static var lines: [Line] {
        [
            Line("delivery p50 ms", \.deliveryP50, isJudged: false), Line("delivery p99 ms", \.deliveryP99),
            Line("resume p99 ms", \.resumeP99), Line("/livez p99 ms", \.livezP99),
            Line("read of the past p99 ms", \.pastP99),
            Line("poll lateness p99 ms", \.pollLatenessP99),
        ]
    }

    /// What a time may be under attack: 1.5 times the quiet one and 50 ms.
    private static func limit(_ quiet: Double) -> Double { quiet * 1.5 + 50 }

    /// What does not meet the goal, in words.
    var failures: [String] {
        var failures =
            self.quiet.faults.map { "without attack: \($0)" } + self.attacked.faults.map { "under attack: \($0)" }
        for attack in Attack.allCases where (self.attacked.attacks[attack.rawValue]?.made ?? 0) == 0 {
            failures.append("\(attack.rawValue) made no request")
        }
        for (name, figures) in [("without", self.quiet), ("under", self.attacked)] where figures.exitCode != 0 {
            failures.append("\(name) attack: exit code \(figures.exitCode) after SIGTERM")
        }
        if self.options.countsOnly { return failures }
        for line in Self.lines where line.isJudged {
            let (before, after) = (self.quiet[keyPath: line.value], self.attacked[keyPath: line.value])
            // Not `after > limit`: an infinite figure was not measured.
            if !(before.isFinite && after <= Self.limit(before)) {
                failures.append("\(line.name): \(Table.text(after)), at most \(Table.text(Self.limit(before)))")
            }
        }
        if self.attacked.peakMebibytes > Double(self.options.memoryMebibytes) {
            failures.append("\(Int(self.attacked.peakMebibytes)) MiB of \(self.options.memoryMebibytes) MiB")
        }
        if self.attacked.unansweredProbes > 0 { failures.append("\(self.attacked.unansweredProbes) probes unanswered") }
        return failures
    }

    func json() throws -> Data {
        struct Document: Codable {
            var quiet: HostileFigures
            var attacked: HostileFigures
            var failures: [String]
        }
        let encoder = JSONEncoder()
        // A figure that was not measured is infinite, which JSON cannot say.
        encoder.nonConformingFloatEncodingStrategy = .convertToString(
            positiveInfinity: "infinite",
            negativeInfinity: "-infinite",
            nan: "none"
        )
        encoder.outputFormatting = .sortedKeys
        return try encoder.encode(Document(quiet: self.quiet, attacked: self.attacked, failures: self.failures))
    }

    func printTables() {
        let options = self.options
        print(
            "hostile: \(options.clients) clients from 10 addresses for \(options.seconds) s,",
            "beside \(options.subscribers) subscribers of 50 sources"
        )
        Table.row("the others", "quiet", "attacked", "ratio", "at most")
        for line in Self.lines {
            let (before, after) = (self.quiet[keyPath: line.value], self.attacked[keyPath: line.value])
            let limit = line.isJudged ? Table.text(Self.limit(before)) : "-"
            Table.row(line.name, Table.text(before), Table.text(after), Table.text(after / before), limit)
        }
        self.row("resident MiB, highest", \.peakMebibytes, "\(options.memoryMebibytes)")
        self.row("CPU s of the gateway", \.gatewayCPUSeconds, "-")
        self.row("wait for a core s, gateway", \.coreWaitSeconds, "-")
        self.row("CPU s of the attacks", \.attackCPUSeconds, "-")
        Table.row("versions served", "\(self.quiet.versions)", "\(self.attacked.versions)", "-", "-")
        Table.row("events checked by id", "\(self.quiet.ids)", "\(self.attacked.ids)", "-", "-")
        Table.row("lost, doubled, ended", "\(self.quiet.faults.count)", "\(self.attacked.faults.count)", "-", "0")
        Table.row("probes unanswered", "\(self.quiet.unansweredProbes)", "\(self.attacked.unansweredProbes)", "-", "0")
        for (reason, count) in self.attacked.ends.sorted(by: { $0.key < $1.key }) {
            Table.row("ended: \(reason)", "\(self.quiet.ends[reason] ?? 0)", "\(count)", "-", "-")
        }
        print()
        Table.row("attack", "requests", "answered", "refused", "cut", "unmade")
        for attack in Attack.allCases {
            let counts = self.attacked.attacks[attack.rawValue] ?? AttackCounts()
            Table.row(
                "\(attack.rawValue) \(attack.title)",
                "\(counts.made)",
                "\(counts.answered)",
                "\(counts.refused)",
                "\(counts.cut)",
                "\(counts.unmade)"
            )
        }
        print()
        print(self.failures.isEmpty ? "the goal is met" : self.failures.map { "missed: \($0)" }.joined(separator: "\n"))
    }

    private func row(_ name: String, _ value: KeyPath<HostileFigures, Double>, _ limit: String) {
        Table.row(name, Table.text(self.quiet[keyPath: value]), Table.text(self.attacked[keyPath: value]), "-", limit)
    }
}
