// One connection of HTTP/2 on a shard.

import FreshetCore
import HTTP2
import TLS

/// A socket, its TLS session, and the streams on it. Belongs to its shard's thread.
final class HTTP2Connection {
    let socket: SealedSocket
    let session: HTTP2Session
    let arrival: HTTP2Arrival
    /// Where it stands in the table, and how many were made before it.
    let place: Int32
    let number: UInt32
    /// By stream.
    var exchanges: [Int32: HTTP2Exchange] = [:]
    /// What answers hold in memory, by stream.
    var held: [Int32: any AnyObject & Sendable] = [:]
    /// Streams whose answers come in parts, while a part is on its way.
    var awaitsPart: Set<Int32> = []
    /// Subscribers that wait until everything is written.
    var awaitsWrite: [Int32] = []
    /// Frames wait for the end of the turn.
    var isDirty = false
    /// It is closed as soon as its last stream and its last byte are gone.
    var isEnding = false
    /// What the client sends is not read any more: it broke the protocol, or did something too often.
    var isLost = false
    /// Places of its subscribers.
    var subscribers: Set<Int32> = []
    /// When the socket last took something, or had everything; nanoseconds.
    private(set) var lastWrite: Int64
    private var lastRest = 0
    /// When there was last a stream.
    var lastStream: Int64
    var isClosed = false

    init(_ arrival: HTTP2Arrival, _ session: HTTP2Session, place: Int32, number: UInt32, now: Int64) {
        self.arrival = arrival
        self.session = session
        self.place = place
        self.number = number
        self.lastWrite = now
        self.lastStream = now
        self.socket = SealedSocket(
            descriptor: arrival.descriptor,
            session: arrival.session,
            key: SlotKey(index: place, generation: number)
        )
    }

    /// Writes of one connection in one turn, of a little more than 64 KiB each.
    private static let writesPerTurn = 16

    /// Whether everything was written that streams were told was taken.
    var hasWritten: Bool { self.session.output.isEmpty && self.socket.hasWritten }

    /// Gives memory back that requests and answers took.
    func releaseMemory() {
        self.session.releaseMemory()
        if self.exchanges.isEmpty { self.exchanges = [:] }
        if self.held.isEmpty { self.held = [:] }
        if self.awaitsPart.isEmpty { self.awaitsPart = [] }
    }

    /// Sends the frames that are ready, in one write, and lets answers go on while the socket takes them.
    ///
    /// - Returns: `false` where the connection is broken.
    func write(now: Int64, with workspace: TLSWorkspace) -> Bool {
        guard self.socket.sendRest() else { return false }
        defer {
            if self.hasWritten || self.socket.restCount != self.lastRest { self.lastWrite = now }
            self.lastRest = self.socket.restCount
        }
        for _ in 0..<Self.writesPerTurn where self.socket.hasWritten && !self.session.output.isEmpty {
            let isSealed = self.session.output.withUnsafeBytes { self.socket.session.seal($0, with: workspace) }
            guard isSealed, self.socket.sendSealed(with: workspace) else { return false }
            self.session.clearOutput()
            self.session.resumeAnswers(now: now)
        }
        return true
    }
}

/// A subscriber on a stream of a connection, or a WebSocket.
struct HTTP2Subscriber {
    enum Role {
        case subscriber(SlotKey)
        case tunnel(HTTP2Tunnel)
    }

    let connection: HTTP2Connection
    let stream: HTTP2Stream
    let role: Role
}
