// The one place where a thread with transfers sleeps: sockets of libcurl, and the wake-up of other threads.

import CLinux
package import FreshetCore
package import System

/// epoll, with the events asked for per descriptor. Confined to the poll thread.
package final class Reactor {
    /// Bits of what a descriptor is or should be ready for.
    package struct Readiness: OptionSet, Sendable {
        package var rawValue: UInt32
        package static let readable = Readiness(rawValue: 1)
        package static let writable = Readiness(rawValue: 2)
        package static let broken = Readiness(rawValue: 4)

        package init(rawValue: UInt32) {
            self.rawValue = rawValue
        }
    }

    private static let batch = 128

    private let epoll: Int32
    private let wakeUp: WakeUp
    private let events = UnsafeMutableBufferPointer<clinux_event>.allocate(capacity: Reactor.batch)
    private var watched: [Int32: Watch] = [:]
    /// Descriptors whose end is reported by ``closes(_:)``, so that they may stay with the kernel while they rest.
    private var sockets: Set<Int32> = []

    private struct Watch {
        /// What somebody wants to know; empty for a connection that rests.
        var wanted: Readiness
        /// What the kernel reports.
        var inKernel: Readiness
    }

    package init(wakeUp: WakeUp) throws(UpstreamError) {
        self.wakeUp = wakeUp
        self.epoll = clinux_epoll_create()
        guard self.epoll >= 0,
            clinux_epoll_add(self.epoll, wakeUp.descriptor, CLINUX_EPOLLIN, UInt64(wakeUp.descriptor)) == 0
        else { throw UpstreamError(.internal, "no descriptor for epoll") }
        self.events.initialize(repeating: clinux_event())
    }

    deinit {
        self.events.deallocate()
        if self.epoll >= 0 { _ = clinux_close(self.epoll) }
    }

    /// Watches the descriptor for exactly this.
    func watch(_ descriptor: Int32, for readiness: Readiness) {
        let before = self.watched.updateValue(Watch(wanted: readiness, inKernel: readiness), forKey: descriptor)
        guard before?.inKernel != readiness else { return }
        var bits: UInt32 = 0
        if readiness.contains(.readable) { bits |= CLINUX_EPOLLIN }
        if readiness.contains(.writable) { bits |= CLINUX_EPOLLOUT }
        let data = UInt64(UInt32(bitPattern: descriptor))
        if before == nil || clinux_epoll_mod(self.epoll, descriptor, bits, data) != 0 {
            // New, or the number was closed behind our back and given out again, which epoll forgets on its own.
            if clinux_epoll_add(self.epoll, descriptor, bits, data) != 0 {
                _ = clinux_epoll_mod(self.epoll, descriptor, bits, data)
            }
        }
    }

    /// Calls `ready` no more for the descriptor. The kernel goes on watching a socket for what arrives: nothing should,
    /// on a connection that rests between two polls, and the next one watches it for the same again.
    func unwatch(_ descriptor: Int32) {
        guard self.sockets.contains(descriptor) else { return self.forget(descriptor) }
        // A connection that rests is always writable: only what arrives matters.
        if let watch = self.watched[descriptor], watch.inKernel != .readable { self.watch(descriptor, for: .readable) }
        self.watched[descriptor]?.wanted = []
    }

    /// A socket was opened, and ``closes(_:)`` will be called before its number can be given out again.
    func opened(_ socket: Int32) {
        self.watched[socket] = nil
        self.sockets.insert(socket)
    }

    /// A socket is about to be closed.
    func closes(_ socket: Int32) {
        self.forget(socket)
        self.sockets.remove(socket)
    }

    private func forget(_ descriptor: Int32) {
        guard self.watched.removeValue(forKey: descriptor) != nil else { return }
        _ = clinux_epoll_del(self.epoll, descriptor)
    }

    /// Sleeps until a descriptor is ready, the wake-up is signalled, or the deadline has come, and calls `ready` for
    /// each descriptor that is.
    ///
    /// `disturbed` is called for a socket that rests when something arrives or it is closed. It returns whether to go on
    /// watching the socket.
    package func wait(
        until deadline: MonotonicTime,
        now: MonotonicTime,
        ready: (Int32, Readiness) -> Void,
        disturbed: (Int32) -> Bool
    ) {
        var timeout: Int64 = -1
        if deadline != .distantFuture { timeout = max(0, (deadline - now).clampedNanoseconds) }
        let count = clinux_epoll_wait_ns(self.epoll, self.events.baseAddress, Int32(Self.batch), timeout)
        for index in 0..<Int(max(0, count)) {
            let event = self.events[index]
            let descriptor = Int32(truncatingIfNeeded: event.data)
            guard descriptor != self.wakeUp.descriptor else {
                self.wakeUp.drain()
                continue
            }
            var readiness: Readiness = []
            if event.events & (CLINUX_EPOLLIN | CLINUX_EPOLLRDHUP) != 0 { readiness.insert(.readable) }
            if event.events & CLINUX_EPOLLOUT != 0 { readiness.insert(.writable) }
            if event.events & (CLINUX_EPOLLERR | CLINUX_EPOLLHUP) != 0 { readiness.insert(.broken) }
            if self.watched[descriptor]?.wanted.isEmpty == false {
                ready(descriptor, readiness)
            } else if !disturbed(descriptor), self.watched[descriptor]?.wanted.isEmpty != false {
                self.forget(descriptor)
            }
        }
    }
}

extension MonotonicTime {
    /// The clock itself, for the poll thread, which is where the core's time comes from.
    package static var now: MonotonicTime { MonotonicTime(nanoseconds: clinux_monotonic_ns()) }

    /// The time in seconds on the axis of gates and budgets.
    package var axisSeconds: Double { Double(self.nanoseconds) / 1e9 }
}

extension WallTime {
    package static var now: WallTime { WallTime(milliseconds: clinux_realtime_ns() / 1_000_000) }
}
