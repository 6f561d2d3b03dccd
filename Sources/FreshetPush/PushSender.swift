// Web Push (CONTRACT §12): subscriptions by API, and a message for each change that one of them follows.

package import FreshetCore
import FreshetUpstream
import Synchronization
import WebPush

/// What happened that an operator may want to know. Names no endpoint.
package enum PushNotice: Sendable {
    /// So many subscriptions were made with another key of the application server.
    case otherKey(Int)
    /// So many rows of the store could not be read.
    case damaged(Int)
    /// A subscription has ended, and why.
    case ended(PushID, host: String, PushEnd)
    /// Nothing more is sent to a subscription until it is renewed.
    case refused(PushID, host: String, String)
}

/// Figures for metrics.
package struct PushMetrics: Sendable {
    package var subscriptions = 0
    package var withOtherKey = 0
    package var waiting = 0
    package var waitingBytes = 0
    package var underWay = 0
    package var counts: PushBook.Counts

    package init(counts: PushBook.Counts) {
        self.counts = counts
    }
}

/// Takes subscriptions and sends their messages. Any thread may call; what it decides is in a ``PushBook``.
///
/// ``run()`` reads the log after each change, once for all who follow the same part of it, and hands the messages of the book
/// to libcurl on a thread of its own, so that no push service delays a poll. Before each message the owner's right to read is
/// looked at again.
package final class PushSender: PushDesk, HubListener {
    package struct Configuration: Sendable {
        package var key: PushKey
        /// `mailto:` or `https:`, for the operators of push services.
        package var subject: String
        /// Prefixes below which endpoints may be private or plain http. The default is none.
        package var allow: [PushPrefix] = []
        /// How long a subscription lasts. The default is 30 days.
        package var maxAge = Defaults.Push.maxAge
        package var limits = PushBook.Limits()
        /// The value of `User-Agent`.
        package var userAgent = "freshet"
        /// What a subscription may go on for at most after its owner's right has ended. The default is 15 s.
        package var heartbeat = Defaults.heartbeat
        /// How often it is written how far the subscriptions are. The default is 5 s.
        package var storeInterval = Duration.seconds(5)
        /// For a sender that is one of several; `nil` for one that is alone.
        package var sharing: Sharing?

        package init(key: PushKey, subject: String) {
            self.key = key
            self.subject = subject
        }
    }

    /// What a sender of a cluster asks of it.
    package struct Sharing: Sendable {
        /// Whether this gateway may send at this moment.
        package var maySend: @Sendable () -> Bool
        /// Keeps how far the subscriptions are for the next gateway that sends; whether it will find that.
        package var keep: @Sendable (PushProgress) async -> Bool

        package init(
            maySend: @escaping @Sendable () -> Bool,
            keep: @escaping @Sendable (PushProgress) async -> Bool
        ) {
            self.maySend = maySend
            self.keep = keep
        }
    }

    /// Who the owners of subscriptions are by now.
    package struct Owners: Sendable {
        /// What an owner may do now; `nil` where its right has ended.
        package var standing: @Sendable (Principal) -> Principal?
        /// Rises whenever a standing may have changed.
        package var revision: @Sendable () -> UInt64

        package init(
            standing: @escaping @Sendable (Principal) -> Principal?,
            revision: @escaping @Sendable () -> UInt64
        ) {
            self.standing = standing
            self.revision = revision
        }
    }

    struct State: Sendable {
        var book: PushBook
        /// Everything up to here was read for all subscriptions; `nil` until then.
        var readThrough: Cursor?
        /// The mark that is on the disk.
        var stored: Cursor?
        /// What the cluster has.
        var shared: PushProgress?
        /// The numbering of the log whose file has a row of every subscription.
        var storedEpoch: Epoch
        /// Keep the instances that subscriptions name.
        var holds: [PushID: [SourceHold]] = [:]
        /// Authorizations by audience, each with its end.
        var authorizations: [String: (text: String, end: Int64)] = [:]
    }

    let hub: Hub
    let configuration: Configuration
    let owners: Owners
    let store: (any PushStore)?
    let client: UpstreamClient
    let note: @Sendable (PushNotice) -> Void
    let state: Mutex<State>
    /// Sources that changed since they were read, each once. Apart from ``state``, since the hub adds to it under its own
    /// lock, which is taken under that of the state.
    let changed = Mutex<Set<SourceID>>([])
    let reading = Bell()
    let sending = Bell()

    /// `store` keeps subscriptions over a restart, and holds `restored`; `nil` keeps them in memory. `progress`: where the sender
    /// of another gateway was.
    ///
    /// - Throws: ``UpstreamError`` of kind `internal` where there is no thread for the sends.
    package init(
        hub: Hub,
        configuration: Configuration,
        owners: Owners,
        store: (any PushStore)? = nil,
        restored: [PushRow] = [],
        progress: PushProgress? = nil,
        note: @escaping @Sendable (PushNotice) -> Void = { _ in }
    ) throws(UpstreamError) {
        var transport = CurlTransport.Configuration()
        transport.userAgent = configuration.userAgent
        transport.maxConnectionsPerHost = Defaults.Push.maxSendsPerHost
        // An answer that is taken for another changes no value here.
        transport.minSilentAnswers = 0
        self.client = try UpstreamClient(
            configuration: transport,
            maxUnderWay: Defaults.Push.maxSends + Defaults.Push.maxUnprovenSends
        )
        self.hub = hub
        self.configuration = configuration
        self.owners = owners
        self.store = store
        self.note = note
        var found = RestoredPush(restored, now: .now)
        if let progress { found.resume(from: progress) }
        let book = PushBook(limits: configuration.limits, restoring: found)
        self.state = Mutex(State(book: book, storedEpoch: hub.cursor.epoch))
        let others = book.count(withOtherKeyThan: configuration.key.publicText)
        if others > 0 { note(.otherKey(others)) }
        if found.damaged > 0 { note(.damaged(found.damaged)) }
        if !found.stale.isEmpty { store?.forget(found.stale) }
    }

    package var metrics: PushMetrics {
        self.state.withLock { state in
            var metrics = PushMetrics(counts: state.book.counts)
            metrics.subscriptions = state.book.count
            metrics.withOtherKey = state.book.count(withOtherKeyThan: self.publicKey)
            metrics.waiting = state.book.waitingCount
            metrics.waitingBytes = state.book.waitingBytes
            metrics.underWay = state.book.sendsUnderWay
            return metrics
        }
    }

    /// Gives all subscriptions to a store that has begun anew.
    package func rewriteRows() {
        guard let store = self.store else { return }
        let rows = self.state.withLock { $0.book.allRows }
        if !rows.isEmpty { store.keep(rows) { _ in } }
    }

    /// Gives some subscriptions to the store once more, those of them that have not ended.
    package func rewrite(_ ids: [PushID]) {
        guard let store = self.store else { return }
        // Under the lock: what ends is told to the store after that.
        self.state.withLock { state in
            let rows = ids.compactMap { state.book.subscription($0)?.row() }
            if !rows.isEmpty { store.keep(rows) { _ in } }
        }
    }

    // MARK: PushDesk

    package var publicKey: String { self.configuration.key.publicText }

    package func subscribe(
        _ request: PushRequest,
        for caller: Principal,
        from network: ReadClient?
    ) async -> Result<PushReport, PushRefusal> {
        do throws(PushRefusal) {
            let subscription = try Self.subscription(
                request,
                for: caller,
                self.configuration,
                since: self.hub.cursor
            )
            return await self.subscribe(subscription, from: network, holds: request.holds)
        } catch {
            return .failure(error)
        }
    }

    /// The same, of a request that was looked at already. `holds`: keep the instances among its sources.
    package func subscribe(
        _ subscription: PushSubscription,
        from network: ReadClient?,
        holds: [SourceHold] = []
    ) async -> Result<PushReport, PushRefusal> {
        do throws(PushRefusal) {
            let owner = subscription.owner
            let counted: PushCaller? =
                owner.kind == .anonymous ? network.map { .network($0) } : .account(owner.account)
            let (taken, report) = try self.state.withLock { state throws(PushRefusal) in
                var subscription = subscription
                // Under the lock: what was read of the log by now is not sent to it, and what comes is.
                subscription.since = self.hub.cursor
                let taken = try state.book.subscribe(subscription, countedBy: counted).get()
                state.holds[taken.id] = holds.isEmpty ? nil : holds
                return (taken, state.book.report(of: taken.id, serverKey: self.publicKey))
            }
            if let store = self.store {
                let kept = await withCheckedContinuation { continuation in
                    store.keep([taken.row()]) { continuation.resume(returning: $0) }
                }
                // A disk that takes nothing ends no service: the metrics of the log say so. What no other gateway knows is
                // no subscription.
                if case .failure(let error) = kept, self.configuration.sharing != nil {
                    throw .unavailable("The cluster did not take the subscription: \(error.message). Try again.")
                }
            }
            self.sending.ring()
            guard let report else { throw .expired }
            return .success(report)
        } catch {
            return .failure(error)
        }
    }

    /// What a caller asks for, where it may be had.
    package static func subscription(
        _ request: PushRequest,
        for caller: Principal,
        _ configuration: Configuration,
        since: Cursor
    ) throws(PushRefusal) -> PushSubscription {
        let endpoint = try PushEndpoint(request.endpoint, allowing: configuration.allow)
        let keys = try PushKeys.read(request)
        let now = WallTime.now
        let end = WallTime(milliseconds: now.milliseconds + configuration.maxAge.milliseconds)
        let expiresAt = request.expiresAt.map { min($0, end) } ?? end
        guard expiresAt > now else { throw .expired }
        var generator = SystemRandomNumberGenerator()
        return PushSubscription(
            id: .random(using: &generator),
            endpoint: endpoint.url.text,
            host: endpoint.host,
            publicKey: keys.publicKey,
            secret: keys.secret,
            sources: request.sources,
            pointer: request.pointer,
            owner: caller.pushOwner,
            ttl: request.ttl,
            urgency: request.urgency,
            createdAt: now,
            expiresAt: expiresAt,
            serverKey: configuration.key.publicText,
            since: since
        )
    }

    package func reports(for caller: Principal, id: PushID?, after: PushID?, limit: Int) -> [PushReport] {
        self.state.withLock { state in
            if let id {
                guard let subscription = state.book.subscription(id), Self.sees(caller, subscription) else { return [] }
                return state.book.report(of: id, serverKey: self.publicKey).map { [$0] } ?? []
            }
            guard caller.kind != .anonymous else { return [] }
            return state.book.reports(after: after, limit: limit, serverKey: self.publicKey) { Self.sees(caller, $0) }
        }
    }

    package func unsubscribe(_ id: PushID, by caller: Principal) async throws(PushRefusal) -> Bool {
        let isThere = self.state.withLock { state in
            state.book.subscription(id).map { Self.sees(caller, $0) } ?? false
        }
        guard isThere else { return false }
        let isKnown = await withCheckedContinuation { continuation in
            self.end([id], because: .deleted) { continuation.resume(returning: $0) }
        }
        guard isKnown else {
            throw .unavailable("The cluster does not know yet that the subscription has ended. Try again.")
        }
        return true
    }

    private static func sees(_ caller: Principal, _ subscription: PushSubscription) -> Bool {
        caller.grants.admin || subscription.isOwned(by: caller)
    }

    /// Ends subscriptions, here and on the disk. `done`: whether no later process finds them.
    func end(_ ids: [PushID], because reason: PushEnd, done: @escaping @Sendable (Bool) -> Void = { _ in }) {
        guard !ids.isEmpty else { return done(true) }
        var ended: [(PushID, String)] = []
        self.state.withLock { state in
            for id in ids {
                guard let host = state.book.subscription(id)?.host else { continue }
                state.book.remove(id, because: reason)
                ended.append((id, host))
            }
        }
        self.forget(ended, because: reason, done: done)
    }

    /// What is left to do for subscriptions that the book has let go.
    func forget(
        _ ended: [(id: PushID, host: String)],
        because reason: PushEnd,
        done: @escaping @Sendable (Bool) -> Void = { _ in }
    ) {
        guard !ended.isEmpty else { return done(true) }
        // Let go outside of the lock: the last one that holds an instance tells the hub.
        let holds = self.state.withLock { state in ended.compactMap { state.holds.removeValue(forKey: $0.id) } }
        withExtendedLifetime(holds) {}
        if let store = self.store {
            store.forget(ended.map { PushRow.key(of: $0.id) }, done: done)
        } else {
            done(true)
        }
        for (id, host) in ended { self.note(.ended(id, host: host, reason)) }
    }

    // MARK: HubListener

    package func enqueue(_ notice: HubNotice) {
        switch notice {
        case .published(let event): self.changed.withLock { _ = $0.insert(event.source) }
        case .status, .added, .removed, .interrupted: break
        }
    }

    package func wake() { self.reading.ring() }
}
