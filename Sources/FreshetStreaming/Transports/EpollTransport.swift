// Sockets on an epoll instance, plain and with TLS: streams of HTTP/1.1 and HTTP/1.0, connections of HTTP/2 with theirs, and
// WebSockets with their subscriptions.

import CLinux
import FreshetCore
import Glibc
import HTTP2
package import System
package import TLS

/// A connected socket, by its descriptor, and its session where it speaks TLS; or a stream of a connection that a shard has
/// already. Whoever is given one owns it.
package struct Socket: Sendable {
    enum Kind: Sendable {
        case whole(descriptor: Int32, TLSSession?)
        case detached(descriptor: Int32, DetachedHandover)
        /// With the fields of the answer's head.
        case stream(HTTP2Exchange, [HTTP2Field])
        case subscription(WebSocketSubscription)
    }

    let kind: Kind

    /// `session`: open, and with everything sent that it has sealed.
    package init(descriptor: Int32, session: TLSSession? = nil) {
        self.kind = .whole(descriptor: descriptor, session)
    }

    /// `session`: as above, taken by nobody.
    package init(descriptor: Int32, detached session: DetachedHandover) {
        self.kind = .detached(descriptor: descriptor, session)
    }

    init(stream: HTTP2Exchange, fields: [HTTP2Field]) {
        self.kind = .stream(stream, fields)
    }

    init(_ subscription: WebSocketSubscription) {
        self.kind = .subscription(subscription)
    }

    /// The shard that has the connection; `nil` where any may have it.
    var shard: Int? {
        switch self.kind {
        case .whole, .detached: nil
        case .stream(let exchange, _): exchange.name.shard
        case .subscription(let subscription): subscription.exchange.name.shard
        }
    }
}

extension Socket: ArrivingConnection {
    package func abandon() {
        switch self.kind {
        case .whole(let descriptor, _), .detached(let descriptor, _): _ = clinux_close(descriptor)
        case .stream(let exchange, _): exchange.refuse()
        case .subscription(let subscription): subscription.exchange.refuse()
        }
    }
}

extension WakeUp: TransportWaker {
    package func wake() { self.signal() }

    package var now: Int64 { clinux_monotonic_ns() }
}

/// How ``EpollTransport`` names a connection: a plain socket by its descriptor; one with TLS, with a detached session, a stream
/// of HTTP/2, or a subscription of a WebSocket, by its place in a table.
struct SocketName: BitwiseCopyable {
    private let rawValue: Int32

    private static let streamBit: Int32 = 1 << 30
    private static let subscriptionBit: Int32 = 1 << 29
    private static let detachedBit: Int32 = 1 << 28

    init(descriptor: Int32) { self.rawValue = descriptor }
    init(place: Int32) { self.rawValue = ~place }
    init(stream place: Int32) { self.rawValue = ~(place | Self.streamBit) }
    init(subscription place: Int32) { self.rawValue = ~(place | Self.subscriptionBit) }

    init(detached place: Int32) { self.rawValue = ~(place | Self.detachedBit) }

    /// Below zero for a place.
    var descriptor: Int32 { self.rawValue }
    /// Whether it is a place among streams.
    var isStream: Bool { self.rawValue < 0 && ~self.rawValue & Self.streamBit != 0 }
    /// Whether it is a place among subscriptions.
    var isSubscription: Bool { self.rawValue < 0 && ~self.rawValue & Self.subscriptionBit != 0 }
    /// Whether it is a place among sockets with detached sessions.
    var isDetached: Bool { self.rawValue < 0 && ~self.rawValue & Self.detachedBit != 0 }
    /// Below zero for a descriptor.
    var place: Int32 { ~self.rawValue & ~(Self.streamBit | Self.subscriptionBit | Self.detachedBit) }
}

/// Sends with `send(2)`, hears of sockets from epoll, edges only, and reads the system's clocks.
final class EpollTransport: Transport {
    typealias Waker = WakeUp

    private let epoll: EpollSet
    private let events: UnsafeMutablePointer<clinux_event>
    private let input: UnsafeMutableRawBufferPointer
    private var sealed = PlaceTable<SealedSocket>()
    private var detached = PlaceTable<DetachedSocket>()
    private let detachedCounters: DetachedCounters
    private let workspace: TLSWorkspace
    private let http2: HTTP2Connections
    private let webSockets: WebSocketConnections
    /// What ``wait(milliseconds:)`` found: reports of epoll, then those of streams of HTTP/2.
    private var epollReports = 0
    private var streamReports: [TransportReport] = []
    var random = SystemRandomNumberGenerator()

