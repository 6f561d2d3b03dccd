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
/// The bytes carry their HTTP/1.1 chunk framing (RFC 9112 §7.1): a chunked connection sends ``bytes`` as they are,
/// a close-delimited one (HTTP/1.0) sends only ``payload``.
package struct Frame: Sendable {
    /// Chunk size line, payload, CRLF.
    package let bytes: [UInt8]
    /// Where the event itself stands in ``bytes``.
    package let payload: Range<Int>
    /// Where the JSON text of `data` stands in ``bytes``: what another wire format wraps anew.
    package let data: Range<Int>

    /// - Parameters:
    ///   - payload: the event as the wire format has it.
    ///   - data: where the JSON text stands in `payload`.
    package init(payload: [UInt8], data: Range<Int>) {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(payload.count + 20)
        bytes.append(contentsOf: String(payload.count, radix: 16).utf8)
        bytes.append(contentsOf: [0x0D, 0x0A])
        let start = bytes.count
        bytes.append(contentsOf: payload)
        bytes.append(contentsOf: [0x0D, 0x0A])
        self.bytes = bytes
        self.payload = start..<(start + payload.count)
        self.data = (start + data.lowerBound)..<(start + data.upperBound)
    }

    /// The range of ``bytes`` that a connection sends.
    package func range(chunked: Bool) -> Range<Int> {
        chunked ? 0..<self.bytes.count : self.payload
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
