// A change event as one JSON object, in pieces: what is large in it shares its bytes with the log or the value.

import JSON

/// An object of a JSON-lines stream, without its line feed.
package struct EventLine: Sendable {
    /// Up to what is shared.
    package let head: [UInt8]
    /// A patch with what its envelope says, or a value.
    package let shared: ArraySlice<UInt8>
    /// The braces that are open then.
    package let tail: [UInt8]
    /// Where the data begins in ``head``. It ends before the last brace.
    private let dataStart: Int

    package var count: Int { self.head.count + self.shared.count + self.tail.count }

    /// The data alone, in pieces.
    package var data: [ArraySlice<UInt8>] { [self.head[self.dataStart...], self.shared, self.tail.dropLast()] }

    /// The line of an event whose data is `data` in `frame`, which is plain.
    init(_ event: String, of frame: Frame, _ facts: EventEnvelope, id: Cursor, in envelope: StreamEnvelope) {
        var head: [UInt8] = []
        Frame.appendLineHead(event, id: id, to: &head)
        self.dataStart = head.count
        if envelope == .cloudEvents { facts.cloudEvent.appendHead(event, to: &head) }
        self.head = head
        self.shared = frame.bytes[frame.data]
        self.tail = Array((envelope == .cloudEvents ? "}}" : "}").utf8)
    }

    /// The `snapshot` event of a value.
    init(value: [UInt8], _ facts: EventEnvelope, id: Cursor?, in envelope: StreamEnvelope) {
        let event = StreamMode.snapshot.rawValue
        var head: [UInt8] = []
        Frame.appendLineHead(event, id: id, to: &head)
        self.dataStart = head.count
        if envelope == .cloudEvents { facts.cloudEvent.appendHead(event, to: &head) }
        facts.appendHead(.snapshot, to: &head)
        self.head = head
        self.shared = value[...]
        self.tail = Array((envelope == .cloudEvents ? "}}}" : "}}").utf8)
    }
}

extension ChangeEvent {
    /// The event as a line of this mode, or `nil` where that needs a value that was dropped.
    package func line(in mode: StreamMode, _ envelope: StreamEnvelope = .plain) -> EventLine? {
        if let own = self.ownFrame(in: mode) {
            let event = self.isCheckpoint(in: mode) ? "checkpoint" : mode.rawValue
            return EventLine(event, of: own, self.envelope, id: self.cursor, in: envelope)
        }
        return self.value.map { EventLine(value: $0, self.envelope, id: self.cursor, in: envelope) }
    }
}

extension SourceVersion {
    /// The `snapshot` event of this value.
    package func line(_ step: Step, _ envelope: StreamEnvelope = .plain) -> EventLine {
        EventLine(value: self.document.text, self.envelope, id: self.id(of: step), in: envelope)
    }
}

extension PastSnapshot {
    /// The `snapshot` event of this value; `arrives`: it is the last of those that a reader begins with.
    package func line(arrives: Bool, _ envelope: StreamEnvelope = .plain) -> EventLine {
        let facts = EventEnvelope(source: self.name, at: self.value.at, cursor: self.value.cursor)
        return EventLine(value: self.value.text, facts, id: arrives ? self.value.cursor : nil, in: envelope)
    }
}
