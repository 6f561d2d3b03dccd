// An event of a stream, as text.

import JSON

/// One line of an `application/x-ndjson` stream.
struct StreamLine: Sendable {
    /// `snapshot`, `patch`, `status`, …
    var event: String
    /// The cursor, for the events that have one.
    var id: String?
    var data: Document?
    /// The whole line, without its end.
    var text: [UInt8]

    /// `nil` for what is not a JSON object with an `event`.
    init?(_ text: [UInt8]) {
        guard let document = try? Document(parsing: text, limits: .widest), let event = document.root["event"]?.string
        else { return nil }
        self.event = event
        self.id = document.root["id"]?.string
        self.data = document.root["data"]?.document
        self.text = text
    }
}
