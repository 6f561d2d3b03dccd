// Several gateways as one: what stands between the cluster and the parts of this gateway.

import FreshetCluster
import FreshetConfiguration
import FreshetCore
import FreshetPolling
import FreshetWebhooks
import Logging
import NATS
import ServiceLifecycle
import Synchronization
import System

/// Polls what this gateway owns, tells the others what it reads, and says how the cluster stands. Any thread may call.
final class ClusterDesk: Sendable {
    struct State: Sendable {
        weak var registry: SourceRegistry?
        weak var poller: Poller?
        weak var hub: Hub?
        weak var webhooks: WebhookDesk?
        weak var writer: WriteDesk?
        /// `nil` without `auth`.
        var tickets: ClusterTickets?
        var others = ReadElsewhere()
        /// The number of the last announcement.
        var round: UInt32 = 0
        /// Instances that somebody began to read since it was looked for it.
        var additions: Set<String> = []
        /// `nil` without `push`.
        var push: ClusterPush?
        /// By node: the key that it signs messages of Web Push with, and when it said so.
        var pushKeys: [String: (key: String, at: MonotonicTime)] = [:]
        var lastState: StreamState?
    }

    let log: ClusterLog
    let logger: Logger
    let state = Mutex(State())

    /// How long a shutdown waits until all sources are handed over.
    private static let leaveTime = Duration.seconds(2)

    /// - Throws: ``StartFailure`` where the library of the broker or descriptors are lacking.
    init(
        _ cluster: GatewayConfiguration.Cluster,
        durable: DurableLog?,
        cursor: Cursor,
        logger: Logger
    ) throws(StartFailure) {
        self.logger = logger
        var connection = NATSSettings(servers: cluster.servers, name: "freshet \(cluster.node)")
        connection.credentialsFile = cluster.credentialsFile
        connection.tls = cluster.tls.map {
            NATSSettings.TLS(authorities: $0.authorities, certificate: $0.certificate, key: $0.key)
        }
        var settings = NATSStreamSettings(
            connection: connection,
            stream: cluster.stream,
            prefix: cluster.stream,
            replicas: cluster.replicas,
            maxBytes: cluster.maxBytes
        )
        // What it must keep is written again before it is the oldest.
        settings.removesOldest = true
        // A heartbeat without an answer must not take up the whole lease.
        settings.publishTimeout = cluster.lease * 2 / 3
        let stream: NATSStream
        do throws(SystemError) {
            stream = try NATSStream(settings)
        } catch {
            throw StartFailure("A cluster is impossible: \(error)")
        }
        var generator = SystemRandomNumberGenerator()
        var machine = ClusterMachine.Settings(
            node: cluster.node,
            incarnation: Incarnation(startingAt: .now, using: &generator),
            lease: cluster.lease
        )
        machine.subjects = ClusterSubjects(prefix: cluster.stream)
        machine.maxPayloadBytes = stream.maxPayloadBytes
        self.log = ClusterLog(
            machine,
            stream: stream,
            store: durable?.open,
            log: cursor,
            last: durable.flatMap { Self.lastChange(of: $0) }
        )
    }

    private static func lastChange(of durable: DurableLog) -> StoredChange? {
        guard let store = durable.open else { return nil }
        let names = durable.contents.sources.map(\.name)
        let changes = try? store.changes(of: names, before: .max, limit: 1, maxBytes: 1)
        guard let last = changes?.first, last.sequence == durable.contents.head else { return nil }
        return last
    }

    /// Connects. From here on sources are polled where this gateway owns them.
    func run(
        registry: SourceRegistry,
        poller: Poller,
        hub: Hub,
        webhooks: WebhookDesk,
        configured: [WebhookConfiguration],
        writer: WriteDesk,
        tickets: ClusterTickets?,
        push: ClusterPush?,
        stored: StoreContents?
    ) {
        self.state.withLock { state in
            state.registry = registry
            state.poller = poller
            state.hub = hub
            state.webhooks = webhooks
            state.writer = writer
            state.tickets = tickets
            state.push = push
        }
        self.log.serve(
            calls: { [weak self] source, call, answer in self?.answer(call, of: source, answer) },
            announcements: { [weak self] in self?.take($0) }
        )
        let notes = ClusterNotes(logger: self.logger)
        self.log.run(
            sources: Set(registry.ids.keys),
            units: self.units(configured),
            rules: registry.rules,
            instances: registry.instances.names,
            stored: stored?.sources ?? [],
            prunedThrough: stored?.prunedThrough ?? [:],
            control: ClusterControl(
                own: { [weak registry, weak webhooks] name, record in
                    if let webhook = ClusterUnit.webhook(name) {
                        webhooks?.own(webhook, row: record.learned.isEmpty ? nil : record.learned)
                    } else if name == ClusterUnit.push {
                        push?.own(state: record.learned)
                    } else {
                        registry?.own(name, learned: record.learned)
                    }
                },
                release: { [weak registry, weak webhooks] name, done in
                    if let webhook = ClusterUnit.webhook(name) {
                        if let webhooks { webhooks.release(webhook, done: done) } else { done() }
                    } else if name == ClusterUnit.push {
                        if let push { push.release(done: done) } else { done() }
                    } else {
                        if let registry { registry.release(name, done: done) } else { done() }
                    }
                },
                learn: { [weak writer] in writer?.learn($0, $1) },
                ticket: { tickets?.heard($0) },
                instance: { [weak registry] in registry?.instances.changed($0, $1) },
                subscription: { push?.heard($0, $1, sequence: $2) },
                share: { [weak poller] in poller?.use($0) },
                renumbered: { [weak writer, weak webhooks] in
                    writer?.rewriteKeys()
                    webhooks?.rewriteRows()
                    push?.rewriteRows()
                },
                note: { [notes] note in
                    if case .historyLost = note { push?.historyLost() }
                    notes.log(note)
                },
                state: { [weak self] in self?.stateChanged($0) }
            )
        )
    }

