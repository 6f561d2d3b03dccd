// The bytes of one event as they go to a socket: encoded once, shared by every subscriber and every shard.

/// What a subscriber asked to receive of a change (CONTRACT §4, `mode`).
package enum StreamMode: String, CaseIterable, Sendable {
    /// RFC 6902 documents.
    case patch
    /// RFC 7396 documents.
    case merge
    /// Created, updated and deleted items.
    case items
    /// The whole value each time.
    case snapshot
}

/// How events are written: as `text/event-stream` or as one JSON object a line (`application/x-ndjson`).
package enum StreamWire: CaseIterable, Sendable {
    case eventStream
    case jsonLines
}

/// The form in which a subscriber gets its events. Subscribers with equal formats share frames.
package struct StreamFormat: Hashable, Sendable {
    package var mode: StreamMode
    package var wire: StreamWire

    package init(mode: StreamMode = .patch, wire: StreamWire = .eventStream) {
        self.mode = mode
        self.wire = wire
    }

    package static let count = StreamMode.allCases.count * StreamWire.allCases.count

    /// A number in `0..<count`, to index tables with.
    package var index: Int {
        let mode =
            switch self.mode {
            case .patch: 0
            case .merge: 1
            case .items: 2
            case .snapshot: 3
            }
        return self.wire == .eventStream ? mode : mode + StreamMode.allCases.count
    }
}

/// The immutable bytes of one event, ready for a socket.
///
/// The bytes carry their HTTP/1.1 chunk framing (RFC 9112 §7.1): a chunked connection sends ``chunk``, a
/// close-delimited one (HTTP/1.0) sends only ``payload``.
package struct Frame: Sendable {
    /// Room for the longest chunk size, unused in part; then the payload and CRLF.
    package let bytes: [UInt8]
    /// Where the event with its chunk framing stands in ``bytes``.
    package let chunk: Range<Int>
    /// Where the event itself stands in ``bytes``.
    package let payload: Range<Int>
    /// Where the JSON text of `data` stands in ``bytes``: what another wire format wraps anew.
    package let data: Range<Int>

    /// The length of a chunk size line: at most 16 hexadecimal digits and CRLF.
    private static let sizeLineBytes = 18

    /// Encodes an event in place: `write` appends the payload, of about `capacity` bytes, and returns where the JSON text
    /// stands in the buffer.
    package init(capacity: Int, _ write: (inout [UInt8]) -> Range<Int>) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.sizeLineBytes + capacity + 2)
        bytes.append(contentsOf: repeatElement(0, count: Self.sizeLineBytes))
        self.data = write(&bytes)
        self.payload = Self.sizeLineBytes..<bytes.count
        bytes.append(contentsOf: [0x0D, 0x0A])
        var size: [UInt8] = []
        size.appendDigits(self.payload.count, radix: 16)
        let start = Self.sizeLineBytes - 2 - size.count
        bytes.replaceSubrange(start..<Self.sizeLineBytes - 2, with: size)
        bytes[Self.sizeLineBytes - 2] = 0x0D
        bytes[Self.sizeLineBytes - 1] = 0x0A
        self.chunk = start..<bytes.count
        self.bytes = bytes
    }

    /// `payload` is the event as the wire format has it, without data that another format could wrap.
    package init(payload: [UInt8]) {
        self.init(capacity: payload.count) { bytes in
            bytes.append(contentsOf: payload)
            return bytes.count..<bytes.count
        }
    }

    /// The range of ``bytes`` that a connection sends.
    package func range(chunked: Bool) -> Range<Int> {
        chunked ? self.chunk : self.payload
    }
}

/// The frames of one change event, by format; absent where nobody asked for that format when it was published.
package struct FrameSet: Sendable {
    private var frames: [Frame?] = Array(repeating: nil, count: StreamFormat.count)

    package init() {}

    package subscript(format: StreamFormat) -> Frame? {
        get { self.frames[format.index] }
        set { self.frames[format.index] = newValue }
    }
}
