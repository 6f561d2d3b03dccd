// The WebSockets of one shard: what comes on them, what goes, and when they end.

import CLinux
import FreshetCore
import Glibc
import System
import TLS
import WebSocket

/// Belongs to its shard's thread, and to its transport.
final class WebSocketConnections {
    var connections = PlaceTable<WebSocketConnection>()
    var subscribers = PlaceTable<WebSocketSubscriber>()
    /// For the next look of the delivery.
    private var reports: [TransportReport] = []
    /// Sockets that have more to read than one turn takes, or may be read again.
    private var unread: [WebSocketConnection] = []
    /// Sockets that are not read for having sent too much.
    private var paused: [WebSocketConnection] = []
    private var heldBytes = 0
    private var nextNumber: UInt32 = 0
    private var lastLimits = SharedLimits(WebSocketLimits())
    private var nextSweep: Int64 = 0
    var isDraining = false
    /// Of this turn.
    var now: Int64 = 0

    let shard: Int
    let inbox: Inbox<WebSocketOrder>
    let delivery: DeliveryInbox<EpollTransport>
    let counters: WebSocketCounters
    private let http2: HTTP2Connections
    private let workspace: TLSWorkspace
    private let input: UnsafeMutableRawBufferPointer
    private let epoll: EpollSet
    private lazy var inflater = MessageInflater()

    /// Marks reports of these sockets.
    static let mark = UInt64(1) << 62
    /// How often deadlines are looked at.
    private static let sweepNanoseconds: Int64 = 250_000_000
    /// Reads of one socket in one turn, and how many bytes each may give: what is read before a limit is noticed.
    private static let readsPerTurn = 4
    private static let readBytes = 16 << 10
    /// Of messages that have not come whole, on all sockets of a shard.
    private static let maxHeldBytes = 64 << 20

    init(
        shard: Int,
        inbox: Inbox<WebSocketOrder>,
        delivery: DeliveryInbox<EpollTransport>,
        counters: WebSocketCounters,
        http2: HTTP2Connections,
        workspace: TLSWorkspace,
        input: UnsafeMutableRawBufferPointer,
        epoll: EpollSet
    ) {
        self.shard = shard
        self.inbox = inbox
        self.delivery = delivery
        self.counters = counters
        self.http2 = http2
        self.workspace = workspace
        self.input = input
        self.epoll = epoll
    }

    // MARK: A turn

    /// How long a wait may take, of the milliseconds that it is asked for.
    func patience(_ milliseconds: Int32, now: Int64) -> Int32 {
        guard self.reports.isEmpty, self.unread.isEmpty else { return 0 }
        guard self.connections.count > 0 else { return milliseconds }
        let next = self.paused.reduce(self.nextSweep) { min($0, max($1.readableAt, now)) }
        return min(milliseconds, Int32(clamping: max(0, next &- now) / 1_000_000 + 1))
    }

    /// What happened to subscribers since this was last asked.
    func takeReports() -> [TransportReport] {
        defer { self.reports = [] }
        return self.reports
    }

    func report(_ events: TransportReport.Events, of key: SlotKey) {
        self.reports.append(TransportReport(events, of: key))
    }

    /// Takes what waits in the inbox, goes on reading, and looks at deadlines.
    func work(now: Int64) {
        self.now = now
        for report in self.http2.takeTunnelReports() {
            guard let connection = self.connections[report.tunnel.socket],
                case .stream(let tunnel) = connection.pipe, tunnel === report.tunnel
            else { continue }
            self.happened(connection, report.events)
        }
        for order in self.inbox.take() { self.carryOut(order) }
        let unread = self.unread
        self.unread = []
        for connection in unread { self.read(connection) }
        if !self.paused.isEmpty { self.resumePaused() }
        guard now >= self.nextSweep, self.connections.count > 0 else { return }
        self.nextSweep = now &+ Self.sweepNanoseconds
        for connection in self.connections.all { self.sweep(connection) }
    }

    func find(_ name: WebSocketName) -> WebSocketConnection? {
        guard let connection = self.connections[name.place], connection.number == name.number else { return nil }
        return connection
    }

