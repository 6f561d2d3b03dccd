import FreshetTesting
import JSON
import Testing

/// Brokers, an upstream whose value `{"n":N}` is another one at each poll, and gateways over both.
final class ClusterFixture: Sendable {
    let brokers: [NATSServer]
    let upstream: ScriptedUpstream
    let folder: TemporaryFolder
    let polls = Watched(0)
    /// Until it is `false` the value changes.
    let changes = Watched(true)
    private let started = Watched<[String: Gateway]>([:])

    /// - Parameter brokers: They run already.
    /// - Throws: What the file system or the sockets say.
    init(_ brokers: [NATSServer]) throws {
        self.brokers = brokers
        self.upstream = try ScriptedUpstream()
        self.folder = try TemporaryFolder()
        let (polls, changes) = (self.polls, self.changes)
        self.upstream.on("/value") { _ in
            let number = polls.update { polls -> Int in
                if changes.value || polls == 0 { polls += 1 }
                return polls
            }
            // A patch is shorter than that.
            let rest = String(repeating: "x", count: 200)
            return [.respond(.json("{\"n\":\(number),\"rest\":\"\(rest)\"}"))]
        }
    }

    /// Starts a gateway. `cluster`: further keys of that section; `rest`: sections after `sources`; `servers`: other addresses
    /// than those of the brokers.
    func start(
        _ node: String,
        _ cluster: String = "",
        rest: String = "",
        servers: [String]? = nil
    ) throws {
        let servers = (servers ?? self.brokers.map(\.url)).map { "\"\($0)\"" }.joined(separator: ", ")
        let gateway = try Gateway(
            """
            cluster: { servers: [\(servers)], node: \(node), replicas: \(self.brokers.count), lease: 1s\(cluster) }
            log: { path: "\(self.folder.path("\(node).db"))" }
            sources:
              value: { url: "\(self.upstream.url("/value"))", interval: 50ms }
            \(rest)
            """
        )
        self.started.update { $0[node] = gateway }
    }

    subscript(_ node: String) -> Gateway {
        get throws { try #require(self.started.value[node]) }
    }

    /// The gateway that all of these name as the owner of the source, or of a webhook, as soon as they agree.
    func owner(
        ofWebhook name: String? = nil,
        by nodes: [String],
        otherThan former: String? = nil
    ) async throws -> String {
        let deadline = ContinuousClock.now + .patience
        while ContinuousClock.now < deadline {
            var named: Set<String?> = []
            for node in nodes {
                if let name {
                    named.insert(try await self[node].webhook(name)["owner"]?.string)
                } else {
                    named.insert(try await self[node].document("/v1/sources/value").root["owner"]?.string)
                }
            }
            if named.count == 1, let owner = named.first ?? nil, owner != former { return owner }
            // Gateways learn of an owner one by one, without an event: they are asked again, within `.patience`.
            try await Task.sleep(for: .milliseconds(5))
        }
        throw TestingError(.timedOut, "the gateways do not agree on the owner")
    }

    /// The lines of the log at a gateway after a cursor, as webhooks get them.
    func lines(_ node: String, after cursor: String, mode: String) async throws -> [String] {
        let client = try await self[node].client
        let reply = try await client.get(
            "/v1/changes/value?since=\(cursor)&mode=\(mode)&limit=1000",
            headers: ["Accept": "application/x-ndjson"]
        )
        return reply.text.split(separator: "\n").map(String.init).filter { $0.hasPrefix(#"{"id""#) }
    }
}