    /// The configuration has other webhooks.
    func update(webhooks: [WebhookConfiguration]) {
        self.log.update(units: self.units(webhooks))
    }

    private func units(_ webhooks: [WebhookConfiguration]) -> Set<String> {
        let pushes = self.state.withLock { $0.push != nil }
        return Set(webhooks.map { ClusterUnit.ofWebhook($0.name) }).union(pushes ? [ClusterUnit.push] : [])
    }

    /// Whether this gateway polls a source.
    func polls(_ name: String) -> Bool { self.log.snapshot.polled.contains(name) }

    /// Hands all sources over, so that the others poll them at once.
    func leave() async {
        let left = Mutex(false)
        let isFirst: @Sendable () -> Bool = {
            left.withLock { left in
                defer { left = true }
                return !left
            }
        }
        await withCheckedContinuation { (continuation: CheckedContinuation<Void, Never>) in
            self.log.leave { if isFirst() { continuation.resume() } }
            Task {
                // A broker that does not answer must not hold up the shutdown.
                try? await Task.sleep(for: Self.leaveTime)
                if isFirst() { continuation.resume() }
            }
        }
    }

    private func stateChanged(_ new: StreamState) {
        let isNew = self.state.withLock { state in
            defer { state.lastState = new }
            return state.lastState != new
        }
        guard isNew else { return }
        switch new {
        case .connected:
            self.logger.notice("connected to the cluster's broker")
            let (tickets, push) = self.state.withLock { ($0.tickets, $0.push) }
            tickets?.tick()
            push?.tick(isFree: nil)
        case .disconnected(let reason):
            self.logger.warning("no connection to the cluster's broker", metadata: ["reason": "\(reason)"])
        case .refused(let failure):
            self.logger.error("the cluster's broker refuses this gateway", metadata: ["reason": "\(failure.message)"])
        case .noStream(let failure):
            self.logger.error("the cluster's stream cannot be used", metadata: ["reason": "\(failure.message)"])
        }
    }

    /// Why this gateway cannot be one of the cluster.
    var failure: StartFailure? { self.state.withLock { $0.push }?.failure }
}

// MARK: - Every second

extension ClusterDesk {
    /// Tells the others what is read here and how the sources of this gateway are, and the hub who owns what.
    func tick() {
        let (hub, poller, tickets, push) = self.state.withLock { state in
            state.additions = []
            return (state.hub, state.poller, state.tickets, state.push)
        }
        guard let hub, let poller else { return }
        let snapshot = self.log.snapshot
        if snapshot.state == .connected {
            tickets?.tick()
            if let push { push.tick(isFree: self.isFree(push.publicKey, snapshot)) }
        }
        let reports = hub.sources()
        var read: [String] = []
        var troubled: [String: SourceState] = [:]
        for report in reports {
            if hub.isReadHere(report.id) { read.append(report.name) }
            if snapshot.polled.contains(report.name), report.status.state != .ok {
                troubled[report.name] = report.status.state
            }
        }
        let known = Set(read)
        read += self.state.withLock { $0.additions.subtracting(known) }
        if snapshot.state == .connected {
            let round = self.state.withLock { state in
                state.round &+= 1
                return state.round
            }
            let announcement = ClusterAnnouncement(
                node: self.log.settings.node,
                read: read,
                troubled: troubled,
                pushKey: push?.publicKey ?? ""
            )
            for part in announcement.parts(round: round) { self.log.announce(part) }
        }
        self.log.read(instances: Set(read.filter { InstanceName.isInstance($0) }))
        let elsewhere = self.state.withLock { $0.others.names(now: .now) }
        let new = hub.note(owners: snapshot.owners, readElsewhere: elsewhere, now: .now)
        for id in new { poller.subscribersChanged(id) }
    }

