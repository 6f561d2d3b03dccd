// The exact value of a number's text, without ever turning it into a machine number.

/// A JSON number as `0.d₁d₂…dₖ × 10^point`, where d₁ and dₖ are not zero; the digits stay in the text.
///
/// It points into text that the caller keeps alive, which the parser has accepted.
package struct DecimalText {
    private let bytes: UnsafePointer<UInt8>
    private let length: Int
    let isNegative: Bool
    /// The first and behind the last significant digit; a decimal point may lie between. Empty for zero.
    private let digits: Range<Int>
    /// The number of significant digits; 0 for zero, whatever its sign and exponent.
    let count: Int
    /// Where the decimal point lies among the significant digits, the exponent included.
    let point: Int
    /// The digits of an exponent too long for `point`, which then leaves it out. Empty otherwise.
    private let hugeExponent: Range<Int>
    let hugeExponentIsNegative: Bool

    /// Exponents of up to this many digits (leading zeros aside) are computed with; longer ones are compared as text,
    /// so that `10e9999999999999999` and `1e10000000000000000` count as different. That costs a superfluous `replace`.
    private static let exponentDigits = 15

    package init(_ bytes: UnsafePointer<UInt8>, count length: Int) {
        self.bytes = bytes
        self.length = length
        self.isNegative = bytes[0] == UInt8(ascii: "-")
        let start = self.isNegative ? 1 : 0

        // The mantissa: find its end, its point, and its significant digits.
        var index = start
        var pointIndex: Int?
        var significant: Range<Int>?
        while index < length, bytes[index] | 0x20 != UInt8(ascii: "e") {
            if bytes[index] == UInt8(ascii: ".") {
                pointIndex = index
            } else if bytes[index] != UInt8(ascii: "0") {
                significant = (significant?.lowerBound ?? index)..<(index + 1)
            }
            index += 1
        }
        let mantissaEnd = index
        let exponent = ExponentText(bytes, from: min(mantissaEnd + 1, length), to: length, limit: Self.exponentDigits)

        guard let significant else {
            self.digits = 0..<0
            self.count = 0
            self.point = 0
            self.hugeExponent = 0..<0
            self.hugeExponentIsNegative = false
            return
        }
        let dot = pointIndex ?? mantissaEnd
        let holdsDot = significant.contains(dot)
        self.digits = significant
        self.count = significant.count - (holdsDot ? 1 : 0)
        let unscaled = significant.lowerBound < dot ? dot - significant.lowerBound : dot - significant.lowerBound + 1
        self.point = unscaled + exponent.value
        self.hugeExponent = exponent.huge
        self.hugeExponentIsNegative = exponent.isNegative
    }

    var isZero: Bool { self.count == 0 }

    /// As it is written.
    package var text: String {
        String(decoding: UnsafeBufferPointer(start: self.bytes, count: self.length), as: UTF8.self)
    }

    /// Whether `point` tells all: false for an exponent of absurd length.
    var hasPoint: Bool { self.hugeExponent.isEmpty }

    /// The significant digits in order, as 0…9.
    struct Digits: Sequence, IteratorProtocol {
        let bytes: UnsafePointer<UInt8>
        var range: Range<Int>

        mutating func next() -> UInt8? {
            guard var index = self.range.first else { return nil }
            // A point is never last: the range ends behind a digit.
            if self.bytes[index] == UInt8(ascii: ".") { index += 1 }
            self.range = (index + 1)..<self.range.upperBound
            return self.bytes[index] &- 0x30
        }
    }

    var significantDigits: Digits { Digits(bytes: self.bytes, range: self.digits) }

    /// Whether both are the same number: `1`, `1.0` and `10e-1` are, 2⁵³ and 2⁵³+1 are not; zero has no sign.
    func isEqual(to other: DecimalText) -> Bool {
        guard self.count == other.count else { return false }
        guard self.count > 0 else { return true }
        guard self.isNegative == other.isNegative, self.point == other.point,
            self.hugeExponent.count == other.hugeExponent.count,
            self.hugeExponent.isEmpty || self.hugeExponentIsNegative == other.hugeExponentIsNegative
        else { return false }
        return self.significantDigits.elementsEqual(other.significantDigits)
            && self.hugeExponentDigits.elementsEqual(other.hugeExponentDigits)
    }

    var hugeExponentDigits: Digits { Digits(bytes: self.bytes, range: self.hugeExponent) }

    /// The value where it is an integer that fits, such as `1e3`.
    var integer: Int? {
        guard !self.isZero else { return 0 }
        guard self.hasPoint, self.point >= self.count, self.point <= 19 else { return nil }
        // Summed up below zero, where there is room for the smallest integer.
        var value = 0
        var iterator = self.significantDigits
        for _ in 0..<self.point {
            let (scaled, overflow) = value.multipliedReportingOverflow(by: 10)
            let (next, borrow) = scaled.subtractingReportingOverflow(Int(iterator.next() ?? 0))
            guard !overflow, !borrow else { return nil }
            value = next
        }
        guard !self.isNegative else { return value }
        let (negated, overflow) = Int.zero.subtractingReportingOverflow(value)
        return overflow ? nil : negated
    }

    /// The length of the number at the start of zero-terminated text; nil where none starts there.
    static func length(of bytes: UnsafePointer<UInt8>) -> Int? {
        func skipDigits(_ index: inout Int) -> Bool {
            let start = index
            while bytes[index] >= 0x30, bytes[index] <= 0x39 { index += 1 }
            return index > start
        }
        var index = bytes[0] == UInt8(ascii: "-") ? 1 : 0
        let startsWithZero = bytes[index] == UInt8(ascii: "0")
        let integerStart = index
        guard skipDigits(&index), !startsWithZero || index == integerStart + 1 else { return nil }
        if bytes[index] == UInt8(ascii: ".") {
            index += 1
            guard skipDigits(&index) else { return nil }
        }
        if bytes[index] | 0x20 == UInt8(ascii: "e") {
            index += 1
            if bytes[index] == UInt8(ascii: "+") || bytes[index] == UInt8(ascii: "-") { index += 1 }
            guard skipDigits(&index) else { return nil }
        }
        return index
    }
}

