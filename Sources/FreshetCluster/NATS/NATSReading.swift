// A reading of the stream: a consumer that is asked for as many messages as the window has room for.

import NATS
import Synchronization

/// A reading that is under way. Any thread may call; the rest is ``NATSStreamDesk``'s, on the connection's thread.
///
/// `@unchecked Sendable`: what is behind no lock is set once before others see it, or is the connection's thread's alone.
final class NATSReading: StreamReading, @unchecked Sendable {
    private struct Shared: Sendable {
        var consumed = 0
        var isPosted = false
        var isCancelled = false
    }

    let window: Int
    /// Less than this is not asked for: a message each would cost a request each.
    let threshold: Int
    private let shared = Mutex(Shared())
    private let deliver: @Sendable ([StoredMessage]) -> Void
    private let ended: @Sendable (StreamFailure) -> Void
    private var post: @Sendable () -> Void = {}

    // MARK: of the connection's thread

    /// Names of this reading at the broker.
    var consumer = ""
    var address = ""
    var subscription: UInt64?
    var isOpen = false
    var hasEnded = false
    /// The next sequence that may come, and the number of the last delivery of the consumer.
    var next: UInt64
    var delivered: UInt64 = 0
    /// Asked for and not come; come and not consumed.
    var asked = 0
    var held = 0
    var pulls: UInt64 = 0
    var lastHeard: Int64 = 0

    init(
        window: Int,
        from sequence: UInt64,
        deliver: @escaping @Sendable ([StoredMessage]) -> Void,
        ended: @escaping @Sendable (StreamFailure) -> Void
    ) {
        self.window = window
        self.threshold = max(1, window / 4)
        self.next = sequence
        self.deliver = deliver
        self.ended = ended
    }

    /// `settle` is called on the connection's thread when there is room in the window, or the reading is cancelled.
    func attach(_ connection: NATSConnection, _ settle: @escaping @Sendable (NATSLoop, NATSReading) -> Void) {
        self.post = { [weak self] in
            guard let self else { return }
            connection.perform { loop in settle(loop, self) }
        }
    }

    func consumed(_ count: Int) {
        let isDue = self.shared.withLock { shared in
            shared.consumed += max(0, count)
            guard !shared.isPosted, !shared.isCancelled, shared.consumed >= self.threshold else { return false }
            shared.isPosted = true
            return true
        }
        if isDue { self.post() }
    }

    func cancel() {
        let isFirst = self.shared.withLock { shared in
            defer { shared.isCancelled = true }
            return !shared.isCancelled
        }
        if isFirst { self.post() }
    }

    var isCancelled: Bool { self.shared.withLock { $0.isCancelled } }

    /// What was consumed since the last call.
    func takeConsumed() -> Int {
        self.shared.withLock { shared in
            defer { (shared.consumed, shared.isPosted) = (0, false) }
            return shared.consumed
        }
    }

    func hand(_ messages: [StoredMessage]) {
        if !messages.isEmpty, !self.isCancelled { self.deliver(messages) }
    }

    func finish(_ failure: StreamFailure) {
        guard !self.hasEnded else { return }
        self.hasEnded = true
        if !self.isCancelled { self.ended(failure) }
    }
}
