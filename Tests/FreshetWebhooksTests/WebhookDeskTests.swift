import CResolverStub
import FreshetCore
import FreshetTesting
import FreshetWebhooks
import JSON
import Synchronization
import System
import Testing

/// The desk without the program: a hub in memory, and endpoints of a scripted upstream.
@Suite("Webhooks: the desk")
struct WebhookDeskTests {
    private static let secret = WebhookConfiguration.Secret.shared(Array(repeating: 7, count: 24))

    private static func hub() -> Hub {
        var generator = SplitMix64(seed: 5)
        return Hub(log: ChangeLog(epoch: .random(using: &generator), cache: ChangeCache(maxBytes: 64 << 20)))
    }

    private static func source(_ name: String, in hub: Hub) throws -> SourceID {
        let start = WallTime(milliseconds: 0)
        let status = SourceStatus(stateSince: start, interval: .seconds(1), intervalReason: "as configured")
        return try #require(hub.addSource(name, status: status))
    }

    private static func publish(_ text: String, of source: SourceID, in hub: Hub) throws {
        let document = try Document(parsing: Array(text.utf8))
        hub.publish(Change(document: document, at: WallTime(milliseconds: 0)), of: source)
    }

    /// Keeps rows in memory, and nothing while it is told not to.
    private final class Rows: WebhookStore {
        let rows = Mutex<[String: [UInt8]]>([:])
        let calls = Mutex(0)

        func keep(
            _ rows: [StoredWebhook],
            forgetting names: [String],
            done: @escaping @Sendable (Result<Void, StoreError>) -> Void
        ) {
            self.rows.withLock { kept in
                for row in rows { kept[row.name] = row.text }
                for name in names { kept[name] = nil }
            }
            self.calls.withLock { $0 += 1 }
            done(.success(()))
        }

        var stored: [StoredWebhook] { self.rows.withLock { $0.map { StoredWebhook(name: $0.key, text: $0.value) } } }
    }

