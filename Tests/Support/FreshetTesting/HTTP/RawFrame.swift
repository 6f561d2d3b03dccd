// Frames as raw bytes, written and read without any library (RFC 9113 §4).

/// One frame.
package struct RawFrame: Equatable, Sendable {
    package enum Kind {
        package static let data: UInt8 = 0
        package static let headers: UInt8 = 1
        package static let priority: UInt8 = 2
        package static let reset: UInt8 = 3
        package static let settings: UInt8 = 4
        package static let ping: UInt8 = 6
        package static let goAway: UInt8 = 7
        package static let windowUpdate: UInt8 = 8
        package static let continuation: UInt8 = 9
    }

    package var kind: UInt8
    package var flags: UInt8 = 0
    package var stream: UInt32 = 0
    package var payload: [UInt8] = []

    package init(kind: UInt8, flags: UInt8 = 0, stream: UInt32 = 0, payload: [UInt8] = []) {
        self.kind = kind
        self.flags = flags
        self.stream = stream
        self.payload = payload
    }

    package static let endStream: UInt8 = 1
    package static let endHeaders: UInt8 = 4
    package static let preface = Array("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".utf8)

    package var bytes: [UInt8] {
        let count = self.payload.count
        return [UInt8(count >> 16), UInt8(count >> 8 & 255), UInt8(count & 255), self.kind, self.flags]
            + Self.number(self.stream) + self.payload
    }

    package static func number(_ value: UInt32) -> [UInt8] {
        [UInt8(value >> 24), UInt8(value >> 16 & 255), UInt8(value >> 8 & 255), UInt8(value & 255)]
    }

    /// The whole frames at the start of some bytes.
    package static func frames(in bytes: [UInt8]) -> [RawFrame] {
        var frames: [RawFrame] = []
        var rest = bytes[...]
        while rest.count >= 9 {
            let head = Array(rest.prefix(9))
            let count = Int(head[0]) << 16 | Int(head[1]) << 8 | Int(head[2])
            let stream = head[5...].reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
            guard rest.count >= 9 + count else { break }
            rest = rest.dropFirst(9)
            frames.append(RawFrame(kind: head[3], flags: head[4], stream: stream, payload: Array(rest.prefix(count))))
            rest = rest.dropFirst(count)
        }
        return frames
    }

    /// The error code of a RST_STREAM or GOAWAY.
    package var code: UInt32? {
        switch self.kind {
        case Kind.reset: self.payload.prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        case Kind.goAway: self.payload.dropFirst(4).prefix(4).reduce(UInt32(0)) { $0 << 8 | UInt32($1) }
        case _: nil
        }
    }

    // MARK: What a client sends

    package static func settings(_ values: [(UInt16, UInt32)] = []) -> RawFrame {
        let payload = values.flatMap { [UInt8($0.0 >> 8), UInt8($0.0 & 255)] + Self.number($0.1) }
        return RawFrame(kind: Kind.settings, payload: payload)
    }

    package static func request(
        _ stream: UInt32,
        _ method: String = "GET",
        _ path: String = "/",
        _ fields: [(String, String)] = [],
        endsStream: Bool = true
    ) -> RawFrame {
        let pseudo = [(":method", method), (":scheme", "https"), (":authority", "localhost"), (":path", path)]
        return RawFrame(
            kind: Kind.headers,
            flags: Self.endHeaders | (endsStream ? Self.endStream : 0),
            stream: stream,
            payload: (pseudo + fields).flatMap { Self.literal($0.0, $0.1) }
        )
    }

    /// A field without indexing and without Huffman's code (RFC 7541 §6.2.2).
    package static func literal(_ name: String, _ value: String) -> [UInt8] {
        [0] + Self.text(name) + Self.text(value)
    }

    package static func text(_ text: String) -> [UInt8] {
        Self.integer(text.utf8.count, bits: 7) + Array(text.utf8)
    }

    /// RFC 7541 §5.1.
    package static func integer(_ value: Int, bits: UInt8) -> [UInt8] {
        let most = (1 << Int(bits)) - 1
        guard value >= most else { return [UInt8(value)] }
        var bytes = [UInt8(most)]
        var rest = value - most
        while rest >= 128 {
            bytes.append(UInt8(rest & 127 | 128))
            rest >>= 7
        }
        return bytes + [UInt8(rest)]
    }

    package static func data(_ stream: UInt32, _ bytes: [UInt8], endsStream: Bool = false) -> RawFrame {
        RawFrame(kind: Kind.data, flags: endsStream ? Self.endStream : 0, stream: stream, payload: bytes)
    }

    package static func reset(_ stream: UInt32) -> RawFrame {
        RawFrame(kind: Kind.reset, stream: stream, payload: Self.number(8))
    }

    package static func windowUpdate(_ stream: UInt32, _ count: UInt32) -> RawFrame {
        RawFrame(kind: Kind.windowUpdate, stream: stream, payload: Self.number(count))
    }

    package static let ping = RawFrame(kind: Kind.ping, payload: [0, 0, 0, 0, 0, 0, 0, 0])

    package static func priority(_ stream: UInt32) -> RawFrame {
        RawFrame(kind: Kind.priority, stream: stream, payload: Self.number(0) + [15])
    }
}
