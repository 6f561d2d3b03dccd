// Dates as upstreams really send them: a day of one digit, `UTC` or `+0000` for `GMT`, ISO 8601.

/// A moment in a text that names one without being an HTTP date (RFC 9110 §5.6.7).
///
/// For the fields whose worst reading is a poll too early or too late: waits, and `Last-Modified`, which goes back to
/// the upstream as it came. `Expires` and `Date` are read by ``HTTPDate``, where almost a date is not a date
/// (RFC 9111 §5.3).
package struct LooseDate: Hashable {
    /// Rounded down.
    package let unixSeconds: Int
    /// The text names a moment within the second.
    package let hasFraction: Bool

    /// Longer texts are not dates.
    private static let longest = 80

    /// - Parameters:
    ///   - bytes: The text without white space around it.
    ///   - wallNow: Unix seconds, for years of two digits.
    package init?(_ bytes: ArraySlice<UInt8>, wallNow: Int) {
        guard bytes.count <= Self.longest else { return nil }
        var scanner = LooseDateScanner(bytes: Array(bytes), wallNow: wallNow)
        guard scanner.readInternetForm() || scanner.readWords(), let moment = scanner.moment else { return nil }
        self.unixSeconds = moment
        self.hasFraction = scanner.hasFraction
    }
}

/// Reads one text from the left. Each form starts over.
private struct LooseDateScanner {
    private let bytes: [UInt8]
    private let wallNow: Int
    private var position = 0

    private var year: Int?
    private var month: Int?
    private var day: Int?
    private var time: (hour: Int, minute: Int, second: Int)?
    /// Of the zone, east of Greenwich, in seconds.
    private var offset = 0
    private(set) var hasFraction = false

    /// Zones by name, in hours (RFC 5322 §4.3). All other names are refused: they are ambiguous.
    private static let zones: [(name: StaticString, hours: Int)] = [
        ("gmt", 0), ("utc", 0), ("ut", 0), ("z", 0), ("est", -5), ("edt", -4), ("cst", -6), ("cdt", -5), ("mst", -7),
        ("mdt", -6), ("pst", -8), ("pdt", -7),
    ]

    init(bytes: [UInt8], wallNow: Int) {
        self.bytes = bytes
        self.wallNow = wallNow
    }

    var moment: Int? {
        guard let year, let month, let day, let time else { return nil }
        let parts = DateReader.Parts(
            year: year,
            month: month,
            day: day,
            hour: time.hour,
            minute: time.minute,
            second: time.second
        )
        return parts.unixSeconds.map { $0 - self.offset }
    }

    private mutating func startOver() {
        self = LooseDateScanner(bytes: self.bytes, wallNow: self.wallNow)
    }

    // MARK: Forms

    /// `2026-11-23T08:00:00Z` and its kin (ISO 8601, RFC 3339): no seconds, a fraction, an offset, a blank in the place
    /// of the `T`, no zone, no separators.
    mutating func readInternetForm() -> Bool {
        self.startOver()
        guard let year = self.digits(4) else { return false }
        let isSeparated = self.skip("-")
        guard let month = self.digits(2), self.skip("-") == isSeparated, let day = self.digits(2) else { return false }
        guard self.skip("T") || self.skip("t") || self.skip(" "), let hour = self.digits(2) else { return false }
        self.skipBlanks()
        let hasColons = self.skip(":")
        guard let minute = self.digits(2) else { return false }
        var second = 0
        if hasColons ? self.skip(":") : self.isAtDigit {
            guard let read = self.digits(2) else { return false }
            second = read
            self.skipFraction()
        }
        (self.year, self.month, self.day, self.time) = (year, month, day, (hour, minute, second))
        self.skipBlanks()
        return self.readZone()
    }

    /// What is left is a zone, a comment, or nothing, which counts as UTC.
    private mutating func readZone() -> Bool {
        while let byte = self.peek {
            switch byte {
            case UInt8(ascii: "+"), UInt8(ascii: "-"):
                guard self.readOffset() else { return false }
            case UInt8(ascii: "("), UInt8(ascii: "["):
                return true
            case _ where self.isBlank(byte):
                self.position += 1
            case _:
                guard self.readZoneName(self.word()) else { return false }
            }
        }
        return true
    }

    /// Words and numbers in any order that a person would understand: `Mon, 3 Nov 2026 08:00:00 UTC`,
    /// `Monday, 03-Nov-26 08:00:00 GMT`, `Nov 3 08:00:00 2026`, `3/Nov/2026:08:00:00 +0000`.
    mutating func readWords() -> Bool {
        self.startOver()
        while let byte = self.peek {
            switch byte {
            case UInt8(ascii: "("), UInt8(ascii: "["):
                return true
            case UInt8(ascii: "0")...UInt8(ascii: "9"):
                guard self.readNumber() else { return false }
            case UInt8(ascii: "+") where self.time != nil, UInt8(ascii: "-") where self.time != nil:
                guard self.readOffset() else { return false }
            case UInt8(ascii: " "), UInt8(ascii: "\t"), UInt8(ascii: ","), UInt8(ascii: "-"), UInt8(ascii: "/"),
                UInt8(ascii: "."):
                self.position += 1
            case _:
                guard self.readWord(self.word()) else { return false }
            }
        }
        return true
    }

