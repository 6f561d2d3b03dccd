import Dispatch
import Synchronization

/// A value under a lock that can be waited on: the only way in which these helpers wait for each other.
///
/// A wait ends at the very change that fulfils it; nothing polls and nothing sleeps. Any thread or task may call.
/// Waiters are asked in the order in which they came.
package final class Watched<Value: Sendable>: Sendable {
    private struct Waiter: Sendable {
        var id: UInt64
        /// Returns what to run outside the lock when the value is what was waited for.
        var attempt: @Sendable (inout Value) -> (@Sendable () -> Void)?
        var giveUp: @Sendable () -> Void
    }

    private struct State: Sendable {
        var value: Value
        var waiters: [Waiter] = []
        var lastID: UInt64 = 0
    }

    private let state: Mutex<State>

    package init(_ value: Value) {
        self.state = Mutex(State(value: value))
    }

    /// The value as it is now.
    package var value: Value { self.state.withLock { $0.value } }

    /// Changes the value, then wakes whoever waited for what it has become. `body` runs under the lock.
    @discardableResult
    package func update<Result: Sendable>(_ body: (inout Value) throws -> Result) rethrows -> Result {
        let (result, resumptions) = try self.state.withLock { state -> (Result, [@Sendable () -> Void]) in
            let result = try body(&state.value)
            var resumptions: [@Sendable () -> Void] = []
            state.waiters.removeAll { waiter in
                guard let resume = waiter.attempt(&state.value) else { return false }
                resumptions.append(resume)
                return true
            }
            return (result, resumptions)
        }
        for resume in resumptions { resume() }
        return result
    }

    /// Waits until `ready` gives a result, and returns it; `nil` when `timeout` passes or the task is cancelled first.
    ///
    /// `ready` runs under the lock and may take something out of the value.
    package func wait<Result: Sendable>(
        timeout: Duration,
        until ready: @escaping @Sendable (inout Value) -> Result?
    ) async -> Result? {
        let id = self.nextID()
        return await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                self.register(id, timeout: timeout, ready) { continuation.resume(returning: $0) }
            }
        } onCancel: {
            self.expire(id)
        }
    }

    /// As the `async` one, holding the thread: for plain threads and benchmarks.
    @available(*, noasync)
    package func wait<Result: Sendable>(
        timeout: Duration,
        until ready: @escaping @Sendable (inout Value) -> Result?
    ) -> Result? {
        let outcome = OutcomeBox<Result>()
        let done = DispatchSemaphore(value: 0)
        self.register(self.nextID(), timeout: timeout, ready) { result in
            outcome.result.withLock { $0 = result }
            done.signal()
        }
        done.wait()
        return outcome.result.withLock { $0 }
    }

    private func nextID() -> UInt64 {
        self.state.withLock { state in
            state.lastID += 1
            return state.lastID
        }
    }

    private func register<Result: Sendable>(
        _ id: UInt64,
        timeout: Duration,
        _ ready: @escaping @Sendable (inout Value) -> Result?,
        finish: @escaping @Sendable (Result?) -> Void
    ) {
        let waiter = Waiter(
            id: id,
            attempt: { value in
                guard let result = ready(&value) else { return nil }
                return { finish(result) }
            },
            giveUp: { finish(nil) }
        )
        let immediate = self.state.withLock { state -> (@Sendable () -> Void)? in
            if let resume = waiter.attempt(&state.value) { return resume }
            // Checked under the lock: a cancellation that comes later finds the waiter registered.
            if Task.isCancelled { return waiter.giveUp }
            state.waiters.append(waiter)
            return nil
        }
        if let immediate { return immediate() }
        let milliseconds = Int(Deadline(in: timeout).remainingMilliseconds)
        DispatchQueue.global().asyncAfter(deadline: .now() + .milliseconds(milliseconds)) { [weak self] in
            self?.expire(id)
        }
    }

    private func expire(_ id: UInt64) {
        let giveUp = self.state.withLock { state -> (@Sendable () -> Void)? in
            guard let index = state.waiters.firstIndex(where: { $0.id == id }) else { return nil }
            return state.waiters.remove(at: index).giveUp
        }
        giveUp?()
    }
}

/// Carries a result from the thread that made it to the one that waits.
private final class OutcomeBox<Result: Sendable>: Sendable {
    let result = Mutex<Result?>(nil)
}
