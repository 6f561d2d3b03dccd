import Glibc
import Synchronization

/// A connection under a test's full control: what is sent when, and when it ends.
///
/// One call at a time; another waits for it. The last reference closes it. Any task may call.
package final class RawConnection: Sendable {
    private struct State: Sendable {
        var received: [UInt8] = []
        var end: RawReply.End?
    }

    private let socket: StreamSocket
    private let state = Mutex(State())

    /// Connects to `endpoint`, from the address `source` where one is given. `receiveBufferBytes` is `SO_RCVBUF`: a small
    /// one makes a client that is soon full.
    ///
    /// - Throws: `TestingError` when there is no connection in time.
    package init(
        _ endpoint: Endpoint,
        from source: String? = nil,
        receiveBufferBytes: Int? = nil,
        timeout: Duration = .patience
    ) async throws {
        self.socket = try await PlainThread.run("raw-connect") {
            try StreamSocket.connected(
                to: endpoint,
                from: source,
                receiveBufferBytes: receiveBufferBytes,
                deadline: Deadline(in: timeout)
            )
        }
    }

    /// The common name of the server's certificate; empty without TLS.
    package var serverName: String { self.socket.session?.serverName ?? "" }
    /// The application protocol that was agreed on; empty without one.
    package var agreedProtocol: String { self.socket.session?.agreedProtocol ?? "" }
    /// Whether the server has said close_notify.
    package var hasHeardEnd: Bool { self.socket.session?.hasHeardEnd ?? false }

    /// All bytes that were received so far.
    package var received: [UInt8] { self.state.withLock { $0.received } }

    /// Sends these bytes.
    ///
    /// - Throws: `TestingError` when the server does not take them in time, or has closed.
    package func send(_ bytes: [UInt8], timeout: Duration = .patience) async throws {
        try await PlainThread.run("raw-send") {
            guard try self.socket.write(bytes, deadline: Deadline(in: timeout)) == .ready else {
                throw TestingError(.timedOut, "the server does not take \(bytes.count) bytes")
            }
        }
    }

    /// Sends this text.
    ///
    /// - Throws: `TestingError` when the server does not take it in time, or has closed.
    package func send(_ text: String, timeout: Duration = .patience) async throws {
        try await self.send([UInt8](text.utf8), timeout: timeout)
    }

    /// Reads until what was received in all holds `text`, and returns it all.
    ///
    /// - Throws: `TestingError`, with what was received, when the time is up or the connection has ended before.
    @discardableResult
    package func receive(until text: String, timeout: Duration = .patience) async throws -> String {
        let needle = [UInt8](text.utf8)
        let reply = try await self.receive(timeout: timeout) { received, searched in
            // What was searched before is not searched again: answers of megabytes come in thousands of pieces.
            ByteSearch.contains(needle, in: received, from: searched - needle.count)
        }
        if ByteSearch.contains(needle, in: reply.bytes) { return reply.text }
        let reason = reply.end == .timedOut ? TestingError.Reason.timedOut : .connectionEnded
        throw TestingError(reason, "no \(text.debugDescription) in \(reply.text.debugDescription)")
    }

    /// Reads about `count` bytes and no more, as a slow reader does.
    ///
    /// - Returns: `false` where the server has ended the connection, or the time is up.
    package func receive(atMost count: Int, timeout: Duration = .patience) async throws -> Bool {
        let before = self.received.count
        _ = try await self.receive(timeout: timeout) { received, _ in received.count >= before + count }
        return self.state.withLock { $0.end == nil && $0.received.count > before }
    }

    /// Reads until the server ends the connection, or the time is up, and returns all that was received.
    package func receiveToEnd(timeout: Duration = .patience) async throws -> RawReply {
        try await self.receive(timeout: timeout) { _, _ in false }
    }

    /// Shuts the sending side: the server reads to the end.
    package func halfClose() { self.socket.shutdownWrite() }

    /// Closes in order, or with a reset if bytes were left unread.
    package func close() { self.state.withLock { _ in self.socket.close() } }

    /// Closes so that the server sees a reset.
    package func reset() { self.state.withLock { _ in self.socket.reset() } }

    /// Reads until what was received is enough, the server ends the connection, or the time is up. `isEnough` is given all
    /// that was received, and how much of it was there when it was last asked.
    package func receive(
        timeout: Duration = .patience,
        until isEnough: @escaping @Sendable (_ received: [UInt8], _ searched: Int) -> Bool
    ) async throws -> RawReply {
        try await PlainThread.run("raw-receive") {
            let deadline = Deadline(in: timeout)
            return self.state.withLock { state in
                var searched = 0
                while state.end == nil, !isEnough(state.received, searched) {
                    searched = state.received.count
                    guard self.socket.wait(for: POLLIN, deadline: deadline) == .ready else { break }
                    do {
                        guard let bytes = try self.socket.read() else { continue }
                        state.received += bytes
                        if bytes.isEmpty { state.end = .closed }
                    } catch {
                        state.end = .reset
                    }
                }
                return RawReply(bytes: state.received, end: state.end ?? .timedOut)
            }
        }
    }
}
