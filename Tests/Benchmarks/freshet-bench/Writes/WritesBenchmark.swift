// What 100 writes a second to one source do to the streams of the others, end to end with the program itself.

import CLinux
import Foundation
import FreshetTesting
import Synchronization

/// Measures the latency of streams without writes and with them, and prints both beside the bound: 1.5 times the p99 without,
/// and 50 ms.
///
/// `--runs N` (3), `--seconds S` (20), `--subscribers N` (1000), `--documents N` (20), `--writes N` a second (100),
/// `--gateway PATH` of the program. Origin and load client are those of ``BenchTools``; all share this machine's cores.
///
/// - Throws: where a process cannot be run, nothing was counted, an id did not rise, or a write failed.
func runWritesBenchmark(arguments: [String]) throws {
    guard let tools = BenchTools(), let origin = BenchTools.publisher() else {
        return print("writes: skipped: no ssepub.c and sseload.c in \(BenchTools.directory), or no gcc")
    }
    var options = AxwayOptions(arguments)
    if !arguments.contains("--subscribers") { options.subscribers = 1000 }
    if !arguments.contains("--documents") { options.documents = 20 }
    var rate = 100
    if let place = arguments.firstIndex(of: "--writes"), place + 1 < arguments.count {
        rate = Int(arguments[place + 1]) ?? rate
    }
    guard FileManager.default.isExecutableFile(atPath: options.gateway) else {
        return print("writes: skipped: no program at \(options.gateway); make build")
    }
    print(
        "writes: \(options.subscribers) subscribers of \(options.documents) documents of 5 KB that change every 500 ms;",
        "\(rate) writes a second to one more source; medians of \(options.runs) runs"
    )
    Table.row("", "p50 ms", "p99 ms", "max ms", "events/s", "writes/s", "write p50", "write p99")
    var (quiet, written): ([WritesResult], [WritesResult]) = ([], [])
    for _ in 0..<options.runs {
        // By turns, since the machine is not the same all the time.
        quiet.append(try WritesRun(tools: tools, origin: origin, options: options, rate: 0).measure())
        written.append(try WritesRun(tools: tools, origin: origin, options: options, rate: rate).measure())
    }
    let (before, after) = (WritesResult.median(quiet), WritesResult.median(written))
    before.print("without writes")
    after.print("with writes")
    let bound = before.p99 * 1.5 + 50
    print(
        "writes: p99 \(Table.ratio(after.p99)) ms, bound \(Table.ratio(bound)) ms: \(after.p99 <= bound ? "kept" : "BROKEN")"
    )
}

/// What one run found, in milliseconds.
struct WritesResult {
    var p50 = 0.0
    var p99 = 0.0
    var max = 0.0
    var events = 0.0
    var writes = 0.0
    var writeP50 = 0.0
    var writeP99 = 0.0

    static func median(_ results: [WritesResult]) -> WritesResult {
        func median(_ figure: (WritesResult) -> Double) -> Double { results.map(figure).sorted()[results.count / 2] }
        return WritesResult(
            p50: median(\.p50),
            p99: median(\.p99),
            max: median(\.max),
            events: median(\.events),
            writes: median(\.writes),
            writeP50: median(\.writeP50),
            writeP99: median(\.writeP99)
        )
    }

    func print(_ title: String) {
        Table.row(
            title,
            Table.ratio(self.p50),
            Table.ratio(self.p99),
            Table.ratio(self.max),
            "\(Int(self.events))",
            Table.ratio(self.writes),
            Table.ratio(self.writeP50),
            Table.ratio(self.writeP99)
        )
    }
}

/// One run: an origin, an API that is written, the gateway, the load client, and whoever writes.
struct WritesRun {
    var tools: BenchTools
    var origin: String
    var options: AxwayOptions
    var rate: Int

    func measure() throws -> WritesResult {
        let originPort = try FanOutRun.freePort()
        let origin = try ChildProcess(
            self.origin,
            ["origin", "--port", "\(originPort)", "--docs", "\(self.options.documents)", "--size", "5000"]
                + ["--shape", "array", "--rate", "2", "--fields", "11", "--t", "serve"]
        )
        defer { origin.end() }
        let orders = try WrittenOrders()
        let port = try FanOutRun.freePort()
        let file = try self.configuration(port: port, origin: originPort, orders: orders)
        let gateway = try ChildProcess(self.options.gateway, ["serve", "--config", file])
        defer { gateway.end() }
        try self.waitForValue("d\(self.options.documents - 1)", port: port)
        try self.waitForValue("orders", port: port)
        let writers = OrderWriters(port: port, rate: self.rate)
        writers.start()
        let client = try ChildProcess(
            self.tools.load,
            ["--port", "\(port)", "-n", "\(self.options.subscribers)", "--check-ids", "--path", "/v1/streams/d%d"]
                + ["--path-mod", "\(self.options.documents)", "--t", "json", "--warmup", "3"]
                + ["--duration", "\(self.options.seconds)", "--pids", "\(gateway.identifier)"]
        )
        let output = client.text()
        _ = client.wait()
        let written = writers.end()
        let load = try JSONDecoder().decode(AxwayResult.self, from: output)
        guard load.timed > 0, load.ids > 0 else { throw BenchmarkFailure("nothing was counted") }
        guard load.duplicates == 0 else { throw BenchmarkFailure("\(load.duplicates) ids did not rise") }
        guard written.failed == 0 else { throw BenchmarkFailure("\(written.failed) writes failed: \(written.example)") }
        let times = written.milliseconds.sorted()
        return WritesResult(
            p50: load.p50Microseconds / 1000,
            p99: load.p99Microseconds / 1000,
            max: load.maxMicroseconds / 1000,
            events: load.eventsPerSecond,
            writes: Double(times.count) / max(0.001, written.seconds),
            writeP50: times.isEmpty ? 0 : times[times.count / 2],
            writeP99: times.isEmpty ? 0 : times[times.count * 99 / 100]
        )
    }

