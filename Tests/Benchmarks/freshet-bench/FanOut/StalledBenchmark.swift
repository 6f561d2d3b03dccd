// What subscribers that do not read cost those that do.

import Foundation

/// Measures the latency of 450 subscribers of an 8 KB value that changes 20 times a second, by themselves and beside 50
/// that stop reading at once and for good. Prints a table.
///
/// `--runs N` (7) pairs of runs, `--seconds S` (10). The C tools are taken from FRESHET_BENCH_TOOLS, by default
/// `../shared/bench`.
///
/// - Throws: where a process cannot be run or says something unexpected.
func runStalledBenchmark(arguments: [String]) throws {
    guard let tools = BenchTools() else {
        print("stalled: skipped: no ssefloor.c and sseload.c in \(BenchTools.directory), or no gcc")
        return
    }
    let comparison = StalledComparison(
        tools: tools,
        options: FanOutOptions(["--runs", "7", "--seconds", "10"] + arguments)
    )
    print("stalled: the others' latency, medians of \(comparison.options.runs) pairs of runs")
    Table.row("subscribers", "p99 ms", "p99 stalled", "ratio", "lowest", "highest", "KB/stalled", "gaps")
    try comparison.run()
}

/// The same load with and without those that do not read.
struct StalledComparison {
    var tools: BenchTools
    var options: FanOutOptions

    private static let healthy = 450
    private static let stalled = 50
    private static let messagesPerSecond = 20.0

    /// - Parameter stalled: How many do not read, besides those that do.
    /// - Returns: What the load client saw, and of latencies only those of the subscribers that read.
    /// - Throws: where a process cannot be run or says something unexpected.
    private func measure(stalled: Int) throws -> LoadResult {
        var options = self.options
        let subscribers = Self.healthy + stalled
        options.size = 8192
        options.rate = Self.messagesPerSecond * Double(subscribers)
        if stalled > 0 {
            options.loadArguments = ["--slow-frac", String(Double(stalled) / Double(subscribers))]
            // Longer than any run: they never read again.
            options.loadArguments += ["--slow-secs", "3600", "--slow-rcvbuf", "4096"]
        }
        return try FanOutRun(tools: self.tools, options: options, subscribers: subscribers).measureServer()
    }

    func run() throws {
        var without: [LoadResult] = []
        var with: [LoadResult] = []
        for number in 0..<self.options.runs {
            if number.isMultiple(of: 2) { without.append(try self.measure(stalled: 0)) }
            with.append(try self.measure(stalled: Self.stalled))
            if !number.isMultiple(of: 2) { without.append(try self.measure(stalled: 0)) }
        }
        let ratios = zip(with, without).map { $0.p99Microseconds / $1.p99Microseconds }.sorted()
        let growth = zip(with, without).map { one, other in
            Double(one.growthKilobytes - other.growthKilobytes) / Double(Self.stalled)
        }
        Table.row(
            String(Self.healthy),
            Table.ratio(without.median(\.p99Microseconds) / 1000),
            Table.ratio(with.median(\.p99Microseconds) / 1000),
            Table.ratio(ratios[ratios.count / 2]),
            Table.ratio(ratios.first ?? 0),
            Table.ratio(ratios.last ?? 0),
            Table.ratio(max(0, growth.sorted()[growth.count / 2])),
            String((with + without).reduce(0) { $0 + $1.gaps + $1.duplicates + $1.failed })
        )
    }
}

extension LoadResult {
    /// While the load ran, in kilobytes of resident memory.
    fileprivate var growthKilobytes: Int { self.finalKilobytes - self.connectedKilobytes }
}
