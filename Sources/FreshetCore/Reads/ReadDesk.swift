// Where reads of the log are handed in by threads that must not block, and taken by threads that may.

import Synchronization

/// Has the log read, by a thread per ``ReadLane``. Any thread may hand in.
package final class ReadDesk: Sendable {
    package struct Statistics: Sendable {
        /// Reads that wait for a thread.
        package var waiting = 0
        package var done: UInt64 = 0
        /// Reads that were not carried out, by reason.
        package var refusals: [ReadRefusal: UInt64] = [:]
    }

    private struct State: Sendable {
        var queue: ReadQueue<@Sendable () -> Void>
        /// Lanes whose thread was woken and has not found them empty since.
        var awake: Set<ReadLane> = []
        var statistics = Statistics()
    }

    private let state: Mutex<State>
    private let wake: Wake?

    package typealias Limits = ReadQueue<@Sendable () -> Void>.Limits
    /// Has the lane's thread call ``runAll(in:)``. Not called again before that has found the lane empty.
    package typealias Wake = @Sendable (ReadDesk, ReadLane) -> Void

    /// - Parameters:
    ///   - limits: how many reads may wait.
    ///   - wake: `nil` to carry out each read inside the call that hands it in.
    package init(limits: Limits = Limits(), wake: Wake? = nil) {
        self.state = Mutex(State(queue: ReadQueue(limits: limits)))
        self.wake = wake
    }

    /// Figures for metrics.
    package var statistics: Statistics {
        self.state.withLock { state in
            var statistics = state.statistics
            statistics.waiting = state.queue.count
            return statistics
        }
    }

    /// Hands in a read. It is given up where the ticket goes before the read has begun.
    func submit(
        _ urgency: ReadUrgency,
        for client: ReadClient,
        _ job: @escaping @Sendable () -> Void
    ) throws(ReadRefusal) -> ReadTicket {
        guard let wake = self.wake else {
            job()
            self.state.withLock { $0.statistics.done += 1 }
            return ReadTicket(id: 0, desk: self)
        }
        let (result, isAsleep) = self.state.withLock { state -> (Result<UInt64, ReadRefusal>, Bool) in
            do throws(ReadRefusal) {
                let id = try state.queue.add(job, urgency: urgency, for: client)
                return (.success(id), state.awake.insert(urgency.lane).inserted)
            } catch {
                state.statistics.refusals[error, default: 0] += 1
                return (.failure(error), false)
            }
        }
        let id = try result.get()
        if isAsleep { wake(self, urgency.lane) }
        return ReadTicket(id: id, desk: self)
    }

    fileprivate func cancel(_ id: UInt64) -> Bool {
        // Taken out of the lock: what the job holds may end with it.
        let job = self.state.withLock { state -> (@Sendable () -> Void)? in
            guard let job = state.queue.cancel(id) else { return nil }
            state.statistics.refusals[.abandoned, default: 0] += 1
            return job
        }
        return job != nil
    }

    /// Carries out what waits in a lane, until nothing does. On the lane's thread.
    package func runAll(in lane: ReadLane) {
        while self.runNext(in: lane) {}
    }

    /// Carries out one read.
    ///
    /// - Returns: Whether one waited.
    @discardableResult
    package func runNext(in lane: ReadLane) -> Bool {
        guard let job = self.next(in: lane) else { return false }
        job()
        return true
    }

    private func next(in lane: ReadLane) -> (@Sendable () -> Void)? {
        self.state.withLock { state in
            guard let job = state.queue.next(in: lane) else {
                state.awake.remove(lane)
                return nil
            }
            state.statistics.done += 1
            return job
        }
    }
}

/// A read that was handed in. It is given up when the last reference goes, so that no path can forget it.
package final class ReadTicket: Sendable {
    private let id: UInt64
    private let desk: ReadDesk

    fileprivate init(id: UInt64, desk: ReadDesk) {
        self.id = id
        self.desk = desk
    }

    deinit {
        _ = self.desk.cancel(self.id)
    }

    /// Gives the read up.
    ///
    /// - Returns: Whether it had not begun, and never will.
    func cancel() -> Bool {
        self.desk.cancel(self.id)
    }
}

// MARK: - For tasks

extension ReadDesk {
    /// The result of `body`, which is called on the lane's thread. Where the task is cancelled, `body` is not called, or
    /// learns of it from ``ReadCancellation`` and may return `nil`, which counts as abandoned.
    func value<Value: Sendable>(
        _ urgency: ReadUrgency,
        for client: ReadClient,
        _ body: @escaping @Sendable (ReadCancellation) -> Value?
    ) async throws(ReadRefusal) -> Value {
        let pending = PendingRead<Value>()
        let result = await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard pending.begin(continuation) else { return }
                do throws(ReadRefusal) {
                    let ticket = try self.submit(urgency, for: client) {
                        let value = body(pending.cancellation)
                        pending.finish(value.map(Result.success) ?? .failure(.abandoned))
                    }
                    pending.hold(ticket)
                } catch {
                    pending.finish(.failure(error))
                }
            }
        } onCancel: {
            pending.cancel()
        }
        return try result.get()
    }
}

/// Tells a read that is under way whether its result is still wanted. Asked between two steps of it.
package final class ReadCancellation: Sendable {
    private let isSet = Atomic<Bool>(false)

    package var isCancelled: Bool { self.isSet.load(ordering: .relaxed) }

    fileprivate func set() {
        self.isSet.store(true, ordering: .relaxed)
    }
}

/// One read that a task waits for. Ends once: with its result, a refusal, or the task.
private final class PendingRead<Value: Sendable>: Sendable {
    private struct State: Sendable {
        var continuation: CheckedContinuation<Result<Value, ReadRefusal>, Never>?
        var ticket: ReadTicket?
        var isOver = false
    }

    let cancellation = ReadCancellation()
    private let state = Mutex(State())

    /// - Returns: `false` where the task was cancelled already; the continuation was resumed then.
    func begin(_ continuation: CheckedContinuation<Result<Value, ReadRefusal>, Never>) -> Bool {
        self.state.withLock { $0.continuation = continuation }
        guard self.cancellation.isCancelled else { return true }
        self.finish(.failure(.abandoned))
        return false
    }

    func hold(_ ticket: ReadTicket) {
        self.state.withLock { state in
            guard !state.isOver else { return }
            state.ticket = ticket
        }
        if self.cancellation.isCancelled { self.cancel() }
    }

    func cancel() {
        self.cancellation.set()
        let ticket = self.state.withLock { $0.ticket }
        if ticket?.cancel() == true { self.finish(.failure(.abandoned)) }
    }

    func finish(_ result: Result<Value, ReadRefusal>) {
        let (continuation, ticket) = self.state.withLock { state in
            defer { state = State(isOver: true) }
            return (state.continuation, state.ticket)
        }
        // Its end takes the desk's lock, so not under ours.
        _ = ticket
        continuation?.resume(returning: result)
    }
}
