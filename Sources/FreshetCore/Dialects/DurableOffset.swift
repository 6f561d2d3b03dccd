// Positions of the Durable Streams protocol (CONTRACT §14): offsets, and the cursors that keep caches from looping.

import HTTPFields

/// A position in the durable stream of a source, as text that sorts as positions do (Durable Streams §8).
///
/// The text is the sequence in 20 digits, `_`, and the epoch: a log that goes on under another epoch goes on counting, so that
/// later offsets stay greater. At most 28 bytes, all of `[a-z0-9_]`. Clients must not read anything into it.
package struct DurableOffset: Hashable, Sendable {
    /// Everything up to and including it comes before the position.
    package var cursor: Cursor

    /// The digits of the largest sequence.
    private static let digits = 20

    package init(_ cursor: Cursor) {
        self.cursor = cursor
    }

    /// Parses the text form. `nil` for anything that ``description`` does not produce, `-1` and `now` among it.
    package init?(_ text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "_"), omittingEmptySubsequences: false)
        guard text.utf8.count <= Cursor.maxTextBytes, parts.count == 2, parts[0].count == Self.digits,
            parts[0].allSatisfy(\.isDigit), let sequence = UInt64(String(decoding: parts[0], as: UTF8.self)),
            let cursor = Cursor("\(String(decoding: parts[1], as: UTF8.self))-\(sequence)")
        else { return nil }
        self.cursor = cursor
    }
}

extension DurableOffset: CustomStringConvertible {
    package var description: String {
        var text: [UInt8] = []
        text.appendDigits(self.cursor.sequence, width: Self.digits)
        return "\(String(decoding: text, as: UTF8.self))_\(self.cursor.epoch)"
    }
}

/// The number of an interval of time, which a client repeats with its next request, so that no cache gives it the same answer
/// for ever (Durable Streams §10.1).
package enum DurableCursor {
    /// 2024-10-09T00:00:00Z.
    private static let start = WallTime(milliseconds: 1_728_432_000_000)
    private static let intervalMilliseconds: Int64 = 20_000
    /// How far ahead of a client's own number the next one is, in intervals: up to an hour.
    private static let jitter: ClosedRange<UInt64> = 1...180
    /// The largest number that is believed: one that a client made up must not overflow.
    private static let largest: UInt64 = 1 << 48

    /// The number for an answer at `now` to a client that has repeated `known`: always a greater one than that.
    package static func next(
        at now: WallTime,
        after known: UInt64?,
        using random: inout some RandomNumberGenerator
    ) -> UInt64 {
        let (passed, overflow) = now.milliseconds.subtractingReportingOverflow(self.start.milliseconds)
        let present = overflow ? 0 : UInt64(max(0, passed) / self.intervalMilliseconds)
        guard let known, known >= present else { return present }
        return known + UInt64.random(in: self.jitter, using: &random)
    }

    /// What a client has repeated; `nil` for what no answer has said.
    package static func number(_ text: String) -> UInt64? {
        guard text.utf8.count <= 15, text.utf8.allSatisfy(\.isDigit), let number = UInt64(text), number <= self.largest
        else { return nil }
        return number
    }
}
