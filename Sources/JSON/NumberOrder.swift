// Numbers in order and as multiples, by their text: no digit is lost, whatever their size.

extension DecimalText {
    /// Whether the number has no fraction: `1`, `1.0`, `1e300`.
    package var isInteger: Bool {
        self.isZero || (self.hasPoint ? self.point >= self.count : !self.hugeExponentIsNegative)
    }

    /// Below zero where this number is less than `other`, zero where they are equal.
    package func compare(to other: DecimalText) -> Int {
        let (left, right) = (self.sign, other.sign)
        guard left == right else { return left < right ? -1 : 1 }
        return left == 0 ? 0 : left * self.compareMagnitude(to: other)
    }

    private var sign: Int { self.isZero ? 0 : self.isNegative ? -1 : 1 }

    /// Of two numbers other than zero.
    private func compareMagnitude(to other: DecimalText) -> Int {
        let (left, right) = (self.scale, other.scale)
        guard left == right else { return left < right ? -1 : 1 }
        if left != 0 {
            // Exponents of more digits than can be computed with: the longer one is further from zero.
            let order = Self.compareDigits(self.hugeExponentDigits, other.hugeExponentDigits, byLength: true)
            if order != 0 { return left * order }
        } else if self.point != other.point {
            return self.point < other.point ? -1 : 1
        }
        return Self.compareDigits(self.significantDigits, other.significantDigits, byLength: false)
    }

    /// 1 where the exponent is too large to compute with, −1 where it is too small.
    private var scale: Int { self.hasPoint ? 0 : self.hugeExponentIsNegative ? -1 : 1 }

    private static func compareDigits(_ left: Digits, _ right: Digits, byLength: Bool) -> Int {
        if byLength, left.range.count != right.range.count { return left.range.count < right.range.count ? -1 : 1 }
        var (left, right) = (left, right)
        while true {
            let (a, b) = (left.next(), right.next())
            guard let a else { return b == nil ? 0 : -1 }
            guard let b else { return 1 }
            if a != b { return a < b ? -1 : 1 }
        }
    }

    /// The most significant digits that a divisor may have.
    package static let divisorDigits = 18

    /// Whether this text can be the divisor of ``isMultiple(of:)``: not zero, and with digits that a machine word holds.
    package var canDivide: Bool { !self.isZero && self.hasPoint && self.count <= Self.divisorDigits }

    /// Whether this number is a multiple of `divisor`, exactly. `divisor.canDivide` must hold; false where it does not.
    package func isMultiple(of divisor: DecimalText) -> Bool {
        guard divisor.canDivide else { return false }
        guard !self.isZero else { return true }
        var modulus: UInt64 = 0
        for digit in divisor.significantDigits { modulus = modulus &* 10 &+ UInt64(digit) }
        // value = a·10^m and divisor = b·10^n, where neither a nor b ends in 0: b·10^n divides the value only if m ≥ n.
        let shift: Int
        if self.hasPoint {
            shift = (self.point - self.count) - (divisor.point - divisor.count)
        } else {
            shift = self.hugeExponentIsNegative ? -1 : Int.max
        }
        guard shift >= 0 else { return false }
        var rest: UInt64 = 0
        for digit in self.significantDigits { rest = Self.next(rest, digit, modulus) }
        // Of b < 2⁶⁰, more than 60 factors of ten can divide nothing more.
        for _ in 0..<min(shift, 64) where rest != 0 { rest = Self.next(rest, 0, modulus) }
        return rest == 0
    }

    private static func next(_ rest: UInt64, _ digit: UInt8, _ modulus: UInt64) -> UInt64 {
        // rest < modulus < 10¹⁸, so that ten times as much fits into 64 bits.
        (rest &* 10 &+ UInt64(digit)) % modulus
    }
}

extension Value {
    /// A number that is whole and not below zero, however large.
    package var isCount: Bool {
        self.kind == .number
            && self.storage.withDecimal(self.index) { $0.isZero || ($0.isInteger && !$0.isNegative) }
    }

    /// A number without a fraction, however it is written.
    package var isInteger: Bool { self.kind == .number && self.storage.withDecimal(self.index) { $0.isInteger } }

    /// A number above zero that `DecimalText.isMultiple(of:)` takes as its divisor.
    package var isDivisor: Bool {
        self.kind == .number && self.storage.withDecimal(self.index) { $0.canDivide && !$0.isNegative }
    }
}

extension Value {
    /// Whether this number is below another, by their exact values; false where either is no number.
    package func isLess(than other: Value) -> Bool {
        guard self.kind == .number, other.kind == .number else { return false }
        return self.storage.withDecimal(self.index) { left in
            other.storage.withDecimal(other.index) { left.compare(to: $0) < 0 }
        }
    }
}
