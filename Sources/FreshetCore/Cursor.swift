// A position in the change log, and its text: the `id` of an event, the `Last-Event-ID` of a reconnect.

import HTTPFields

/// One unbroken numbering of changes. A new one is drawn whenever issued numbers could have been lost.
package struct Epoch: Hashable, Sendable {
    /// Never 0; at most 36^7, so that the text has at most seven characters.
    package var rawValue: UInt64

    /// The number of epochs: 36 to the 7th.
    package static let count: UInt64 = 78_364_164_096

    /// - Parameter rawValue: taken modulo ``count``, so that any random number will do.
    package init(rawValue: UInt64) {
        self.rawValue = rawValue % (Self.count - 1) + 1
    }

    /// Draws an epoch at random: two logs then differ with a probability of 1 − 1/78,364,164,095.
    package static func random(using generator: inout some RandomNumberGenerator) -> Epoch {
        Epoch(rawValue: generator.next())
    }
}

/// A position in the change log: everything up to and including `sequence` has been seen.
///
/// A subscriber receives it as the `id` of an event and returns it in `Last-Event-ID` (WHATWG HTML §9.2).
/// Cursors of different epochs are not comparable: numbering restarted, so only a snapshot is safe.
/// The text is `EPOCH-SEQUENCE`: base 36 in lower case, a hyphen, decimal. At most 28 bytes, all of `[a-z0-9-]`.
package struct Cursor: Hashable, Sendable {
    package var epoch: Epoch
    /// The sequence last seen. The first of an epoch is 1; 0 means "nothing yet".
    package var sequence: UInt64

    package init(epoch: Epoch, sequence: UInt64) {
        self.epoch = epoch
        self.sequence = sequence
    }
}

extension Cursor: CustomStringConvertible {
    /// The longest text that is looked at; a longer one is not a cursor.
    package static let maxTextBytes = 64

    package var description: String {
        var text = self.epoch.text
        text.append(UInt8(ascii: "-"))
        text.appendDigits(self.sequence)
        return String(decoding: text, as: UTF8.self)
    }

    /// Parses the text form. `nil` for anything that ``description`` does not produce, such as upper case, signs,
    /// leading zeros, or a number that does not fit.
    package init?(_ text: some StringProtocol) {
        guard text.utf8.count <= Self.maxTextBytes else { return nil }
        let parts = text.utf8.split(separator: UInt8(ascii: "-"), omittingEmptySubsequences: false)
        guard parts.count == 2,
            let epoch = Self.number(in: parts[0], radix: 36), (1..<Epoch.count).contains(epoch),
            let sequence = Self.number(in: parts[1], radix: 10)
        else { return nil }
        self.init(epoch: Epoch(exactly: epoch), sequence: sequence)
    }

    private static func number(in digits: some Collection<UInt8>, radix: UInt64) -> UInt64? {
        guard let first = digits.first, first != UInt8(ascii: "0") || digits.count == 1 else { return nil }
        var value: UInt64 = 0
        for byte in digits {
            let digit: UInt8
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
            case UInt8(ascii: "a")...UInt8(ascii: "z"): digit = byte - UInt8(ascii: "a") + 10
            case _: return nil
            }
            guard digit < radix else { return nil }
            let (scaled, overflow) = value.multipliedReportingOverflow(by: radix)
            let (sum, carry) = scaled.addingReportingOverflow(UInt64(digit))
            guard !overflow, !carry else { return nil }
            value = sum
        }
        return value
    }
}

extension Epoch: CustomStringConvertible {
    /// As the text of a cursor begins: base 36 in lower case.
    package var description: String { String(decoding: self.text, as: UTF8.self) }

    /// The bytes of ``description``, with room for the rest of a cursor.
    fileprivate var text: [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(28)
        text.appendDigits(self.rawValue, radix: 36)
        return text
    }
}

extension Epoch {
    fileprivate init(exactly rawValue: UInt64) {
        // Undo the shift of `init(rawValue:)`, which maps any number into 1..<count.
        self.init(rawValue: rawValue - 1)
    }
}
