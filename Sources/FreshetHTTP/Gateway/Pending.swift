// A value that several may wait for, and that comes once.

import Synchronization

/// Settled once, with a value or with nothing. Any thread.
final class Pending<Value: Sendable>: Sendable {
    private enum State: Sendable {
        case waiting([CheckedContinuation<Value?, Never>])
        case settled(Value?)
    }

    private let state = Mutex(State.waiting([]))

    init() {}

    /// Lets everybody go on. The first call counts.
    func settle(_ value: Value?) {
        let waiting = self.state.withLock { state -> [CheckedContinuation<Value?, Never>] in
            guard case .waiting(let waiting) = state else { return [] }
            state = .settled(value)
            return waiting
        }
        for continuation in waiting {
            continuation.resume(returning: value)
        }
    }

    /// The value, as soon as it is settled.
    var value: Value? {
        get async {
            await withCheckedContinuation { continuation in
                let settled = self.state.withLock { state -> Value?? in
                    switch state {
                    case .settled(let value):
                        return .some(value)
                    case .waiting(let others):
                        state = .waiting(others + [continuation])
                        return nil
                    }
                }
                if let settled { continuation.resume(returning: settled) }
            }
        }
    }
}
