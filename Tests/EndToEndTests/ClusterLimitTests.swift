import Foundation
import FreshetTesting
import JSON
import NATS
import Testing

/// Three gateways over one broker and one upstream: what they ask of it together keeps to the limits of one. Some 50 s.
@Suite(
    "A cluster of gateways and the limits of polling",
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: NATSConnection.isAvailable && NATSServer.program != nil, "skipped: no nats-server, or no libnats")
)
struct ClusterLimitTests {
    private static let nodes = ["a", "b", "c"]
    /// `FRESHET_CLUSTER_SECONDS`: how long requests are counted; the default is 10. In 60 s a source is polled as often as one with
    /// an interval of a minute is in half an hour.
    private static let seconds = Int(ProcessInfo.processInfo.environment["FRESHET_CLUSTER_SECONDS"] ?? "") ?? 10
    private static let sources = (0..<9).map { "s\($0)" }
    /// How long the upstream takes for an answer, at least.
    private static let answerTime = Duration.milliseconds(60)

    /// The gateways, and when the upstream was asked.
    private final class Setting: Sendable {
        let broker: NATSServer
        let upstream: ScriptedUpstream
        let begins = Watched<[ContinuousClock.Instant]>([])
        let gateways: [Gateway]

        /// Starts three gateways that poll nine sources of one host, far more often than `polling` allows; each by its own.
        init(polling: [String]) async throws {
            self.broker = try await NATSServer.started()
            self.upstream = try ScriptedUpstream()
            for source in ClusterLimitTests.sources {
                self.upstream.on("/\(source)") { [begins] _ in
                    begins.update { $0.append(.now) }
                    return [.delay(ClusterLimitTests.answerTime), .respond(.json("1"))]
                }
            }
            let sources = ClusterLimitTests.sources.map { [upstream] name in
                "  \(name): { url: \"\(upstream.url("/\(name)"))\", interval: 50ms }"
            }
            self.gateways = try zip(ClusterLimitTests.nodes, polling).map { [broker] node, polling in
                try Gateway(
                    """
                    cluster: { servers: ["\(broker.url)"], node: \(node), replicas: 1, lease: 1s }
                    polling: { \(polling) }
                    sources:
                    \(sources.joined(separator: "\n"))
                    """
                )
            }
            for gateway in self.gateways { try await gateway.waitForCluster { $0.contains("of a, b, c,") } }
        }

        /// Waits until all gateways name the same owners of all sources, and `isDone` is so of how many each has.
        func settle(_ isDone: ([String: Int]) -> Bool) async throws {
            let deadline = ContinuousClock.now + .patience
            var owners: [String: Int] = [:]
            while ContinuousClock.now < deadline {
                var views: Set<[String: String]> = []
                for gateway in self.gateways {
                    var view: [String: String] = [:]
                    let listed = try await gateway.document("/v1/sources").root["sources"]?.elements
                    for source in try #require(listed) {
                        if let name = source["name"]?.string { view[name] = source["owner"]?.string }
                    }
                    views.insert(view)
                }
                owners = Dictionary((views.first ?? [:]).values.map { ($0, 1) }, uniquingKeysWith: +)
                let isWhole = owners.values.reduce(0, +) == ClusterLimitTests.sources.count
                if views.count == 1, isWhole, isDone(owners) { return }
                // Gateways learn of an owner one by one, without an event: they are asked again, within `.patience`.
                try await Task.sleep(for: .milliseconds(20))
            }
            throw TestingError(.timedOut, "the gateways do not agree: \(owners)")
        }

        /// Waits until so many gateways own an even part each, and requests that were under way before have ended.
        func spread(over count: Int) async throws {
            try await self.settle { $0.count == count && ($0.values.max() ?? 0) <= 9 / count + 1 }
            let asked = self.begins.value.count
            _ = await self.begins.wait(timeout: .patience) { $0.count > asked + 6 ? true : nil }
        }

        /// When the next requests come.
        func requests(_ count: Int) async throws -> [ContinuousClock.Instant] {
            let before = self.begins.value.count
            let all = await self.begins.wait(timeout: .seconds(120)) { $0.count >= before + count ? $0 : nil }
            return Array(try #require(all).dropFirst(before))
        }
    }

    @Test("no more requests are under way than one host may be asked", arguments: [(1, 1), (2, 2), (4, 3)])
    func concurrency(limit: Int, owners: Int) async throws {
        let setting = try await Setting(polling: Array(repeating: "host_concurrency: \(limit)", count: 3))
        try await setting.spread(over: owners)
        let begins = try await setting.requests(100)
        let underWay = begins.indices.map { index in
            // Each of these had no answer yet when this one came.
            begins[...index].filter { begins[index] - $0 < Self.answerTime }.count
        }
        #expect(underWay.max() == limit)
    }

