// Sockets on an epoll instance, plain and with TLS: streams of HTTP/1.1 and HTTP/1.0.

import CLinux
import FreshetCore
import Glibc
package import System
package import TLS

/// A connected socket, by its descriptor, and its session where it speaks TLS. Whoever is given one owns it.
package struct Socket: Sendable {
    package var descriptor: Int32
    /// Open, and with everything sent that it has sealed.
    package var session: TLSSession?

    package init(descriptor: Int32, session: TLSSession? = nil) {
        self.descriptor = descriptor
        self.session = session
    }
}

extension Socket: ArrivingConnection {
    package func abandon() {
        _ = clinux_close(self.descriptor)
    }
}

extension WakeUp: TransportWaker {
    package func wake() { self.signal() }

    package var now: Int64 { clinux_monotonic_ns() }
}

/// How ``EpollTransport`` names a connection: a plain socket by its descriptor, one with TLS by its place in a table.
struct SocketName: BitwiseCopyable {
    private let rawValue: Int32

    init(descriptor: Int32) { self.rawValue = descriptor }
    init(place: Int32) { self.rawValue = ~place }

    /// Below zero for a place.
    var descriptor: Int32 { self.rawValue }
    /// Below zero for a descriptor.
    var place: Int32 { ~self.rawValue }
}

/// Sends with `send(2)`, hears of sockets from epoll, edges only, and reads the system's clocks.
final class EpollTransport: Transport {
    typealias Waker = WakeUp

    private let epoll: Int32
    private let settings: StreamSettings
    private let events: UnsafeMutablePointer<clinux_event>
    private let input: UnsafeMutableRawBufferPointer
    private var sealed = PlaceTable<SealedSocket>()
    private let workspace = TLSWorkspace()
    var random = SystemRandomNumberGenerator()

    /// Marks epoll's report of the waker. No key has it.
    private static let wakeUpMark = UInt64.max
    /// Marks a report of a socket with TLS, by its place and the low bits of its subscriber's generation.
    private static let sealedMark = UInt64(1) << 63
    private static let maxEvents: Int32 = 256
    /// The most bytes that are read at once. Touched only where a client sends as many.
    private static let inputBytes = 256 << 10

    /// `epoll`: of ``makeEpoll(watching:)``; owned from now on.
    init(epoll: Int32, settings: StreamSettings) {
        self.epoll = epoll
        self.settings = settings
        self.events = .allocate(capacity: Int(Self.maxEvents))
        self.input = .allocate(byteCount: Self.inputBytes, alignment: 16)
    }

    deinit {
        self.events.deallocate()
        self.input.deallocate()
        _ = clinux_close(self.epoll)
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
        max(0, Int(clinux_epoll_wait(self.epoll, self.events, Self.maxEvents, milliseconds)))
    }

    func report(_ number: Int) -> TransportReport? {
        let event = self.events[number]
        guard event.data != Self.wakeUpMark else { return nil }
        var events: TransportReport.Events = []
        if event.events & (CLINUX_EPOLLERR | CLINUX_EPOLLHUP | CLINUX_EPOLLRDHUP) != 0 { events.insert(.broken) }
        if event.events & CLINUX_EPOLLIN != 0 { events.insert(.readable) }
        if event.events & CLINUX_EPOLLOUT != 0 { events.insert(.writable) }
        guard event.data & Self.sealedMark != 0 else {
            return TransportReport(events, of: SlotKey(rawValue: event.data))
        }
        return self.sealedReport(event.data, events)
    }

    /// What a socket with TLS has to send goes out before anybody hears that it takes bytes.
    private func sealedReport(_ mark: UInt64, _ events: TransportReport.Events) -> TransportReport? {
        guard let socket = self.sealed[Int32(truncatingIfNeeded: mark & 0x7FFF_FFFF)],
            Self.mark(socket.key, at: 0) == mark & ~0xFFFF_FFFF
        else { return nil }
        var events = events
        if events.contains(.writable) {
            if !socket.sendRest() { events.insert(.broken) }
            if !socket.hasWritten { events.remove(.writable) }
        }
        return TransportReport(events, of: socket.key)
    }

