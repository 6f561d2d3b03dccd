// Moments as clients write them in a query: RFC 3339 with any offset.

import HTTPFields

extension WallTime {
    /// The longest text that is looked at: nine digits of a second and an offset fit.
    private static let maxTimestampBytes = 40

    /// Reads a `date-time` of RFC 3339 §5.6, `2026-11-23T06:00:00.123+01:00`; what is finer than a millisecond is cut
    /// off. `nil` for anything else, such as a date alone.
    ///
    /// `T` and `Z` may be small letters, and between date and time there may be a space (§5.6, note). A space in the
    /// place of the sign counts as `+`, which is what becomes of one that a query has without escaping it.
    package init?(rfc3339 text: some StringProtocol) {
        let bytes = Array(text.utf8.prefix(Self.maxTimestampBytes + 1))
        guard bytes.count >= 20, bytes.count <= Self.maxTimestampBytes else { return nil }
        var reader = TimestampReader(rest: bytes[...])
        guard let year = reader.number(4), reader.skip("-"), let month = reader.number(2), reader.skip("-"),
            let day = reader.number(2), reader.skip("Tt "), let hour = reader.number(2), reader.skip(":"),
            let minute = reader.number(2), reader.skip(":"), let second = reader.number(2),
            let milliseconds = reader.fraction(), let offset = reader.offset(), reader.rest.isEmpty
        else { return nil }
        let parts = DateReader.Parts(year: year, month: month, day: day, hour: hour, minute: minute, second: second)
        guard let seconds = parts.unixSeconds else { return nil }
        self.init(milliseconds: Int64(seconds - offset) * 1000 + Int64(milliseconds))
    }
}

/// Takes the parts of a timestamp from its front.
private struct TimestampReader {
    var rest: ArraySlice<UInt8>

    mutating func number(_ count: Int) -> Int? {
        let digits = self.rest.prefix(count)
        guard digits.count == count, let number = FieldValue.number(digits, limit: 9999) else { return nil }
        self.rest = self.rest.dropFirst(count)
        return number
    }

    /// Whether one of these characters was next, which is then behind.
    mutating func skip(_ characters: String) -> Bool {
        guard let first = self.rest.first, characters.utf8.contains(first) else { return false }
        self.rest = self.rest.dropFirst()
        return true
    }

    /// Milliseconds; 0 where there is no fraction.
    mutating func fraction() -> Int? {
        guard self.skip(".") else { return 0 }
        let digits = self.rest.prefix(while: \.isDigit)
        guard !digits.isEmpty else { return nil }
        self.rest = self.rest.dropFirst(digits.count)
        let padded = Array((digits + [0x30, 0x30]).prefix(3))
        return FieldValue.number(padded[...], limit: 999)
    }

    /// Seconds east of UTC.
    mutating func offset() -> Int? {
        if self.skip("Zz") { return 0 }
        let isWest = self.rest.first == UInt8(ascii: "-")
        guard self.skip("+- "), let hours = self.number(2), hours < 24, self.skip(":"), let minutes = self.number(2),
            minutes < 60
        else { return nil }
        return (hours * 3600 + minutes * 60) * (isWest ? -1 : 1)
    }
}
