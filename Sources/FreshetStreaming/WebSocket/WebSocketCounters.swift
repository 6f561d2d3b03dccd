// Figures of WebSockets, over all shards.

import Synchronization

/// Any thread.
package final class WebSocketCounters: Sendable {
    /// Why a socket is not read for a while.
    package enum Throttle: String, CaseIterable, Sendable {
        /// It sent more than `limits.max_messages_per_socket`.
        case messages
        /// `limits.max_unanswered_per_socket` requests wait for their answers.
        case unanswered
        /// It does not take its answers.
        case unread
    }

    package struct Figures: Sendable {
        package var sockets = 0
        package var accepted: UInt64 = 0
        package var messages: UInt64 = 0
        package var throttled: [Throttle: UInt64] = [:]
        /// By the code of the Close frame that was sent; 1006 where none was.
        package var closes: [UInt16: UInt64] = [:]

        package init() {}
    }

    /// The codes that are counted; every other counts as 1000.
    package static let codes: [UInt16] = [1000, 1001, 1002, 1003, 1006, 1007, 1008, 1009, 1013]

    private let state = Mutex(Figures())

    package init() {}

    package var figures: Figures { self.state.withLock { $0 } }

    func opened() {
        self.state.withLock { figures in
            figures.sockets += 1
            figures.accepted += 1
        }
    }

    func closed(_ code: UInt16) {
        self.state.withLock { figures in
            figures.sockets -= 1
            figures.closes[Self.codes.contains(code) ? code : 1000, default: 0] += 1
        }
    }

    func received() { self.state.withLock { $0.messages += 1 } }

    func throttled(_ reason: Throttle) { self.state.withLock { $0.throttled[reason, default: 0] += 1 } }
}