    /// Whether no other gateway signs messages of Web Push with another key; `nil` while not all have said.
    private func isFree(_ key: String, _ snapshot: ClusterSnapshot) -> Bool? {
        let keys = self.state.withLock { state in
            let now = MonotonicTime.now
            state.pushKeys = state.pushKeys.filter { now - $0.value.at < ReadElsewhere.silence }
            return state.pushKeys.mapValues { $0.key }
        }
        if keys.values.contains(where: { $0 != key && !$0.isEmpty }) { return false }
        let others = snapshot.heard.subtracting([snapshot.node])
        return snapshot.knowsNodes && others.allSatisfy { keys[$0] != nil } ? true : nil
    }

    private func take(_ announcement: ClusterAnnouncement) {
        let (hub, poller, whole) = self.state.withLock { state in
            let whole = state.others.take(announcement, now: .now)
            if announcement.extent != .addition {
                state.pushKeys[announcement.node] = (announcement.pushKey, .now)
            }
            return (state.hub, state.poller, whole)
        }
        guard let hub else { return }
        if announcement.extent == .addition {
            for name in announcement.read { self.noteReader(of: name, hub, poller) }
        }
        guard let announcement = whole else { return }
        let snapshot = self.log.snapshot
        for report in hub.sources() where snapshot.owners[report.name] == announcement.node {
            guard !snapshot.polled.contains(report.name) else { continue }
            let well: SourceState = report.version == nil ? .starting : .ok
            let state = announcement.troubled[report.name] ?? well
            var status = report.status
            let reason = "polled by \(announcement.node)"
            // The owner guessed this key.
            let isNewRule = report.version?.rule != nil && report.version?.rule != status.collection?.rule
            if isNewRule {
                status.collection = report.version?.rule.map { SourceCollection(rule: $0, isGuessed: true) }
            }
            guard state != status.state || status.intervalReason != reason || isNewRule else { continue }
            let transition = state == status.state ? nil : state
            status.state = state
            status.intervalReason = reason
            status.nextPollAt = nil
            if transition != nil { status.stateSince = .now }
            if transition == .failing || transition == .backoff, InstanceName.isInstance(report.name) {
                status.noteFailure(
                    UpstreamError(.internal, "\(announcement.node), which polls it, knows why"),
                    at: .now
                )
            } else if state == .ok {
                status.failuresInARow = 0
            }
            hub.report(status, of: report.id, transition: transition)
        }
    }
}

// MARK: - Requests of other gateways

extension ClusterDesk {
    private func answer(_ call: ClusterCall, of name: String, _ answer: @escaping @Sendable (ClusterReply) -> Void) {
        let (hub, poller, writer, webhooks) = self.state.withLock { ($0.hub, $0.poller, $0.writer, $0.webhooks) }
        if let webhook = ClusterUnit.webhook(name) {
            guard let webhooks, self.log.owns(name) else { return answer(.notOwner) }
            Task { answer(await webhooks.answer(call, of: webhook)) }
            return
        }
        if case .subscription(let call) = call {
            guard let push = self.state.withLock({ $0.push }) else { return answer(.notOwner) }
            Task { answer(await push.answer(call)) }
            return
        }
        guard let hub, let poller, let writer, let id = hub.id(of: name), self.log.owns(name) else {
            return answer(.notOwner)
        }
        Task {
            do throws(UpstreamError) {
                switch call {
                case .poll: answer(.polled(try await poller.poll(id)))
                case .pause:
                    await poller.pause(id)
                    answer(.done)
                case .resume:
                    await poller.resume(id)
                    answer(.done)
                case .hook:
                    poller.hookReceived(id)
                    answer(.done)
                case .push(let body, let contentType):
                    answer(.pushed(try await poller.push(id, body: body, contentType: contentType)))
                case .settle: self.settle(id, hub, poller, answer)
                case .end(let node): answer(self.end(name, id, by: node, hub))
                case .report, .test, .subscription: answer(.failed(.internal, "a source is no webhook"))
                case .write(let call):
                    answer(.wrote(await writer.perform(call.request, for: call.principal)))
                }
            } catch {
                answer(.failed(error.kind, error.message))
            }
        }
    }
}

/// Ticks every second, and hands over at the end.
struct ClusterService: Service {
    let desk: ClusterDesk

    /// - Throws: ``StartFailure`` where this gateway cannot be one of the cluster.
    func run() async throws {
        try await cancelWhenGracefulShutdown {
            while !Task.isCancelled {
                self.desk.tick()
                if let failure = self.desk.failure { throw failure }
                // The period of a tick. Cancellation ends the wait.
                try? await Task.sleep(for: .seconds(1))
            }
        }
    }
}
