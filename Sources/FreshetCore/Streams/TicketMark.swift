// What the ids of a ticket's stream end with (CONTRACT §8).

/// Stands behind the cursor in each id of a ticket's stream, as in `k3f9q-41~SUFFIX`: who returns such an id has read that
/// stream. A value; any thread.
///
/// All suffixes have one length, so that a frame is encoded once for the streams of all tickets, with room for a suffix
/// (``Frame/mark``), which each stream fills with its own where it sends the frame.
package struct TicketMark: Hashable, Sendable {
    /// The length of a suffix.
    package static let byteCount = 22
    /// Between cursor and suffix; no cursor has one in it.
    package static let separator = UInt8(ascii: "~")

    /// The same for every stream of the ticket, of which there is one at a time.
    package let ticket: Fingerprint
    /// ``byteCount`` bytes.
    package let suffix: [UInt8]

    /// `nil` for a suffix of another length, or with a byte in it that ends a line.
    package init?(ticket: Fingerprint, suffix: [UInt8]) {
        guard suffix.count == Self.byteCount, suffix.allSatisfy({ (0x21...0x7E).contains($0) }) else { return nil }
        self.ticket = ticket
        self.suffix = suffix
    }
}

/// The `id` of an event as a client returns it: a cursor, and the suffix of a ticket where it is of a ticket's stream.
package struct EventID: Hashable, Sendable {
    /// What should be a ``Cursor``.
    package let cursor: Substring
    /// `nil` for an id of any other stream.
    package let suffix: Substring?

    package init(_ text: String) {
        guard let mark = text.utf8.firstIndex(of: TicketMark.separator) else {
            self.cursor = text[...]
            self.suffix = nil
            return
        }
        self.cursor = text[..<mark]
        self.suffix = text[text.utf8.index(after: mark)...]
    }
}
