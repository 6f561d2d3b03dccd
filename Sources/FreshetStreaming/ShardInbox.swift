// How other threads reach a shard: a list behind a lock, and an eventfd that is written once per wake-up.

import CLinux
import FreshetCore
import Synchronization

/// What a shard is asked to do, beside taking the hub's notices.
enum ShardMessage: Sendable {
    case adopt(StreamHandover)
    case drain(over: Duration, done: @Sendable () -> Void)
    case list(limit: Int, reply: @Sendable ([SubscriberReport]) -> Void)
    case close(SubscriberID, CloseReason, reply: @Sendable (Bool) -> Void)
    /// What the disk gave of a subscription for the subscriber in a slot.
    case fetched(StreamFeed, of: Subscription, after: UInt64, slot: Int32, generation: UInt32)
    case stop

    /// Answers for a shard that has stopped.
    func abandon() {
        switch self {
        case .adopt(let handover): _ = clinux_close(handover.descriptor)
        case .drain(_, let done): done()
        case .list(_, let reply): reply([])
        case .close(_, _, let reply): reply(false)
        case .fetched, .stop: break
        }
    }
}

/// Everything that waits for a shard, in order of arrival. Any thread may add; the shard takes it all at once.
final class ShardInbox: HubListener {
    struct Content: Sendable {
        var notices: [HubNotice] = []
        var messages: [ShardMessage] = []
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

    /// Becomes readable when something is in. Owned; closed with the inbox.
    let descriptor: Int32
    private let state = Mutex(State())
    /// Whether the shard was woken for what is in. Cleared by the shard before it takes the content.
    private let isSignalled = Atomic<Bool>(false)
    private let maxNotices: Int

    init(maxNotices: Int) throws(StreamServerError) {
        let descriptor = clinux_eventfd_create()
        guard descriptor >= 0 else { throw StreamServerError(reason: .eventfd(code: descriptor)) }
        self.descriptor = descriptor
        self.maxNotices = max(1, maxNotices)
    }

    deinit {
        _ = clinux_close(self.descriptor)
    }

    func enqueue(_ notice: HubNotice) {
        let now = clinux_monotonic_ns()
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

    func wake() {
        guard !self.isSignalled.exchange(true, ordering: .acquiringAndReleasing) else { return }
        _ = clinux_eventfd_signal(self.descriptor)
    }

    /// Adds a message and wakes the shard.
    ///
    /// - Returns: `false` where the shard has stopped; the message is then the caller's to abandon.
    func post(_ message: ShardMessage) -> Bool {
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
    func close() -> [ShardMessage] {
        self.state.withLock { state in
            state.isClosed = true
            let messages = state.content.messages
            state.content = Content()
            return messages
        }
    }

    var depth: Int {
        self.state.withLock { $0.content.notices.count + $0.content.messages.count }
    }

    var overflows: UInt64 {
        self.state.withLock { $0.overflows }
    }
}
