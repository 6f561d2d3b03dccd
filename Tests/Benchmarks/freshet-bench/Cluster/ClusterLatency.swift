// How long a change takes from the gateway that polled it to another one, beside a bare publisher and reader of the same broker.

import CLinux
import FreshetCluster
import FreshetCore
import FreshetTesting
import Glibc
import JSON
import NATS
import Synchronization
import System

/// Publishes at a fixed rate, in turn over the log that two gateways share and as bare messages of the same stream's size, and
/// prints the latency from the publisher to the reader at the other connection, with the ratio pair by pair.
///
/// `--rate N` changes a second (10,000), `--seconds S` of each run (2), `--runs N` pairs (9), `--sources N` (100).
/// Needs `nats-server` and libnats.
///
/// - Throws: where a process cannot be run, or something does not arrive.
func runClusterLatencyBenchmark(arguments: [String]) async throws {
    guard NATSConnection.isAvailable, NATSServer.program != nil else {
        return print("cluster-latency: skipped: no nats-server, or no libnats")
    }
    let options = ClusterLatencyOptions(arguments)
    let server = try await NATSServer.started()
    print("cluster-latency: \(options.rate) changes a second of \(options.sources) sources, one broker")
    Table.row("pair", "p50 ms", "bare p50", "ratio", "p99 ms", "bare p99", "ratio")
    var ratios: [(middle: Double, late: Double)] = []
    for pair in 1...options.runs {
        let bare = try BarePair(server, number: pair).run(options)
        let ours = try GatewayPair(server, number: pair, sources: options.sources).run(options)
        let (middle, late) = (ours.quantile(0.5) / bare.quantile(0.5), ours.quantile(0.99) / bare.quantile(0.99))
        ratios.append((middle, late))
        Table.row(
            "\(pair)",
            Table.ratio(ours.quantile(0.5) / 1e6),
            Table.ratio(bare.quantile(0.5) / 1e6),
            Table.ratio(middle),
            Table.ratio(ours.quantile(0.99) / 1e6),
            Table.ratio(bare.quantile(0.99) / 1e6),
            Table.ratio(late)
        )
    }
    let (middle, late) = (ratios.map(\.middle).sorted(), ratios.map(\.late).sorted())
    for (name, ratios) in [("p50", middle), ("p99", late)] {
        let (half, quarter) = (Table.ratio(ratios.quantile(0.5)), Table.ratio(ratios.quantile(0.25)))
        print("ratio of \(name): median \(half), lower quartile \(quarter), of \(options.runs) pairs")
    }
    try await server.kill()
}

/// What the benchmark was asked to do.
private struct ClusterLatencyOptions {
    var rate = 10_000
    var seconds = 2
    var runs = 9
    var sources = 100

    init(_ arguments: [String]) {
        var arguments = arguments[...]
        while let flag = arguments.popFirst() {
            let value = max(1, arguments.popFirst().flatMap { Int($0) } ?? 1)
            switch flag {
            case "--rate": self.rate = value
            case "--seconds": self.seconds = value
            case "--runs": self.runs = value
            case "--sources": self.sources = value
            case _: break
            }
        }
    }

    var count: Int { self.rate * self.seconds }

    /// What is published: another value each time, of the size of a small change.
    static func body(_ number: Int) -> [UInt8] {
        Array("{\"n\":\(number),\"rest\":\"\(String(repeating: "x", count: 200))\"}".utf8)
    }

    /// Calls `publish` at the rate, and waits until as many have arrived.
    func drive(_ arrivals: Arrivals, _ publish: (Int) -> Void) throws -> [Double] {
        let start = clinux_monotonic_ns()
        for number in 0..<self.count {
            let due = start + Int64(number) * 1_000_000_000 / Int64(self.rate)
            // Whoever is late catches up at once, as a poll does.
            let early = due - clinux_monotonic_ns()
            if early > 100_000 { usleep(UInt32(clamping: early / 1000)) }
            publish(number)
        }
        return try arrivals.wait(for: self.count)
    }
}

/// When each message was published and when it arrived, by its sequence in the stream.
private final class Arrivals: Sendable {
    private struct State {
        var published: [UInt64: Int64] = [:]
        var arrived: [UInt64: Int64] = [:]
        var isFailed = false
    }

    private let state = Mutex(State())

    /// `sequence`: `nil` where it was not stored.
    func published(_ sequence: UInt64?, at time: Int64) {
        self.state.withLock { state in
            if let sequence { state.published[sequence] = time } else { state.isFailed = true }
        }
    }

    func arrived(_ sequence: UInt64) {
        let now = clinux_monotonic_ns()
        self.state.withLock { $0.arrived[sequence] = now }
    }

    /// The latencies in nanoseconds, ascending, once there are as many.
    ///
    /// - Throws: where one was not stored, or they do not come.
    func wait(for count: Int) throws -> [Double] {
        var latencies: [Double] = []
        try waitUntil("all have arrived") {
            self.state.withLock { state in
                if state.isFailed { return true }
                guard state.published.count >= count, state.arrived.count >= count else { return false }
                latencies = state.published.compactMap { sequence, time in
                    state.arrived[sequence].map { Double($0 - time) }
                }
                return latencies.count >= count
            }
        }
        guard latencies.count == count else { throw BenchmarkFailure("a change was not stored") }
        return latencies.sorted()
    }
}

/// Waits until something is so.
///
/// - Throws: where it is not, in half a minute.
private func waitUntil(_ what: String, _ isSo: () -> Bool) throws {
    let deadline = clinux_monotonic_ns() + 30_000_000_000
    while !isSo() {
        guard clinux_monotonic_ns() < deadline else { throw BenchmarkFailure("not so: \(what)") }
        usleep(5000)
    }
}

