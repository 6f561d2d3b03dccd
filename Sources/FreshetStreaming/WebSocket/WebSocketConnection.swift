// One WebSocket on a shard: what several subscriptions and the socket itself write to one connection, frame by frame.

import CLinux
import FreshetCore
import Glibc
import TLS
import WebSocket

/// A socket, its reader, and what it has to say itself. Belongs to its shard's thread.
///
/// A subscription writes as any subscriber does, and holds no more than its cursor and the rest of one frame. While a frame of
/// one is out in part, the others and the socket's own frames wait: no frame is copied for that.
final class WebSocketConnection {
    let pipe: WebSocketPipe
    /// Shared by the sockets of a shard.
    let limits: SharedLimits
    let deflates: Bool
    let requests: any WebSocketRequests
    /// Holds its place among those that were admitted.
    private let ticket: AdmissionTicket
    /// What came behind the handshake, until it is read.
    var received: [UInt8]
    let exchange: WebSocketExchange
    /// Where it stands in the table, and how many were made before it.
    let place: Int32
    let number: UInt32
    var reader: MessageReader
    /// Places of its subscribers.
    var subscribers: [Int32] = []
    var owner: StreamOwner?
    /// ``owner`` is not that of the handshake.
    var isRenewed = false
    var mustAuthenticate: Bool
    /// The number of the last subscription that was taken over, and what is asked of later ones.
    var lastAdopted: UInt64 = 0
    var deferred: [WebSocketOrder] = []

    // MARK: Output

    private var boundary = FrameBoundary()
    /// The subscriber inside of whose frame the connection is; below zero for none.
    private(set) var writer: Int32 = -1
    /// Subscribers that wait, the longest first.
    private var waiting: [Int32] = []
    /// Frames of the socket itself, from ``ownStart`` on; they leave between two frames of subscribers.
    private var own: [UInt8] = []
    private var ownStart = 0
    /// Counts what long answers among them hold.
    private var held: [UnsentTicket] = []
    /// The head of the answer to the handshake is in front of them: no frame.
    private var headLeft = 0
    /// It took less than it was given.
    private var isFull = false

    // MARK: Input

    /// Requests that were not answered yet, and bytes of them since there were none.
    private(set) var unanswered = 0
    private var unansweredBytes = 0
    /// What the table counts of ``reader``.
    var countedBytes = 0
    /// Messages that it may send now.
    private var tokens: Double
    private var tokensAt: Int64
    var throttle: WebSocketCounters.Throttle?
    /// When it may be read again that sent too many messages.
    var readableAt: Int64 = 0

    // MARK: Times, in nanoseconds

    let openedAt: Int64
    var lastSent: Int64
    /// When it was last sent a ping that is not answered; 0 for none.
    var pingedAt: Int64 = 0
    /// When the message under way began; 0 for none.
    var messageSince: Int64 = 0
    /// When something of its own last left, or there was nothing.
    private(set) var ownProgress: Int64

    // MARK: Ends

    /// It ends as soon as its subscriptions have.
    var ending: (code: CloseCode, reason: CloseReason)?
    /// The code of the Close frame that was sent; 0 for none.
    var closeCode: UInt16 = 0
    var closedAt: Int64 = 0
    /// The client has said Close, and with which code.
    var hasPeerClosed = false
    var farewell: CloseCode?
    var isGone = false
    /// The peer's system was told that nothing follows.
    var hasSaidEnd = false

    init(
        _ arrival: WebSocketArrival,
        _ pipe: WebSocketPipe,
        limits: SharedLimits,
        exchange: WebSocketExchange,
        place: Int32,
        number: UInt32,
        now: Int64
    ) {
        self.pipe = pipe
        self.limits = limits
        self.deflates = arrival.deflates
        self.requests = arrival.requests
        self.ticket = arrival.ticket
        self.received = arrival.received
        self.exchange = exchange
        self.place = place
        self.number = number
        self.owner = arrival.owner
        self.mustAuthenticate = arrival.mustAuthenticate
        self.reader = MessageReader(
            from: .client,
            maxMessageBytes: arrival.limits.maxMessageBytes,
            inflates: arrival.deflates
        )
        self.tokens = Double(arrival.limits.maxMessagesPerSecond) * Self.burstSeconds
        self.tokensAt = now
        self.openedAt = now
        self.lastSent = now
        self.ownProgress = now
        self.own = arrival.head
        self.headLeft = arrival.head.count
    }

