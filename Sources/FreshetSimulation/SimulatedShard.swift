// A shard's inbox: bounded, taken when the script says so, in the order of the log.

import FreshetCore
import Synchronization

/// What a streaming thread is told, and has not yet taken.
final class SimulatedShard: HubListener {
    struct Fetched: Sendable {
        var feed: StreamFeed
        var after: UInt64
        var stream: Int
        /// Of the log when it was read.
        var epoch: Epoch
    }

    private struct State: Sendable {
        var notices: [HubNotice] = []
        /// Published changes were left out for want of room.
        var hasOverflowed = false
        var fetched: [Fetched] = []
    }

    private let state = Mutex(State())
    private let maxNotices: Int

    init(maxNotices: Int) {
        self.maxNotices = maxNotices
    }

    func enqueue(_ notice: HubNotice) {
        self.state.withLock { state in
            if case .published = notice {
                guard state.notices.count < self.maxNotices, !state.hasOverflowed else {
                    state.hasOverflowed = true
                    return
                }
            }
            state.notices.append(notice)
        }
    }

    func wake() {}

    /// The disk has answered.
    func post(_ fetched: Fetched) {
        self.state.withLock { $0.fetched.append(fetched) }
    }

    var isEmpty: Bool {
        self.state.withLock { $0.notices.isEmpty && $0.fetched.isEmpty && !$0.hasOverflowed }
    }

    /// Takes everything out.
    func take() -> (notices: [HubNotice], hasOverflowed: Bool, fetched: [Fetched]) {
        self.state.withLock { state in
            defer { state = State() }
            return (state.notices, state.hasOverflowed, state.fetched)
        }
    }
}
