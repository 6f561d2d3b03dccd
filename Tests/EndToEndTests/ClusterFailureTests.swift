import EventStream
import FreshetTesting
import Glibc
import JSON
import NATS
import Testing

/// What goes wrong between gateways and their broker, through the program: each has a state, a line in the log and a metric of its
/// own. Takes some ten seconds.
@Suite(
    "When a cluster's broker fails",
    .serialized,
    .enabled(if: FreshetProcess.isBuilt, "the program is not built"),
    .enabled(if: NATSConnection.isAvailable && NATSServer.program != nil, "skipped: no nats-server, or no libnats")
)
struct ClusterFailureTests {
    @Test("wrong credentials are told, without the password, and the right ones work")
    func credentials() async throws {
        let broker = try await NATSServer.started(
            configuration: #"authorization { user: "gateway", password: "right" }"#
        )
        let (wrong, right) = (try ClusterFixture([broker]), try ClusterFixture([broker]))
        let webhook = "crm: { url: 'http://127.0.0.1:1/', sources: [value], secret: \(WebhookReceiver.secret) }"
        try wrong.start(
            "a",
            rest: "webhooks: { \(webhook) }",
            servers: ["nats://gateway:topsecret@127.0.0.1:\(broker.port)"]
        )
        let gateway = try wrong["a"]
        try await gateway.waitForCluster { $0.hasPrefix("refused (") && $0.hasSuffix("not polling") }
        #expect(await gateway.process.waitForOutput(containing: "the cluster's broker refuses this gateway"))
        #expect(try await gateway.metric(#"freshet_cluster_broker{state="refused"}"#) == 1)
        #expect(try await gateway.metric("freshet_cluster_connected") == 0)
        let paused = try await gateway.client.post("/v1/admin/webhooks/crm/pause", body: [])
        #expect(paused.status == 503 && paused.text.contains(#""code":"no_owner""#), "\(paused.text)")
        #expect(!gateway.process.errors.contains("topsecret") && wrong.polls.value == 0)
        try right.start("b", servers: ["nats://gateway:right@127.0.0.1:\(broker.port)"])
        try await right["b"].waitForValues(of: ["value"])
        #expect(try await right["b"].metric(#"freshet_cluster_broker{state="connected"}"#) == 1)
    }