    /// How many seconds' worth of messages may come at once.
    private static let burstSeconds = 10.0
    private static let smallBytes = 4 << 10

    /// Bytes of its own that wait.
    var ownCount: Int { self.own.count - self.ownStart }

    /// Whether nothing waits that was taken.
    var hasWritten: Bool { self.ownCount == 0 && self.pipe.hasWritten }

    // MARK: Sending

    /// Sends for a subscriber: none of it while another's frame is out in part, or something of its own waits.
    ///
    /// - Returns: How much was taken; negative where the connection is broken.
    func send(_ bytes: UnsafeRawBufferPointer, for subscriber: Int32, now: Int64) -> Int {
        guard self.closeCode == 0, !self.isGone else { return -1 }
        guard self.writer < 0 || self.writer == subscriber else { return self.wait(subscriber) }
        if self.writer < 0 {
            if self.ownCount > 0, !self.sendOwn(now: now) { return -1 }
            guard self.ownCount == 0 else { return self.wait(subscriber) }
        }
        var offered = bytes
        if self.writer == subscriber, self.ownCount > 0 || !self.waiting.isEmpty {
            offered = UnsafeRawBufferPointer(rebasing: bytes[..<self.boundary.rest(in: bytes)])
        }
        let sent = self.pipe.send(offered)
        guard sent >= 0 else { return -1 }
        self.isFull = sent < offered.count
        self.lastSent = now
        self.boundary.pass(UnsafeRawBufferPointer(rebasing: bytes[..<sent]))
        self.writer = self.boundary.isBetweenFrames ? -1 : subscriber
        if self.writer < 0, self.ownCount > 0, !self.sendOwn(now: now) { return -1 }
        if sent < bytes.count { _ = self.wait(subscriber) }
        return sent
    }

    /// Has a subscriber among those that are told when the connection takes bytes.
    ///
    /// - Returns: 0, what was taken.
    @discardableResult
    func wait(_ subscriber: Int32) -> Int {
        if !self.waiting.contains(subscriber) { self.waiting.append(subscriber) }
        return 0
    }

    /// Adds a frame of its own, and sends what can be sent.
    ///
    /// - Returns: `false` where the connection is broken.
    func say(_ frame: [UInt8], held: UnsentTicket? = nil, now: Int64) -> Bool {
        guard self.closeCode == 0, !self.isGone else { return true }
        if self.ownCount == 0 { self.ownProgress = now }
        self.own.append(contentsOf: frame)
        if let held { self.held.append(held) }
        return self.sendOwn(now: now)
    }

    /// Sends what waits of its own, where no frame of a subscriber is out in part.
    ///
    /// - Returns: `false` where the connection is broken.
    func sendOwn(now: Int64) -> Bool {
        guard self.writer < 0, self.ownCount > 0 else { return true }
        let sent = self.own.withUnsafeBytes { bytes in
            let rest = UnsafeRawBufferPointer(rebasing: bytes[self.ownStart...])
            let sent = self.pipe.send(rest)
            if sent > 0 {
                let head = min(self.headLeft, sent)
                self.headLeft -= head
                self.boundary.pass(UnsafeRawBufferPointer(rebasing: rest[head..<sent]))
            }
            return sent
        }
        guard sent >= 0 else { return false }
        self.isFull = sent < self.ownCount
        self.ownStart += sent
        if sent > 0 {
            self.lastSent = now
            self.ownProgress = now
        }
        if self.ownCount == 0 {
            self.own = []
            self.ownStart = 0
            self.held = []
        } else if self.ownStart > 64 << 10 {
            self.own.removeFirst(self.ownStart)
            self.ownStart = 0
        }
        return true
    }

    /// The connection may take bytes again.
    ///
    /// - Returns: `false` where it is broken.
    func becameWritable(now: Int64) -> Bool {
        self.isFull = false
        return self.pipe.sendRest() && self.sendOwn(now: now)
    }