    @Test(
        "no more requests are sent in a time than one gateway would send",
        arguments: ["host_gap: 100ms", "requests_per_hour: 36000"]
    )
    func rate(limit: String) async throws {
        let setting = try await Setting(polling: Array(repeating: limit, count: 3))
        try await setting.spread(over: 3)
        let begins = try await setting.requests(80)
        let time = try #require(begins.last) - begins[0]
        // One more at each gateway, and a burst of ten of the budget, or of some more where its parts are rounded.
        let least = limit.hasPrefix("host_gap") ? 80 - 1 - 3 : 80 - 1 - 15
        #expect(time >= .milliseconds(100) * least * 99 / 100)
    }

    @Test("gateways whose limits differ leave no source to nobody, and hand none back and forth")
    func differing() async throws {
        let limits = ["host_concurrency: 4", "host_concurrency: 4", "host_concurrency: 1"]
        let setting = try await Setting(polling: limits)
        try await setting.settle { _ in true }
        let before = try await Self.metrics("freshet_cluster_handovers_total", of: setting.gateways)
        let asked = try await setting.requests(60)
        let after = try await Self.metrics("freshet_cluster_handovers_total", of: setting.gateways)
        // The two that agree may have spread theirs meanwhile, each source once.
        let handovers = after.reduce(0, +) - before.reduce(0, +)
        #expect(asked.count >= 60 && handovers <= Self.sources.count, "\(handovers)")
    }

    @Test("a thousand sources are asked for as often as by one gateway, a third by each, with a write a second of each")
    func often() async throws {
        let broker = try await NATSServer.started()
        let upstream = try ScriptedUpstream()
        let (count, interval) = (1000, Duration.seconds(2))
        let begins = Watched(0)
        var sources = ""
        for number in 0..<count {
            upstream.on("/\(number)") { _ in
                begins.update { $0 += 1 }
                return [.respond(.json("1"))]
            }
            sources += "  s\(number): { url: \"\(upstream.url("/\(number)"))\", interval: 2s }\n"
        }
        let gateways = try Self.nodes.map { node in
            try Gateway(
                """
                cluster: { servers: ["\(broker.url)"], node: \(node), replicas: 1, lease: 3s }
                sources:
                \(sources)
                """
            )
        }
        for gateway in gateways { try await gateway.waitForCluster { $0.contains("of a, b, c,") } }
        let isSpread: ([Int]) -> Bool = { shares in
            shares.reduce(0, +) == count && shares.allSatisfy { abs($0 * 3 - count) * 100 <= count * 15 }
        }
        // Sources change hands one by one, without an event here: the gateways are asked again, within `.patience`.
        let deadline = ContinuousClock.now + .patience
        var shares = try await Self.metrics("freshet_cluster_sources", of: gateways)
        while !isSpread(shares), ContinuousClock.now < deadline {
            // The period of the look.
            try await Task.sleep(for: .milliseconds(100))
            shares = try await Self.metrics("freshet_cluster_sources", of: gateways)
        }
        #expect(isSpread(shares), "\(shares)")
        // Who takes a source over asks for it at once: those have been asked for by then.
        let asked = begins.value
        _ = await begins.wait(timeout: .patience) { $0 >= asked + 3 * count ? true : nil }

        let (before, start) = (begins.value, ContinuousClock.now)
        let beats = try await Self.metrics("freshet_cluster_heartbeats_total", of: gateways)
        // The time in which requests are counted: what is looked for is that no more of them come.
        try await Task.sleep(for: .seconds(Self.seconds))
        let (polls, time) = (begins.value - before, ContinuousClock.now - start)
        let after = try await Self.metrics("freshet_cluster_heartbeats_total", of: gateways)
        let nominal = Double(count) * (time / interval)
        print("cluster: \(polls) requests of three gateways in \(time); one sends \(nominal)")
        #expect(Double(polls) <= nominal * 1.02 && Double(polls) > nominal / 2, "\(polls) of \(nominal)")
        let end = ContinuousClock.now - start
        for (first, last) in zip(beats, after) {
            let (count, most) = (last - first, end / .seconds(1) + 1)
            #expect(count > 0 && Double(count) <= most, "\(count) heartbeats in \(end)")
        }
    }

    /// A figure of each gateway.
    private static func metrics(_ name: String, of gateways: [Gateway]) async throws -> [Int] {
        var figures: [Int] = []
        for gateway in gateways { figures.append(try #require(try await gateway.metric(name))) }
        return figures
    }
}