    /// Marks epoll's report of the waker. No key has it.
    private static let wakeUpMark = UInt64.max
    /// Marks a report of a socket with TLS, by its place and the low bits of its subscriber's generation.
    private static let sealedMark = UInt64(1) << 63
    /// In the place of such a mark: it is one with a detached session.
    private static let detachedPlace: Int32 = 1 << 30
    private static let maxEvents: Int32 = 256
    /// The most bytes that are read at once. Touched only where a client sends as many.
    private static let inputBytes = 256 << 10

    /// `epoll`: of ``makeEpoll(watching:)``; owned from now on.
    init(
        shard: Int,
        epoll: Int32,
        settings: StreamSettings,
        http2: Inbox<HTTP2Order>,
        counters: HTTP2Counters,
        webSockets: Inbox<WebSocketOrder>,
        webSocketCounters: WebSocketCounters,
        detachedCounters: DetachedCounters,
        delivery: DeliveryInbox<EpollTransport>
    ) {
        self.detachedCounters = detachedCounters
        let epoll = EpollSet(descriptor: epoll, settings: settings)
        self.epoll = epoll
        self.workspace = TLSWorkspace()
        self.events = .allocate(capacity: Int(Self.maxEvents))
        self.input = .allocate(byteCount: Self.inputBytes, alignment: 16)
        self.http2 = HTTP2Connections(
            shard: shard,
            inbox: http2,
            counters: counters,
            workspace: self.workspace,
            input: self.input,
            epoll: epoll
        )
        self.webSockets = WebSocketConnections(
            shard: shard,
            inbox: webSockets,
            delivery: delivery,
            counters: webSocketCounters,
            http2: self.http2,
            workspace: self.workspace,
            input: self.input,
            epoll: epoll
        )
    }

    deinit {
        self.webSockets.stop()
        self.http2.stop()
        self.events.deallocate()
        self.input.deallocate()
        _ = clinux_close(self.epoll.descriptor)
    }

    /// An epoll instance that hears of the waker. Made by the thread that starts a shard, so that it can say what failed.
    static func makeEpoll(watching waker: WakeUp) throws(SystemError) -> Int32 {
        let epoll = clinux_epoll_create()
        guard epoll >= 0 else { throw SystemError("make an epoll instance", code: epoll) }
        let watching = clinux_epoll_add(epoll, waker.descriptor, CLINUX_EPOLLIN | CLINUX_EPOLLET, Self.wakeUpMark)
        guard watching == 0 else {
            _ = clinux_close(epoll)
            throw SystemError("watch an eventfd", code: watching)
        }
        return epoll
    }

    var now: Int64 { clinux_monotonic_ns() }

    var wall: WallTime { WallTime(milliseconds: clinux_realtime_ns() / 1_000_000) }

    func wait(milliseconds: Int32) -> Int {
        let now = self.now
        let patience = self.webSockets.patience(self.http2.patience(milliseconds, now: now), now: now)
        self.epollReports = max(0, Int(clinux_epoll_wait(self.epoll.descriptor, self.events, Self.maxEvents, patience)))
        for number in 0..<self.epollReports {
            let event = self.events[number]
            guard event.data != Self.wakeUpMark else { continue }
            switch event.data & HTTP2Connections.mark {
            case HTTP2Connections.mark: self.http2.happened(event.data, Self.events(of: event), now: self.now)
            case WebSocketConnections.mark:
                self.webSockets.happened(event.data, Self.events(of: event), now: self.now)
            case _: continue
            }
        }
        self.http2.work(now: self.now)
        self.webSockets.work(now: self.now)
        self.streamReports = self.http2.takeReports() + self.webSockets.takeReports()
        let updates = self.workspace.takeKeyUpdates()
        if updates.heard + updates.own > 0 { self.detachedCounters.add(updates) }
        return self.epollReports + self.streamReports.count
    }

