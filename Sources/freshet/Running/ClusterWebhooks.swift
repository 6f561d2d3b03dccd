// Webhooks of a cluster: their rows in the stream, and administration at any gateway.

import FreshetCluster
import FreshetCore
import FreshetWebhooks
import Synchronization

/// Keeps the rows of endpoints in their owner records, and a copy in this gateway's log.
final class ClusterWebhookRows: WebhookStore {
    private let log: ClusterLog
    /// `nil` without a log on disk.
    private let disk: (any WebhookStore)?

    init(log: ClusterLog, disk: (any WebhookStore)?) {
        self.log = log
        self.disk = disk
    }

    func keep(
        _ rows: [StoredWebhook],
        forgetting names: [String],
        done: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        // Read only where the cluster has lost its own: what becomes of it holds nothing up.
        self.disk?.keep(rows, forgetting: names, done: { _ in })
        let rest = Countdown(rows.count, done)
        for row in rows {
            self.log.keep(self.fitting(row.text), of: ClusterUnit.ofWebhook(row.name)) { rest.ended(isKept: $0) }
        }
        if rows.isEmpty { done(.success(())) }
    }

    /// A row that no message holds goes without the bodies that make it so long: the next owner sends what its own log says.
    private func fitting(_ text: [UInt8]) -> [UInt8] {
        guard text.count > self.log.maxStateBytes, var row = WebhookRow(text: text) else { return text }
        row.bodies = []
        return row.text
    }
}

/// Calls `done` once all have ended.
private final class Countdown: Sendable {
    private let state: Mutex<(count: Int, isKept: Bool)>
    private let done: @Sendable (Result<Void, StoreError>) -> Void

    init(_ count: Int, _ done: @escaping @Sendable (Result<Void, StoreError>) -> Void) {
        self.state = Mutex((count, true))
        self.done = done
    }

    func ended(isKept: Bool) {
        let (isLast, all) = self.state.withLock { state in
            state.count -= 1
            state.isKept = state.isKept && isKept
            return (state.count == 0, state.isKept)
        }
        guard isLast else { return }
        self.done(all ? .success(()) : .failure(StoreError(.closed, "another gateway sends to the endpoint")))
    }
}

/// Administration of webhooks at any gateway: the one that sends to an endpoint carries it out.
final class RoutedWebhooks: WebhookControl {
    private let desk: WebhookDesk
    private let cluster: ClusterDesk
    private let hub: Hub
    private let configured: @Sendable () -> [WebhookConfiguration]

    /// How long a gateway may take to say how an endpoint stands.
    private static let patience = Duration.seconds(2)
    /// How much longer than the try itself the answer to a test may take.
    private static let margin = Duration.seconds(5)

    init(
        _ desk: WebhookDesk,
        cluster: ClusterDesk,
        hub: Hub,
        configured: @escaping @Sendable () -> [WebhookConfiguration]
    ) {
        self.desk = desk
        self.cluster = cluster
        self.hub = hub
        self.configured = configured
    }

    func reports() async -> [WebhookReport] {
        let own = Dictionary(
            await self.desk.reports().map { ($0.configuration.name, $0) },
            uniquingKeysWith: { first, _ in first }
        )
        let all = self.configured()
        // A gateway that does not answer holds up the list once, and not for each of its endpoints.
        let others: [String: WebhookReport] = await withTaskGroup(of: (String, WebhookReport).self) { group in
            for webhook in all where own[webhook.name] == nil {
                group.addTask { (webhook.name, await self.report(elsewhere: webhook)) }
            }
            return await group.reduce(into: [:]) { $0[$1.0] = $1.1 }
        }
        return all.compactMap { webhook in
            var report = own[webhook.name] ?? others[webhook.name]
            if own[webhook.name] != nil { report?.owner = self.cluster.log.settings.node }
            return report
        }
    }

    /// From its owner, or, where that does not answer, as the stream says.
    private func report(elsewhere webhook: WebhookConfiguration) async -> WebhookReport {
        let owner = self.owner(of: webhook.name)
        if let owner,
            case .success(.webhook(let standing)) = await self.ask(.report, webhook.name, owner, Self.patience)
        {
            return WebhookReport(webhook, standing, owner: owner)
        }
        let state = await withCheckedContinuation { continuation in
            self.cluster.log.state(of: ClusterUnit.ofWebhook(webhook.name)) { continuation.resume(returning: $0) }
        }
        let head = self.hub.cursor
        let row = state.flatMap { WebhookRow(text: $0) }
        let standing =
            row.map { WebhookStanding($0, head: head) } ?? WebhookStanding(state: .active, since: .now, cursor: head)
        return WebhookReport(webhook, standing, owner: owner)
    }

