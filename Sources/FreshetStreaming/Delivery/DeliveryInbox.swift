// How other threads reach a shard: a list behind a lock, and a waker that is called once per wake-up.

package import FreshetCore
import Synchronization

/// What a shard is asked to do, beside taking the hub's notices.
package enum DeliveryMessage<Arrival: ArrivingConnection>: Sendable {
    case adopt(StreamHandover<Arrival>)
    /// `hasSuccessor`: another process takes the connections that come from now on.
    case drain(over: Duration, hasSuccessor: Bool, done: @Sendable () -> Void)
    case list(limit: Int, reply: @Sendable ([SubscriberReport]) -> Void)
    case close(
        SubscriberID,
        CloseReason,
        first: @Sendable (StreamOwner) -> Void,
        reply: @Sendable (Bool) -> Void
    )
    /// Credentials or grants have changed.
    case review(@Sendable (StreamOwner) -> OwnerVerdict)
    /// The subject of these streams has another credential.
    case renew([SlotKey], for: Principal, done: @Sendable () -> Void)
    /// A stream is to go on with what this names.
    case drop(SlotKey, keeping: SourcePattern, done: @Sendable () -> Void)
    /// Another shard has a later stream of this ticket.
    case supersede(Fingerprint)
    /// What the disk gave of a subscription for the subscriber in a slot.
    case fetched(StreamFeed, of: Subscription, after: UInt64, for: SlotKey)
    /// Events of other sources may be compressed, but not of these.
    case compression(uncompressed: SourcePattern)
    case stop

    /// Answers for a shard that has stopped.
    func abandon() {
        switch self {
        case .adopt(let handover): handover.connection.abandon()
        case .drain(_, _, let done): done()
        case .list(_, let reply): reply([])
        case .close(_, _, _, let reply): reply(false)
        case .review, .supersede, .fetched, .renew, .drop, .compression, .stop: break
        }
    }
}

/// Everything that waits for a shard, in order of arrival. Any thread may add; the shard takes it all at once.
package final class DeliveryInbox<Carrier: Transport>: HubListener {
    typealias Message = DeliveryMessage<Carrier.Arrival>

    struct Content: Sendable {
        var notices: [HubNotice] = []
        var messages: [Message] = []
        /// Published changes were left out for want of room: subscribers have to read the log.
        var hasOverflowed = false
        /// When the oldest of the notices came, in nanoseconds of the monotonic clock.
        var oldest: Int64 = 0
    }

    private struct State: Sendable {
        var content = Content()
        var isClosed = false
        var overflows: UInt64 = 0
    }

    /// Called when something is in.
    let waker: Carrier.Waker
    private let state = Mutex(State())
    /// Whether the shard was woken for what is in. Cleared by the shard before it takes the content.
    private let isSignalled = Atomic<Bool>(false)
    private let maxNotices: Int

    package init(maxNotices: Int, waker: Carrier.Waker) {
        self.waker = waker
        self.maxNotices = max(1, maxNotices)
    }

    package func enqueue(_ notice: HubNotice) {
        let now = self.waker.now
        self.state.withLock { state in
            guard !state.isClosed else { return }
            if case .published = notice {
                // Once one is left out, those after it are too: the shard learns of the hole before it sees past it.
                guard state.content.notices.count < self.maxNotices, !state.content.hasOverflowed else {
                    if !state.content.hasOverflowed { state.overflows += 1 }
                    state.content.hasOverflowed = true
                    return
                }
            }
            if state.content.notices.isEmpty { state.content.oldest = now }
            state.content.notices.append(notice)
        }
    }

    package func wake() {
        guard !self.isSignalled.exchange(true, ordering: .acquiringAndReleasing) else { return }
        self.waker.wake()
    }

    /// Adds a message and wakes the shard.
    ///
    /// - Returns: `false` where the shard has stopped; the message is then the caller's to abandon.
    package func post(_ message: DeliveryMessage<Carrier.Arrival>) -> Bool {
        let isTaken = self.state.withLock { state in
            guard !state.isClosed else { return false }
            state.content.messages.append(message)
            return true
        }
        if isTaken { self.wake() }
        return isTaken
    }

    /// Swaps the content for `empty`, whose buffers are used on.
    func take(into content: inout Content) {
        // Before the swap: what is added after it then signals again.
        self.isSignalled.store(false, ordering: .sequentiallyConsistent)
        self.state.withLock { swap(&$0.content, &content) }
    }

    /// Takes nothing from now on.
    ///
    /// - Returns: What was still in.
    func close() -> [Message] {
        self.state.withLock { state in
            state.isClosed = true
            let messages = state.content.messages
            state.content = Content()
            return messages
        }
    }

    package var depth: Int {
        self.state.withLock { $0.content.notices.count + $0.content.messages.count }
    }

    package var overflows: UInt64 {
        self.state.withLock { $0.overflows }
    }
}
