// Reads one stream for as long as its sequence is iterated.

import JSON
import Synchronization

/// Opens a stream, again where it breaks, and hands its changes to a sink. Runs in one task, which the sequence owns.
struct Feed: Sendable {
    /// What becomes of a change.
    enum Verdict: Sendable {
        case taken
        /// The consumer's buffer overflowed.
        case lagging
        /// It does not fit what the consumer holds.
        case mismatch
    }

    /// Takes changes.
    protocol Sink: Sendable {
        /// Whether the consumer lags so far that another change would overflow its buffer.
        var isFull: Bool { get }
        /// - Throws: What ends the sequence.
        func take(_ change: FreshetClient.Change) throws -> Verdict
        /// Returns when the consumer has taken all that waits.
        func waitUntilTaken() async
        func finish(_ error: (any Error)?)
    }

    /// How one connection ended.
    private enum End: Sendable {
        case interrupted(String, requested: Duration? = nil)
        case lagging
        case mismatch
        /// There is nothing more.
        case over
        case failed(any Error)
    }

    /// What the two tasks of a connection share.
    private final class Connection: Sendable {
        struct State: Sendable {
            var machine: StreamStateMachine
            var heardAt: ContinuousClock.Instant
            /// Nothing is read, because what was read is being taken, which may be for the consumer to do.
            var isBusy = false
        }

        let state: Mutex<State>

        init(_ machine: StreamStateMachine, now: ContinuousClock.Instant) {
            self.state = Mutex(State(machine: machine, heardAt: now))
        }
    }

    let core: ClientCore
    let query: StreamQuery
    let sink: any Sink

    func run() async {
        let number = self.core.settlements.begin(self.query)
        defer { self.core.settlements.end(number) }
        var machine = StreamStateMachine(start: self.query.start, maxDelay: self.core.configuration.maxDelay)
        while !Task.isCancelled {
            let end = await self.connect(&machine, number)
            do {
                switch end {
                case .over: return self.sink.finish(nil)
                case .failed(let error): return self.sink.finish(error)
                case .lagging: try await self.recover(&machine, .lagging, number)
                case .mismatch:
                    try await self.recover(&machine, .mismatch, number)
                    try await self.core.timing.sleep(machine.closed(chance: self.core.timing.chance()), .backOff)
                case .interrupted(let reason, let requested):
                    let said = machine.closingReason
                    let delay = machine.closed(requested: requested, chance: self.core.timing.chance())
                    let words = said.map { "the gateway closed the stream: \($0)" } ?? reason
                    let change = FreshetClient.Change(.interrupted(reason: words, retryingIn: delay))
                    if self.waits, self.sink.isFull { await self.sink.waitUntilTaken() }
                    if try self.sink.take(change) == .lagging { try await self.recover(&machine, .lagging, number) }
                    try await self.core.timing.sleep(delay, .backOff)
                }
            } catch {
                return self.sink.finish(error)
            }
        }
        self.sink.finish(CancellationError())
    }

    /// The next connection begins with snapshots, once the consumer knows that something is missing.
    private func recover(
        _ machine: inout StreamStateMachine,
        _ reason: FreshetClient.GapReason,
        _ number: Int
    ) async throws {
        machine.restart()
        if reason == .lagging { self.core.settlements.update(number) { $0.isLagging = true } }
        _ = try self.sink.take(.init(.gap(reason)))
        await self.sink.waitUntilTaken()
    }

    /// One connection: reads until it ends or is silent for too long.
    private func connect(_ machine: inout StreamStateMachine, _ number: Int) async -> End {
        let openedAt = self.core.timing.now()
        let opening = machine.opening()
        let connection = Connection(machine, now: openedAt)
        defer { machine = connection.state.withLock { $0.machine } }
        return await withTaskGroup(of: End.self) { group in
            group.addTask { await self.read(connection, opening, openedAt: openedAt, number) }
            group.addTask { await self.watch(connection) }
            let end = await group.next() ?? .over
            group.cancelAll()
            return end
        }
    }

