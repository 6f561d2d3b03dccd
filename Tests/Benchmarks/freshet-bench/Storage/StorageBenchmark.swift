// What durability costs: the same fan-out with and without the log on disk, and how many changes a second it takes.

import CLinux
import Foundation
import FreshetCore
import FreshetStorage
import JSON
import Synchronization

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
    private static let padding = String(repeating: "x", count: 100)
    /// Changes that may wait for the disk.
    private static let window = 9_000

    static func count(_ arguments: [String]) -> Int {
        guard let index = arguments.firstIndex(of: "--appends"), index + 1 < arguments.count else { return 300_000 }
        return max(1, Int(arguments[index + 1]) ?? 300_000)
    }

    func run() throws {
        try self.runStore()
        try self.runHub()
    }

    /// The log alone: from the call that appends to the one that says that it is committed.
    private func runStore() throws {
        var generator = SystemRandomNumberGenerator()
        let (store, _) = try SQLiteChangeStore.open(StoreSettings(path: self.path + "-store"), using: &generator)
        defer { store.close() }
        let bodies = (0..<1000).map { Array(#"{"n":\#($0),"pad":"\#(Self.padding)"}"#.utf8) }
        let patches = (0..<1000).map { Array(#"[{"op":"replace","path":"/n","value":\#($0)}]"#.utf8) }
        let merges = (0..<1000).map { Array(#"{"n":\#($0)}"#.utf8) }
        let committed = Atomic(0)
        let failed = Atomic(false)
        let meter = Meter()
        for number in 0..<self.count {
            while number - committed.load(ordering: .acquiring) > Self.window, !failed.load(ordering: .relaxed) {
                // A look is cheap, and a wake-up for every commit would be measured too.
                usleep(200)
            }
            let name = "source-\(number % Self.sources)"
            let change = StoredChange(
                sequence: UInt64(number + 1),
                source: name,
                at: WallTime(milliseconds: 0),
                patch: patches[number % 1000],
                merge: merges[number % 1000],
                items: nil,
                value: bodies[number % 1000]
            )
            let snapshot = StoredSource(
                name: name,
                identity: "",
                sequence: change.sequence,
                at: change.at,
                value: bodies[number % 1000],
                validators: Validators()
            )
            store.append(change, snapshot: snapshot) { result in
                if case .failure = result { failed.store(true, ordering: .relaxed) }
                committed.add(1, ordering: .releasing)
            }
        }
        while committed.load(ordering: .acquiring) < self.count { usleep(200) }
        guard !failed.load(ordering: .relaxed) else { throw BenchmarkFailure("the log failed") }
        let commits = store.statistics().commits
        print("storage: \(self.count) changes appended and committed: \(meter.text(self.count)), \(commits) commits")
    }

    /// The way of a change from the hub on: numbered, committed and readable.
    private func runHub() throws {
        var generator = SystemRandomNumberGenerator()
        let (store, contents) = try SQLiteChangeStore.open(StoreSettings(path: self.path), using: &generator)
        defer { store.close() }
        let hub = Hub(log: ChangeLog(epoch: contents.epoch, cache: ChangeCache(maxBytes: 1 << 20)), store: store)
        let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "")
        let sources = (0..<Self.sources).compactMap { hub.addSource("source-\($0)", status: status) }
        let documents = try (0..<1000).map {
            try Document(parsing: Array(#"{"n":\#($0),"pad":"\#(Self.padding)"}"#.utf8))
        }
        let meter = Meter()
        for number in 0..<self.count {
            // Below the 10,000 that may wait for the disk, so that nothing is ever refused.
            if number % 500 == 0 { self.wait(until: number - Self.window, hub) }
            let change = Change(document: documents[number % 1000], at: WallTime(milliseconds: 0))
            hub.publish(change, of: sources[number % sources.count])
        }
        self.wait(until: self.count, hub)
        if let error = hub.storeError { throw BenchmarkFailure("the log failed: \(error.message)") }
        let commits = store.statistics().commits
        print("storage: \(self.count) changes published and readable: \(meter.text(self.count)), \(commits) commits")
    }

    /// Looks now and then: a listener would cost what is to be measured.
    private func wait(until sequence: Int, _ hub: Hub) {
        while Int(clamping: hub.cursor.sequence) < sequence, hub.storeError == nil {
            usleep(200)
        }
    }
}

/// Time and CPU since its beginning.
private struct Meter {
    private let start = clinux_monotonic_ns()
    private let cpu = ProcessorTime.seconds

    func text(_ count: Int) -> String {
        let seconds = Double(clinux_monotonic_ns() - self.start) / 1e9
        let micros = (ProcessorTime.seconds - self.cpu) * 1e6 / Double(count)
        return "\(Int(Double(count) / seconds)) a second, \(Table.ratio(micros)) µs of CPU each"
    }
}
