// Plain sockets on an epoll instance: streams of HTTP/1.1 and HTTP/1.0.

import CLinux
import FreshetCore
import Glibc
package import System

/// A connected socket, by its descriptor. Whoever is given one owns it.
package struct Socket: BitwiseCopyable, Hashable, Sendable {
    package var descriptor: Int32

    package init(descriptor: Int32) {
        self.descriptor = descriptor
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

/// Sends with `send(2)`, hears of sockets from epoll, edges only, and reads the system's clocks.
final class EpollTransport: Transport {
    typealias Waker = WakeUp

    private let epoll: Int32
    private let settings: StreamSettings
    private let events: UnsafeMutablePointer<clinux_event>
    private let input: UnsafeMutableRawBufferPointer
    var random = SystemRandomNumberGenerator()

    /// Marks epoll's report of the waker. No key has it.
    private static let wakeUpMark = UInt64.max
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
        return TransportReport(events, of: SlotKey(rawValue: event.data))
    }
}

// MARK: - Connections

extension EpollTransport {
    func adopt(_ socket: Socket, as key: SlotKey) -> Socket? {
        self.configure(socket.descriptor)
        let events = CLINUX_EPOLLIN | CLINUX_EPOLLOUT | CLINUX_EPOLLRDHUP | CLINUX_EPOLLET
        guard clinux_epoll_add(self.epoll, socket.descriptor, events, key.rawValue) == 0 else {
            _ = clinux_close(socket.descriptor)
            return nil
        }
        return socket
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
    func send(_ bytes: UnsafeRawBufferPointer, on socket: Socket) -> Int {
        let sent = clinux_send(socket.descriptor, bytes.baseAddress, bytes.count)
        return sent == -Int(EAGAIN) ? 0 : sent
    }

    func flush() {}

    func hasWritten(_ socket: Socket) -> Bool { true }

    func discardInput(of socket: Socket, upTo limit: Int) -> Int {
        let count = clinux_recv(socket.descriptor, self.input.baseAddress, min(limit, self.input.count))
        if count == -Int(EAGAIN) { return 0 }
        return count > 0 ? count : -1
    }

    func close(_ socket: Socket, after end: StreamEnd) {
        // Before the close: a duplicate elsewhere would keep the registration alive.
        _ = clinux_epoll_del(self.epoll, socket.descriptor)
        switch end {
        case .told(.slow), .talkative:
            // It does not read: what the kernel holds for it would stay until the time-outs.
            _ = clinux_set_reset_on_close(socket.descriptor)
        case .told:
            // Unread input would turn the close into a reset, which may overtake `bye`.
            _ = clinux_shutdown_write(socket.descriptor)
            _ = clinux_recv(socket.descriptor, self.input.baseAddress, self.input.count)
        case .gone, .failed:
            break
        }
        _ = clinux_close(socket.descriptor)
    }
}