    private static func events(of event: clinux_event) -> TransportReport.Events {
        var events: TransportReport.Events = []
        if event.events & (CLINUX_EPOLLERR | CLINUX_EPOLLHUP | CLINUX_EPOLLRDHUP) != 0 { events.insert(.broken) }
        if event.events & CLINUX_EPOLLIN != 0 { events.insert(.readable) }
        if event.events & CLINUX_EPOLLOUT != 0 { events.insert(.writable) }
        return events
    }

    func report(_ number: Int) -> TransportReport? {
        guard number < self.epollReports else { return self.streamReports[number - self.epollReports] }
        let event = self.events[number]
        let kind = event.data & HTTP2Connections.mark
        guard event.data != Self.wakeUpMark, kind != HTTP2Connections.mark, kind != WebSocketConnections.mark else {
            return nil
        }
        let events = Self.events(of: event)
        guard event.data & Self.sealedMark != 0 else {
            return TransportReport(events, of: SlotKey(rawValue: event.data))
        }
        return self.sealedReport(event.data, events)
    }

    /// What a socket with TLS has to send goes out before anybody hears that it takes bytes.
    private func sealedReport(_ mark: UInt64, _ events: TransportReport.Events) -> TransportReport? {
        let place = Int32(truncatingIfNeeded: mark & 0x7FFF_FFFF)
        if place & Self.detachedPlace != 0 {
            guard let socket = self.detached[place & ~Self.detachedPlace] else { return nil }
            return Self.report(mark, events, of: socket.key, socket.sendRest) { socket.hasWritten }
        }
        guard let socket = self.sealed[place] else { return nil }
        return Self.report(mark, events, of: socket.key, socket.sendRest) { socket.hasWritten }
    }

    private static func report(
        _ mark: UInt64,
        _ events: TransportReport.Events,
        of key: SlotKey,
        _ sendRest: () -> Bool,
        _ hasWritten: () -> Bool
    ) -> TransportReport? {
        guard self.mark(key, at: 0) == mark & ~0xFFFF_FFFF else { return nil }
        var events = events
        if events.contains(.writable) {
            if !sendRest() { events.insert(.broken) }
            if !hasWritten() { events.remove(.writable) }
        }
        return TransportReport(events, of: key)
    }

    private static func mark(_ key: SlotKey, at place: Int32) -> UInt64 {
        Self.sealedMark | UInt64(key.generation & 0x3FFF_FFFF) << 32 | UInt64(UInt32(bitPattern: place))
    }
}

// MARK: - Connections

extension EpollTransport {
    func adopt(_ socket: Socket, as key: SlotKey) -> SocketName? {
        switch socket.kind {
        case .stream(let exchange, let fields):
            return self.http2.adopt(exchange, fields, as: key).map { SocketName(stream: $0) }
        case .subscription(let subscription):
            return self.webSockets.adopt(subscription, as: key).map { SocketName(subscription: $0) }
        case .whole(let descriptor, nil):
            return self.watch(descriptor, as: key.rawValue) ? SocketName(descriptor: descriptor) : nil
        case .whole(let descriptor, let session?):
            let socket = SealedSocket(descriptor: descriptor, session: session, key: key)
            let place = self.sealed.insert { _ in socket }
            guard self.watch(descriptor, as: Self.mark(key, at: place)) else {
                self.sealed.remove(place)
                return nil
            }
            return SocketName(place: place)
        case .detached(let descriptor, let handover):
            return self.adopt(descriptor, handover, as: key)
        }
    }

    private func adopt(_ descriptor: Int32, _ handover: DetachedHandover, as key: SlotKey) -> SocketName? {
        guard let session = handover.take() else {
            _ = clinux_close(descriptor)
            return nil
        }
        let socket = DetachedSocket(descriptor: descriptor, session: session, key: key)
        let place = self.detached.insert { _ in socket }
        guard self.watch(descriptor, as: Self.mark(key, at: place | Self.detachedPlace)) else {
            self.detached.remove(place)
            return nil
        }
        self.detachedCounters.opened()
        return SocketName(detached: place)
    }

    /// Where it cannot be watched it is closed.
    private func watch(_ descriptor: Int32, as mark: UInt64) -> Bool {
        guard !self.epoll.add(descriptor, as: mark) else { return true }
        _ = clinux_close(descriptor)
        return false
    }