    private func configuration(port: Int, origin: Int, orders: WrittenOrders) throws -> String {
        let path = "\(self.tools.scratch)/writes-\(getpid()).yaml"
        let sources = (0..<self.options.documents).map {
            "  d\($0): { url: \"http://127.0.0.1:\(origin)/item/\($0)\", interval: 500ms }\n"
        }
        let written = """
              orders:
                url: \(orders.url("/orders"))
                interval: 1s
                key: /id
                write: { item_url: "\(orders.url("/orders/")){key}", methods: [PATCH], conflict: overwrite }

            """
        let text = "listen: 127.0.0.1:\(port)\nsources:\n" + written + sources.joined()
        try text.write(toFile: path, atomically: true, encoding: .utf8)
        return path
    }

    private func waitForValue(_ source: String, port: Int) throws {
        let deadline = clinux_monotonic_ns() + 30_000_000_000
        let url = "http://127.0.0.1:\(port)/v1/values/\(source)"
        while try ChildProcess("/usr/bin/env", ["curl", "-sf", "-o", "/dev/null", url]).wait() != 0 {
            guard clinux_monotonic_ns() < deadline else { throw BenchmarkFailure("the gateway has no values") }
            usleep(200_000)
        }
    }
}

/// An API of a hundred items, each with a strong tag.
final class WrittenOrders: Sendable {
    static let count = 100
    private let upstream: ScriptedUpstream

    func url(_ path: String) -> String { self.upstream.url(path) }

    init() throws {
        let upstream = try ScriptedUpstream()
        self.upstream = upstream
        let versions = Mutex(Array(repeating: 1, count: Self.count))
        @Sendable func item(_ key: Int, _ version: Int) -> String { "{\"id\":\(key),\"n\":\(version)}" }
        upstream.on("*") { request in
            let parts = request.path.split(separator: "/")
            let answer = versions.withLock { versions -> UpstreamResponse in
                guard parts.count == 2, let key = Int(parts[1]), versions.indices.contains(key) else {
                    return .json("[\(versions.enumerated().map { item($0, $1) }.joined(separator: ","))]")
                }
                let isCurrent = request.headers["If-Match"] == "\"\(versions[key])\""
                guard request.method == "GET" || isCurrent else { return .status(412) }
                if request.method != "GET" { versions[key] += 1 }
                return .json(item(key, versions[key]), headers: ["ETag": "\"\(versions[key])\""])
            }
            return [.respond(answer)]
        }
    }
}

/// Clients that write at a rate, each item in its turn.
final class OrderWriters: Sendable {
    struct Report: Sendable {
        var milliseconds: [Double] = []
        var failed = 0
        var example = ""
        var seconds = 0.0
        var isEnding = false
        var begun: Int64 = 0
    }

    /// Connections; a write that takes long must not hold the others back.
    private static let count = 10
    private let port: Int
    private let rate: Int
    private let report = Mutex(Report())

    init(port: Int, rate: Int) {
        (self.port, self.rate) = (port, rate)
    }

    func start() {
        self.report.withLock { $0.begun = clinux_monotonic_ns() }
        guard self.rate > 0 else { return }
        for number in 0..<Self.count { Task.detached { await self.run(number) } }
    }

    func end() -> Report {
        self.report.withLock { report in
            report.isEnding = true
            report.seconds = Double(clinux_monotonic_ns() - report.begun) / 1e9
            return report
        }
    }

    private func run(_ number: Int) async {
        let client = HTTPTestClient(.port(UInt16(clamping: self.port)))
        let pause = Duration.nanoseconds(1_000_000_000 * Self.count / self.rate)
        var next = ContinuousClock.now
        var turn = number
        while !self.report.withLock({ $0.isEnding }) {
            next += pause
            try? await Task.sleep(until: next)
            turn = (turn + Self.count) % WrittenOrders.count
            let start = clinux_monotonic_ns()
            let reply = try? await client.send(
                "PATCH",
                "/v1/items/orders/\(turn)",
                headers: ["Content-Type": "application/merge-patch+json", "Prefer": "return=minimal"],
                body: Array("{\"m\":\(start)}".utf8)
            )
            let taken = Double(clinux_monotonic_ns() - start) / 1e6
            self.report.withLock { report in
                report.milliseconds.append(taken)
                guard reply?.status != 204, !report.isEnding else { return }
                report.failed += 1
                report.example = reply?.text ?? "no answer"
            }
        }
    }
}
