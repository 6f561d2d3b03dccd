// What ten sources with bodies of 8 MiB do to the polls of a thousand small ones.

import CLinux
import Foundation
import FreshetCore
import FreshetPolling
import FreshetTesting

/// Polls 1,000 small sources once a second each: by themselves; beside ten that bring 8 MiB of tables, JSON and XML every
/// four seconds, of which one row in 20 is another; and, once, beside the same, read by the poll thread itself. In turn.
/// Prints how late the polls begin.
///
/// `--seconds S` a run (4), `--runs N` (3): with these it takes three quarters of a minute. The origin is in this process.
///
/// - Throws: where no socket or thread can be had, or the large bodies do not come.
func runLargeBodiesBenchmark(arguments: [String]) throws {
    var seconds = 4.0
    var runs = 3
    var arguments = arguments[...]
    while let flag = arguments.popFirst() {
        let value = arguments.popFirst() ?? ""
        switch flag {
        case "--seconds": seconds = Double(value) ?? seconds
        case "--runs": runs = Int(value) ?? runs
        case _: break
        }
    }
    print("large bodies: how late polls of \(LargeBodiesRun.smallSources) small sources begin, one poll a second each")
    Table.row("beside them", "late mean ms", "late p99 ms", "polls/s", "large/s", "RSS MiB")
    var lateness: [LargeBodiesRun.Beside: [Double]] = [:]
    for number in 0..<max(1, runs) {
        // Read in place they are no goal, but what the readers are for.
        for beside in LargeBodiesRun.Beside.allCases where beside != .inPlace || number == 0 {
            let run = try LargeBodiesRun(beside, seconds: seconds)
            lateness[beside, default: []].append(run.p99Milliseconds)
            Table.row(
                beside.rawValue,
                Table.ratio(run.meanMilliseconds),
                Table.ratio(run.p99Milliseconds),
                "\(Int(run.pollsPerSecond))",
                Table.ratio(run.largePerSecond),
                "\(run.residentBytes >> 20)"
            )
        }
    }
    func median(_ beside: LargeBodiesRun.Beside) -> Double {
        let values = (lateness[beside] ?? []).sorted()
        return values.isEmpty ? 0 : values[values.count / 2]
    }
    let goal = 1.5 * median(.nothing) + 5
    print(
        "medians of p99: \(Table.ratio(median(.nothing))) ms, beside large ones \(Table.ratio(median(.aside))) ms"
            + " (goal: at most \(Table.ratio(goal)), \(median(.aside) <= goal ? "met" : "missed")),"
            + " read by the poll thread \(Table.ratio(median(.inPlace))) ms"
    )
}

/// One measurement, after every source had its first value.
private struct LargeBodiesRun {
    enum Beside: String, CaseIterable {
        case nothing
        case aside = "ten of 8 MiB"
        case inPlace = "ten, in place"
    }

    static let smallSources = 1000
    private static let largeInterval = Duration.seconds(4)
    private static let maxBodyBytes = 64 << 20
    /// Seconds that the first values may take.
    private static let patience = 30.0

    let meanMilliseconds: Double
    let p99Milliseconds: Double
    let pollsPerSecond: Double
    let largePerSecond: Double
    let residentBytes: Int

    init(_ beside: Beside, seconds: Double) throws {
        let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 1)))
        var configuration = PollerConfiguration()
        configuration.maxConcurrentPollsPerHost = 64
        configuration.minSilentAnswers = 0
        if beside == .inPlace { configuration.bodies.largeBytes = .max }
        let poller = try Poller(hub: hub, configuration: configuration)
        let small = try ScriptedUpstream()
        small.on("*", respond: .json(#"{"value":1,"state":"as before"}"#))
        for index in 0..<Self.smallSources {
            try Self.add("small\(index)", small.url("/\(index)"), every: .seconds(1), to: poller, of: hub)
        }
        let large = try LargeOrigins()
        for (index, url) in large.urls.enumerated() where beside != .nothing {
            try Self.add("large\(index)", url, every: Self.largeInterval, to: poller, of: hub)
        }
        try poller.start()
        defer { poller.stop() }
        // The first values are no comparison with a last one.
        let deadline = clinux_monotonic_ns() + Int64(Self.patience * 1e9)
        let sources = Self.smallSources + (beside == .nothing ? 0 : large.urls.count)
        while poller.metrics.polls.values.count(where: { $0[.changed] != nil }) < sources {
            guard clinux_monotonic_ns() < deadline else { throw BenchmarkFailure("the large bodies did not come") }
            usleep(50_000)
        }
        usleep(1_500_000)
        let (first, answers) = (poller.metrics, large.answers)
        usleep(UInt32(seconds * 1e6))
        let (last, later) = (poller.metrics, large.answers)
        let lateness = last.lateness.since(first.lateness)
        self.meanMilliseconds = lateness.count == 0 ? 0 : lateness.sum / Double(lateness.count) * 1000
        self.p99Milliseconds = Self.quantile(0.99, of: lateness) * 1000
        self.pollsPerSecond = Double(lateness.count) / seconds
        self.largePerSecond = Double(later - answers) / seconds
        let text = (try? String(contentsOfFile: "/proc/self/statm", encoding: .utf8)) ?? ""
        let pages = text.split(separator: " ").dropFirst().first.flatMap { Int($0) } ?? 0
        self.residentBytes = pages * Int(getpagesize())
    }

    /// In seconds; within a bucket as if its observations were spread evenly.
    private static func quantile(_ share: Double, of durations: DurationHistogram) -> Double {
        var rest = Double(durations.count) * share
        var lower = 0.0
        for (bound, count) in zip(durations.bounds, durations.counts) {
            guard Double(count) < rest || count == 0 else { return lower + (bound - lower) * rest / Double(count) }
            rest -= Double(count)
            lower = bound
        }
        return .infinity
    }

    private static func add(
        _ name: String,
        _ url: String,
        every interval: Duration,
        to poller: Poller,
        of hub: Hub
    ) throws {
        var source = SourceConfiguration(name: name, url: url)
        source.interval = .fixed(interval)
        // Those of 8 MiB, and the documents that are made of them, have a little more than the default allows.
        source.maxBodyBytes = Self.maxBodyBytes
        let wall = WallTime(milliseconds: clinux_realtime_ns() / 1_000_000)
        let status = SourceStatus(stateSince: wall, interval: interval, intervalReason: "")
        guard let id = hub.addSource(name, status: status) else { return }
        try poller.add(id, source)
    }
}

/// Ten upstreams with two versions each of a body of 8 MiB, one after the other.
private final class LargeOrigins {
    private static let samples: [(type: String, versions: [[UInt8]])] = {
        let types: [SourceConfiguration.Format: String] = [.csv: "text/csv", .xml: "application/xml"]
        return DocumentSample.large.map { sample in
            (types[sample.format] ?? "application/json", [sample.before, sample.after])
        }
    }()

    private let upstreams: [ScriptedUpstream]
    private let count = Watched(0)

    init() throws {
        let samples = Self.samples
        self.upstreams = try (0..<10).map { _ in try ScriptedUpstream() }
        let count = self.count
        for (index, upstream) in self.upstreams.enumerated() {
            let sample = samples[index % samples.count]
            upstream.on("/") { request in
                count.update { $0 += 1 }
                return [
                    .respond(
                        UpstreamResponse(
                            headers: ["Content-Type": sample.type],
                            body: sample.versions[request.number % 2]
                        )
                    )
                ]
            }
        }
    }

    var urls: [String] { self.upstreams.map { $0.url("/") } }

    /// Bodies sent so far.
    var answers: Int { self.count.value }
}