    @inline(__always)
    func send(_ bytes: UnsafeRawBufferPointer, on socket: SocketName) -> Int {
        guard socket.descriptor >= 0 else { return self.seal(bytes, on: socket) }
        let sent = clinux_send(socket.descriptor, bytes.baseAddress, bytes.count)
        return sent == -Int(EAGAIN) ? 0 : sent
    }

    @inline(never)
    private func seal(_ bytes: UnsafeRawBufferPointer, on socket: SocketName) -> Int {
        if socket.isDetached { return self.detached[socket.place]?.send(bytes, with: self.workspace) ?? -1 }
        guard !socket.isSubscription else { return self.webSockets.send(bytes, on: socket.place) }
        guard !socket.isStream else { return self.http2.send(bytes, on: socket.place) }
        return self.sealed[socket.place]?.send(bytes, with: self.workspace) ?? -1
    }

    func flush() { self.http2.flush(now: self.now) }

    func hasWritten(_ socket: SocketName) -> Bool {
        guard !socket.isStream else { return self.http2.hasWritten(socket.place) }
        guard !socket.isSubscription else { return self.webSockets.hasWritten(socket.place) }
        guard !socket.isDetached else { return self.detached[socket.place]?.hasWritten ?? true }
        return socket.descriptor >= 0 || self.sealed[socket.place]?.hasWritten ?? true
    }

    func discardInput(of socket: SocketName, upTo limit: Int) -> Int {
        // What clients send on a connection of HTTP/2, and on a WebSocket, is read by itself.
        guard !socket.isStream, !socket.isSubscription else { return 0 }
        guard !socket.isDetached else {
            let detached = self.detached[socket.place]
            return detached?.discardInput(upTo: limit, input: self.input, with: self.workspace, now: self.now) ?? -1
        }
        guard socket.descriptor >= 0 else {
            return self.sealed[socket.place]?.discardInput(upTo: limit, input: self.input, with: self.workspace) ?? -1
        }
        let count = clinux_recv(socket.descriptor, self.input.baseAddress, min(limit, self.input.count))
        if count == -Int(EAGAIN) { return 0 }
        return count > 0 ? count : -1
    }

    func close(_ socket: SocketName, after end: StreamEnd) {
        guard socket.descriptor < 0 else { return self.close(socket.descriptor, after: end) }
        guard !socket.isStream else { return self.http2.close(socket.place, after: end) }
        guard !socket.isSubscription else { return self.webSockets.close(socket.place, after: end) }
        guard !socket.isDetached else { return self.closeDetached(socket.place, after: end) }
        guard let sealed = self.sealed.remove(socket.place) else { return }
        if case .told(let reason) = end, reason != .slow { sealed.sayEnd(with: self.workspace) }
        self.close(sealed.descriptor, after: end)
    }

    private func closeDetached(_ place: Int32, after end: StreamEnd) {
        guard let detached = self.detached.remove(place) else { return }
        if case .told(let reason) = end, reason != .slow { detached.sayEnd(with: self.workspace) }
        self.workspace.forgetKeys()
        self.detachedCounters.closed()
        self.close(detached.descriptor, after: end)
    }

    func awaitsLive(_ socket: SocketName) -> Bool {
        socket.isSubscription && self.webSockets.awaitsLive(socket.place)
    }

    func becameLive(_ socket: SocketName, at cursor: Cursor) {
        if socket.isSubscription { self.webSockets.becameLive(socket.place, at: cursor) }
    }

    func siblings(of socket: SocketName) -> [SlotKey] {
        socket.isSubscription ? self.webSockets.siblings(of: socket.place) : []
    }

    private func close(_ descriptor: Int32, after end: StreamEnd) {
        // Before the close: a duplicate elsewhere would keep the registration alive.
        _ = clinux_epoll_del(self.epoll.descriptor, descriptor)
        switch end {
        case .told(.slow), .talkative:
            // It does not read: what the kernel holds for it would stay until the time-outs.
            _ = clinux_set_reset_on_close(descriptor)
        case .told:
            // Unread input would turn the close into a reset, which may overtake `bye`.
            _ = clinux_shutdown_write(descriptor)
            _ = clinux_recv(descriptor, self.input.baseAddress, self.input.count)
        case .gone, .failed:
            break
        }
        _ = clinux_close(descriptor)
    }
}