/// The digits behind an `e`.
private struct ExponentText {
    /// 0 where there is no exponent or it is `huge`.
    var value = 0
    var isNegative = false
    /// The digits, leading zeros aside, of an exponent of more than `limit` of them; empty otherwise.
    var huge = 0..<0

    init(_ bytes: UnsafePointer<UInt8>, from start: Int, to end: Int, limit: Int) {
        var index = start
        guard index < end else { return }
        self.isNegative = bytes[index] == UInt8(ascii: "-")
        if self.isNegative || bytes[index] == UInt8(ascii: "+") { index += 1 }
        while index < end, bytes[index] == UInt8(ascii: "0") { index += 1 }
        guard end - index <= limit else {
            self.huge = index..<end
            return
        }
        while index < end {
            self.value = self.value &* 10 &+ Int(bytes[index] &- 0x30)
            index += 1
        }
        if self.isNegative { self.value = 0 &- self.value }
    }
}

// MARK: - Hashing

extension HashSeed {
    /// The hash of a number below 10¹⁸ with at most eight fraction digits: `fraction` holds them as bytes 0…9, the
    /// first one lowest. Negative zero is zero.
    @inline(__always)
    func number(negative: Bool, integer: UInt64, fraction: UInt64) -> UInt64 {
        var state = self.number
        if negative, integer | fraction != 0 { state ^= self.negative }
        state = fold(state ^ integer, self.multiplier)
        return fraction == 0 ? state : fold(state ^ fraction, self.multiplier)
    }

    /// The same for up to 24 fraction digits, eight to a word.
    @inline(__always)
    func number(negative: Bool, integer: UInt64, fraction: UInt64, _ second: UInt64, _ third: UInt64) -> UInt64 {
        guard second | third != 0 else { return self.number(negative: negative, integer: integer, fraction: fraction) }
        var state = negative ? self.number ^ self.negative : self.number
        state = fold(state ^ integer, self.multiplier)
        state = fold(state ^ fraction, self.multiplier)
        state = fold(state ^ second, self.multiplier)
        return third == 0 ? state : fold(state ^ third, self.multiplier)
    }

    /// The same for any number: equal values have equal hashes, however they are written.
    ///
    /// Up to eighteen integer digits and a fraction of bounded length hash digit by digit around the point, which is
    /// what the parser does on its fast path; other numbers by significant digits and exponent.
    func number(_ number: DecimalText) -> UInt64 {
        guard !number.isZero else { return self.number(negative: false, integer: 0, fraction: 0) }
        let fractionDigits = number.count - number.point
        guard number.hasPoint, number.point <= 18, number.point >= -64, fractionDigits <= 128 else {
            return self.scientific(number)
        }
        var digits = number.significantDigits
        var state = number.isNegative ? self.number ^ self.negative : self.number
        var integer: UInt64 = 0
        for _ in 0..<max(number.point, 0) { integer = integer &* 10 &+ UInt64(digits.next() ?? 0) }
        state = fold(state ^ integer, self.multiplier)

        var index = 0
        while index < fractionDigits {
            var word: UInt64 = 0
            for shift in stride(from: UInt64(0), to: 64, by: 8) where index < fractionDigits {
                let isLeadingZero = index < -number.point
                word |= UInt64(isLeadingZero ? 0 : digits.next() ?? 0) &<< shift
                index += 1
            }
            state = fold(state ^ word, self.multiplier)
        }
        return state
    }

    private func scientific(_ number: DecimalText) -> UInt64 {
        var state = fold(self.value ^ UInt64(truncatingIfNeeded: number.point), self.multiplier)
        if number.isNegative { state ^= self.negative }
        for digit in number.significantDigits { state = fold(state ^ UInt64(digit), self.multiplier) }
        guard !number.hasPoint else { return state }
        state ^= number.hugeExponentIsNegative ? self.object : self.array
        for digit in number.hugeExponentDigits { state = fold(state ^ UInt64(digit), self.multiplier) }
        return state
    }
}
