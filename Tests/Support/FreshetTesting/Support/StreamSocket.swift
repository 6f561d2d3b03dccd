import CLinux
import Glibc
import Synchronization

/// Where a server listens.
package enum Endpoint: Hashable, Sendable {
    /// An address, IPv4 or IPv6 as text, and a TCP port.
    case tcp(host: String, port: UInt16)
    /// The same, spoken to over TLS.
    case tls(host: String, port: UInt16, options: TLSClientOptions)
    /// A path in the file system.
    case unix(path: String)

    /// A port of 127.0.0.1.
    package static func port(_ port: UInt16) -> Endpoint { .tcp(host: "127.0.0.1", port: port) }

    /// The value of the `Host` field of a request to this endpoint.
    package var authority: String {
        switch self {
        case .tcp(let host, let port), .tls(let host, let port, _):
            host.contains(":") ? "[\(host)]:\(port)" : "\(host):\(port)"
        case .unix: "localhost"
        }
    }
}

/// A wake-up that several waits watch: raised once, it stays up until it is lowered.
final class Signal: Sendable {
    let descriptor: Int32

    init() throws {
        self.descriptor = try checked(clinux_eventfd_create(), "eventfd")
    }

    deinit { _ = clinux_close(self.descriptor) }

    func raise() { _ = clinux_eventfd_signal(self.descriptor) }
    var isRaised: Bool { waitFor([(self.descriptor, POLLIN)], deadline: Deadline(in: .zero), signal: nil) == .ready }
    func lower() { _ = clinux_eventfd_drain(self.descriptor) }
}

/// A non-blocking stream socket whose waits end at a deadline or at a signal, whichever comes first. It speaks TLS where
/// its endpoint does.
///
/// One thread owns it, uses it and closes it; the last reference closes it too.
final class StreamSocket: Sendable {
    enum Wait { case ready, interrupted, timedOut }

    private let stored: Mutex<Int32>
    let session: TLSClientSession?

    /// `session`: whose hands are to be shaken with ``shakeHands(deadline:)`` before anything else.
    init(descriptor: Int32, session: TLSClientSession? = nil) {
        self.stored = Mutex(descriptor)
        self.session = session
    }

    deinit { self.close() }

    /// -1 once closed.
    var descriptor: Int32 { self.stored.withLock { $0 } }

    func close() {
        let descriptor = self.stored.withLock { stored -> Int32 in
            defer { stored = -1 }
            return stored
        }
        if descriptor >= 0 { _ = clinux_close(descriptor) }
    }

    /// Closes so that the peer sees a reset, whatever was still on its way.
    func reset() {
        _ = clinux_set_reset_on_close(self.descriptor)
        self.close()
    }

    /// Shuts the sending side: the peer reads to the end.
    func shutdownWrite() {
        if let session {
            session.close()
            _ = try? self.writeRaw(session.takeOutput(), deadline: Deadline(in: .patience))
        }
        _ = clinux_shutdown_write(self.descriptor)
    }

    /// Whether the peer has neither closed nor sent anything unasked.
    var isAlive: Bool { self.wait(for: POLLIN, deadline: Deadline(in: .zero)) == .timedOut }

    /// Waits until any of `events` (`POLLIN`, `POLLOUT`, `POLLRDHUP`) holds. No deadline: for ever.
    func wait(for events: Int32, deadline: Deadline?, signal: Signal? = nil) -> Wait {
        waitFor([(self.descriptor, events)], deadline: deadline, signal: signal)
    }

    /// Reads what is there: at most `limit` bytes, none at the end of the stream, `nil` when there is nothing yet.
    ///
    /// - Throws: `TestingError` with the code of the system call, as `ECONNRESET`; or with what is wrong with a record.
    func read(limit: Int = 64 << 10) throws -> [UInt8]? {
        guard let session else { return try self.readRaw(limit: limit) }
        guard let sealed = try self.readRaw(limit: limit) else { return nil }
        guard !sealed.isEmpty else { return [] }
        session.feed(sealed)
        let (bytes, isAtEnd) = try session.read()
        return bytes.isEmpty && !isAtEnd ? nil : bytes
    }

