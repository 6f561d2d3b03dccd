// What durability costs: the same fan-out with and without the log on disk, and how many changes a second it takes.

import CLinux
import Foundation
import FreshetCore
import FreshetStorage
import JSON

/// Measures the server's CPU per delivered event at 1,000 subscribers and 50 events a second, from memory and over the
/// log in turn; then changes a second that are published, committed and readable. Prints both.
///
/// `--runs N` (5), `--seconds S` (4), `--counts 1000`, `--rate DELIVERIES` (50 a subscriber), `--appends N` (300,000).
/// The log lies in the folder for temporary files; TMPDIR names another disk.
///
/// - Throws: where a process cannot be run, or the disk fails.
func runStorageBenchmark(arguments: [String]) throws {
    let folder = NSTemporaryDirectory() + "freshet-storage-\(getpid())"
    try FileManager.default.createDirectory(atPath: folder, withIntermediateDirectories: true)
    defer { try? FileManager.default.removeItem(atPath: folder) }
    try StorageAppends(count: StorageAppends.count(arguments), path: "\(folder)/appends.db").run()
    guard let tools = BenchTools() else {
        print("storage: fan-out skipped: no ssefloor.c and sseload.c in \(BenchTools.directory), or no gcc")
        return
    }
    var options = FanOutOptions(["--counts", "1000"] + arguments)
    let given = options.rate
    print("storage: server CPU per delivered event of 200 bytes, medians of \(options.runs) runs in turn")
    Table.row("subscribers", "memory µs", "log µs", "ratio", "p99 ms", "log p99", "gaps")
    for count in options.counts {
        options.rate = given > 0 ? given : Double(50 * count)
        var memory: [LoadResult] = []
        var log: [LoadResult] = []
        for number in 0..<options.runs {
            let run = FanOutRun(tools: tools, options: options, subscribers: count)
            memory.append(try run.measureServer())
            log.append(try run.measureServer(log: "\(folder)/fanout-\(count)-\(number).db"))
        }
        let (base, cost) = (memory.median(\.microsecondsPerEvent), log.median(\.microsecondsPerEvent))
        let faults = (memory + log).reduce(0) { $0 + $1.gaps + $1.duplicates + $1.failed }
        Table.row(
            String(count),
            Table.ratio(base),
            Table.ratio(cost),
            Table.ratio(cost / base),
            Table.ratio(memory.median(\.p99Microseconds) / 1000),
            Table.ratio(log.median(\.p99Microseconds) / 1000),
            String(faults)
        )
    }
}

/// Publishes small changes of 100 sources as fast as the log takes them.
struct StorageAppends {
    var count: Int
    var path: String

    private static let sources = 100
    /// Changes that may wait for the disk.
    private static let window = 20_000

    static func count(_ arguments: [String]) -> Int {
        guard let index = arguments.firstIndex(of: "--appends"), index + 1 < arguments.count else { return 300_000 }
        return max(1, Int(arguments[index + 1]) ?? 300_000)
    }

    func run() throws {
        var generator = SystemRandomNumberGenerator()
        let (store, contents) = try SQLiteChangeStore.open(StoreSettings(path: self.path), using: &generator)
        defer { store.close() }
        let hub = Hub(log: ChangeLog(epoch: contents.epoch, cache: ChangeCache(maxBytes: 1 << 20)), store: store)
        let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "")
        let sources = (0..<Self.sources).compactMap { hub.addSource("source-\($0)", status: status) }
        let padding = String(repeating: "x", count: 100)
        let documents = try (0..<1000).map { try Document(parsing: Array(#"{"n":\#($0),"pad":"\#(padding)"}"#.utf8)) }
        let (start, cpu) = (clinux_monotonic_ns(), Self.cpu)
        for number in 0..<self.count {
            // Far below what the queue takes, so that nothing is ever refused.
            if number % 1000 == 0 { self.wait(until: number - Self.window, hub) }
            let change = Change(document: documents[number % 1000], at: WallTime(milliseconds: 0))
            hub.publish(change, of: sources[number % sources.count])
        }
        self.wait(until: self.count, hub)
        let seconds = Double(clinux_monotonic_ns() - start) / 1e9
        guard hub.storeError == nil else { throw BenchmarkFailure("the log failed") }
        let micros = (Self.cpu - cpu) * 1e6 / Double(self.count)
        let commits = store.statistics().commits
        print(
            "storage: \(self.count) changes of 120 bytes published, committed and readable: "
                + "\(Int(Double(self.count) / seconds)) a second, \(Table.ratio(micros)) µs of CPU each, \(commits) commits"
        )
    }

    private func wait(until sequence: Int, _ hub: Hub) {
        while Int(clamping: hub.cursor.sequence) < sequence, hub.storeError == nil {
            usleep(200)
        }
    }

    /// CPU seconds of this process, of user and kernel.
    private static var cpu: Double {
        var usage = rusage()
        getrusage(__rusage_who_t(RUSAGE_SELF.rawValue), &usage)
        let seconds = usage.ru_utime.tv_sec + usage.ru_stime.tv_sec
        return Double(seconds) + Double(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6
    }
}

extension [LoadResult] {
    fileprivate func median(_ figure: KeyPath<LoadResult, Double>) -> Double {
        let sorted = self.map { $0[keyPath: figure] }.sorted()
        return sorted.isEmpty ? 0 : sorted[sorted.count / 2]
    }
}