    @Test("a broker whose certificate the CA did not sign is refused, and with the right CA it works")
    func certificates() async throws {
        let folder = try TemporaryFolder()
        let authority = try TestCertificate("CA", alternatives: nil)
        let other = try TestCertificate("Other", alternatives: nil)
        let certificate = try TestCertificate("broker", alternatives: "DNS:localhost,IP:127.0.0.1", by: authority)
        let (file, key) = (
            try folder.write(certificate.chain, to: "broker.pem"), try folder.write(certificate.key, to: "broker.key")
        )
        let (right, wrong) = (
            try folder.write(authority.chain, to: "ca.pem"), try folder.write(other.chain, to: "other.pem")
        )
        let broker = try await NATSServer.started(configuration: #"tls { cert_file: "\#(file)", key_file: "\#(key)" }"#)
        let fixture = try ClusterFixture([broker])
        try fixture.start("a", #", tls: { ca_file: "\#(wrong)" }"#)
        let gateway = try fixture["a"]
        try await gateway.waitForCluster { $0.hasPrefix("refused (") }
        #expect(await gateway.process.waitForOutput(containing: "the cluster's broker refuses this gateway"))
        #expect(try await gateway.metric(#"freshet_cluster_broker{state="refused"}"#) == 1)
        try fixture.start("b", #", tls: { ca_file: "\#(right)" }"#)
        try await fixture["b"].waitForValues(of: ["value"])
        try await fixture["b"].waitForCluster { $0.hasPrefix("ok, node b of b, 1 source") }
    }

    @Test("a stream that is deleted is told, and made again: a new epoch, and a gap for every client")
    func deleted() async throws {
        let fixture = try await Self.pair()
        let stream = try await fixture.stream("a", mode: "patch")
        let before = try await stream.next { $0.type == "snapshot" }
        let nats = try await RawConnection(.port(fixture.brokers[0].port))
        try await nats.send("CONNECT {\"verbose\":false}\r\nPUB $JS.API.STREAM.DELETE.freshet 0\r\n\r\nPING\r\n")
        try await nats.receive(until: "PONG")
        for node in ["a", "b"] {
            let process = try fixture[node].process
            #expect(await process.waitForOutput(containing: "the cluster's stream cannot be used"))
        }
        _ = try await stream.next { $0.type == "gap" }
        let epoch = Self.epoch(try await stream.next { $0.type == "snapshot" })
        #expect(epoch != Self.epoch(before))
        for node in ["a", "b"] {
            let gateway = try fixture[node]
            try await gateway.waitForCluster { $0.hasPrefix("ok, ") }
            #expect(try await gateway.metric("freshet_cluster_epochs_total") ?? 0 >= 2)
            #expect(try await gateway.metric(#"freshet_cluster_broker{state="connected"}"#) == 1)
        }
        // Both read on, in one numbering, and who comes back with an id of the old one has a gap.
        try await fixture.waitForNews(["a", "b"])
        for node in ["a", "b"] {
            let resumed = try await fixture.stream(node, after: before.lastEventID)
            _ = try await resumed.next { $0.type == "gap" }
            #expect(Self.epoch(try await resumed.next { $0.type == "snapshot" }) == epoch)
        }
    }

    @Test("a broker that ends and comes back: values are served, streams stay, and nothing is lost")
    func restarted() async throws {
        let fixture = try await Self.pair()
        let stream = try await fixture.stream("a")
        var numbers = [try await fixture.number(stream)]
        numbers.append(try await fixture.number(stream))
        try await fixture.brokers[0].kill()
        for node in ["a", "b"] {
            let gateway = try fixture[node]
            try await gateway.waitForCluster { $0.hasPrefix("disconnected (") && $0.hasSuffix(" not polling") }
            #expect(await gateway.process.waitForOutput(containing: "no connection to the cluster's broker"))
            #expect(await gateway.process.waitForOutput(containing: "the lease has ended"))
            #expect(try await gateway.metric(#"freshet_cluster_broker{state="disconnected"}"#) == 1)
            #expect(try await gateway.metric("freshet_cluster_lease_valid") == 0)
            #expect(try await gateway.client.get("/v1/values/value").status == 200)
        }
        try await fixture.brokers[0].start()
        for node in ["a", "b"] { try await fixture[node].waitForCluster { $0.hasPrefix("ok, ") } }
        let polls = fixture.polls.value
        while let last = numbers.last, last <= polls + 3 { numbers.append(try await fixture.number(stream)) }
        #expect(numbers == Array(Set(numbers)).sorted())
        try await fixture.expectSameLogs(["a", "b"])
        for node in ["a", "b"] {
            #expect(try await fixture[node].metric("freshet_cluster_rewinds_total") == 0)
            #expect(try await fixture[node].metric("freshet_cluster_lapses_total") ?? 0 >= 1)
        }
    }

    @Test("a gateway that is paused for longer than its lease has written nothing when it goes on")
    func paused() async throws {
        let fixture = try await Self.pair()
        let stale = try await fixture.owner(by: ["a", "b"])
        let other = stale == "a" ? "b" : "a"
        let stream = try await fixture.stream(other)
        var numbers = [try await fixture.number(stream)]
        let process = try fixture[stale].process
        process.send(SIGSTOP)
        #expect(try await fixture.owner(by: [other], otherThan: stale) == other)
        try await fixture.waitForNews([other])
        process.send(SIGCONT)
        #expect(await process.waitForOutput(containing: "the lease has ended"))
        try await fixture[stale].waitForCluster { $0.hasPrefix("ok, ") }
        try await fixture.waitForNews([other, stale])
        // It had the source, stopped by its own clock, and what it had in hand is in no log.
        #expect(try await fixture[stale].metric("freshet_cluster_lapses_total") ?? 0 >= 1)
        #expect(try await fixture[stale].metric("freshet_cluster_epochs_total") == 1)
        let polls = fixture.polls.value
        while let last = numbers.last, last <= polls { numbers.append(try await fixture.number(stream)) }
        #expect(numbers == Array(Set(numbers)).sorted())
        try await fixture.expectSameLogs(["a", "b"])
    }

    private static func epoch(_ event: StreamEvent) -> Substring? {
        event.lastEventID.split(separator: "-").first
    }

    /// Gateways `a` and `b`, both with a value.
    private static func pair() async throws -> ClusterFixture {
        let fixture = try ClusterFixture([try await NATSServer.started()])
        for node in ["a", "b"] { try fixture.start(node) }
        for node in ["a", "b"] { try await fixture[node].waitForValues(of: ["value"]) }
        for node in ["a", "b"] { try await fixture[node].waitForCluster { $0.contains("of a, b,") } }
        return fixture
    }
}

extension Gateway {
    /// Waits until the line `cluster:` of `/readyz?verbose` says so.
    func waitForCluster(_ isSo: (String) -> Bool) async throws {
        let end = ContinuousClock.now + .patience
        let client = try await self.client
        while true {
            let text = try await client.get("/readyz?verbose").text
            let line = text.split(separator: "\n").first { $0.contains("cluster: ") }
            let state = line?.split(separator: ": ", maxSplits: 1).last.map(String.init) ?? ""
            if isSo(state) { return }
            guard ContinuousClock.now < end else { throw TestingError(.timedOut, "not so: \(text)") }
            // The program has no event for it: the page is asked again, within `.patience`.
            try await Task.sleep(for: .milliseconds(5))
        }
    }

    /// The value of a sample of `/metrics`.
    func metric(_ name: String) async throws -> Int? {
        let text = try await self.client.get("/metrics").text
        return text.split(separator: "\n").first { $0.hasPrefix("\(name) ") }
            .flatMap { $0.split(separator: " ").last }.flatMap { Int($0) }
    }
}

extension ClusterFixture {
    func stream(
        _ node: String,
        mode: String = "snapshot",
        after id: String? = nil
    ) async throws -> EventStreamClient {
        try EventStreamClient(
            try await self[node].process.endpoint(),
            path: "/v1/streams/value?mode=\(mode)",
            lastEventID: id
        )
    }

    /// The number of the next value of a stream, which may not have had a gap before it.
    func number(_ stream: EventStreamClient) async throws -> Int {
        let event = try await stream.next { $0.type == "snapshot" || $0.type == "gap" }
        #expect(event.type == "snapshot")
        return try #require(try Document(parsing: event.data).root["value"]?["n"]?.int)
    }

    /// Waits until gateways have a value that the upstream gave only after this moment.
    func waitForNews(_ nodes: [String]) async throws {
        let polls = self.polls.value
        for node in nodes {
            try await self[node].waitForValue({ ($0.root["n"]?.int ?? 0) > polls + 2 }, of: "value")
        }
    }

    /// Where all of these have read, they have the same changes.
    func expectSameLogs(_ nodes: [String]) async throws {
        var logs: [[String]] = []
        for node in nodes { logs.append(try await self.lines(node, after: "earliest", mode: "patch")) }
        // The first change of a log is a whole value; one may have begun later, and one be a moment ahead.
        let common = Set(logs[0]).intersection(logs[1])
        #expect(common.count > 5)
        for log in logs {
            let first = try #require(log.firstIndex { common.contains($0) })
            let last = try #require(log.lastIndex { common.contains($0) })
            #expect(log[first...last].allSatisfy { common.contains($0) })
        }
    }
}
