// Dates as HTTP writes them: one form to send, three to understand.

/// A date of HTTP (RFC 9110 §5.6.7), to the second.
package struct HTTPDate: Hashable, Sendable {
    /// Seconds since 1970-01-01 00:00:00 UTC; from year 1 to 9999.
    package let unixSeconds: Int

    private static let range = -62_135_596_800...253_402_300_799

    /// A moment; beyond the years 1 to 9999 it is the nearest that is inside.
    package init(unixSeconds: Int) {
        self.unixSeconds = min(Self.range.upperBound, max(Self.range.lowerBound, unixSeconds))
    }

    /// Reads a date in one of the three forms; nil when it is in none of them, or names no moment.
    ///
    /// Names of days and months are taken in any case, and the name of the day need not fit the date, as in most of the
    /// field.
    ///
    /// - Parameters:
    ///   - bytes: The value without whitespace around it.
    ///   - wallNow: Unix seconds. A two-digit year that seems more than 50 years ahead of it is in the past.
    package init?(_ bytes: some Collection<UInt8>, wallNow: Int) {
        // The longest form has 33 bytes.
        guard bytes.count >= 24, bytes.count <= 33 else { return nil }
        var reader = DateReader(bytes: Array(bytes))
        let parts = reader.internetForm() ?? reader.obsoleteForm(wallNow: wallNow) ?? reader.asctimeForm()
        guard let seconds = parts?.unixSeconds else { return nil }
        self.unixSeconds = seconds
    }

    /// The preferred form, `Sun, 06 Nov 1994 08:49:37 GMT`.
    package var bytes: [UInt8] {
        let days = Self.floorDivision(unixSeconds, 86_400)
        let second = unixSeconds - days * 86_400
        let date = CivilDate(daysSince1970: Int64(days))
        // 1970-01-01 was a Thursday.
        let weekday = (days % 7 + 7 + 4) % 7
        var bytes = Array(DateReader.dayNames[weekday].prefix(3))
        bytes += Array(", ".utf8)
        bytes.appendDigits(date.day, width: 2)
        bytes += [0x20] + DateReader.monthNames[Int(date.month) - 1] + [0x20]
        bytes.appendDigits(date.year, width: 4)
        for (separator, number) in [(0x20 as UInt8, second / 3600), (0x3A, second / 60 % 60), (0x3A, second % 60)] {
            bytes.append(separator)
            bytes.appendDigits(number, width: 2)
        }
        return bytes + Array(" GMT".utf8)
    }

    package static func floorDivision(_ dividend: Int, _ divisor: Int) -> Int {
        let quotient = dividend / divisor
        return dividend % divisor < 0 ? quotient - 1 : quotient
    }
}
