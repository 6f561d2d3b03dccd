// Text about the whole gateway that costs more to make than one request may cost.

import FreshetCore
import NIOCore
import NIOPosix
import Synchronization

/// Text that is made at most once in a while, on a thread that may work long, and shared by all who ask for it (A15).
/// Any thread.
final class SharedText<Value: Sendable>: Sendable {
    private struct State: Sendable {
        var value: Value?
        /// When ``value`` was asked for.
        var madeAt = ContinuousClock.now
        var isMaking = false
        var waiting: [CheckedContinuation<Value, Never>] = []
    }

    private let state = Mutex(State())
    private let lifetime: Duration
    private let make: @Sendable () -> Value

    /// `lifetime`: how long what was made is good enough; zero makes it again for all who come while none is being made.
    init(lifetime: Duration, make: @escaping @Sendable () -> Value) {
        self.lifetime = lifetime
        self.make = make
    }

    /// What was made last if that is recent, else what is made now.
    func value() async -> Value {
        if let value = self.state.withLock({ self.recent($0) }) { return value }
        return await withCheckedContinuation { continuation in
            let (value, begins) = self.state.withLock { state -> (Value?, Bool) in
                // It may have been made since.
                if let value = self.recent(state) { return (value, false) }
                state.waiting.append(continuation)
                defer { state.isMaking = true }
                return (nil, !state.isMaking)
            }
            if let value { continuation.resume(returning: value) }
            if begins { self.begin() }
        }
    }

    private func recent(_ state: State) -> Value? {
        ContinuousClock.now - state.madeAt < self.lifetime ? state.value : nil
    }

    private func begin() {
        let start = ContinuousClock.now
        // Callers from here on may receive the state of the beginning.
        NIOThreadPool.singleton.submit { _ in
            let value = self.make()
            let waiting = self.state.withLock { state in
                state.value = value
                state.madeAt = start
                state.isMaking = false
                defer { state.waiting = [] }
                return state.waiting
            }
            for continuation in waiting { continuation.resume(returning: value) }
        }
    }
}
