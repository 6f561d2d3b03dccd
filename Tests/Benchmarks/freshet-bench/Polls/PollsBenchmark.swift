// What a poll costs beside a bare libcurl loop that makes the same requests.

import CLinux
import CPollFloor
import Foundation
import FreshetCore
import FreshetPolling

/// Polls 1,000 and 10,000 documents of a local origin 1,000 times a second in all, by the poller and by a bare loop in
/// turn. Prints a table.
///
/// `--sources 1000,10000`, `--rate POLLS` a second, `--seconds S`. The origin is `ssepub` of FRESHET_BENCH_TOOLS.
///
/// - Throws: where a process cannot be run.
func runPollsBenchmark(arguments: [String]) throws {
    guard let publisher = BenchTools.publisher() else {
        return print("polls: skipped: no ssepub.c in \(BenchTools.directory), or no gcc")
    }
    let options = PollsOptions(arguments)
    print("polls: conditional GETs of unchanged documents, \(Int(options.rate)) a second, one host")
    Table.row("sources", "polls/CPU s", "bare curl", "CPU ratio", "late p99 ms", "RSS B/source", "polls/s")
    for count in options.counts {
        let port = try FanOutRun.freePort()
        let origin = try ChildProcess(
            publisher,
            ["origin", "--port", "\(port)", "--docs", "\(count)", "--size", "1000", "--rate", "0"]
        )
        defer { origin.end() }
        usleep(300_000)
        let url = "http://127.0.0.1:\(port)"
        var answers: Int64 = 0
        let floor = poll_floor_run(url, Int32(count), options.rate, options.seconds, 6, &answers)
        guard floor > 0, answers > 0 else { throw BenchmarkFailure("the bare loop had no answers from \(url)") }
        let ours = try PollsRun(url: url, sources: count, options: options)
        let bare = Double(answers) / Double(floor) * 1e9
        Table.row(
            "\(count)",
            "\(Int(ours.pollsPerCPUSecond))",
            "\(Int(bare))",
            Table.ratio(bare / ours.pollsPerCPUSecond),
            Table.ratio(ours.latenessMilliseconds),
            "\(ours.bytesPerSource)",
            "\(Int(ours.pollsPerSecond))"
        )
    }
}

/// What the benchmark was asked to do.
struct PollsOptions {
    var counts = [1000, 10_000]
    var rate = 1000.0
    var seconds = 10.0

    init(_ arguments: [String]) {
        var arguments = arguments[...]
        while let flag = arguments.popFirst() {
            let value = arguments.popFirst() ?? ""
            switch flag {
            case "--sources": self.counts = value.split(separator: ",").compactMap { Int($0) }
            case "--rate": self.rate = Double(value) ?? self.rate
            case "--seconds": self.seconds = Double(value) ?? self.seconds
            case _: break
            }
        }
    }
}

/// One measurement of the poller, after every source had its first value.
private struct PollsRun {
    let pollsPerCPUSecond: Double
    let pollsPerSecond: Double
    let latenessMilliseconds: Double
    let bytesPerSource: Int

    init(url: String, sources: Int, options: PollsOptions) throws {
        let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 1)))
        let poller = try Poller(hub: hub)
        let before = Self.residentBytes()
        for index in 0..<sources {
            var source = SourceConfiguration(name: "s\(index)", url: "\(url)/item/\(index)")
            source.interval = .fixed(.nanoseconds(Int64(Double(sources) / options.rate * 1e9)))
            let wall = WallTime(milliseconds: clinux_realtime_ns() / 1_000_000)
            let status = SourceStatus(stateSince: wall, interval: source.nominalInterval, intervalReason: "")
            guard let id = hub.addSource(source.name, status: status) else { continue }
            try poller.add(id, source)
        }
        try poller.start()
        defer { poller.stop() }
        let deadline = clinux_monotonic_ns() + 60_000_000_000
        while Self.polls(poller.metrics) < UInt64(2 * sources) {
            guard clinux_monotonic_ns() < deadline else { throw BenchmarkFailure("the sources did not all start") }
            usleep(50_000)
        }
        self.bytesPerSource = (Self.residentBytes() - before) / sources
        let first = poller.metrics
        usleep(UInt32(options.seconds * 1e6))
        let last = poller.metrics
        let polls = Double(Self.polls(last) - Self.polls(first))
        self.pollsPerSecond = polls / options.seconds
        self.pollsPerCPUSecond = polls / Self.seconds(last.threadCPU - first.threadCPU)
        self.latenessMilliseconds = (last.lateness.since(first.lateness).quantile(0.99) ?? 0) * 1000
    }

    private static func polls(_ metrics: PollMetrics) -> UInt64 {
        metrics.polls.values.reduce(0) { $0 + $1.values.reduce(0, +) }
    }

    private static func seconds(_ duration: Duration) -> Double {
        duration.inSeconds
    }

    private static func residentBytes() -> Int {
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        return pages * Int(getpagesize())
    }
}
