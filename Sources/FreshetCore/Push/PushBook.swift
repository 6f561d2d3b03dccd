// Every decision about subscriptions: who may have one, what waits for it, when it is sent, what an answer means. No I/O, no
// clock.

import DequeModule
import HeapModule

/// What is sent next, and to whom.
package struct PushSend: Sendable {
    package var subscription: PushSubscription
    package var message: PushMessage
    /// Its host accepted the last message: what the send is counted by until it has ended.
    fileprivate(set) var isProven: Bool
}

/// The subscriptions of a gateway with what waits for each. A value; its owner keeps it under a lock.
///
/// A message waits in the queue of its subscription, one of a topic at most. Subscriptions take turns at their host, and
/// hosts take turns. A host that accepted its last message has up to ``Defaults/Push/maxSendsPerHost`` sends at a time; any
/// other has one, out of a number that is set apart, and is left alone for a while after a failure. So a host that is down
/// holds up no other.
package struct PushBook: Sendable {
    struct Entry: Sendable {
        var subscription: PushSubscription
        /// Whom it is counted by; `nil` for this machine, and for who subscribed anonymously before the last restart.
        var caller: PushCaller?
        /// The oldest first, one of a topic.
        var waiting: [PushMessage] = []
        /// What is being sent.
        var underWay: PushMessage?
        /// Failures in a row.
        var failures = 0
        var state = PushState.active
        /// Nothing is sent before.
        var notBefore: MonotonicTime?
        /// It stands in the queue of its host.
        var isQueued = false
        var lastDeliveredAt: WallTime?
        var lastFailure: String?
        /// Its row on the disk says that it is behind.
        var isStoredBehind = false

        var isSettled: Bool { self.waiting.isEmpty && self.underWay == nil }
    }

    struct Lane: Sendable {
        /// Subscriptions with something to send. Those that ended meanwhile are passed over.
        var ready = Deque<PushID>()
        var underWay = 0
        var failures = 0
        var isProven = false
        var notBefore: MonotonicTime?
        /// It stands among ``PushBook/lanesInTurn``.
        var isListed = false
    }

    struct Wake: Comparable, Sendable {
        enum Sleeper: Sendable {
            case lane(String)
            case subscription(PushID)
        }

        var time: MonotonicTime
        var sleeper: Sleeper

        static func < (left: Self, right: Self) -> Bool { left.time < right.time }
        static func == (left: Self, right: Self) -> Bool { left.time == right.time }
    }

    /// Figures for metrics, since the start.
    package struct Counts: Sendable {
        package var outcomes: [String: UInt64] = [:]
        /// Messages that took the place of an older one of their topic, were joined with others, or grew too old.
        package var replaced: UInt64 = 0
        package var joined: UInt64 = 0
        package var outdated: UInt64 = 0
        /// Subscriptions that ended, by reason.
        package var ended: [PushEnd: UInt64] = [:]
        package var refusals: [PushRefusal.Label: UInt64] = [:]

        package init() {}
    }

    package struct Limits: Sendable {
        package var maxSubscriptions = Defaults.Push.maxSubscriptions
        package var maxPerCaller = Defaults.Push.maxSubscriptionsPerCaller
        package var maxPerHost = Defaults.Push.maxSubscriptionsPerHost
        package var maxContentBytes = Defaults.Push.maxContentBytes

        package init() {}
    }

    let limits: Limits
    var entries: [PushID: Entry] = [:]
    var byEndpoint: [String: PushID] = [:]
    var byCaller: [PushCaller: Int] = [:]
    var byHost: [String: Int] = [:]
    var index = PushIndex()
    /// How far each feed has been read.
    var positions: [PushFeed: Cursor] = [:]
    var lanes: [String: Lane] = [:]
    /// Hosts whose turn it is to send; by whether they accepted their last message.
    var lanesInTurn: [Bool: Deque<String>] = [:]
    var underWay: [Bool: Int] = [:]
    var wakes = Heap<Wake>()
    /// Bytes of events that wait.
    var contentBytes = 0
    /// Subscriptions for which something waits, or whose row says so.
    var unsettled: Set<PushID> = []
    package internal(set) var counts = Counts()

    /// `restored`: what the store held.
    package init(limits: Limits = Limits(), restoring restored: RestoredPush = RestoredPush()) {
        self.limits = limits
        for subscription in restored.subscriptions where self.byEndpoint[subscription.endpoint] == nil {
            let isAnonymous = subscription.owner.kind == .anonymous
            let caller = isAnonymous ? nil : PushCaller.account(subscription.owner.account)
            var entry = Entry(subscription: subscription, caller: caller)
            entry.isStoredBehind = restored.behind.contains(subscription.id)
            self.insert(entry)
        }
    }

    package var count: Int { self.entries.count }
    package var waitingCount: Int { self.unsettled.reduce(0) { $0 + (self.entries[$1]?.waiting.count ?? 0) } }
    package var waitingBytes: Int { self.contentBytes }
    package var sendsUnderWay: Int { self.underWay.values.reduce(0, +) }

    /// Subscriptions that were made with another key of the application server than this one.
    package func count(withOtherKeyThan serverKey: String) -> Int {
        self.entries.values.count { $0.subscription.serverKey != serverKey }
    }

    package func subscription(_ id: PushID) -> PushSubscription? { self.entries[id]?.subscription }

    package var subscriptions: [PushSubscription] { self.entries.values.map(\.subscription) }

    // MARK: Beginning and ending

    /// Takes a subscription, or puts it in the place of the one with the same endpoint, whose id it gets then.
    ///
    /// An endpoint is given up to another caller only where that caller has its keys, as the next user of the same browser
    /// does.
    package mutating func subscribe(
        _ wanted: PushSubscription,
        countedBy caller: PushCaller?
    ) -> Result<PushSubscription, PushRefusal> {
        var subscription = wanted
        let old = self.byEndpoint[wanted.endpoint].flatMap { self.entries[$0] }
        if let refusal = self.refusal(of: wanted, countedBy: caller, replacing: old) {
            self.counts.refusals[refusal.label, default: 0] += 1
            return .failure(refusal)
        }
        guard let old else {
            self.insert(Entry(subscription: subscription, caller: caller))
            return .success(subscription)
        }
        subscription.id = old.subscription.id
        subscription.createdAt = old.subscription.createdAt
        var entry = Entry(subscription: subscription, caller: caller)
        let isSame =
            subscription.isOwned(by: old.subscription.owner)
            && subscription.sources == old.subscription.sources && subscription.pointer == old.subscription.pointer
        if isSame {
            // Nothing is lost between one and the other, and nothing is sent twice.
            entry.subscription.since = old.subscription.since
            entry.waiting = old.waiting
            entry.underWay = old.underWay
            entry.isStoredBehind = old.isStoredBehind
        }
        self.take(out: old.subscription.id)
        self.contentBytes += entry.waiting.reduce(0) { $0 + ($1.content?.count ?? 0) }
        self.insert(entry)
        return .success(entry.subscription)
    }

    private func refusal(
        of wanted: PushSubscription,
        countedBy caller: PushCaller?,
        replacing old: Entry?
    ) -> PushRefusal? {
        if let old {
            let isOwn = wanted.owner.kind != .anonymous && wanted.isOwned(by: old.subscription.owner)
            let hasKeys =
                wanted.publicKey == old.subscription.publicKey && wanted.secret == old.subscription.secret
            guard isOwn || hasKeys else { return .taken }
        } else {
            guard self.entries.count < self.limits.maxSubscriptions else { return .full }
            guard self.byHost[wanted.host, default: 0] < self.limits.maxPerHost else { return .host }
        }
        if let caller, caller != old?.caller, self.byCaller[caller, default: 0] >= self.limits.maxPerCaller {
            return .caller
        }
        return self.index.hasRoom(for: wanted) ? nil : .patterns
    }

    private mutating func insert(_ entry: Entry) {
        let subscription = entry.subscription
        self.entries[subscription.id] = entry
        self.byEndpoint[subscription.endpoint] = subscription.id
        self.byHost[subscription.host, default: 0] += 1
        if let caller = entry.caller { self.byCaller[caller, default: 0] += 1 }
        self.index.insert(subscription)
        if !entry.isSettled || entry.isStoredBehind { self.unsettled.insert(subscription.id) }
        self.line(up: subscription.id)
    }

    /// Ends a subscription.
    ///
    /// - Returns: Whether there was one.
    @discardableResult
    package mutating func remove(_ id: PushID, because reason: PushEnd) -> Bool {
        guard self.take(out: id) else { return false }
        self.counts.ended[reason, default: 0] += 1
        return true
    }

    @discardableResult
    private mutating func take(out id: PushID) -> Bool {
        guard let entry = self.entries.removeValue(forKey: id) else { return false }
        let subscription = entry.subscription
        self.byEndpoint[subscription.endpoint] = nil
        self.index.remove(subscription)
        self.unsettled.remove(id)
        self.contentBytes -= entry.waiting.reduce(0) { $0 + ($1.content?.count ?? 0) }
        if let caller = entry.caller, let count = self.byCaller[caller] {
            self.byCaller[caller] = count > 1 ? count - 1 : nil
        }
        if let count = self.byHost[subscription.host] {
            self.byHost[subscription.host] = count > 1 ? count - 1 : nil
        }
        self.forgetLane(subscription.host)
        if self.entries.isEmpty { self.positions = [:] }
        return true
    }

    /// Those whose time is over.
    package func expired(now: WallTime) -> [PushID] {
        self.entries.values.filter { $0.subscription.expiresAt <= now }.map(\.subscription.id)
    }

    // MARK: Reports

    package func reports(
        after: PushID?,
        limit: Int,
        serverKey: String,
        where isShown: (PushSubscription) -> Bool
    ) -> [PushReport] {
        var ids: [PushID] = []
        for entry in self.entries.values {
            let subscription = entry.subscription
            guard after.map({ $0 < subscription.id }) ?? true, isShown(subscription) else { continue }
            ids.append(subscription.id)
        }
        return ids.sorted().prefix(limit).compactMap { self.report(of: $0, serverKey: serverKey) }
    }

    package func report(of id: PushID, serverKey: String) -> PushReport? {
        guard let entry = self.entries[id] else { return nil }
        let subscription = entry.subscription
        var report = PushReport(
            subscription,
            state: entry.state,
            hasPresentKey: subscription.serverKey == serverKey,
            waiting: entry.waiting.count + (entry.underWay == nil ? 0 : 1)
        )
        report.lastDeliveredAt = entry.lastDeliveredAt
        report.lastFailure = entry.lastFailure
        return report
    }
}

/// Why a subscription has ended. The raw values are labels of metrics.
package enum PushEnd: String, CaseIterable, Sendable {
    /// Its client, or an administrator, deleted it.
    case deleted
    /// `push.max_age` is over, or the push service's own time.
    case expired
    /// Its owner was denied, or the key is gone.
    case revoked
    /// The push service does not know it any more.
    case gone
}

extension PushRefusal {
    /// The label `reason` of `freshet_push_subscriptions_refused_total`.
    package enum Label: String, CaseIterable, Sendable {
        case malformed, taken, full, caller, host, patterns, unavailable
    }

    var label: Label {
        switch self {
        case .endpoint, .keys, .expired: .malformed
        case .taken: .taken
        case .full: .full
        case .caller: .caller
        case .host: .host
        case .patterns: .patterns
        case .unavailable: .unavailable
        }
    }
}
