// Durations and sizes as people write them: `1m30s`, `64KiB`.

package import FreshetCore

/// Why a text is not a quantity, in the form of a ``ConfigurationProblem``.
package struct QuantityError: Error, Hashable, Sendable {
    package var what: String
    package var fix: String

    /// `what` may repeat the text, which may be a URL in the wrong place: it is shown without its secrets.
    init(what: String, fix: String) {
        self.what = URLRedaction.redacted(what, wholly: true)
        self.fix = fix
    }
}

extension DurationText {
    /// The longest duration that can be written: ten years of 365 days. Longer ones are mistakes.
    package static let longest = Duration.seconds(315_360_000)

    /// - Throws: ``QuantityError``, with the spelling that was probably meant.
    package static func parse(_ text: String) throws(QuantityError) -> Duration {
        let malformed = QuantityError(
            what: "\"\(text)\" is not a duration",
            fix: "write one such as 500ms, 5s, 1m30s or 1h"
        )
        if let number = WholeNumber.parse(text) {
            throw QuantityError(what: "\(number) has no unit", fix: "write \(number)s for seconds, or \(number)ms")
        }
        var rest = Substring(text)
        var milliseconds: Int64 = 0
        var smallest = -1
        guard !rest.isEmpty else { throw malformed }
        while !rest.isEmpty {
            let digits = rest.prefix { $0.isASCII && $0.isNumber }
            rest = rest.dropFirst(digits.count)
            let name = rest.prefix { $0.isLetter }
            rest = rest.dropFirst(name.count)
            guard let count = WholeNumber.parse(String(digits)) else { throw malformed }
            guard let index = self.units.firstIndex(where: { $0.name == name }) else {
                throw self.unknownUnit(name, count: count) ?? self.fractional(text) ?? malformed
            }
            guard index > smallest else {
                throw QuantityError(
                    what: "the units of \"\(text)\" are out of order",
                    fix: "write the largest first, each once: 1h30m, 1m30s"
                )
            }
            smallest = index
            let (product, overflow) = count.multipliedReportingOverflow(by: self.units[index].milliseconds)
            let (sum, carry) = milliseconds.addingReportingOverflow(product)
            guard !overflow, !carry, sum <= self.longest.milliseconds else {
                throw QuantityError(what: "\"\(text)\" is too long", fix: "write at most 87600h, ten years")
            }
            milliseconds = sum
        }
        return .milliseconds(milliseconds)
    }

    private static func unknownUnit(_ name: Substring, count: Int64) -> QuantityError? {
        let hours: Int64
        switch name.lowercased() {
        case "d", "day", "days": hours = 24
        case "w", "week", "weeks": hours = 168
        case "sec", "secs", "second", "seconds": return self.error(unit: name, fix: "write \(count)s")
        case "min", "mins", "minute", "minutes": return self.error(unit: name, fix: "write \(count)m")
        case "hour", "hours", "hr", "hrs": return self.error(unit: name, fix: "write \(count)h")
        default: return nil
        }
        let (product, overflow) = count.multipliedReportingOverflow(by: hours)
        return overflow ? nil : self.error(unit: name, fix: "write \(product)h")
    }

    private static func error(unit: Substring, fix: String) -> QuantityError {
        QuantityError(what: "\"\(unit)\" is not a unit of time", fix: "\(fix); the units are ms, s, m and h")
    }

    private static func fractional(_ text: String) -> QuantityError? {
        guard text.contains("."), text.first?.isNumber == true else { return nil }
        return QuantityError(what: "\"\(text)\" has a fraction", fix: "use a smaller unit: 1.5s is 1500ms")
    }
}

/// `512B`, `64KiB`, `8MiB`, `1GiB`: a whole number of bytes or of powers of 1024.
package enum SizeText {
    private static let units: [(name: String, shift: Int64)] = [("GiB", 30), ("MiB", 20), ("KiB", 10), ("B", 0)]

    /// The largest size that can be written: 1 TiB.
    package static let largest: Int64 = 1 << 40

    /// - Throws: ``QuantityError``, with the spelling that was probably meant.
    package static func parse(_ text: String) throws(QuantityError) -> Int {
        if let number = WholeNumber.parse(text) {
            throw QuantityError(what: "\(number) has no unit", fix: "write \(self.describe(clamping: number))")
        }
        let digits = text.prefix { $0.isASCII && $0.isNumber }
        let name = text.dropFirst(digits.count)
        guard let count = WholeNumber.parse(String(digits)) else {
            throw QuantityError(what: "\"\(text)\" is not a size", fix: "write one such as 64KiB or 8MiB")
        }
        guard let unit = self.units.first(where: { $0.name == name }) else {
            let meant = self.units.first { $0.name.first?.lowercased() == name.first?.lowercased() } ?? ("MiB", 20)
            let shift = name.lowercased().hasPrefix("t") ? 40 : meant.shift
            let (bytes, overflow) = count.multipliedReportingOverflow(by: 1 << shift)
            guard !overflow, bytes <= self.largest else {
                throw QuantityError(what: "\"\(text)\" is too large", fix: "write at most 1024GiB")
            }
            throw QuantityError(
                what: "\"\(name)\" is not a unit of size",
                fix: "write \(shift == 40 ? "\(count * 1024)GiB" : "\(count)\(meant.name)"); "
                    + "the units are B, KiB, MiB and GiB"
            )
        }
        let (bytes, overflow) = count.multipliedReportingOverflow(by: 1 << unit.shift)
        guard !overflow, bytes <= self.largest else {
            throw QuantityError(what: "\"\(text)\" is too large", fix: "write at most 1024GiB")
        }
        return Int(bytes)
    }

    /// The shortest text that ``parse(_:)`` reads back.
    package static func describe(_ bytes: Int) -> String {
        self.describe(clamping: Int64(bytes))
    }

    private static func describe(clamping bytes: Int64) -> String {
        for unit in self.units where bytes > 0 && bytes % (1 << unit.shift) == 0 {
            return "\(bytes >> unit.shift)\(unit.name)"
        }
        return "\(bytes)B"
    }
}

/// A number of ASCII digits without sign, space or separator.
package enum WholeNumber {
    /// `nil` also for what does not fit.
    package static func parse(_ text: String) -> Int64? {
        self.isWritten(text) ? Int64(text) : nil
    }

    /// Whether a text is a whole number, however large.
    static func isWritten(_ text: String) -> Bool {
        !text.isEmpty && text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }
}
