// What one stream of the Streamdata.io SDK is sent.

import FreshetCore
import FreshetStreaming
import JSON
import Synchronization

/// Sends the value, then patches; an error where the upstream fails, which is the end. A reader that does not read costs one
/// part, and gets the value in the place of patches that are no longer kept.
final class StreamdataFollower: AnswerParts {
    private struct State: Sendable {
        /// What the client has; `nil` before the first value.
        var cursor: Cursor?
        var isOver = false
        /// An error was sent.
        var hasFailed = false
        var quietSince = ContinuousClock.now
        /// Counts what the last part holds.
        var held: UnsentTicket?
    }

    private let gateway: Gateway
    private let source: SourceID
    private let hold: SourceHold
    private let ticket: AdmissionTicket
    private let client: ReadClient
    private let signal: ChangeSignal
    /// `snapshot` for clients that take no patches.
    private let mode: StreamMode
    /// Failures before this stream began: only a later one ends it, since nothing is polled between two streams.
    private let earlierFailures: UInt64
    private let state: Mutex<State>

    /// After how long a quiet stream shows that it lives.
    static let heartbeat = Duration.seconds(10)
    /// How often the state of the source is looked at.
    private static let look = Duration.seconds(1)
    /// Polls that fail in a row before a stream with a value ends: one alone is a hiccup.
    private static let failures = 2
    /// Changes, and bytes of them, of one part, but for a single change that is larger.
    private static let maxChanges = 200
    private static let maxPartBytes = 256 << 10

    init(
        _ source: SourceID,
        hold: SourceHold,
        ticket: AdmissionTicket,
        _ context: GatewayContext,
        of gateway: Gateway
    ) {
        self.gateway = gateway
        self.source = source
        self.hold = hold
        self.ticket = ticket
        self.client = context.request.readClient
        self.signal = ChangeSignal(gateway: gateway, source: source, eventLoop: context.request.eventLoop)
        let head = context.request.head
        let type = MediaRange.best(of: [.eventStream, .json], accept: head.value(of: "accept"))
        self.mode = type == .json ? .snapshot : .patch
        self.earlierFailures = gateway.hub.report(of: source)?.status.failures ?? 0
        let ids = [head.value(of: "last-event-id"), context.request.query["evs_last_event_id"]]
        let last = ids.compactMap { $0 }.first { !$0.isEmpty }
        self.state = Mutex(State(cursor: last.flatMap { Cursor($0) }))
        gateway.streamdata.enter()
    }

    deinit {
        self.gateway.streamdata.leave()
    }

    func next() async -> [UInt8]? {
        while !Task.isCancelled, !self.state.withLock({ $0.isOver || $0.hasFailed }) {
            guard let report = self.gateway.hub.report(of: self.source) else { return nil }
            if let problem = self.problem(of: report) { return self.fail(problem) }
            var text: [UInt8] = []
            guard let reached = await self.append(to: &text, report.version) else { return nil }
            if !text.isEmpty { return self.holding(text, reached) }
            self.state.withLock { $0.cursor = reached }
            if self.isQuiet { return Array(":\n\n".utf8) }
            await self.signal.change(after: reached?.sequence ?? 0, upTo: Self.look)
        }
        return nil
    }

    func end() {
        self.state.withLock { state in
            state.isOver = true
            state.held = nil
        }
    }

    /// Why the stream ends, where the upstream fails.
    private func problem(of report: SourceReport) -> StreamdataProblem? {
        let status = report.status
        let limit = report.version == nil ? 1 : Self.failures
        // Where the upstream has asked for patience, the value stays.
        guard status.state != .backoff, status.failures > self.earlierFailures, status.failuresInARow >= limit,
            let failure = status.lastError
        else { return nil }
        let cause = "An error occurred while streaming \(status.url): \(failure.error.message)"
        return StreamdataProblem(.upstream, cause)
    }

    private func fail(_ problem: StreamdataProblem) -> [UInt8] {
        self.state.withLock { $0.hasFailed = true }
        self.gateway.streamdata.refused(problem)
        return StreamdataEvent.error(problem, at: WallClock.now)
    }

    /// Appends what the client has not.
    ///
    /// - Returns: What it has then, which is nothing before the first value; `nil` where the log cannot be read.
    private func append(to text: inout [UInt8], _ version: SourceVersion?) async -> Cursor?? {
        guard let cursor = self.state.withLock({ $0.cursor }) else {
            guard let version else { return .some(nil) }
            StreamdataEvent.append(version.document.text[...], isWhole: true, id: version.cursor, to: &text)
            return version.cursor
        }
        guard
            let reading = try? await self.gateway.hub.changes(
                of: [self.source],
                after: cursor,
                mode: self.mode,
                limit: Self.maxChanges,
                for: self.client
            )
        else { return nil }
        var reached = cursor
        if case .events(let events, let through, _) = reading {
            for event in events {
                guard let change = event.change(in: self.mode) else { return self.appendValue(to: &text, cursor) }
                guard text.isEmpty || text.count + change.text.count <= Self.maxPartBytes else { return reached }
                StreamdataEvent.append(change.text, isWhole: change.isWhole, id: event.cursor, to: &text)
                reached = event.cursor
            }
            reached.sequence = max(reached.sequence, through)
            return reached
        }
        return self.appendValue(to: &text, cursor)
    }

    /// The value of now, in the place of what is gone.
    private func appendValue(to text: inout [UInt8], _ cursor: Cursor) -> Cursor?? {
        text = []
        guard let version = self.gateway.hub.version(of: self.source) else {
            // A cursor of an earlier gateway: the first value is still to come.
            self.state.withLock { $0.cursor = nil }
            return .some(nil)
        }
        StreamdataEvent.append(version.document.text[...], isWhole: true, id: version.cursor, to: &text)
        return Cursor(epoch: self.gateway.hub.cursor.epoch, sequence: version.cursor.sequence)
    }

    private var isQuiet: Bool {
        self.state.withLock { state in
            guard ContinuousClock.now - state.quietSince >= Self.heartbeat else { return false }
            state.quietSince = .now
            return true
        }
    }

    /// - Returns: `nil` where so much waits for clients already that the stream ends.
    private func holding(_ text: [UInt8], _ reached: Cursor?) -> [UInt8]? {
        var copy = HeldBytes()
        copy.own = text.count
        self.state.withLock { $0.held = nil }
        do throws(UnsentRefusal) {
            let held = try self.gateway.unread.desk.hold(copy, for: self.client)
            self.state.withLock { state in
                state.held = held
                state.cursor = reached
                state.quietSince = .now
            }
            return text
        } catch {
            self.gateway.unread.makeRoom(for: self.client, after: error)
            return nil
        }
    }
}
