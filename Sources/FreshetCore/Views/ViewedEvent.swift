// One change of the log as a view has it.

import JSON

/// A numbered change in a view. A value; any thread.
package struct ViewedEvent: Sendable {
    package let cursor: Cursor
    let source: SourceID
    let envelope: EventEnvelope
    /// `nil` where it does nothing in the view but move the cursor.
    let content: ViewContent?

    init(_ event: ChangeEvent, _ content: ViewContent?) {
        self.cursor = event.cursor
        self.source = event.source
        self.envelope = event.envelope
        self.content = content
    }

    package var sequence: UInt64 { self.cursor.sequence }
    package var isCheckpoint: Bool { self.content == nil }
    var size: Int { self.content?.text.count ?? 0 }

    package func frame(wire: StreamWire) -> Frame {
        guard let content else { return self.envelope.checkpoint(id: self.cursor, wire: wire) }
        return self.envelope.frame(content.mode, content.text, id: self.cursor, wire: wire)
    }

    /// The event as a line, without its line feed.
    package var line: EventLine { self.line(.plain) }

    /// The same in this envelope.
    package func line(_ envelope: StreamEnvelope) -> EventLine {
        let event = self.content?.mode.rawValue ?? "checkpoint"
        let frame = self.frame(wire: .eventStream)
        return EventLine(event, of: frame, self.envelope, id: self.cursor, in: envelope)
    }
}

/// What a reader of a view is given of the log.
package enum ViewReading: Sendable {
    /// Those that say something, in order; `through` is how far the reader has come. `last` moves the cursor there where
    /// none of them does. `isComplete`: nothing newer exists now.
    case events([ViewedEvent], through: UInt64, last: ViewedEvent?, isComplete: Bool)
    case gap(GapReason)
}
