// The bytes of one event as they go to a socket: encoded once, shared by every subscriber and every shard.

import HTTPFields
import WebSocket

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

/// How events are written.
package struct StreamWire: Hashable, CaseIterable, Sendable {
    /// How an event is delimited.
    package enum Form: Int, CaseIterable, Sendable {
        /// `text/event-stream`.
        case eventStream
        /// One JSON object a line (`application/x-ndjson`).
        case jsonLines
        /// `text/event-stream` whose ids have room for a ticket's suffix: see ``TicketMark``.
        case markedEventStream
        /// One message of a WebSocket an event: the JSON line without its line feed, behind the header of its frame, which is
        /// no other for any socket (RFC 6455 §5.1: a server's frames have no mask).
        case messages
        /// The same, compressed where that makes it shorter (RFC 7692): each message by itself, so that it is done once for
        /// all.
        case deflatedMessages
    }

    package var form: Form
    /// What the `data` of a change event is. The default is ``StreamEnvelope/plain``. Other events have no envelope.
    package var envelope: StreamEnvelope

    package init(_ form: Form, _ envelope: StreamEnvelope = .plain) {
        self.form = form
        self.envelope = envelope
    }

    package static let eventStream = StreamWire(.eventStream)
    package static let jsonLines = StreamWire(.jsonLines)
    package static let markedEventStream = StreamWire(.markedEventStream)
    package static let messages = StreamWire(.messages)
    package static let deflatedMessages = StreamWire(.deflatedMessages)

    package static let allCases = StreamEnvelope.allCases.flatMap { envelope in
        Form.allCases.map { StreamWire($0, envelope) }
    }

    /// Those without an envelope.
    static let plain = Form.allCases.map { StreamWire($0) }

    /// A number of its own, from 0.
    var index: Int { self.form.rawValue + (self.envelope == .plain ? 0 : Form.allCases.count) }

    /// Whether events are messages of a WebSocket.
    package var isMessages: Bool { self.form == .messages || self.form == .deflatedMessages }
}

/// The form in which a subscriber gets its events. Subscribers with equal formats share frames.
package struct StreamFormat: Hashable, Sendable {
    package var mode: StreamMode
    package var wire: StreamWire

    package init(mode: StreamMode = .patch, wire: StreamWire = .eventStream) {
        self.mode = mode
        self.wire = wire
    }
}

/// How the events of a stream are delimited on its connection. Subscribers with equal framings
/// share bytes.
package enum Framing: CaseIterable, Hashable, Sendable {
    /// Chunks of HTTP/1.1, one an event (RFC 9112 §7.1).
    case chunked
    /// Nothing: the end of the connection is the end of the stream (HTTP/1.0).
    case closeDelimited

    /// The bytes that end a stream before its connection is closed: the last chunk, or none.
    package var terminator: [UInt8] {
        switch self {
        case .chunked: Array("0\r\n\r\n".utf8)
        case .closeDelimited: []
        }
    }
}

