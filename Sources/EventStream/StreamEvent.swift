/// One event as a client sees it.
package struct StreamEvent: Hashable, Sendable {
    /// The event's type; `message` when the stream names none.
    package var type: String
    /// The lines of data joined with LF, as the bytes that were sent.
    package var data: [UInt8]
    /// The id in force when the event was dispatched, set by this or by an earlier event; empty if there was no id.
    package var lastEventID: String

    package init(type: String = "message", data: [UInt8], lastEventID: String = "") {
        self.type = type
        self.data = data
        self.lastEventID = lastEventID
    }

    /// The data as text, with U+FFFD for what is not UTF-8, as a browser would show it.
    package var text: String { String(decoding: self.data, as: UTF8.self) }
}