    func pause(_ name: String) async throws(UpstreamError) -> WebhookReport? {
        try await self.standing(name, after: .pause) { await self.desk.pause(name) }
    }

    func resume(_ name: String) async throws(UpstreamError) -> WebhookReport? {
        try await self.standing(name, after: .resume) { await self.desk.resume(name) }
    }

    func test(_ name: String) async throws(UpstreamError) -> WebhookTryReport? {
        guard let webhook = self.configured().first(where: { $0.name == name }) else { return nil }
        if self.isHere(name) { return await self.desk.test(name) }
        switch try await self.answer(.test, name, timeout: webhook.timeout + Self.margin) {
        case .tried(let report): return report
        case .done, .polled, .pushed, .failed, .wrote, .notOwner, .webhook, .settled, .subscription:
            throw UpstreamError(.internal, "an answer to something else")
        }
    }

    private func standing(
        _ name: String,
        after call: ClusterCall,
        here: () async -> WebhookReport?
    ) async throws(UpstreamError) -> WebhookReport? {
        guard let webhook = self.configured().first(where: { $0.name == name }) else { return nil }
        if self.isHere(name) {
            var report = await here()
            report?.owner = self.cluster.log.settings.node
            return report
        }
        switch try await self.answer(call, name, timeout: Self.patience) {
        case .webhook(let standing): return WebhookReport(webhook, standing, owner: self.owner(of: name))
        case .done, .polled, .pushed, .failed, .wrote, .notOwner, .tried, .settled, .subscription:
            throw UpstreamError(.internal, "an answer to something else")
        }
    }

    private func isHere(_ name: String) -> Bool { self.cluster.log.owns(ClusterUnit.ofWebhook(name)) }

    private func owner(of name: String) -> String? { self.cluster.log.snapshot.owners[ClusterUnit.ofWebhook(name)] }

    private func answer(
        _ call: ClusterCall,
        _ name: String,
        timeout: Duration
    ) async throws(UpstreamError) -> ClusterReply {
        guard let owner = self.owner(of: name), owner != self.cluster.log.settings.node else {
            throw UpstreamError(.internal, "No gateway of the cluster has the webhook at the moment; try again.")
        }
        switch await self.ask(call, name, owner, timeout) {
        case .success(.failed(let kind, let message)): throw UpstreamError(kind, message)
        case .success(.notOwner):
            throw UpstreamError(.internal, "\(owner) does not have the webhook any more; try again.")
        case .success(let reply): return reply
        case .failure(let failure):
            throw UpstreamError(.internal, "\(owner), which has the webhook, did not answer: \(failure.message)")
        }
    }

    private func ask(
        _ call: ClusterCall,
        _ name: String,
        _ owner: String,
        _ timeout: Duration
    ) async -> Result<ClusterReply, StreamFailure> {
        await withCheckedContinuation { continuation in
            self.cluster.log.call(call, of: ClusterUnit.ofWebhook(name), at: owner, timeout: timeout) {
                continuation.resume(returning: $0)
            }
        }
    }
}

extension WebhookDesk {
    /// Answers what another gateway asks of an endpoint that this one has.
    func answer(_ call: ClusterCall, of name: String) async -> ClusterReply {
        switch call {
        case .report: return Self.reply(await self.reports().first { $0.configuration.name == name })
        case .pause: return Self.reply(await self.pause(name))
        case .resume: return Self.reply(await self.resume(name))
        case .test: return await self.test(name).map { .tried($0) } ?? .notOwner
        case .poll, .hook, .push, .write, .settle, .end, .subscription:
            return .failed(.internal, "a webhook is neither polled nor written to")
        }
    }

    private static func reply(_ report: WebhookReport?) -> ClusterReply {
        report.map { .webhook($0.standing) } ?? .notOwner
    }
}

extension WebhookDesk.Configuration {
    /// Bytes of the messages of one endpoint that wait in memory: those that the log does not give again are in the row.
    private static let heldBytes = 192 << 10

    /// One gateway at a time sends to an endpoint.
    mutating func share(with log: ClusterLog) {
        self.sharing = WebhookDesk.Sharing { [weak log] name in log?.owns(ClusterUnit.ofWebhook(name)) ?? false }
        // A row is a message of the broker's stream.
        self.rowInterval = .milliseconds(500)
        self.limits.heldBytes = Self.heldBytes
    }
}