/// The immutable bytes of one event, ready for a socket, with what each ``Framing`` puts around them.
package struct Frame: Sendable {
    /// Room for the longest chunk size, unused in part; then the payload and CRLF.
    package let bytes: [UInt8]
    /// Where the event with its chunk framing stands in ``bytes``; of a WebSocket's message, as ``payload``.
    package let chunk: Range<Int>
    /// Where the event itself stands in ``bytes``.
    package let payload: Range<Int>
    /// Where the JSON text of `data` stands in ``bytes``: what another wire format wraps anew.
    package let data: Range<Int>
    /// Where ``mark`` begins; 0 for none, since a size line comes first.
    let markStart: Int

    /// Where the ``TicketMark`` of each stream takes the place of as many bytes in ``bytes``; `nil` where the event has no
    /// id, or is of another wire format.
    package var mark: Range<Int>? {
        self.markStart > 0 ? self.markStart..<(self.markStart + TicketMark.byteCount) : nil
    }

    /// The length of a chunk size line: at most 16 hexadecimal digits and CRLF.
    private static let sizeLineBytes = 18
    private static let lineEnd: [UInt8] = [0x0D, 0x0A]

    /// Where in the buffer stands what others look for.
    struct Places {
        /// The JSON text.
        var data: Range<Int>
        /// As ``Frame/markStart``.
        var markStart = 0
    }

    /// Encodes an event in place: `write` appends the payload, of about `capacity` bytes.
    init(capacity: Int, _ write: (inout [UInt8]) -> Places) {
        BriefLocks.expectNoneHeld()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(Self.sizeLineBytes + capacity + 2)
        bytes.append(contentsOf: repeatElement(0, count: Self.sizeLineBytes - 2))
        bytes.append(contentsOf: Self.lineEnd)
        let places = write(&bytes)
        self.data = places.data
        self.markStart = places.markStart
        self.payload = Self.sizeLineBytes..<bytes.count
        bytes.append(contentsOf: Self.lineEnd)
        // Hexadecimal, from the last digit on, as long as there are any.
        var start = Self.sizeLineBytes - 2
        var rest = self.payload.count
        repeat {
            start -= 1
            bytes[start] = UInt8(digit: UInt8(truncatingIfNeeded: rest & 0xF))
            rest >>= 4
        } while rest > 0
        self.chunk = start..<bytes.count
        self.bytes = bytes
    }

    /// A message of a WebSocket, of about `capacity` bytes: `write` appends its text.
    init(messageOf capacity: Int, deflates: Bool, _ write: (inout [UInt8]) -> Places) {
        BriefLocks.expectNoneHeld()
        var bytes: [UInt8] = []
        bytes.reserveCapacity(FrameHeader.maxBytes + capacity)
        bytes.append(contentsOf: repeatElement(0, count: FrameHeader.maxBytes))
        var places = write(&bytes)
        var isCompressed = false
        if deflates, let deflated = Deflation.deflate(bytes[FrameHeader.maxBytes...]) {
            bytes.replaceSubrange(FrameHeader.maxBytes..., with: deflated)
            places = Places(data: bytes.count..<bytes.count)
            isCompressed = true
        }
        let header = FrameHeader.bytes(.text, count: bytes.count - FrameHeader.maxBytes, isCompressed: isCompressed)
        let start = FrameHeader.maxBytes - header.count
        bytes.replaceSubrange(start..<FrameHeader.maxBytes, with: header)
        self.payload = start..<bytes.count
        self.chunk = self.payload
        self.data = places.data
        self.markStart = 0
        self.bytes = bytes
    }

    /// The line of a frame as a message.
    package init(messageOf line: Frame, deflates: Bool) {
        let text = line.bytes[line.payload].dropLast()
        self.init(messageOf: text.count, deflates: deflates) { bytes in
            bytes.append(contentsOf: text)
            return Places(data: bytes.count..<bytes.count)
        }
    }

    /// `payload` is the event as the wire format has it, without data that another format could wrap.
    package init(payload: [UInt8]) {
        self.init(payload: payload, markStart: 0)
    }

    init(payload: [UInt8], markStart: Int) {
        self.init(capacity: payload.count) { bytes in
            bytes.append(contentsOf: payload)
            return Places(data: bytes.count..<bytes.count, markStart: markStart)
        }
    }

    /// The range of ``bytes`` that a connection of this framing sends.
    package func range(in framing: Framing) -> Range<Int> {
        switch framing {
        case .chunked: self.chunk
        case .closeDelimited: self.payload
        }
    }
}

/// The frames of one change event, by format; absent for formats without a subscriber at the time.
package struct FrameSet: Sendable {
    // A list, not a table: nearly always there is one, and a table of nothing is filled and torn down for every event.
    private var frames: [(format: StreamFormat, frame: Frame)] = []

    package init() {}

    package var isEmpty: Bool { self.frames.isEmpty }

    package subscript(format: StreamFormat) -> Frame? {
        self.frames.first { $0.format == format }?.frame
    }

    /// Adds the frame in a format that is absent.
    package mutating func add(_ frame: Frame, for format: StreamFormat) {
        self.frames.append((format, frame))
    }
}