/// Two connections to one stream, and no log.
private final class BarePair {
    private let publisher: NATSStream
    private let reader: NATSStream
    private let prefix: String

    init(_ server: NATSServer, number: Int) throws {
        self.prefix = "bare\(number)"
        let settings = NATSStreamSettings(
            connection: NATSSettings(servers: [server.url]),
            stream: self.prefix,
            prefix: self.prefix
        )
        self.publisher = try NATSStream(settings)
        self.reader = try NATSStream(settings)
    }

    func run(_ options: ClusterLatencyOptions) throws -> [Double] {
        for stream in [self.publisher, self.reader] {
            let isConnected = Atomic<Bool>(false)
            stream.start { if $0 == .connected { isConnected.store(true, ordering: .releasing) } }
            try waitUntil("connected") { isConnected.load(ordering: .acquiring) }
        }
        let arrivals = Arrivals()
        let reading = ReadingBox()
        reading.value.withLock { held in
            held = self.reader.read(
                from: 1,
                window: 4096,
                deliver: { messages in
                    for message in messages { arrivals.arrived(message.sequence) }
                    reading.value.withLock { $0 }?.consumed(messages.count)
                },
                ended: { _ in }
            )
        }
        defer {
            reading.value.withLock { $0 }?.cancel()
            self.publisher.stop()
            self.reader.stop()
        }
        return try options.drive(arrivals) { number in
            let message = StreamMessage(
                subject: "\(self.prefix).s\(number % options.sources)",
                payload: ClusterLatencyOptions.body(number)
            )
            let now = clinux_monotonic_ns()
            self.publisher.publish([message], expecting: nil) { outcome in
                guard case .stored(let sequence, _) = outcome else { return arrivals.published(nil, at: now) }
                arrivals.published(sequence, at: now)
            }
        }
    }
}

private final class ReadingBox: Sendable {
    let value = Mutex<(any StreamReading)?>(nil)
}

/// The logs of two gateways over one stream, each the owner of about half of the sources.
private final class GatewayPair {
    private let nodes: [LatencyNode]
    private let names: [String]

    init(_ server: NATSServer, number: Int, sources: Int) throws {
        let names = (0..<sources).map { "s\($0)" }
        self.names = names
        self.nodes = try ["a", "b"].map { try LatencyNode($0, server, prefix: "fr\(number)", sources: names) }
    }

    /// Each change is published where its source is owned, and has arrived once the other gateway has it.
    func run(_ options: ClusterLatencyOptions) throws -> [Double] {
        for node in self.nodes { node.run(self.names) }
        defer { for node in self.nodes { node.log.stop() } }
        try waitUntil("both own about half of the sources") {
            let owned = self.nodes.map { node in self.names.count { node.log.owns($0) } }
            return owned.reduce(0, +) == self.names.count && owned.allSatisfy { $0 > self.names.count / 4 }
        }
        let owners = self.names.map { name in self.nodes[0].log.owns(name) ? 0 : 1 }
        let arrivals = Arrivals()
        for (number, node) in self.nodes.enumerated() {
            let others = owners.indices.filter { owners[$0] != number }.map { node.sources[$0] }
            node.count(Set(others), into: arrivals)
        }
        return try options.drive(arrivals) { number in
            let source = number % self.names.count
            let owner = self.nodes[owners[source]]
            guard let document = try? Document(parsing: ClusterLatencyOptions.body(number)) else { return }
            let wall = WallTime(milliseconds: clinux_realtime_ns() / 1_000_000)
            let now = clinux_monotonic_ns()
            owner.hub.publish(Change(document: document, at: wall), of: owner.sources[source]) { cursor in
                arrivals.published(cursor?.sequence, at: now)
            }
        }
    }
}

/// One gateway, as far as the log goes.
private final class LatencyNode: HubListener {
    let log: ClusterLog
    let hub: Hub
    let sources: [SourceID]
    private let counted = Mutex<(sources: Set<SourceID>, arrivals: Arrivals?)>(([], nil))

    init(_ name: String, _ server: NATSServer, prefix: String, sources: [String]) throws {
        let connection = NATSSettings(servers: [server.url])
        let settings = NATSStreamSettings(connection: connection, stream: prefix, prefix: prefix)
        var generator = SystemRandomNumberGenerator()
        let cursor = Cursor(epoch: .random(using: &generator), sequence: 0)
        var node = ClusterMachine.Settings(
            node: name,
            incarnation: Incarnation(rawValue: generator.next()),
            lease: .seconds(3)
        )
        node.subjects = ClusterSubjects(prefix: prefix)
        self.log = ClusterLog(node, stream: try NATSStream(settings), store: nil, log: cursor, last: nil)
        let hub = Hub(log: ChangeLog(epoch: cursor.epoch), backend: self.log)
        let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "")
        self.hub = hub
        self.sources = sources.compactMap { hub.addSource($0, identity: "i", status: status) }
        self.hub.attach(self)
    }

    func run(_ names: [String]) {
        self.log.run(sources: Set(names), stored: [], control: ClusterControl())
    }

    func count(_ sources: Set<SourceID>, into arrivals: Arrivals) {
        self.counted.withLock { $0 = (sources, arrivals) }
    }

    func enqueue(_ notice: HubNotice) {
        guard case .published(let event) = notice else { return }
        let arrivals = self.counted.withLock { $0.sources.contains(event.source) ? $0.arrivals : nil }
        arrivals?.arrived(event.sequence)
    }

    func wake() {}
}
