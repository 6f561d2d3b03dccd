// Numbers as digits, without a `String` between.

extension UInt8 {
    /// The ASCII digit of a value below 36, a letter in lower case from 10 on.
    @inlinable
    package init(digit: UInt8) {
        self = digit < 10 ? UInt8(ascii: "0") + digit : UInt8(ascii: "a") + digit - 10
    }
}

extension [UInt8] {
    /// Appends `value` in base `radix`, 2 to 36 and in lower case, padded with zeros on the left up to `width` digits; the
    /// sign does not count.
    ///
    /// Digit by digit, without a `String` between: every event carries a time and a cursor.
    @inlinable
    package mutating func appendDigits<Value: FixedWidthInteger>(
        _ value: Value,
        radix: Value.Magnitude = 10,
        width: Int = 1
    ) {
        let start = self.count
        var rest = value.magnitude
        repeat {
            self.append(UInt8(digit: UInt8(truncatingIfNeeded: rest % radix)))
            rest /= radix
        } while rest > 0
        while self.count - start < width {
            self.append(UInt8(ascii: "0"))
        }
        if value < 0 { self.append(UInt8(ascii: "-")) }
        self[start...].reverse()
    }
}
