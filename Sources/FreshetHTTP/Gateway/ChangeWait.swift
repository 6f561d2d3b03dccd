// Holds a request until something changes: `?wait=30s`.

import FreshetCore
import NIOCore
import Synchronization

/// One wait. It ends once, by a change, by its deadline, or with its task, whichever is first.
final class ChangeWait: Sendable {
    private struct State: Sendable {
        var isOver = false
        var continuation: CheckedContinuation<Void, Never>?
        var timer: Scheduled<Void>?
        var ticket: UInt64?
    }

    private let hub: Hub
    private let state = Mutex(State())

    private init(hub: Hub) {
        self.hub = hub
    }

    /// Returns when one of the sources changes after `sequence`, when the deadline has come, or when the task is
    /// cancelled: the caller looks for itself what is there. Returns at once where too many wait already.
    static func change(
        of sources: [SourceID],
        after sequence: UInt64,
        in hub: Hub,
        until deadline: NIODeadline,
        on eventLoop: any EventLoop
    ) async {
        let wait = ChangeWait(hub: hub)
        await withTaskCancellationHandler {
            await withCheckedContinuation { continuation in
                guard wait.begin(continuation) else { return }
                let timer = eventLoop.scheduleTask(deadline: deadline) { wait.end() }
                let ticket = hub.wait(for: sources, after: sequence) { wait.end() }
                wait.hold(timer: timer, ticket: ticket)
            }
        } onCancel: {
            wait.end()
        }
    }

    /// - Returns: `false` where the wait is over before it began; the continuation was resumed then.
    private func begin(_ continuation: CheckedContinuation<Void, Never>) -> Bool {
        let isOver = self.state.withLock { state in
            if !state.isOver { state.continuation = continuation }
            return state.isOver
        }
        if isOver { continuation.resume() }
        return !isOver
    }

    /// Keeps what has to be undone at the end, or undoes it now.
    private func hold(timer: Scheduled<Void>, ticket: UInt64?) {
        let isOver = self.state.withLock { state in
            if !state.isOver {
                state.timer = timer
                state.ticket = ticket
            }
            return state.isOver
        }
        if isOver { self.undo(timer, ticket) }
    }

    private func end() {
        let (continuation, timer, ticket) = self.state.withLock { state in
            defer { state = State(isOver: true) }
            return (state.continuation, state.timer, state.ticket)
        }
        self.undo(timer, ticket)
        continuation?.resume()
    }

    private func undo(_ timer: Scheduled<Void>?, _ ticket: UInt64?) {
        timer?.cancel()
        if let ticket { self.hub.cancelWait(ticket) }
    }
}

extension GatewayContext {
    /// When a request that may `wait` has to be answered; `nil` where it does not ask to wait.
    ///
    /// - Throws: 400 for what is no duration.
    func waitDeadline(upTo limit: Duration) throws(Problem) -> NIODeadline? {
        guard let text = self.request.query["wait"] else { return nil }
        guard let duration = DurationText.duration(text) else {
            throw .badParameter("wait", "Write the wait as a duration: 500ms, 5s, 1m30s.")
        }
        return .now() + .nanoseconds(min(duration, limit).clampedNanoseconds)
    }
}
