// The workload that Axway published for a cluster of six nodes, on this machine, with the program itself end to end:
// 3,000 subscribers of 100 topics, documents of 50 KB polled every 500 ms, a fifth of each renewed every time.

import CLinux
import Foundation

/// Measures from the change at the upstream to the subscriber, with the wait for the next poll and without, and prints
/// a table beside the published figures: 21 ms at the 99th percentile, 5,455 events a second.
///
/// Every subscriber's ids have to rise, and one subscriber of each document has to receive exactly the changes that the
/// gateway's log lists. `--runs N` (3), `--seconds S` (20), `--subscribers N` (3000), `--documents N` (100), `--gateway PATH` of the program
/// (`freshet` beside this one). Origin and load client are those of ``BenchTools``; all share this machine's cores.
///
/// - Throws: where a process cannot be run or says something unexpected, where nothing was counted, and where a change was
///   lost, doubled or out of order.
func runAxwayBenchmark(arguments: [String]) throws {
    guard let tools = BenchTools(), let origin = BenchTools.publisher() else {
        return print("axway: skipped: no ssepub.c and sseload.c in \(BenchTools.directory), or no gcc")
    }
    let options = AxwayOptions(arguments)
    guard FileManager.default.isExecutableFile(atPath: options.gateway) else {
        return print("axway: skipped: no program at \(options.gateway); make build")
    }
    print(
        "axway: \(options.subscribers) subscribers, \(options.documents) documents of 50 KB polled every 500 ms,",
        "a fifth renewed each time; medians of \(options.runs) runs; published: p99 21 ms, 5455 events/s"
    )
    Table.row("latency from", "p50 ms", "p99 ms", "max ms", "events/s", "B/event", "CPU µs/event", "failed", "ids")
    for start in AxwayRun.Start.allCases {
        var results: [AxwayResult] = []
        for _ in 0..<options.runs {
            results.append(try AxwayRun(tools: tools, origin: origin, options: options, start: start).measure())
        }
        func median(_ figure: (AxwayResult) -> Double) -> Double {
            results.map(figure).sorted()[results.count / 2]
        }
        Table.row(
            start.title,
            Table.ratio(median(\.p50Microseconds) / 1000),
            Table.ratio(median(\.p99Microseconds) / 1000),
            Table.ratio(median(\.maxMicroseconds) / 1000),
            "\(Int(median(\.eventsPerSecond)))",
            "\(Int(median { $0.bytes / max(1, $0.events) }))",
            Table.ratio(median(\.microsecondsPerEvent)),
            "\(results.reduce(0) { $0 + $1.failed + options.subscribers - options.documents - $1.connected })",
            "\(results.reduce(0) { $0 + $1.ids })"
        )
    }
}

/// What the benchmark was asked to do.
struct AxwayOptions {
    var runs = 3
    var seconds = 20
    var subscribers = 3000
    var documents = 100
    var gateway = Bundle.main.bundlePath + "/freshet"

    init(_ arguments: [String]) {
        var arguments = arguments[...]
        while let flag = arguments.popFirst() {
            let value = arguments.popFirst() ?? ""
            switch flag {
            case "--runs": self.runs = max(1, Int(value) ?? self.runs)
            case "--seconds": self.seconds = max(1, Int(value) ?? self.seconds)
            case "--subscribers": self.subscribers = max(1, Int(value) ?? self.subscribers)
            case "--documents": self.documents = max(1, Int(value) ?? self.documents)
            case "--gateway": self.gateway = value
            case _: break
            }
        }
    }
}

/// What `sseload` reports, as far as the table needs it.
struct AxwayResult: Decodable {
    var connected: Int
    var failed: Int
    var eventsPerSecond: Double
    var p50Microseconds: Double
    var p99Microseconds: Double
    var maxMicroseconds: Double
    /// The events whose latency could be told.
    var timed: Int
    /// CPU seconds of the gateway per million events, thus microseconds per event.
    var microsecondsPerEvent: Double
    /// All that came, the snapshots at the start among it.
    var bytes: Double
    var events: Double
    /// Events whose id was compared with the one before.
    var ids: Int
    /// Ids that did not rise.
    var duplicates: Int