    /// Shakes hands.
    ///
    /// - Throws: `TestingError` when it does not come to that in time.
    func shakeHands(deadline: Deadline) throws {
        guard let session else { return }
        while true {
            do {
                _ = try session.read()
            } catch {
                // With the alert that says why.
                _ = try? self.writeRaw(session.takeOutput(), deadline: deadline)
                throw error
            }
            guard try self.writeRaw(session.takeOutput(), deadline: deadline) == .ready else { break }
            guard !session.isOpen else { return }
            guard self.wait(for: POLLIN, deadline: deadline) == .ready else { break }
            guard let bytes = try self.readRaw() else { continue }
            guard !bytes.isEmpty else {
                throw TestingError(.connectionEnded, "the server ended the connection in the handshake")
            }
            session.feed(bytes)
        }
        throw TestingError(.timedOut, "hands are not shaken in time")
    }

    private func readRaw(limit: Int = 64 << 10) throws -> [UInt8]? {
        var code = 0
        let bytes = [UInt8](unsafeUninitializedCapacity: limit) { buffer, count in
            let result = clinux_recv(self.descriptor, buffer.baseAddress, buffer.count)
            count = max(0, result)
            code = min(0, result)
        }
        if code == -Int(EAGAIN) { return nil }
        guard code == 0 else { throw TestingError(.systemCall(code: Int32(-code)), "recv: \(errorText(-code))") }
        return bytes
    }

    /// Writes all of `bytes`. Returns whether it came to that before the deadline or the signal.
    ///
    /// - Throws: `TestingError` with the code of the system call, as `EPIPE`.
    func write(_ bytes: [UInt8], deadline: Deadline?, signal: Signal? = nil) throws -> Wait {
        guard let session else { return try self.writeRaw(bytes, deadline: deadline, signal: signal) }
        try session.write(bytes)
        return try self.writeRaw(session.takeOutput(), deadline: deadline, signal: signal)
    }

    private func writeRaw(_ bytes: [UInt8], deadline: Deadline?, signal: Signal? = nil) throws -> Wait {
        var start = 0
        while start < bytes.count {
            let result = bytes.withUnsafeBytes { raw in
                let rest = UnsafeRawBufferPointer(rebasing: raw[start...])
                return clinux_send(self.descriptor, rest.baseAddress, rest.count)
            }
            if result >= 0 {
                start += result
            } else if result == -Int(EAGAIN) {
                let wait = self.wait(for: POLLOUT, deadline: deadline, signal: signal)
                if wait != .ready { return wait }
            } else {
                throw TestingError(.systemCall(code: Int32(-result)), "send: \(errorText(-result))")
            }
        }
        return .ready
    }
}

/// Waits until one of the descriptors is as asked, `signal` is up, or the deadline has passed.
func waitFor(_ descriptors: [(Int32, Int32)], deadline: Deadline?, signal: Signal?) -> StreamSocket.Wait {
    var polled = descriptors.map { pollfd(fd: $0.0, events: Int16(truncatingIfNeeded: $0.1), revents: 0) }
    polled.append(pollfd(fd: signal?.descriptor ?? -1, events: Int16(POLLIN), revents: 0))
    while true {
        let count = poll(&polled, nfds_t(polled.count), deadline?.remainingMilliseconds ?? -1)
        if let last = polled.last, last.revents != 0 { return .interrupted }
        if count > 0 { return .ready }
        // A signal of the process cuts a wait short: go on unless the time is up.
        if count == 0, deadline?.hasPassed == true { return .timedOut }
    }
}

/// The result of a call of `CLinux`, or its failure as an error.
func checked(_ result: Int32, _ call: String) throws -> Int32 {
    guard result >= 0 else { throw TestingError(.systemCall(code: -result), "\(call): \(errorText(Int(-result)))") }
    return result
}

func errorText(_ code: Int) -> String {
    String(cString: clinux_error_text(Int32(clamping: code)))
}
