/// A client of HTTP/2 in raw frames, over TLS: no window opens but by its test. Any task may call.
package final class FrameConnection: Sendable {
    private let connection: RawConnection

    /// Connects, and says what a client says first. `endpoint` speaks TLS; `settings`: what the client's SETTINGS hold.
    ///
    /// - Throws: `TestingError` when there is no connection in time, or the server does not agree to HTTP/2.
    package init(_ endpoint: Endpoint, settings: [(UInt16, UInt32)] = []) async throws {
        guard case .tls(let host, let port, var options) = endpoint else {
            throw TestingError(.missing, "HTTP/2 without TLS")
        }
        options.protocols = ["h2"]
        self.connection = try await RawConnection(.tls(host: host, port: port, options: options))
        guard self.connection.agreedProtocol == "h2" else {
            throw TestingError(.missing, "agreed on \(self.connection.agreedProtocol.debugDescription)")
        }
        try await self.connection.send(RawFrame.preface + RawFrame.settings(settings).bytes)
    }

    package func send(_ frames: RawFrame...) async throws { try await self.send(frames) }

    package func send(_ frames: [RawFrame]) async throws { try await self.connection.send(frames.flatMap(\.bytes)) }

    /// All whole frames that were received so far.
    package var frames: [RawFrame] { RawFrame.frames(in: self.connection.received) }

    /// Reads until all frames that were received are as wanted, and returns them.
    ///
    /// - Throws: `TestingError` when the time is up or the connection has ended before.
    @discardableResult
    package func receive(until isWanted: @escaping @Sendable ([RawFrame]) -> Bool) async throws -> [RawFrame] {
        let reply = try await self.connection.receive { received, _ in isWanted(RawFrame.frames(in: received)) }
        let frames = RawFrame.frames(in: reply.bytes)
        guard isWanted(frames) else {
            throw TestingError(.connectionEnded, "\(reply.end) after \(frames.count) frames: \(frames.suffix(3))")
        }
        return frames
    }

    /// Reads until the server ends the connection.
    package func receiveToEnd() async throws -> [RawFrame] {
        RawFrame.frames(in: try await self.connection.receiveToEnd().bytes)
    }

    package func close() { self.connection.close() }
}

extension [RawFrame] {
    /// The body that came on a stream, as text.
    package func text(of stream: UInt32) -> String {
        let bytes = self.filter { $0.kind == RawFrame.Kind.data && $0.stream == stream }.flatMap(\.payload)
        return String(decoding: bytes, as: UTF8.self)
    }

    /// Whether the server has ended a stream.
    package func hasEnded(_ stream: UInt32) -> Bool {
        self.contains { frame in
            frame.stream == stream && frame.kind <= RawFrame.Kind.headers && frame.flags & RawFrame.endStream != 0
        }
    }

    /// Whether a stream is answered with 200, which is an entry of HPACK's static table.
    package func isOK(_ stream: UInt32) -> Bool {
        let head = self.first { $0.kind == RawFrame.Kind.headers && $0.stream == stream }
        // An update of the size of the dynamic table may come before.
        return head?.payload.first { $0 & 0xE0 != 0x20 } == 0x88
    }

    package var goAway: RawFrame? { self.last { $0.kind == RawFrame.Kind.goAway } }
}