    func open(_ arrival: WebSocketArrival) {
        self.nextNumber = (self.nextNumber &+ 1) & 0x3FFF_FFFF
        let number = self.nextNumber
        self.lastLimits = self.lastLimits.reused(for: arrival.limits)
        let place = self.connections.insert { place in
            WebSocketConnection(
                arrival,
                self.pipe(for: arrival, place: place, number: number),
                limits: self.lastLimits,
                exchange: WebSocketExchange(
                    WebSocketName(shard: self.shard, place: place, number: number),
                    inbox: self.inbox
                ),
                place: place,
                number: number,
                now: self.now
            )
        }
        guard let connection = self.connections[place] else { return }
        self.counters.opened()
        let mark = Self.mark | UInt64(number) << 32 | UInt64(UInt32(bitPattern: place))
        if let descriptor = connection.pipe.descriptor, !self.epoll.add(descriptor, as: mark) {
            return self.lose(connection)
        }
        if case .lost = connection.pipe { return self.lose(connection) }
        self.begin(connection)
    }

    private func pipe(for arrival: WebSocketArrival, place: Int32, number: UInt32) -> WebSocketPipe {
        switch arrival.connection.kind {
        case .whole(let descriptor, nil): return .plain(descriptor)
        case .whole(let descriptor, let session?):
            let key = SlotKey(index: place, generation: number)
            return .sealed(SealedSocket(descriptor: descriptor, session: session, key: key), self.workspace)
        case .stream(let exchange, let fields):
            return self.http2.openTunnel(exchange, fields, for: place).map { .stream($0) } ?? .lost
        // Sockets are not detached.
        case .subscription, .detached: return .lost
        }
    }

    /// Answers the handshake, and takes what came behind it.
    func begin(_ connection: WebSocketConnection) {
        guard connection.sendOwn(now: self.now) else { return self.lose(connection) }
        if self.isDraining { self.endSoon(connection, .goingAway, .drain) }
        connection.received.withUnsafeBytes { connection.reader.append($0) }
        connection.received = []
        self.process(connection)
        // What a stream of HTTP/2 had before nobody was told of.
        if connection.pipe.descriptor == nil { self.unread.append(connection) }
    }

    // MARK: What comes

    /// Something happened on the socket of this mark.
    func happened(_ mark: UInt64, _ events: TransportReport.Events, now: Int64) {
        let place = Int32(truncatingIfNeeded: mark & 0x7FFF_FFFF)
        guard let connection = self.connections[place],
            UInt64(connection.number) == (mark >> 32) & 0x3FFF_FFFF
        else { return }
        self.now = now
        self.happened(connection, events)
    }

    private func happened(_ connection: WebSocketConnection, _ events: TransportReport.Events) {
        // Before the end is noticed: a Close frame may have come with it.
        if events.contains(.readable) { self.read(connection, isLast: events.contains(.broken)) }
        guard !connection.isGone else { return }
        if events.contains(.broken) { return self.lose(connection) }
        if events.contains(.writable) { self.writable(connection) }
    }

    func writable(_ connection: WebSocketConnection) {
        guard connection.becameWritable(now: self.now) else { return self.lose(connection) }
        self.wake(connection)
        self.resume(connection)
        self.finish(connection)
    }

    /// Has those write on who wait and may.
    func wake(_ connection: WebSocketConnection) {
        for place in connection.takeReady() {
            guard let subscriber = self.subscribers[place] else { continue }
            self.reports.append(TransportReport(.writable, of: subscriber.key))
        }
    }

    private func read(_ connection: WebSocketConnection, isLast: Bool = false) {
        for _ in 0..<Self.readsPerTurn {
            guard !connection.isGone else { return }
            guard connection.throttle == nil || isLast else { return }
            guard let count = self.receive(connection) else { return }
            if count > 0 {
                connection.pingedAt = 0
                self.process(connection)
            }
            if count < Self.readBytes { return }
        }
        self.unread.append(connection)
    }

