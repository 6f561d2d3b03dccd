// Durations as clients write them in a query: the grammar of the configuration file (CONTRACT §2).

import HTTPFields

/// `500ms`, `5s`, `1m30s`, `1h`: whole numbers with units, the larger before the smaller, each at most once.
package enum DurationText {
    package static let units: [(name: String, milliseconds: Int64)] = [
        ("h", 3_600_000), ("m", 60_000), ("s", 1000), ("ms", 1),
    ]

    /// The shortest text that ``duration(_:)`` reads back: `1m30s`, `500ms`, `0s`.
    package static func describe(_ duration: Duration) -> String {
        var rest = duration.milliseconds
        guard rest > 0 else { return "0s" }
        var text = ""
        for unit in self.units where rest >= unit.milliseconds {
            text += "\(rest / unit.milliseconds)\(unit.name)"
            rest %= unit.milliseconds
        }
        return text
    }

    /// `nil` for what is not of this grammar, a bare number among it, and for more than an `Int64` of milliseconds.
    package static func duration(_ text: some StringProtocol) -> Duration? {
        var rest = Array(text.utf8)[...]
        var allowed = self.units[...]
        var total: Int64 = 0
        guard !rest.isEmpty else { return nil }
        while !rest.isEmpty {
            let digits = rest.prefix(while: \.isDigit)
            guard !digits.isEmpty, digits.count <= 12, let number = Int64(String(decoding: digits, as: UTF8.self))
            else { return nil }
            rest = rest[digits.endIndex...]
            let letters = rest.prefix { (UInt8(ascii: "a")...UInt8(ascii: "z")).contains($0) }
            rest = rest[letters.endIndex...]
            guard let index = allowed.firstIndex(where: { letters.elementsEqual($0.name.utf8) }) else { return nil }
            let (part, overflow) = number.multipliedReportingOverflow(by: allowed[index].milliseconds)
            let (sum, carry) = total.addingReportingOverflow(part)
            guard !overflow, !carry else { return nil }
            total = sum
            allowed = allowed[(index + 1)...]
        }
        return .milliseconds(total)
    }
}
