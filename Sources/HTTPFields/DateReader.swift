// The three forms of an HTTP date, read strictly: a date that is almost right is not a date (RFC 9111 §5.3).

/// Reads the bytes of one date from the left. Each form starts over.
package struct DateReader {
    package let bytes: [UInt8]
    private var position = 0

    package static let dayNames: [[UInt8]] = [
        "Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday",
    ].map { Array($0.utf8) }
    package static let monthNames: [[UInt8]] = [
        "Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec",
    ].map { Array($0.utf8) }

    package init(bytes: [UInt8]) {
        self.bytes = bytes
    }

    /// What a date says, not yet checked to be a moment.
    package struct Parts {
        package var year: Int
        package var month: Int
        package var day: Int
        package var hour: Int
        package var minute: Int
        package var second: Int

        package init(year: Int, month: Int, day: Int, hour: Int, minute: Int, second: Int) {
            self.year = year
            self.month = month
            self.day = day
            self.hour = hour
            self.minute = minute
            self.second = second
        }

        /// Nil for the 30th of February, and for hour 25.
        package var unixSeconds: Int? {
            guard (1...9999).contains(year), (1...12).contains(month), hour < 24, minute < 60, second <= 60 else {
                return nil
            }
            let isLeap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0)
            let length = Self.monthLengths[month - 1] + (month == 2 && isLeap ? 1 : 0)
            guard day >= 1, day <= length else { return nil }
            let past = year - 1
            let daysBefore = Self.monthLengths.prefix(month - 1).reduce(0, +) + (month > 2 && isLeap ? 1 : 0)
            let days = past * 365 + past / 4 - past / 100 + past / 400 - Self.daysBefore1970 + daysBefore + day - 1
            // A leap second counts as the one before it.
            return days * 86_400 + hour * 3600 + minute * 60 + min(59, second)
        }

        private static let monthLengths = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
        /// From 0001-01-01.
        private static let daysBefore1970 = 719_162
    }

    /// `Sun, 06 Nov 1994 08:49:37 GMT`
    package mutating func internetForm() -> Parts? {
        position = 0
        guard name(Self.dayNames, length: 3) != nil, literal(", ") else { return nil }
        guard let day = digits(2), literal(" "), let month = name(Self.monthNames, length: 3), literal(" ") else {
            return nil
        }
        guard let year = digits(4), literal(" "), let time = time(), literal(" GMT"), isAtEnd else { return nil }
        return Parts(year: year, month: month + 1, day: day, hour: time.0, minute: time.1, second: time.2)
    }

    /// `Sunday, 06-Nov-94 08:49:37 GMT`
    package mutating func obsoleteForm(wallNow: Int) -> Parts? {
        position = 0
        guard name(Self.dayNames, length: nil) != nil, literal(", ") else { return nil }
        guard let day = digits(2), literal("-"), let month = name(Self.monthNames, length: 3), literal("-") else {
            return nil
        }
        guard let short = digits(2), literal(" "), let time = time(), literal(" GMT"), isAtEnd else { return nil }
        let year = Self.year(ofTwoDigits: short, wallNow: wallNow)
        return Parts(year: year, month: month + 1, day: day, hour: time.0, minute: time.1, second: time.2)
    }

    /// The nearest year with these last digits that is not 50 years ahead (RFC 9110 §5.6.7).
    package static func year(ofTwoDigits short: Int, wallNow: Int) -> Int {
        let today = HTTPDate.floorDivision(HTTPDate(unixSeconds: wallNow).unixSeconds, 86_400)
        let now = Int(CivilDate(daysSince1970: Int64(today)).year)
        let year = now - now % 100 + short
        if year > now + 50 { return year - 100 }
        return year <= now - 50 ? year + 100 : year
    }

    /// `Sun Nov  6 08:49:37 1994`
    package mutating func asctimeForm() -> Parts? {
        position = 0
        guard name(Self.dayNames, length: 3) != nil, literal(" ") else { return nil }
        guard let month = name(Self.monthNames, length: 3), literal(" ") else { return nil }
        guard let day = literal(" ") ? digits(1) : digits(2) else { return nil }
        guard literal(" "), let time = time(), literal(" "), let year = digits(4), isAtEnd else { return nil }
        return Parts(year: year, month: month + 1, day: day, hour: time.0, minute: time.1, second: time.2)
    }

    private var isAtEnd: Bool { position == bytes.count }

    private mutating func time() -> (Int, Int, Int)? {
        guard let hour = digits(2), literal(":"), let minute = digits(2), literal(":"), let second = digits(2) else {
            return nil
        }
        return (hour, minute, second)
    }

    private mutating func digits(_ count: Int) -> Int? {
        guard position + count <= bytes.count else { return nil }
        guard let value = FieldValue.number(bytes[position..<(position + count)], limit: 9999) else { return nil }
        position += count
        return value
    }

    private mutating func literal(_ text: StaticString) -> Bool {
        let length = text.utf8CodeUnitCount
        guard position + length <= bytes.count else { return false }
        let isEqual = text.withUTF8Buffer { wanted in
            zip(bytes[position..<(position + length)], wanted).allSatisfy {
                $0.lowercasedASCII == $1.lowercasedASCII
            }
        }
        if isEqual { position += length }
        return isEqual
    }

    /// The index of the name that stands here, of which `length` bytes count, or all.
    private mutating func name(_ names: [[UInt8]], length: Int?) -> Int? {
        for (index, name) in names.enumerated() {
            let wanted = name.prefix(length ?? name.count)
            guard position + wanted.count <= bytes.count else { continue }
            let found = bytes[position..<(position + wanted.count)]
            if zip(found, wanted).allSatisfy({ $0.lowercasedASCII == $1.lowercasedASCII }) {
                position += wanted.count
                return index
            }
        }
        return nil
    }
}
