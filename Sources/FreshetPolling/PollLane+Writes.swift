// What writes want of the poll thread: that polls wait, and that what was written becomes the value.

import FreshetCore
import FreshetUpstream
import JSON
import Synchronization

/// What a write to a source is carried out with.
struct WriteLease: Sendable {
    var configuration: SourceConfiguration
    /// What proves the gateway to the upstream beside the configured fields: a token.
    var fields: [SourceConfiguration.Field]
}

extension PollLane {
    func beginWrite(
        _ id: SourceID,
        key: String?,
        isNew: Bool,
        reply: LaneCommand.LeaseReply,
        now: MonotonicTime
    ) {
        guard let source = self.sources[id] else { return reply(.failure(.sourceRemoved)) }
        guard self.hasToken(source, now: now) else {
            return reply(.failure(UpstreamError(.auth, "there is no token from the endpoint at `token_url` yet")))
        }
        // From the first of several: writes without a pause must not keep the source from ever being polled.
        if source.writes == 0 { source.heldUntil = now + source.machine.configuration.timeout }
        source.writes += 1
        if !isNew { source.machine.writeBegan(key) }
        self.releaseRiders(of: source.group, now: now)
        let token = source.credential?.lease.map {
            SourceConfiguration.Field(name: "Authorization", value: "Bearer \($0.token)")
        }
        reply(.success(WriteLease(configuration: source.machine.configuration, fields: token.map { [$0] } ?? [])))
    }

    func endWrite(_ id: SourceID, key: String?, isNew: Bool, polls: Bool, now: MonotonicTime) {
        guard let source = self.sources[id], source.writes > 0 else { return }
        source.writes -= 1
        if !isNew { source.machine.writeEnded(key) }
        if polls { _ = source.machine.hookReceived(now: now, wall: .now) }
        guard source.writes == 0 || polls, source.activity == .scheduled, !source.isUrgent else { return }
        self.schedule(source, now: now)
        if polls { self.hub.report(source.machine.status, of: id) }
    }

    /// Puts a poll off that is due while the source is written. One that a person asks for is not: its answer is dropped if
    /// it may be older than what was written.
    ///
    /// - Returns: Whether it waits.
    func waitsForWrites(_ source: PolledSource, now: MonotonicTime) -> Bool {
        guard !source.isUrgent, source.reading == nil, source.isHeldByWrites(at: now) else { return false }
        self.leaveLine(source)
        source.activity = .scheduled
        self.queue.set(source.id, due: source.heldUntil)
        return true
    }

    func write(
        _ id: SourceID,
        _ edit: WriteEdit,
        tag: [UInt8]?,
        reply: @escaping LaneCommand.TakeReply,
        now: MonotonicTime
    ) {
        guard let source = self.sources[id] else { return reply(.failure(.sourceRemoved)) }
        let (verdict, value) = source.machine.valueWritten(edit, tag: tag, now: now, wall: .now)
        guard let value, verdict.error == nil else {
            return reply(.failure(verdict.error ?? UpstreamError(.internal, "the source has no value")))
        }
        self.report(source, transition: verdict.transition)
        self.watchStaleness(source)
        guard let change = verdict.change else {
            // Equal to the value, whose change may still be on its way to the disk.
            let hub = self.hub
            return source.publishing.whenDone {
                let cursor = hub.version(of: id)?.cursor
                reply(cursor.map { .success(WritePlan.Taken(cursor: $0, value: value)) } ?? .failure(.sourceRemoved))
            }
        }
        source.pagesVersion = nil
        self.publish(change, of: source) { cursor in
            reply(cursor.map { .success(WritePlan.Taken(cursor: $0, value: value)) } ?? .failure(.sourceRemoved))
        }
    }

    /// Publishes a change, and knows until it is readable that it is not yet.
    func publish(
        _ change: Change,
        of source: PolledSource,
        done: @escaping @Sendable (Cursor?) -> Void = { _ in }
    ) {
        let mark = source.publishing
        mark.begin()
        self.hub.publish(change, of: source.id) { cursor in
            done(cursor)
            mark.end()
        }
    }
}

extension PolledSource {
    /// Whether polls wait for writes that are under way.
    func isHeldByWrites(at now: MonotonicTime) -> Bool { self.writes > 0 && now < self.heldUntil }
}

/// Counts the changes of a source that are published and not readable yet. Any thread.
final class PublishingMark: Sendable {
    private struct State: Sendable {
        var pending = 0
        var waiting: [@Sendable () -> Void] = []
    }

    private let state = Mutex(State())

    func begin() {
        self.state.withLock { $0.pending += 1 }
    }

    func end() {
        let ready = self.state.withLock { state -> [@Sendable () -> Void] in
            state.pending -= 1
            guard state.pending == 0 else { return [] }
            defer { state.waiting = [] }
            return state.waiting
        }
        for call in ready { call() }
    }

    /// Calls back once all that was published is readable: at once, where it is.
    func whenDone(_ call: @escaping @Sendable () -> Void) {
        let isDone = self.state.withLock { state -> Bool in
            if state.pending > 0 { state.waiting.append(call) }
            return state.pending == 0
        }
        if isDone { call() }
    }
}

extension UpstreamError {
    fileprivate static let sourceRemoved = UpstreamError(.internal, "the source was removed")
}
