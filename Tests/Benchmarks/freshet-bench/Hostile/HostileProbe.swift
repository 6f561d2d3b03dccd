// Small requests of a client that behaves, one after the other: how long an answer takes.

import CLinux
import Foundation
import Synchronization

/// Asks on a new connection each time, as an orchestrator does that looks whether the gateway lives.
final class HostileProbe: Sendable {
    private struct State: Sendable {
        var durations: [Int64] = []
        var failures = 0
        var isMeasuring = false
        var isEnding = false
    }

    /// An answer that takes longer counts as a failure, and as this long.
    private static let patience: Int64 = 5_000_000_000

    private let state = Mutex(State())
    private let port: Int
    private let address: LoopbackAddress
    private let intervalMicroseconds: UInt32
    private let path: @Sendable (_ number: Int) -> String

    /// Begins at once, and notes nothing until `measure`.
    init(
        port: Int,
        from address: LoopbackAddress,
        everyMilliseconds interval: UInt32,
        path: @escaping @Sendable (_ number: Int) -> String
    ) {
        (self.port, self.address, self.path) = (port, address, path)
        self.intervalMicroseconds = interval * 1000
        Thread.detachNewThread { self.run() }
    }

    func measure(_ isMeasuring: Bool) { self.state.withLock { $0.isMeasuring = isMeasuring } }
    func end() { self.state.withLock { $0.isEnding = true } }

    /// In nanoseconds.
    var durations: [Int64] { self.state.withLock { $0.durations } }
    /// Requests without an answer of status 200.
    var failures: Int { self.state.withLock { $0.failures } }

    private func run() {
        var number = 0
        while !self.state.withLock({ $0.isEnding }) {
            let start = clinux_monotonic_ns()
            let isFine = self.ask(self.path(number), until: start + Self.patience)
            let duration = isFine ? clinux_monotonic_ns() - start : Self.patience
            self.state.withLock { state in
                guard state.isMeasuring else { return }
                state.durations.append(duration)
                if !isFine { state.failures += 1 }
            }
            number += 1
            // The pace of the probes; nothing is awaited.
            usleep(self.intervalMicroseconds)
        }
    }

    /// Whether the answer is a 200.
    private func ask(_ path: String, until deadline: Int64) -> Bool {
        guard let descriptor = LoopbackSocket.connecting(to: self.port, from: self.address) else { return false }
        defer { _ = clinux_close(descriptor) }
        guard self.wait(descriptor, for: POLLOUT, until: deadline) else { return false }
        let request =
            "GET \(path) HTTP/1.1\r\nHost: 127.0.0.1:\(self.port)\r\n"
            + "X-Forwarded-For: \(self.address.forwarded(in: "198.18.32"))\r\nConnection: close\r\n\r\n"
        _ = clinux_send(descriptor, request, request.utf8.count)
        var buffer = [UInt8](repeating: 0, count: 16 << 10)
        var isFine = false
        while self.wait(descriptor, for: POLLIN, until: deadline) {
            let count = clinux_recv(descriptor, &buffer, buffer.count)
            if count == -Int(EAGAIN) { continue }
            guard count > 0 else { return isFine && count == 0 }
            isFine = isFine || buffer.starts(with: Array("HTTP/1.1 200".utf8))
        }
        return false
    }

    private func wait(_ descriptor: Int32, for events: Int32, until deadline: Int64) -> Bool {
        let left = (deadline - clinux_monotonic_ns()) / 1_000_000
        var polled = pollfd(fd: descriptor, events: Int16(truncatingIfNeeded: events), revents: 0)
        return left > 0 && poll(&polled, 1, Int32(left)) > 0
    }
}
