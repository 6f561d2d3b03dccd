import FreshetTesting
import JSON
import NATS
import Testing

/// Three gateways over one broker and one upstream: what they ask of it together keeps to the limits of one. Some 25 s.
@Suite(
    "A cluster of gateways and the limits of polling",
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: NATSConnection.isAvailable && NATSServer.program != nil, "skipped: no nats-server, or no libnats")
)
struct ClusterLimitTests {
    private static let nodes = ["a", "b", "c"]
    private static let sources = (0..<9).map { "s\($0)" }
    /// How long the upstream takes for an answer, at least.
    private static let answerTime = Duration.milliseconds(60)

    /// The gateways, and when the upstream was asked.
    private final class Setting: Sendable {
        let broker: NATSServer
        let upstream: ScriptedUpstream
        let begins = Watched<[ContinuousClock.Instant]>([])
        let gateways: [Gateway]

        /// Starts three gateways that poll nine sources of one host, far more often than `polling` allows.
        init(polling: String) async throws {
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
            self.gateways = try ClusterLimitTests.nodes.map { [broker] node in
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

        /// Who owns the sources, once all gateways agree and each owner has its even part; requests that were under way then have
        /// ended.
        func owners(_ count: Int) async throws -> [String: Int] {
            let deadline = ContinuousClock.now + .patience
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
                if views.count == 1, let view = views.first, view.count == ClusterLimitTests.sources.count {
                    let owners = Dictionary(view.values.map { ($0, 1) }, uniquingKeysWith: +)
                    if owners.count == count, (owners.values.max() ?? 0) <= 9 / count + 1 {
                        // The last ones that began before.
                        let asked = self.begins.value.count
                        _ = await self.begins.wait(timeout: .patience) { $0.count > asked + 6 ? true : nil }
                        return owners
                    }
                }
                // Gateways learn of an owner one by one, without an event: they are asked again, within `.patience`.
                try await Task.sleep(for: .milliseconds(20))
            }
            throw TestingError(.timedOut, "the gateways do not agree on \(count) owners")
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
        let setting = try await Setting(polling: "host_concurrency: \(limit)")
        _ = try await setting.owners(owners)
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
        let setting = try await Setting(polling: limit)
        _ = try await setting.owners(3)
        let begins = try await setting.requests(80)
        let time = try #require(begins.last) - begins[0]
        // One more at each gateway, and a burst of ten of the budget, or of some more where its parts are rounded.
        let least = limit.hasPrefix("host_gap") ? 80 - 1 - 3 : 80 - 1 - 15
        #expect(time >= .milliseconds(100) * least * 99 / 100)
    }
}
