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

    package var count: Int { self.head.count + self.shared.count + self.tail.count }

    /// The line of an event whose data is `data` in `frame`.
    init(_ event: String, of frame: Frame, id: Cursor) {
        var head: [UInt8] = []
        Frame.appendLineHead(event, id: id, to: &head)
        self.head = head
        self.shared = frame.bytes[frame.data]
        self.tail = [UInt8(ascii: "}")]
    }

    /// The `snapshot` event of a value.
    init(value: [UInt8], _ envelope: EventEnvelope, id: Cursor?) {
        var head: [UInt8] = []
        Frame.appendLineHead(StreamMode.snapshot.rawValue, id: id, to: &head)
        envelope.appendHead(.snapshot, to: &head)
        self.head = head
        self.shared = value[...]
        self.tail = Array("}}".utf8)
    }
}

extension ChangeEvent {
    /// The event as a line of this mode, or `nil` where that needs a value that was dropped.
    package func line(in mode: StreamMode) -> EventLine? {
        if let own = self.ownFrame(in: mode) {
            return EventLine(self.isCheckpoint(in: mode) ? "checkpoint" : mode.rawValue, of: own, id: self.cursor)
        }
        return self.value.map { EventLine(value: $0, self.envelope, id: self.cursor) }
    }
}

extension SourceVersion {
    /// The `snapshot` event of this value.
    package func line(_ step: Step) -> EventLine {
        let envelope = EventEnvelope(source: self.sourceName, at: self.at)
        return EventLine(value: self.document.text, envelope, id: self.id(of: step))
    }
}

extension PastSnapshot {
    /// The `snapshot` event of this value; `arrives`: it is the last of those that a reader begins with.
    package func line(arrives: Bool) -> EventLine {
        let envelope = EventEnvelope(source: self.name, at: self.value.at)
        return EventLine(value: self.value.text, envelope, id: arrives ? self.value.cursor : nil)
    }
}