    @Test("it begins at the head of its first start, and where it was at the next")
    func restart() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/in", respond: .status(204))
        let hub = Self.hub()
        let source = try Self.source("a", in: hub)
        try Self.publish("[0]", of: source, in: hub)
        let rows = Rows()
        let webhook = WebhookConfiguration(
            name: "crm",
            url: upstream.url("/in"),
            sources: .all,
            secrets: [Self.secret]
        )
        let first = try WebhookDesk(hub: hub, webhooks: [webhook], store: rows)
        try first.start()
        #expect(rows.stored.map(\.name) == ["crm"], "before anything is published")
        try Self.publish("[1]", of: source, in: hub)
        #expect(await upstream.waitForRequests(count: 1))
        first.stop()
        try Self.publish("[2]", of: source, in: hub)
        let again = try WebhookDesk(hub: hub, webhooks: [webhook], store: rows, restored: rows.stored)
        try again.start()
        // Whether the last answer was noted before the end is a matter of luck: then 1 comes again.
        let last = await upstream.waitForRequest { String(decoding: $0.body, as: UTF8.self).contains("[2]") }
        #expect(last != nil)
        #expect(!upstream.requests.contains { String(decoding: $0.body, as: UTF8.self).contains("[0]") })
        again.update([])
        #expect(await again.reports().isEmpty && rows.stored.isEmpty, "one that is configured no more is forgotten")
        again.stop()
        #expect(await again.pause("crm") == nil && again.metrics.endpoints.isEmpty)
    }

    @Test("shared with others: nothing is sent before it is owned, or after the lease, and the next one goes on")
    func shared() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/in", respond: .status(204))
        let hub = Self.hub()
        let source = try Self.source("a", in: hub)
        let rows = Rows()
        let holds = Watched(true)
        var configuration = WebhookDesk.Configuration()
        configuration.sharing = WebhookDesk.Sharing { _ in holds.value }
        let webhook = WebhookConfiguration(
            name: "crm",
            url: upstream.url("/in"),
            sources: .all,
            secrets: [Self.secret]
        )
        let first = try WebhookDesk(hub: hub, webhooks: [webhook], configuration: configuration, store: rows)
        try first.start()
        try Self.publish("[0]", of: source, in: hub)
        #expect(await first.reports().isEmpty && rows.stored.isEmpty)
        first.own("crm", row: nil)
        #expect(await first.reports().map(\.standing.state) == [.active])
        try Self.publish("[1]", of: source, in: hub)
        #expect(await upstream.waitForRequests(count: 1))

        holds.update { $0 = false }
        try Self.publish("[2]", of: source, in: hub)
        await withCheckedContinuation { continuation in first.release("crm") { continuation.resume() } }
        #expect(await first.reports().isEmpty && upstream.requests.count == 1)
        // A row of this numbering on its own disk does not count: the cluster has forgotten it.
        let row = try #require(rows.stored.first)
        let second = try WebhookDesk(
            hub: hub,
            webhooks: [],
            configuration: configuration,
            store: rows,
            restored: [StoredWebhook(name: "crm", text: Array("older".utf8))]
        )
        try second.start()
        holds.update { $0 = true }
        // Owned before it is configured here.
        second.own("crm", row: row.text)
        #expect(await second.reports().isEmpty)
        second.update([webhook])
        #expect(await upstream.waitForRequests(count: 2))
        let bodies = upstream.requests.map { String(decoding: $0.body, as: UTF8.self) }
        #expect(bodies[0].contains("[1]") && bodies[1].contains("[2]"), "\(bodies)")
        first.stop()
        second.stop()
    }

    @Test("S16: 1,000 times a name resolves to another private address, and none is connected to")
    func rebinding() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("*", respond: .status(204))
        let name = "webhook.stub.test"
        let webhook = WebhookConfiguration(
            name: "crm",
            url: "http://\(name):\(upstream.port)/in",
            sources: .all,
            secrets: [Self.secret],
            denyPrivate: true
        )
        let desk = try WebhookDesk(hub: Self.hub(), webhooks: [webhook])
        try desk.start()
        defer { desk.stop() }
        let answers = [
            "127.0.0.1", "10.0.0.1 127.0.0.1", "::ffff:127.0.0.1", "::1 127.0.0.1", "169.254.169.254", "127.0.0.2",
        ]
        for attempt in 0..<1000 {
            cresolverstub_answer(name, answers[attempt % answers.count], 0)
            let report = try #require(await desk.test("crm"))
            #expect(report.outcome.verdict == .unavailable && report.outcome.error?.hasPrefix("policy") == true)
        }
        #expect(upstream.connectionCount == 0)
    }

    @Test("connections are used again, and a request that a closed one swallowed is sent again at once")
    func connections() async throws {
        let upstream = try ScriptedUpstream()
        let hub = Self.hub()
        let source = try Self.source("a", in: hub)
        let closes = Watched(false)
        let ids = Watched<[String]>([])
        upstream.on("/in") { request in
            ids.update { $0.append(request.headers["webhook-id"] ?? "") }
            // Closed without an answer: as when it was closed at the moment of the request.
            if closes.value, request.numberOnConnection > 1 { return [.close] }
            return [.respond(.status(204))]
        }
        let webhook = WebhookConfiguration(
            name: "crm",
            url: upstream.url("/in"),
            sources: .all,
            secrets: [Self.secret]
        )
        let desk = try WebhookDesk(hub: hub, webhooks: [webhook])
        try desk.start()
        for number in 1...50 {
            try Self.publish("[\(number)]", of: source, in: hub)
            #expect(await upstream.waitForRequests(count: number))
        }
        #expect(upstream.connectionCount < 5, "\(upstream.connectionCount) connections")
        closes.update { $0 = true }
        try Self.publish("[51]", of: source, in: hub)
        // The one before it may have been closed as well.
        let isRepeated = await ids.wait(timeout: .patience) { ids in
            ids.count { $0.hasSuffix("-51") } == 2 ? true : nil
        }
        #expect(isRepeated == true, "\(ids.value)")
        #expect(Set(ids.value).count == 51)
        desk.stop()
    }
}