    enum CodingKeys: String, CodingKey {
        case connected, failed, bytes, events, ids
        case duplicates = "dups"
        case eventsPerSecond = "events_per_s"
        case timed = "lat_n"
        case p50Microseconds = "p50_us"
        case p99Microseconds = "p99_us"
        case maxMicroseconds = "max_us"
        case microsecondsPerEvent = "srv_cpu_s_per_M"
    }
}

/// One run: an origin, the gateway, and the load client.
struct AxwayRun {
    /// What the stamp in a document says.
    enum Start: String, CaseIterable {
        /// The moment at which the upstream began to answer with this version: what the gateway itself takes, and more.
        case response = "serve"
        /// The moment of the change: the wait for the next poll is in it.
        case change

        var title: String {
            switch self {
            case .response: "the upstream's response"
            case .change: "the change at the upstream"
            }
        }
    }

    var tools: BenchTools
    var origin: String
    var options: AxwayOptions
    var start: Start

    func measure() throws -> AxwayResult {
        let originPort = try FanOutRun.freePort()
        // 50,000 bytes are 542 records of 92; 108 are a fifth.
        let origin = try ChildProcess(
            self.origin,
            ["origin", "--port", "\(originPort)", "--docs", "\(self.options.documents)", "--size", "50000"]
                + ["--shape", "array", "--rate", "2", "--fields", "108", "--t", self.start.rawValue]
        )
        defer { origin.end() }
        let port = try FanOutRun.freePort()
        let gateway = try ChildProcess(
            self.options.gateway,
            ["serve", "--config", try self.configuration(port: port, origin: originPort)]
        )
        defer { gateway.end() }
        try self.waitForValues(port: port)
        let witnesses = Witnesses(of: (0..<self.options.documents).map { "d\($0)" }, port: port)
        try witnesses.start()
        defer { witnesses.end() }
        let others = max(1, self.options.subscribers - self.options.documents)
        let client = try ChildProcess(
            self.tools.load,
            ["--port", "\(port)", "-n", "\(others)", "--check-ids", "--path", "/v1/streams/d%d"]
                + ["--path-mod", "\(self.options.documents)", "--t", "json", "--warmup", "3"]
                + ["--duration", "\(self.options.seconds)", "--pids", "\(gateway.identifier)"]
        )
        let output = client.text()
        _ = client.wait()
        let result = try JSONDecoder().decode(AxwayResult.self, from: output)
        // The stamp stands in a member `t`, and a patch may replace that member alone: then it has no `"t":`.
        guard result.timed > 0 else { throw BenchmarkFailure("no event held the origin's stamp") }
        guard result.ids > 0 else { throw BenchmarkFailure("the load client counted no id: nothing was checked") }
        guard result.duplicates == 0 else {
            throw BenchmarkFailure("\(result.duplicates) of \(result.ids) ids did not rise")
        }
        try witnesses.compareWithLog()
        return result
    }

    private func configuration(port: Int, origin: Int) throws -> String {
        let path = "\(self.tools.scratch)/axway-\(getpid()).yaml"
        let sources = (0..<self.options.documents).map {
            "  d\($0): { url: \"http://127.0.0.1:\(origin)/item/\($0)\", interval: 500ms }\n"
        }
        let text = "listen: 127.0.0.1:\(port)\nsources:\n" + sources.joined()
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    /// Waits until the last document is there; all are polled within the first second.
    private func waitForValues(port: Int) throws {
        let deadline = clinux_monotonic_ns() + 30_000_000_000
        let url = "http://127.0.0.1:\(port)/v1/values/d\(self.options.documents - 1)"
        while try ChildProcess("/usr/bin/env", ["curl", "-sf", "-o", "/dev/null", url]).wait() != 0 {
            guard clinux_monotonic_ns() < deadline else { throw BenchmarkFailure("the gateway has no values") }
            usleep(200_000)
        }
    }
}