    /// Reads once.
    ///
    /// - Returns: How many bytes the kernel gave; `nil` where the connection has ended.
    private func receive(_ connection: WebSocketConnection) -> Int? {
        guard let descriptor = connection.pipe.descriptor else {
            guard case .stream(let tunnel) = connection.pipe else { return 0 }
            let bytes = tunnel.takeBytes()
            bytes.withUnsafeBytes { connection.reader.append($0) }
            return bytes.count
        }
        let received = clinux_recv(descriptor, self.input.baseAddress, min(Self.readBytes, self.input.count))
        if received == -Int(EAGAIN) { return 0 }
        guard received > 0 else {
            self.lose(connection)
            return nil
        }
        let bytes = UnsafeRawBufferPointer(rebasing: self.input[..<min(received, self.input.count)])
        guard case .sealed(let socket, let workspace) = connection.pipe else {
            connection.reader.append(bytes)
            return received
        }
        let state = socket.session.receive(bytes, with: workspace) { connection.reader.append($0) }
        guard socket.sendSealed(with: workspace), state == .open else {
            // What was opened before the end may be a Close frame.
            self.process(connection)
            self.lose(connection)
            return nil
        }
        return received
    }

    /// Takes the messages that are there, until one of the bounds is reached.
    func process(_ connection: WebSocketConnection) {
        while !connection.isGone, !connection.hasPeerClosed {
            if let throttle = connection.mustPause(now: self.now) {
                return self.pause(connection, throttle)
            }
            connection.throttle = nil
            let event: WebSocketEvent?
            do throws(WebSocketFailure) {
                event = try connection.reader.next(connection.deflates ? self.inflater : nil)
            } catch {
                return self.fail(connection, error.code, error.reason)
            }
            guard let event else { break }
            self.take(event, on: connection)
        }
        if connection.reader.isInsideMessage {
            if connection.messageSince == 0 { connection.messageSince = self.now }
        } else {
            connection.messageSince = 0
        }
        self.account(for: connection)
    }

    /// Counts what is there of messages that have not come whole. The one that goes over the bound of all ends.
    private func account(for connection: WebSocketConnection) {
        let held = connection.isGone ? 0 : connection.reader.heldBytes
        self.heldBytes += held - connection.countedBytes
        connection.countedBytes = held
        guard self.heldBytes > Self.maxHeldBytes, held > Self.readBytes else { return }
        self.fail(connection, .tryAgainLater, "Too many messages are on their way to the gateway.")
    }

    private func take(_ event: WebSocketEvent, on connection: WebSocketConnection) {
        connection.messageSince = 0
        switch event {
        case .text(let text):
            self.counters.received()
            _ = connection.takeToken(now: self.now)
            // Behind our Close frame nothing is done any more.
            guard connection.closeCode == 0 else { return }
            connection.asked(text.count)
            connection.requests.take(text, on: connection.exchange)
        case .ping(let payload):
            _ = connection.takeToken(now: self.now)
            self.say(FrameHeader.frame(.pong, payload), on: connection)
        case .pong: connection.pingedAt = 0
        case .close(let code):
            connection.hasPeerClosed = true
            guard connection.closeCode == 0 else { return self.lose(connection) }
            connection.farewell = code ?? .normal
            connection.closedAt = self.now
            self.endAnswered(connection)
        }
    }

    private func pause(_ connection: WebSocketConnection, _ throttle: WebSocketCounters.Throttle) {
        guard connection.throttle != throttle else { return }
        if connection.throttle == nil { self.counters.throttled(throttle) }
        connection.throttle = throttle
        if throttle == .messages { self.paused.append(connection) }
    }

    private func resumePaused() {
        let due = self.paused.filter { $0.readableAt <= self.now || $0.isGone }
        guard !due.isEmpty else { return }
        self.paused.removeAll { $0.readableAt <= self.now || $0.isGone }
        for connection in due { self.resume(connection) }
    }

    /// Reads a socket on that was paused, where its reason is over.
    func resume(_ connection: WebSocketConnection) {
        guard connection.throttle != nil, !connection.isGone else { return }
        // One reason may be over, and another not: then that one wakes it.
        if let throttle = connection.mustPause(now: self.now) { return self.pause(connection, throttle) }
        connection.throttle = nil
        self.process(connection)
        guard !connection.isGone, connection.throttle == nil else { return }
        self.unread.append(connection)
    }

    // MARK: What goes

    /// Adds a frame of the socket's own.
    func say(_ frame: [UInt8], held: UnsentTicket? = nil, on connection: WebSocketConnection) {
        guard connection.say(frame, held: held, now: self.now) else { return self.lose(connection) }
    }

    /// Adds the answer to a message.
    func answer(_ text: [UInt8], held: UnsentTicket? = nil, on connection: WebSocketConnection) {
        guard !connection.isGone else { return }
        self.say(FrameHeader.frame(.text, text), held: held, on: connection)
        connection.answered()
        self.endAnswered(connection)
        self.resume(connection)
    }

