// What one dead host among 500 does to the polls of the others.

import CLinux
import Foundation
import FreshetCore
import FreshetPolling

/// Polls 500 hosts once a second each, then the same with one of them replaced by a host that never answers, in turn.
/// Prints how late polls begin.
///
/// `--seconds S` a run (10); three runs of each. The origin is `ssepub` of FRESHET_BENCH_TOOLS; the hosts are addresses of
/// the loopback network.
///
/// - Throws: where a process cannot be run.
func runDeadHostBenchmark(arguments: [String]) throws {
    guard let publisher = BenchTools.publisher() else {
        return print("dead host: skipped: no ssepub.c in \(BenchTools.directory), or no gcc")
    }
    var options = PollsOptions(arguments)
    options.rate = Double(DeadHostRun.hosts)
    let port = try FanOutRun.freePort()
    let origin = try ChildProcess(
        publisher,
        ["origin", "--port", "\(port)", "--docs", "\(DeadHostRun.hosts)", "--size", "1000", "--rate", "0"]
    )
    defer { origin.end() }
    usleep(300_000)
    print("dead host: how late the polls of \(DeadHostRun.hosts) hosts begin, one poll a second each")
    Table.row("hosts", "late mean ms", "late p99 ms", "polls/s", "failed/s")
    for _ in 0..<DeadHostRun.runs {
        for isOneDead in [false, true] {
            let run = try DeadHostRun(port: port, isOneDead: isOneDead, seconds: options.seconds)
            Table.row(
                isOneDead ? "one of them dead" : "all well",
                Table.ratio(run.meanMilliseconds),
                Table.ratio(run.p99Milliseconds),
                "\(Int(run.pollsPerSecond))",
                Table.ratio(run.failuresPerSecond)
            )
        }
    }
}

/// One measurement, after every source was polled twice.
private struct DeadHostRun {
    static let hosts = 500
    static let runs = 3
    /// Sources on the host that may die: as many as wait for it at once.
    static let sourcesOfDeadHost = 20

    let meanMilliseconds: Double
    let p99Milliseconds: Double
    let pollsPerSecond: Double
    let failuresPerSecond: Double

    init(port: Int, isOneDead: Bool, seconds: Double) throws {
        let hole = try BlackHole()
        let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 1)))
        let poller = try Poller(hub: hub)
        for index in 0..<(Self.hosts - 1 + Self.sourcesOfDeadHost) {
            let host = min(index, Self.hosts - 1)
            let isDead = isOneDead && host == Self.hosts - 1
            let address = isDead ? "127.0.0.1:\(hole.port)" : "127.0.\(1 + host / 250).\(1 + host % 250):\(port)"
            var source = SourceConfiguration(name: "s\(index)", url: "http://\(address)/item/\(host)")
            source.interval = .fixed(.seconds(1))
            source.timeout = .seconds(2)
            let wall = WallTime(milliseconds: clinux_realtime_ns() / 1_000_000)
            let status = SourceStatus(stateSince: wall, interval: .seconds(1), intervalReason: "")
            guard let id = hub.addSource(source.name, status: status) else { continue }
            try poller.add(id, source)
        }
        try poller.start()
        defer { poller.stop() }
        usleep(3_000_000)
        let first = poller.metrics
        usleep(UInt32(seconds * 1e6))
        let last = poller.metrics
        let lateness = last.lateness.since(first.lateness)
        self.meanMilliseconds = lateness.count == 0 ? 0 : lateness.sum / Double(lateness.count) * 1000
        self.p99Milliseconds = (lateness.quantile(0.99) ?? .infinity) * 1000
        self.pollsPerSecond = Double(Self.count(last) { _ in true } - Self.count(first) { _ in true }) / seconds
        self.failuresPerSecond =
            Double(Self.count(last, where: Self.isFailure) - Self.count(first, where: Self.isFailure)) / seconds
    }

    private static func isFailure(_ outcome: PollOutcome) -> Bool {
        if case .failed = outcome { true } else { false }
    }

    private static func count(_ metrics: PollMetrics, where isCounted: (PollOutcome) -> Bool) -> UInt64 {
        metrics.polls.values.reduce(0) { sum, outcomes in
            outcomes.reduce(sum) { isCounted($1.key) ? $0 + $1.value : $0 }
        }
    }
}

/// A port that takes no connection and refuses none: its backlog is full.
private final class BlackHole {
    let port: Int
    private var descriptors: [Int32] = []

    init() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        self.descriptors.append(listener)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        func withAddress(_ body: (UnsafePointer<sockaddr>) -> Int32) -> Int32 {
            withUnsafePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { body($0) }
            }
        }
        guard withAddress({ bind(listener, $0, size) }) == 0, listen(listener, 0) == 0 else {
            self.port = 0
            throw POSIXError(.EADDRNOTAVAIL)
        }
        self.port = Int(clinux_local_port(listener))
        address.sin_port = in_port_t(self.port).bigEndian
        for _ in 0..<4 {
            let client = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
            self.descriptors.append(client)
            _ = clinux_set_nonblocking(client, 1)
            _ = withAddress { connect(client, $0, size) }
        }
    }

    deinit {
        for descriptor in self.descriptors { _ = clinux_close(descriptor) }
    }
}