    /// Those who may send now, and wait for that.
    func takeReady() -> [Int32] {
        guard !self.isFull, self.pipe.hasWritten else { return [] }
        if self.writer >= 0 {
            let writer = self.writer
            guard self.waiting.contains(writer) else { return [] }
            self.waiting.removeAll { $0 == writer }
            return [writer]
        }
        guard self.ownCount == 0 else { return [] }
        defer { self.waiting = [] }
        return self.waiting
    }

    /// Forgets a subscriber.
    ///
    /// - Returns: `false` where a frame of it is out in part: nothing can follow on the connection.
    func remove(_ subscriber: Int32) -> Bool {
        self.subscribers.removeAll { $0 == subscriber }
        self.waiting.removeAll { $0 == subscriber }
        return self.writer != subscriber
    }

    /// Nothing is out in part.
    var isBetweenFrames: Bool { self.writer < 0 }

    // MARK: Receiving

    /// Counts a message in.
    ///
    /// - Returns: `false` where it is one too many for now; ``readableAt`` says until when.
    func takeToken(now: Int64) -> Bool {
        let perSecond = Double(self.limits.value.maxMessagesPerSecond)
        guard perSecond > 0 else { return true }
        self.tokens = min(
            perSecond * Self.burstSeconds,
            self.tokens + Double(max(0, now &- self.tokensAt)) / 1e9 * perSecond
        )
        self.tokensAt = now
        self.tokens -= 1
        guard self.tokens < 0 else { return true }
        self.readableAt = now &+ Int64(1e9 * (1 - self.tokens) / perSecond)
        return false
    }

    /// Counts a request in.
    func asked(_ bytes: Int) {
        self.unanswered += 1
        self.unansweredBytes += bytes
    }

    /// Counts one out.
    func answered() {
        self.unanswered = max(0, self.unanswered - 1)
        if self.unanswered == 0 { self.unansweredBytes = 0 }
    }

    /// Why it is not to be read any further now.
    func mustPause(now: Int64) -> WebSocketCounters.Throttle? {
        let limits = self.limits.value
        if self.unanswered >= max(1, limits.maxUnanswered) || self.unansweredBytes > limits.maxMessageBytes {
            return .unanswered
        }
        if self.ownCount > limits.maxWaitingBytes { return .unread }
        return self.readableAt > now ? .messages : nil
    }
}

/// The limits of sockets, kept once where many sockets have the same.
final class SharedLimits: Sendable {
    let value: WebSocketLimits

    init(_ value: WebSocketLimits) { self.value = value }

    /// Itself where it says the same: limits change by a reload only.
    func reused(for limits: WebSocketLimits) -> SharedLimits {
        self.value == limits ? self : SharedLimits(limits)
    }
}

/// What carries a socket's bytes.
enum WebSocketPipe {
    case plain(Int32)
    case sealed(SealedSocket, TLSWorkspace)
    /// A stream of a connection of HTTP/2.
    case stream(HTTP2Tunnel)
    /// It is gone.
    case lost

    /// `nil` where it has none of its own.
    var descriptor: Int32? {
        switch self {
        case .plain(let descriptor): descriptor
        case .sealed(let socket, _): socket.descriptor
        case .stream, .lost: nil
        }
    }

    /// - Returns: How much was taken; negative where the connection is broken.
    func send(_ bytes: UnsafeRawBufferPointer) -> Int {
        guard !bytes.isEmpty else { return 0 }
        switch self {
        case .plain(let descriptor):
            let sent = clinux_send(descriptor, bytes.baseAddress, bytes.count)
            return sent == -Int(EAGAIN) ? 0 : sent
        case .sealed(let socket, let workspace): return socket.send(bytes, with: workspace)
        case .stream(let tunnel): return tunnel.send(bytes)
        case .lost: return -1
        }
    }

    var hasWritten: Bool {
        switch self {
        case .plain, .stream, .lost: true
        case .sealed(let socket, _): socket.hasWritten
        }
    }

    /// - Returns: `false` where the connection is broken.
    func sendRest() -> Bool {
        switch self {
        case .plain, .stream, .lost: true
        case .sealed(let socket, _): socket.sendRest()
        }
    }
}