    private func watch(_ connection: Connection) async -> End {
        while true {
            let now = self.core.timing.now()
            let (heardAt, limit) = connection.state.withLock { ($0.isBusy ? now : $0.heardAt, $0.machine.maxSilence) }
            let left = limit - heardAt.duration(to: now)
            guard left > .zero else { return .interrupted("nothing arrived for \(limit.components.seconds) s") }
            do {
                try await self.core.timing.sleep(left, .silence)
            } catch {
                return .failed(error)
            }
        }
    }

    private func read(
        _ connection: Connection,
        _ opening: StreamStateMachine.Opening,
        openedAt: ContinuousClock.Instant,
        _ number: Int
    ) async -> End {
        do {
            let response = try await self.core.open(self.query, from: opening)
            switch connection.state.withLock({ $0.machine.answered(status: response.status) }) {
            case .end: return .over
            case .refuse: return .failed(await self.error(of: response))
            case .retry:
                let error = await self.error(of: response)
                let requested = response.headers["retry-after"].flatMap { Int64($0) }.map { Duration.seconds($0) }
                return .interrupted(error.reason, requested: requested.map { max($0, .zero) })
            case .read: break
            }
            let limit = self.core.configuration.maxEventBytes
            guard var reader = StreamReader(contentType: response.headers["content-type"], maxEventBytes: limit) else {
                return .interrupted("the answer is not an event stream")
            }
            for try await chunk in response.body {
                let events = try reader.push(chunk)
                connection.state.withLock { state in
                    state.isBusy = true
                    if let retry = reader.retry { state.machine.retryReceived(retry) }
                }
                for event in events {
                    if let end = try await self.take(event, connection, openedAt: openedAt, number) { return end }
                }
                let now = self.core.timing.now()
                connection.state.withLock { state in
                    state.isBusy = false
                    state.heardAt = now
                }
            }
            return .interrupted("the stream ended")
        } catch let error as FreshetTransportError {
            return .interrupted(error.description)
        } catch let error as FreshetClientError where error.code == .malformed {
            return .interrupted(error.reason)
        } catch let error where error is FreshetClientError || error is CancellationError {
            return .failed(error)
        } catch {
            return .interrupted("\(type(of: error))")
        }
    }

    /// - Returns: How the connection ends, where it does.
    private func take(
        _ event: StreamInput,
        _ connection: Connection,
        openedAt: ContinuousClock.Instant,
        _ number: Int
    ) async throws -> End? {
        let (action, isBeginning) = connection.state.withLock { state in
            let isBeginning = state.machine.cursor == nil
            return (state.machine.received(event), isBeginning)
        }
        guard action == .deliver else { return nil }
        let change = try FreshetClient.Change(event)
        // The snapshots with which a stream begins are not dropped: others would take their place, and so on.
        if self.waits || isBeginning, self.sink.isFull { await self.hold(number) }
        switch try self.sink.take(change) {
        case .lagging: return .lagging
        case .mismatch: return .mismatch
        case .taken: break
        }
        let named = event.name == "hello" ? event.data.root["cursor"]?.string : nil
        guard let seen = event.id ?? named.flatMap({ FreshetClient.Cursor($0) }) else { return nil }
        self.core.settlements.update(number) { progress in
            if let id = event.id {
                progress.cursor = id
                progress.isLagging = false
            }
            if progress.cursor?.epoch == seen.epoch { progress.confirmedAt = openedAt }
        }
        return nil
    }

    private var waits: Bool { self.core.configuration.whenLagging == .wait }

    /// Reads nothing until the consumer has taken all that waits.
    private func hold(_ number: Int) async {
        // The consumer itself may wait for a write to settle.
        self.core.settlements.update(number) { $0.isLagging = true }
        await self.sink.waitUntilTaken()
        self.core.settlements.update(number) { $0.isLagging = false }
    }

    /// What an answer says that is no stream, by the first bytes of its body.
    private func error(of response: FreshetClient.Response) async -> FreshetClientError {
        var bytes: [UInt8] = []
        do {
            for try await chunk in response.body {
                bytes += chunk.prefix(Self.maxProblemBytes - bytes.count)
                if bytes.count >= Self.maxProblemBytes { break }
            }
        } catch {
            // The status says enough.
        }
        return FreshetClientError(status: response.status, body: bytes)
    }

    private static let maxProblemBytes = 256 << 10
}
