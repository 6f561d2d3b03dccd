// A connection: bytes that the gateway has handed to it arrive in order, later, or not at all.

import FreshetCore
import FreshetStreaming
import Synchronization

/// Both ends of one connection. The shard's end is ``SimulatedTransport``'s, the client's end the script's.
final class SimulatedSocket: ArrivingConnection {
    /// Bytes on their way.
    struct Piece: Sendable {
        var bytes: [UInt8]
        /// The subscriber did not keep up when they were sent, so that a snapshot may stand for several events.
        var maySkip: Bool
    }

    /// What a socket is like, from its beginning to its end.
    struct Character: Sendable {
        /// Bytes that it holds at most.
        var capacity: Int
        /// Sent bytes stay with the transport until it is flushed, as those of several streams of one connection do.
        var gathers = false
        /// It cannot be watched.
        var isRefused = false
        /// Bytes that the client sends although nothing is expected.
        var input = 0
    }

    private struct State: Sendable {
        var character: Character
        var key: SlotKey?
        var gathered: [Piece] = []
        var pieces: [Piece] = []
        var room: Int
        var reports: TransportReport.Events = []
        /// The last send was not taken whole, so that the next room is reported.
        var isShort = false
        var isLive = false
        var hasLagged = false
        /// The client is gone, and the gateway may not have heard of it.
        var isCut = false
        var isClosed = false
    }

    private let state: Mutex<State>

    init(_ character: Character) {
        self.state = Mutex(State(character: character, room: character.capacity))
    }

    /// Names the subscriber; `nil` before a shard has it.
    var key: SlotKey? { self.state.withLock { $0.key } }
    /// The client is gone.
    var isCut: Bool { self.state.withLock { $0.isCut } }
    /// The gateway has closed it.
    var isClosed: Bool { self.state.withLock { $0.isClosed } }
    var isFull: Bool { self.state.withLock { $0.room == 0 } }
    /// Bytes that are on their way.
    var inFlight: Int {
        self.state.withLock { state in (state.pieces + state.gathered).reduce(0) { $0 + $1.bytes.count } }
    }

    func abandon() {
        self.state.withLock { $0.isClosed = true }
    }
}

// MARK: - The client's end

extension SimulatedSocket {
    /// Takes up to `count` bytes off the wire.
    func arrive(_ count: Int) -> [Piece] {
        self.state.withLock { state in
            var left = count
            var arrived: [Piece] = []
            while left > 0, let first = state.pieces.first {
                let taken = min(left, first.bytes.count)
                arrived.append(Piece(bytes: Array(first.bytes.prefix(taken)), maySkip: first.maySkip))
                if taken == first.bytes.count {
                    state.pieces.removeFirst()
                } else {
                    state.pieces[0].bytes.removeFirst(taken)
                }
                left -= taken
            }
            state.room += count - left
            if state.isShort, count > left {
                state.isShort = false
                state.reports.insert(.writable)
            }
            return arrived
        }
    }

    /// The client is gone. What is on the wire is lost; the gateway can send on until it hears of it.
    func cut() {
        self.state.withLock { state in
            state.isCut = true
            state.room += state.pieces.reduce(0) { $0 + $1.bytes.count }
            state.pieces = []
        }
    }

    /// The gateway hears that the client is gone.
    func tellBroken() {
        self.state.withLock { _ = $0.reports.insert(.broken) }
    }

    /// Between two turns of its shard: whether its subscriber is caught up.
    func note(isLive: Bool) {
        self.state.withLock { state in
            state.isLive = isLive
            if isLive { state.hasLagged = false }
        }
    }

    /// Its shard is about to find that events were left out: who is live then did not keep up.
    func noteOverflow() {
        self.state.withLock { state in
            if state.isLive { state.hasLagged = true }
        }
    }
}

// MARK: - The shard's end

extension SimulatedSocket {
    /// - Returns: `false` where it cannot be watched.
    func adopt(as key: SlotKey) -> Bool {
        self.state.withLock { state in
            guard !state.character.isRefused else {
                state.isClosed = true
                return false
            }
            state.key = key
            state.reports.formUnion(state.character.input > 0 ? [.writable, .readable] : .writable)
            return true
        }
    }

    /// What has happened since this was last asked.
    func takeReports() -> TransportReport.Events {
        self.state.withLock { state in
            defer { state.reports = [] }
            return state.reports
        }
    }

    /// - Returns: How many of the bytes there was room for.
    func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        self.state.withLock { state in
            let taken = min(bytes.count, state.room)
            if taken < bytes.count {
                state.isShort = true
                if state.isLive { state.hasLagged = true }
            }
            guard taken > 0 else { return 0 }
            let piece = Piece(bytes: Array(bytes.prefix(taken)), maySkip: state.hasLagged)
            state.room -= taken
            if state.character.gathers { state.gathered.append(piece) } else { state.pieces.append(piece) }
            return taken
        }
    }

    func flush() {
        self.state.withLock { state in
            guard !state.gathered.isEmpty else { return }
            if state.isCut {
                state.room += state.gathered.reduce(0) { $0 + $1.bytes.count }
            } else {
                state.pieces += state.gathered
            }
            state.gathered = []
            state.reports.insert(.writable)
        }
    }

    var hasWritten: Bool { self.state.withLock { $0.gathered.isEmpty } }

    /// - Returns: How many bytes of the client were dropped.
    func discardInput(upTo limit: Int) -> Int {
        self.state.withLock { state in
            let count = min(limit, state.character.input)
            state.character.input -= count
            return count
        }
    }

    /// - Returns: `false` where something that was taken was never written.
    func close(after end: StreamEnd) -> Bool {
        self.state.withLock { state in
            state.isClosed = true
            switch end {
            case .told(.slow), .talkative, .gone, .failed:
                state.pieces = []
                state.gathered = []
                return true
            case .told:
                return state.gathered.isEmpty
            }
        }
    }
}
