// Where a request stands in a trace that may go through many programs (W3C Trace Context, level 1).

/// The value of the field `traceparent`. A value; any thread.
package struct TraceParent: Hashable, Sendable, CustomStringConvertible {
    /// The trace, as two halves of 128 bits; not both zero.
    package var traceHigh: UInt64
    package var traceLow: UInt64
    /// The span of whoever asks; not zero.
    package var span: UInt64
    /// Whoever asks records its span, and expects the same of those that are asked.
    package var isSampled: Bool

    private static let textBytes = 55

    /// `nil` where an identifier is zero, which is none (§3.2.2.3, §3.2.2.4).
    package init?(traceHigh: UInt64, traceLow: UInt64, span: UInt64, isSampled: Bool) {
        guard traceHigh | traceLow != 0, span != 0 else { return nil }
        (self.traceHigh, self.traceLow, self.span, self.isSampled) = (traceHigh, traceLow, span, isSampled)
    }

    /// Reads a field; of a version that is not known what this one has in common with it (§3.2.4). `nil` for anything else.
    package init?(_ text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count >= Self.textBytes, bytes[2] == UInt8(ascii: "-"), bytes[35] == UInt8(ascii: "-"),
            bytes[52] == UInt8(ascii: "-"),
            let version = Self.number(bytes[0..<2]), version != 0xFF,
            bytes.count == Self.textBytes || (version > 0 && bytes[Self.textBytes] == UInt8(ascii: "-")),
            let high = Self.number(bytes[3..<19]), let low = Self.number(bytes[19..<35]),
            let span = Self.number(bytes[36..<52]), let flags = Self.number(bytes[53..<55])
        else { return nil }
        self.init(traceHigh: high, traceLow: low, span: span, isSampled: flags & 1 == 1)
    }

    /// Hexadecimal digits in lower case, as the standard wants them.
    private static func number(_ digits: ArraySlice<UInt8>) -> UInt64? {
        var number: UInt64 = 0
        for digit in digits {
            switch digit {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): number = number << 4 | UInt64(digit - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): number = number << 4 | UInt64(digit - UInt8(ascii: "a") + 10)
            case _: return nil
            }
        }
        return number
    }

    private static func hexadecimal(_ number: UInt64) -> String {
        let digits = String(number, radix: 16)
        return String(repeating: "0", count: max(0, 16 - digits.count)) + digits
    }

    /// 32 digits.
    package var traceText: String { Self.hexadecimal(self.traceHigh) + Self.hexadecimal(self.traceLow) }
    /// 16 digits.
    package var spanText: String { Self.hexadecimal(self.span) }

    package var description: String { "00-\(self.traceText)-\(self.spanText)-\(self.isSampled ? "01" : "00")" }
}