    // MARK: Parts

    private mutating func readNumber() -> Bool {
        let start = self.position
        while self.isAtDigit { self.position += 1 }
        let length = self.position - start
        guard length <= 4, let number = FieldValue.number(self.bytes[start..<self.position], limit: 9999) else {
            return false
        }
        if length <= 2, self.time == nil, self.peek == UInt8(ascii: ":") { return self.readTime(hour: number) }
        if length == 4, self.year == nil {
            self.year = number
            // As web servers log it: the time follows at once.
            if self.time == nil, self.peek == UInt8(ascii: ":") { self.position += 1 }
            return true
        }
        guard length <= 2 else { return false }
        if self.day == nil {
            self.day = number
            return true
        }
        guard length == 2, self.year == nil else { return false }
        self.year = DateReader.year(ofTwoDigits: number, wallNow: self.wallNow)
        return true
    }

    private mutating func readTime(hour: Int) -> Bool {
        self.position += 1
        guard let minute = self.digits(2) else { return false }
        var second = 0
        if self.skip(":") {
            guard let read = self.digits(2) else { return false }
            second = read
            self.skipFraction()
        }
        self.time = (hour, minute, second)
        return true
    }

    private mutating func readWord(_ word: ArraySlice<UInt8>) -> Bool {
        if self.time != nil, self.readZoneName(word) { return true }
        guard word.count >= 3 else { return false }
        if self.month == nil, let index = DateReader.monthNames.firstIndex(where: { Self.begins(word, with: $0) }) {
            self.month = index + 1
            return true
        }
        return DateReader.dayNames.contains { Self.begins(word, with: $0.prefix(3)) }
    }

    private mutating func readZoneName(_ word: ArraySlice<UInt8>) -> Bool {
        guard let zone = Self.zones.first(where: { FieldValue.matches(word, $0.name) }) else { return false }
        self.offset += zone.hours * 3600
        return true
    }

    /// `+0000`, `-07:00`, `+2`.
    private mutating func readOffset() -> Bool {
        let isWest = self.peek == UInt8(ascii: "-")
        self.position += 1
        guard let hours = self.digits(2) ?? self.digits(1), hours <= 15 else { return false }
        var minutes = 0
        if self.skip(":") || self.isAtDigit {
            guard let read = self.digits(2), read < 60 else { return false }
            minutes = read
        }
        let seconds = hours * 3600 + minutes * 60
        self.offset += isWest ? -seconds : seconds
        return true
    }

    private mutating func skipFraction() {
        guard self.peek == UInt8(ascii: ".") || self.peek == UInt8(ascii: ",") else { return }
        let start = self.position + 1
        var end = start
        while end < self.bytes.count, self.bytes[end].isDigit { end += 1 }
        guard end > start else { return }
        self.hasFraction = self.bytes[start..<end].contains { $0 != UInt8(ascii: "0") }
        self.position = end
    }

    // MARK: Bytes

    private var peek: UInt8? { self.position < self.bytes.count ? self.bytes[self.position] : nil }

    private var isAtDigit: Bool { self.peek.map(\.isDigit) ?? false }

    private func isBlank(_ byte: UInt8) -> Bool { byte.isBlank }

    private mutating func skipBlanks() {
        while let byte = self.peek, self.isBlank(byte) { self.position += 1 }
    }

    private mutating func skip(_ character: Unicode.Scalar) -> Bool {
        guard self.peek == UInt8(ascii: character) else { return false }
        self.position += 1
        return true
    }

    private mutating func digits(_ count: Int) -> Int? {
        guard self.position + count <= self.bytes.count else { return nil }
        guard let value = FieldValue.number(self.bytes[self.position..<self.position + count], limit: 9999) else {
            return nil
        }
        self.position += count
        return value
    }

    /// The letters that begin here; at least one byte is taken, so that the text comes to an end.
    private mutating func word() -> ArraySlice<UInt8> {
        let start = self.position
        while let byte = self.peek, (0x61...0x7A).contains(byte.lowercasedASCII) { self.position += 1 }
        if self.position == start { self.position += 1 }
        return self.bytes[start..<self.position]
    }

    private static func begins(_ word: ArraySlice<UInt8>, with name: some Collection<UInt8>) -> Bool {
        word.count >= name.count
            && zip(word, name).allSatisfy { $0.lowercasedASCII == $1.lowercasedASCII }
    }
}
