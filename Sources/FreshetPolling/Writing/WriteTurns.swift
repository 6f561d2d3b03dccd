// The queue of writes, as tasks wait in it.

import FreshetCore
import Synchronization

/// Lets writes begin as ``WriteQueue`` says. Any thread.
final class WriteTurns: Sendable {
    private struct State: Sendable {
        var queue: WriteQueue
        var waiting: [WriteQueue.Ticket: CheckedContinuation<Void, Never>] = [:]
        /// Whose turn came before they waited.
        var early: Set<WriteQueue.Ticket> = []
    }

    private let state: Mutex<State>

    init(limits: WriteQueue.Limits) {
        self.state = Mutex(State(queue: WriteQueue(limits: limits)))
    }

    /// Writes under way, and those that wait.
    var counts: (underWay: Int, waiting: Int) {
        self.state.withLock { ($0.queue.running, $0.queue.waiting) }
    }

    /// Waits for a turn; `nil` where there is no room to wait.
    func enter(_ source: SourceID, key: String?, isNew: Bool) async -> WriteQueue.Ticket? {
        switch self.state.withLock({ $0.queue.enter(source, key: key, isNew: isNew) }) {
        case .full: return nil
        case .go(let ticket): return ticket
        case .wait(let ticket):
            await withCheckedContinuation { continuation in
                let isEarly = self.state.withLock { state -> Bool in
                    if state.early.remove(ticket) != nil { return true }
                    state.waiting[ticket] = continuation
                    return false
                }
                if isEarly { continuation.resume() }
            }
            return ticket
        }
    }

    func leave(_ source: SourceID, _ ticket: WriteQueue.Ticket) {
        let next = self.state.withLock { state -> [CheckedContinuation<Void, Never>] in
            state.queue.leave(source, ticket).compactMap { ticket in
                if let waiting = state.waiting.removeValue(forKey: ticket) { return waiting }
                state.early.insert(ticket)
                return nil
            }
        }
        for continuation in next { continuation.resume() }
    }
}