    private static func mark(_ key: SlotKey, at place: Int32) -> UInt64 {
        Self.sealedMark | UInt64(key.generation & 0x7FFF_FFFF) << 32 | UInt64(UInt32(bitPattern: place))
    }
}

// MARK: - Connections

extension EpollTransport {
    func adopt(_ socket: Socket, as key: SlotKey) -> SocketName? {
        self.configure(socket.descriptor)
        guard let session = socket.session else {
            guard self.watch(socket.descriptor, as: key.rawValue) else { return nil }
            return SocketName(descriptor: socket.descriptor)
        }
        let place = self.sealed.insert(SealedSocket(descriptor: socket.descriptor, session: session, key: key))
        guard self.watch(socket.descriptor, as: Self.mark(key, at: place)) else {
            self.sealed.remove(place)
            return nil
        }
        return SocketName(place: place)
    }

    /// Where it cannot be watched it is closed.
    private func watch(_ descriptor: Int32, as mark: UInt64) -> Bool {
        let events = CLINUX_EPOLLIN | CLINUX_EPOLLOUT | CLINUX_EPOLLRDHUP | CLINUX_EPOLLET
        guard clinux_epoll_add(self.epoll, descriptor, events, mark) == 0 else {
            _ = clinux_close(descriptor)
            return false
        }
        return true
    }

    /// Sets what a held stream needs; sockets of other families refuse some of it, which is no error.
    private func configure(_ descriptor: Int32) {
        _ = clinux_set_nodelay(descriptor, 1)
        _ = clinux_set_user_timeout(descriptor, Int32(clamping: self.settings.userTimeout.milliseconds))
        let third = Int32(clamping: max(1, self.settings.userTimeout.milliseconds / 3000))
        _ = clinux_set_keepalive(descriptor, third, third, 3)
        _ = clinux_set_notsent_lowat(descriptor, Int32(clamping: self.settings.unsentBytes))
        if let bytes = self.settings.sendBufferBytes {
            _ = clinux_set_send_buffer(descriptor, Int32(clamping: bytes))
        }
    }

    @inline(__always)
    func send(_ bytes: UnsafeRawBufferPointer, on socket: SocketName) -> Int {
        guard socket.descriptor >= 0 else { return self.seal(bytes, on: socket) }
        let sent = clinux_send(socket.descriptor, bytes.baseAddress, bytes.count)
        return sent == -Int(EAGAIN) ? 0 : sent
    }

    @inline(never)
    private func seal(_ bytes: UnsafeRawBufferPointer, on socket: SocketName) -> Int {
        self.sealed[socket.place]?.send(bytes, with: self.workspace) ?? -1
    }

    func flush() {}

    func hasWritten(_ socket: SocketName) -> Bool {
        socket.descriptor >= 0 || self.sealed[socket.place]?.hasWritten ?? true
    }

    func discardInput(of socket: SocketName, upTo limit: Int) -> Int {
        guard socket.descriptor >= 0 else {
            return self.sealed[socket.place]?.discardInput(upTo: limit, input: self.input, with: self.workspace) ?? -1
        }
        let count = clinux_recv(socket.descriptor, self.input.baseAddress, min(limit, self.input.count))
        if count == -Int(EAGAIN) { return 0 }
        return count > 0 ? count : -1
    }

    func close(_ socket: SocketName, after end: StreamEnd) {
        guard socket.descriptor < 0 else { return self.close(socket.descriptor, after: end) }
        guard let sealed = self.sealed.remove(socket.place) else { return }
        if case .told(let reason) = end, reason != .slow { sealed.sayEnd(with: self.workspace) }
        self.close(sealed.descriptor, after: end)
    }

    private func close(_ descriptor: Int32, after end: StreamEnd) {
        // Before the close: a duplicate elsewhere would keep the registration alive.
        _ = clinux_epoll_del(self.epoll, descriptor)
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
