// The one way to a subscription: what the routes call, and what they are answered; and where subscriptions are kept.

package import JSON

/// Takes, lists and ends subscriptions (CONTRACT §12). Any thread may call.
package protocol PushDesk: AnyObject, Sendable {
    /// The public key of the application server, as `pushManager.subscribe` takes it.
    var publicKey: String { get }

    /// Makes a subscription, or renews the one of the same endpoint. Returns once it is on the disk, where there is one.
    /// That the caller may read the sources has been looked at. `network`: what a caller without a credential is counted
    /// by; `nil` for this machine.
    func subscribe(
        _ request: PushRequest,
        for caller: Principal,
        from network: ReadClient?
    ) async -> Result<PushReport, PushRefusal>

    /// The subscriptions after an id, in the order of their ids, that a caller may see: all for an administrator, else its
    /// own. An anonymous caller sees the one whose id it knows: `id`.
    func reports(for caller: Principal, id: PushID?, after: PushID?, limit: Int) async -> [PushReport]

    /// Ends a subscription that the caller may see.
    ///
    /// - Returns: `false` where there is no such one.
    /// - Throws: ``PushRefusal/unavailable(_:)`` where that cannot be said at the moment.
    func unsubscribe(_ id: PushID, by caller: Principal) async throws(PushRefusal) -> Bool
}

/// A subscription as a client asks for it. Nothing in it is trusted.
package struct PushRequest: Sendable {
    package var endpoint: String
    /// `keys.p256dh` and `keys.auth`.
    package var p256dh: String
    package var auth: String
    /// A valid selector that the caller may read.
    package var sources: String
    package var pointer: Pointer?
    package var ttl: Int
    package var urgency: PushUrgency
    /// `expirationTime`: when the push service ends it.
    package var expiresAt: WallTime?
    /// Keep the instances among the sources.
    package var holds: [SourceHold]

    package init(
        endpoint: String,
        p256dh: String,
        auth: String,
        sources: String,
        pointer: Pointer? = nil,
        ttl: Int = Defaults.Push.ttl,
        urgency: PushUrgency = .normal,
        expiresAt: WallTime? = nil,
        holds: [SourceHold] = []
    ) {
        self.endpoint = endpoint
        self.p256dh = p256dh
        self.auth = auth
        self.sources = sources
        self.pointer = pointer
        self.ttl = ttl
        self.urgency = urgency
        self.expiresAt = expiresAt
        self.holds = holds
    }
}

/// Why a subscription is not taken.
package enum PushRefusal: Error, Hashable, Sendable {
    /// The endpoint may not be used, and why.
    case endpoint(String)
    /// The keys cannot be used, and why.
    case keys(String)
    /// It has expired already.
    case expired
    /// Another caller has subscribed this endpoint with other keys.
    case taken
    /// As many subscriptions, in all, of the caller, of the host, as there may be.
    case full
    case caller
    case host
    /// As many different patterns and pointers as there may be.
    case patterns
    /// No gateway of the cluster can take it at the moment, and why.
    case unavailable(String)
}

/// How it stands with a subscription. The raw values are those of the list.
package enum PushState: String, CaseIterable, Sendable {
    case active
    /// The push service refuses its messages, since they are signed by another key than it was made for, or for good:
    /// nothing is sent until it is renewed.
    case refused
}

/// A subscription as a list has it. Neither its endpoint nor its keys are in it.
package struct PushReport: Hashable, Sendable {
    package var id: PushID
    package var host: String
    package var sources: String
    package var pointer: Pointer?
    /// Who subscribed.
    package var subject: String
    package var createdAt: WallTime
    package var expiresAt: WallTime
    package var state: PushState
    /// It was made with the key of the application server that is in force.
    package var hasPresentKey: Bool
    /// Messages that wait.
    package var waiting: Int
    package var lastDeliveredAt: WallTime?
    /// Why the last send failed; `nil` where it did not.
    package var lastFailure: String?

    package init(_ subscription: PushSubscription, state: PushState = .active, hasPresentKey: Bool, waiting: Int = 0) {
        self.id = subscription.id
        self.host = subscription.host
        self.sources = subscription.sources
        self.pointer = subscription.pointer
        self.subject = subscription.owner.id
        self.createdAt = subscription.createdAt
        self.expiresAt = subscription.expiresAt
        self.state = state
        self.hasPresentKey = hasPresentKey
        self.waiting = waiting
    }

    /// A report with these names alone: of one who has just subscribed, who is not behind.
    package init(
        id: PushID,
        host: String,
        sources: String,
        pointer: Pointer?,
        subject: String,
        createdAt: WallTime,
        expiresAt: WallTime
    ) {
        self.id = id
        self.host = host
        self.sources = sources
        self.pointer = pointer
        self.subject = subject
        self.createdAt = createdAt
        self.expiresAt = expiresAt
        self.state = .active
        self.hasPresentKey = true
        self.waiting = 0
    }
}

/// Keeps subscriptions over a restart. Any thread; no call waits for the disk.
package protocol PushStore: AnyObject, Sendable {
    /// Writes rows, each in the place of an earlier one of its key. `done` is called once they are on the disk, or cannot be.
    func keep(_ rows: [PushRow], done: @escaping @Sendable (Result<Void, StoreError>) -> Void)

    /// Removes rows by their keys.
    func forget(_ keys: [[UInt8]])

    /// The same. `done` is called once, on any thread, with whether nobody finds them any more.
    func forget(_ keys: [[UInt8]], done: @escaping @Sendable (Bool) -> Void)
}

extension PushStore {
    /// A store of this process alone: what it is told last is what it has.
    package func forget(_ keys: [[UInt8]], done: @escaping @Sendable (Bool) -> Void) {
        self.forget(keys)
        done(true)
    }
}
