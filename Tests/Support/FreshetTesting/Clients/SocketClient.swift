import CZlib

/// A frame of a WebSocket, as it came.
package struct SocketFrame: Hashable, Sendable {
    package var first: UInt8
    package var payload: [UInt8]

    package var opcode: UInt8 { self.first & 0x0F }
    package var isCompressed: Bool { self.first & 0x40 != 0 }
    package var text: String { String(decoding: self.payload, as: UTF8.self) }
    /// The payload as it was before it was compressed.
    package func inflated() throws -> [UInt8] {
        guard self.isCompressed else { return self.payload }
        let stream = UnsafeMutablePointer<z_stream>.allocate(capacity: 1)
        stream.initialize(to: z_stream())
        defer { stream.deallocate() }
        guard czlib_inflate_init_raw(stream) == Z_OK else { throw TestingError(.malformed, "no zlib") }
        defer { inflateEnd(stream) }
        var input = self.payload + [0, 0, 0xFF, 0xFF]
        var output = [UInt8](repeating: 0, count: 4 << 20)
        let count = output.count
        let code = input.withUnsafeMutableBufferPointer { from in
            output.withUnsafeMutableBufferPointer { to in
                stream.pointee.next_in = from.baseAddress
                stream.pointee.avail_in = UInt32(from.count)
                stream.pointee.next_out = to.baseAddress
                stream.pointee.avail_out = UInt32(to.count)
                return CZlib.inflate(stream, Z_SYNC_FLUSH)
            }
        }
        guard code == Z_OK, stream.pointee.avail_in == 0 else { throw TestingError(.malformed, "zlib says \(code)") }
        return Array(output.prefix(count - Int(stream.pointee.avail_out)))
    }

    /// The code of a Close frame; 0 where it has none.
    package var closeCode: Int { self.payload.count >= 2 ? Int(self.payload[0]) << 8 | Int(self.payload[1]) : 0 }

    /// The whole frames at the start of what a server has sent.
    package static func frames(in bytes: ArraySlice<UInt8>) -> [SocketFrame] {
        var frames: [SocketFrame] = []
        var rest = bytes
        while rest.count >= 2 {
            let short = Int(rest[rest.startIndex + 1] & 0x7F)
            let digits = short == 126 ? 2 : short == 127 ? 8 : 0
            guard rest.count >= 2 + digits else { break }
            let start = rest.startIndex + 2
            let length = digits == 0 ? short : rest[start..<(start + digits)].reduce(0) { $0 << 8 | Int($1) }
            let body = rest.dropFirst(2 + digits)
            guard body.count >= length else { break }
            frames.append(SocketFrame(first: rest[rest.startIndex], payload: Array(body.prefix(length))))
            rest = body.dropFirst(length)
        }
        return frames
    }
}

/// A client of a WebSocket in raw frames. Any task may call.
package final class SocketClient: Sendable {
    package let connection: RawConnection
    /// The head of the answer to its handshake.
    package let head: String
    private let headBytes: Int

    package static let path = "/v1/socket"
    private static let mask: [UInt8] = [0x12, 0x34, 0x56, 0x78]

    /// Opens a socket; `path` may have a query.
    ///
    /// - Throws: `TestingError` with the answer, where that is none of a WebSocket.
    package init(
        _ endpoint: Endpoint,
        _ path: String = SocketClient.path,
        _ headers: HeaderFields = [:],
        receiveBufferBytes: Int? = nil
    ) async throws {
        self.connection = try await RawConnection(endpoint, receiveBufferBytes: receiveBufferBytes)
        let head = [UInt8]("GET \(path) HTTP/1.1\r\n".utf8) + Self.handshake(headers, to: endpoint).wire
        try await self.connection.send(head + [0x0D, 0x0A])
        let text = try await self.connection.receive(until: "\r\n\r\n")
        guard text.hasPrefix("HTTP/1.1 101 ") else { throw TestingError(.malformed, text) }
        let end = [UInt8]("\r\n\r\n".utf8)
        let received = self.connection.received
        let place = received.indices.first { received[$0...].starts(with: end) } ?? 0
        self.headBytes = place + end.count
        self.head = String(decoding: received[..<place], as: UTF8.self)
    }

    /// The fields of the request that opens a socket.
    package static func handshake(_ headers: HeaderFields = [:], to endpoint: Endpoint) -> HeaderFields {
        var fields: HeaderFields = headers
        for (name, value) in [
            ("Host", endpoint.authority), ("Upgrade", "websocket"), ("Connection", "Upgrade"),
            ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
            ("Sec-WebSocket-Protocol", "freshet.v1"),
        ] { fields.appendDefault(name, value) }
        return fields
    }

    /// A client's frame.
    package static func frame(_ first: UInt8, _ payload: [UInt8]) -> [UInt8] {
        var bytes = [first]
        switch payload.count {
        case ..<126: bytes.append(0x80 | UInt8(payload.count))
        case ..<65_536: bytes += [0x80 | 126, UInt8(payload.count >> 8), UInt8(payload.count & 0xFF)]
        case _: bytes += [0x80 | 127] + (0..<8).map { UInt8(truncatingIfNeeded: payload.count >> (56 - 8 * $0)) }
        }
        return bytes + self.mask + payload.enumerated().map { $1 ^ self.mask[$0 & 3] }
    }

    package func send(_ text: String) async throws {
        try await self.connection.send(Self.frame(0x81, [UInt8](text.utf8)))
    }

    /// All whole frames that have come.
    package var frames: [SocketFrame] { SocketFrame.frames(in: self.connection.received[self.headBytes...]) }

    /// The texts of all messages that have come, as they were sent.
    package var texts: [String] { self.frames.filter { $0.opcode == 1 }.map(\.text) }

    /// Reads until all frames that have come are as wanted, and returns them.
    ///
    /// - Throws: `TestingError` when the time is up or the connection has ended before.
    @discardableResult
    package func receive(
        timeout: Duration = .patience,
        until isWanted: @escaping @Sendable ([SocketFrame]) -> Bool
    ) async throws -> [SocketFrame] {
        let skipped = self.headBytes
        let reply = try await self.connection.receive(timeout: timeout) { received, _ in
            isWanted(SocketFrame.frames(in: received[skipped...]))
        }
        let frames = SocketFrame.frames(in: reply.bytes[skipped...])
        guard isWanted(frames) else {
            throw TestingError(.connectionEnded, "\(reply.end) after \(frames.map(\.text))")
        }
        return frames
    }

    /// Reads until a message holds this text, and returns it.
    @discardableResult
    package func receive(_ part: String, timeout: Duration = .patience) async throws -> String {
        let frames = try await self.receive(timeout: timeout) { frames in
            frames.contains { $0.opcode == 1 && $0.text.contains(part) }
        }
        return frames.first { $0.opcode == 1 && $0.text.contains(part) }?.text ?? ""
    }

    /// Sends a request, and returns its answer. `re` is in the text.
    @discardableResult
    package func ask(_ text: String, re: Int) async throws -> String {
        try await self.send(text)
        return try await self.receive(#"{"re":\#(re),"#)
    }

    /// Reads until the server closes, and returns the code of its Close frame.
    package func receiveClose() async throws -> Int {
        let frames = try await self.receive { frames in frames.contains { $0.opcode == 8 } }
        return frames.first { $0.opcode == 8 }?.closeCode ?? 0
    }

    package func close() { self.connection.close() }
}