    func send(_ bytes: UnsafeRawBufferPointer, on place: Int32) -> Int {
        guard let subscriber = self.subscribers[place] else { return -1 }
        let connection = subscriber.connection
        let sent = connection.send(bytes, for: place, now: self.now)
        if sent >= 0 { self.wake(connection) }
        return sent
    }

    func hasWritten(_ place: Int32) -> Bool {
        guard let connection = self.subscribers[place]?.connection, !connection.pipe.hasWritten else { return true }
        connection.wait(place)
        return false
    }

    // MARK: Ends

    /// Says Close for what the client did, and forgets the subscriptions.
    func fail(_ connection: WebSocketConnection, _ code: CloseCode, _ reason: String) {
        guard !connection.isGone else { return }
        // Inside of a subscriber's frame nothing else can be said.
        guard connection.isBetweenFrames else { return self.lose(connection) }
        self.end(connection, code, reason)
    }

    /// Says Close, with nothing to follow.
    private func end(_ connection: WebSocketConnection, _ code: CloseCode, _ reason: String) {
        guard connection.closeCode == 0 else { return }
        self.breakSubscribers(of: connection)
        self.say(FrameHeader.close(code, reason), on: connection)
        guard !connection.isGone else { return }
        connection.closeCode = code.rawValue
        connection.closedAt = self.now
        self.finish(connection)
    }

    /// Answers the client's Close frame, behind the answers to what it asked for.
    private func endAnswered(_ connection: WebSocketConnection) {
        guard let code = connection.farewell, connection.unanswered == 0 else { return }
        self.end(connection, code, "")
    }

    /// Ends a socket with its subscriptions, which the delivery ends; at once where it has none.
    func endSoon(_ connection: WebSocketConnection, _ code: CloseCode, _ reason: CloseReason) {
        guard connection.ending == nil, connection.closeCode == 0, !connection.isGone else { return }
        connection.ending = (code, reason)
        self.endWithoutSubscribers(connection)
    }

    func endWithoutSubscribers(_ connection: WebSocketConnection) {
        guard let ending = connection.ending, connection.subscribers.isEmpty, connection.closeCode == 0,
            !connection.isGone
        else { return }
        let frame = ControlFrame.bye(ending.reason, retry: 0, wire: .messages)
        self.say(Array(frame.bytes[frame.payload]), on: connection)
        guard !connection.isGone else { return }
        self.end(connection, ending.code, ending.reason.rawValue)
    }

    /// After the Close frame: says no more, and waits a little for the client's.
    func finish(_ connection: WebSocketConnection) {
        guard connection.closeCode != 0, !connection.isGone, connection.hasWritten else { return }
        guard !connection.hasPeerClosed else { return self.lose(connection) }
        connection.sayEnd()
    }

    private func breakSubscribers(of connection: WebSocketConnection) {
        for place in connection.subscribers {
            guard let subscriber = self.subscribers[place] else { continue }
            self.reports.append(TransportReport(.broken, of: subscriber.key))
        }
    }

    /// Gives the connection up.
    func lose(_ connection: WebSocketConnection, resets: Bool = false) {
        guard !connection.isGone else { return }
        connection.isGone = true
        self.breakSubscribers(of: connection)
        self.connections.remove(connection.place)
        self.account(for: connection)
        connection.requests.closed()
        self.counters.closed(connection.closeCode == 0 ? 1006 : connection.closeCode)
        connection.shut(epoll: self.epoll, resets: resets)
    }

    /// Closes everything, as the last act of the thread.
    func stop() {
        self.isDraining = true
        for order in self.inbox.close() {
            if case .open(let arrival) = order { arrival.connection.abandon() }
        }
        for connection in self.connections.all { self.lose(connection) }
    }
}

/// A subscriber on a socket.
final class WebSocketSubscriber {
    let connection: WebSocketConnection
    let subscription: WebSocketSubscription
    let key: SlotKey
    /// Its request was not answered yet.
    var awaitsLive = true
    /// What answers the request to end it.
    var farewell: [UInt8]?

    init(_ connection: WebSocketConnection, _ subscription: WebSocketSubscription, key: SlotKey) {
        self.connection = connection
        self.subscription = subscription
        self.key = key
    }
}
