// The parser's numbers: RFC 8259 §6, kept as text. Only the hash needs their value.

extension Word {
    /// The bytes of a word with the digits `0`…`9` as 0…9, and the high bit of each byte that is no digit in `stop`:
    /// exact for the lowest such byte.
    @inline(__always)
    static func digits(_ word: UInt64) -> (digits: UInt64, stop: UInt64) {
        let digits = word ^ (ones &* 0x30)
        return (digits, ((digits &+ (ones &* 0x76)) | digits) & highs)
    }

    /// The number that eight digits make, the lowest byte being the first digit: pairs, then fours, then eight.
    @inline(__always)
    static func value(_ digits: UInt64) -> UInt64 {
        let pairs = (digits &* 2561) >> 8 & 0x00FF_00FF_00FF_00FF
        let fours = (pairs &* 6_553_601) >> 16 & 0x0000_FFFF_0000_FFFF
        return (fours &* 42_949_672_960_001) >> 32
    }

    @inline(__always)
    static func powerOfTen(_ exponent: Int) -> UInt64 {
        switch exponent {
        case 1: 10
        case 2: 100
        case 3: 1_000
        case 4: 10_000
        case 5: 100_000
        case 6: 1_000_000
        case 7: 10_000_000
        case 8: 100_000_000
        default: 1
        }
    }
}

extension Parser {
    /// Reads the number that starts at `start` and appends its node.
    ///
    /// - Returns: the position behind its last character.
    @inline(__always)
    mutating func number(from start: Int) throws(ParseError) -> Int {
        let negative = self.bytes[start] == UInt8(ascii: "-")
        var position = negative ? start &+ 1 : start
        let first = self.bytes[position]

        // The integer part, up to fifteen digits. Every load is in bounds: only digits lie in front of it.
        var (digits, stop) = Word.digits(loadWord(self.bytes + position))
        var integer: UInt64 = 0
        if stop == 0 {
            integer = Word.value(digits)
            position &+= 8
            (digits, stop) = Word.digits(loadWord(self.bytes + position))
            guard stop != 0 else { return try self.unusualNumber(from: start) }
            let count = stop.trailingZeroBitCount >> 3
            if count > 0 {
                integer =
                    integer &* Word.powerOfTen(count)
                    &+ Word.value(digits &<< UInt64(truncatingIfNeeded: 64 &- 8 &* count))
            }
            position &+= count
            guard first != UInt8(ascii: "0") else { return try self.unusualNumber(from: start) }
        } else {
            let count = stop.trailingZeroBitCount >> 3
            guard count > 0, count == 1 || first != UInt8(ascii: "0") else {
                return try self.unusualNumber(from: start)
            }
            integer = Word.value(digits &<< UInt64(truncatingIfNeeded: 64 &- 8 &* count))
            position &+= count
        }

        // The fraction, here up to seven digits. Its trailing zeros vanish, since a zero digit is a zero byte.
        var fraction: UInt64 = 0
        if self.bytes[position] == UInt8(ascii: ".") {
            let (digits, stop) = Word.digits(loadWord(self.bytes + position + 1))
            guard stop != 0 else {
                return try self.longFraction(digits, from: start, at: position, negative: negative, integer: integer)
            }
            let count = stop.trailingZeroBitCount >> 3
            guard count > 0 else { return try self.unusualNumber(from: start) }
            fraction = Word.low(digits, count: count)
            position &+= count &+ 1
        }
        guard self.bytes[position] | 0x20 != UInt8(ascii: "e") else { return try self.unusualNumber(from: start) }
        let hash = self.seed.number(negative: negative, integer: integer, fraction: fraction)
        try self.push(.number, from: start, to: position, escaped: false, hash: hash)
        return position
    }

    /// The same for a fraction of eight to 23 digits, which is how doubles are printed: `first` are the first eight, and
    /// the point is at `point`.
    @inline(never)
    private mutating func longFraction(
        _ first: UInt64,
        from start: Int,
        at point: Int,
        negative: Bool,
        integer: UInt64
    ) throws(ParseError) -> Int {
        // Eight digits lie in front of the second word and sixteen in front of the third, so both loads are in bounds.
        var position = point &+ 9
        var second: UInt64 = 0
        var third: UInt64 = 0
        var (digits, stop) = Word.digits(loadWord(self.bytes + position))
        if stop == 0 {
            second = digits
            position &+= 8
            (digits, stop) = Word.digits(loadWord(self.bytes + position))
            guard stop != 0 else { return try self.unusualNumber(from: start) }
            third = Word.low(digits, count: stop.trailingZeroBitCount >> 3)
        } else {
            second = Word.low(digits, count: stop.trailingZeroBitCount >> 3)
        }
        position &+= stop.trailingZeroBitCount >> 3
        guard self.bytes[position] | 0x20 != UInt8(ascii: "e") else { return try self.unusualNumber(from: start) }
        let hash = self.seed.number(
            negative: negative,
            integer: integer,
            fraction: first,
            second,
            third
        )
        try self.push(.number, from: start, to: position, escaped: false, hash: hash)
        return position
    }

    /// The same for long numbers, for exponents, and for what turns out not to be a number.
    @inline(never)
    private mutating func unusualNumber(from start: Int) throws(ParseError) -> Int {
        guard let length = DecimalText.length(of: self.bytes + start) else {
            throw self.error(.invalidNumber, at: start)
        }
        let hash = self.seed.number(DecimalText(self.bytes + start, count: length))
        try self.push(.number, from: start, to: start &+ length, escaped: false, hash: hash)
        return start &+ length
    }
}
