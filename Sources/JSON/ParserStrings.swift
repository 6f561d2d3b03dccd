// The parser's strings: RFC 8259 §7, in UTF-8 only.

/// Eight bytes examined at once.
enum Word {
    static let ones: UInt64 = 0x0101_0101_0101_0101
    static let highs: UInt64 = 0x8080_8080_8080_8080

    /// The high bit of each byte that ends a run of plain string characters: a quote, a backslash, a control character,
    /// anything outside ASCII. Exact for the lowest such byte; higher ones may be marked falsely.
    @inline(__always)
    static func special(_ word: UInt64) -> UInt64 {
        let quote = (word ^ (ones &* 0x22)) &- ones
        let backslash = (word ^ (ones &* 0x5C)) &- ones
        let control = word &- (ones &* 0x20)
        return (quote | backslash | control | word) & highs
    }

    /// The high bit of each backslash. Exact for the lowest one.
    @inline(__always)
    static func backslash(_ word: UInt64) -> UInt64 {
        let difference = word ^ (ones &* 0x5C)
        return (difference &- ones) & ~difference & highs
    }

    /// The high bit of each byte that a JSON string has to escape: a quote, a backslash, a control character. Exact for
    /// the lowest one.
    @inline(__always)
    static func needsEscape(_ word: UInt64) -> UInt64 {
        let quote = (word ^ (ones &* 0x22)) &- ones
        let backslash = (word ^ (ones &* 0x5C)) &- ones
        let control = word &- (ones &* 0x20)
        return (quote | backslash | control) & ~word & highs
    }

    /// The same for a name in a JSON pointer, where `~` and `/` are escaped too.
    @inline(__always)
    static func needsPathEscape(_ word: UInt64) -> UInt64 {
        let tilde = (word ^ (ones &* 0x7E)) &- ones
        let slash = (word ^ (ones &* 0x2F)) &- ones
        return self.needsEscape(word) | (tilde | slash) & ~word & highs
    }

    /// The `count` lowest bytes, 0 to 7.
    @inline(__always)
    static func low(_ word: UInt64, count: Int) -> UInt64 {
        word & ((1 &<< UInt64(truncatingIfNeeded: count &* 8)) &- 1)
    }
}

extension Parser {
    /// Reads a string whose opening quote is in front of `start`, and appends its node, quotes included.
    ///
    /// - Returns: the position behind the closing quote.
    @inline(__always)
    mutating func string(from start: Int) throws(ParseError) -> Int {
        var position = start
        var state = self.seed.string
        while true {
            // In bounds: no word so far held a zero byte, so `position` is at most `end`.
            let word = loadWord(self.bytes + position)
            let special = Word.special(word)
            guard special != 0 else {
                state = fold(state ^ word, self.seed.multiplier)
                position &+= 8
                continue
            }
            let length = special.trailingZeroBitCount >> 3
            guard self.bytes[position &+ length] == UInt8(ascii: "\"") else {
                return try self.unusualString(from: start, at: position &+ length, state: state, hashed: position)
            }
            position &+= length
            let hash = self.seed.closeString(state, tail: Word.low(word, count: length), count: position &- start)
            try self.push(.string, from: start &- 1, to: position &+ 1, escaped: false, hash: hash)
            return position &+ 1
        }
    }

    /// The same for a string that holds escapes or characters outside ASCII; all before `position` is plain, and `state`
    /// is the hash of the whole words up to `hashed`.
    @inline(never)
    private mutating func unusualString(
        from start: Int,
        at position: Int,
        state: UInt64,
        hashed: Int
    ) throws(ParseError) -> Int {
        var position = position
        var escaped = false
        while true {
            let special = Word.special(loadWord(self.bytes + position))
            guard special != 0 else {
                position &+= 8
                continue
            }
            position &+= special.trailingZeroBitCount >> 3
            switch self.bytes[position] {
            case UInt8(ascii: "\""):
                let hash =
                    escaped
                    ? self.hashUnescaped(from: start, to: position)
                    : self.hashPlain(state, from: hashed, to: position, count: position &- start)
                try self.push(.string, from: start &- 1, to: position &+ 1, escaped: escaped, hash: hash)
                return position &+ 1
            case UInt8(ascii: "\\"):
                escaped = true
                position = try self.escape(at: position)
            case 0x80...:
                position = try self.multibyte(at: position)
            default:
                // A control character, or the zero behind the input.
                throw self.error(position >= self.end ? .unexpectedEnd : .controlCharacter, at: position)
            }
        }
    }

    /// Checks the escape sequence at `position` (RFC 8259 §7); returns the position behind it.
    private func escape(at position: Int) throws(ParseError) -> Int {
        switch self.bytes[position &+ 1] {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"), UInt8(ascii: "/"), UInt8(ascii: "b"), UInt8(ascii: "f"),
            UInt8(ascii: "n"), UInt8(ascii: "r"), UInt8(ascii: "t"):
            return position &+ 2
        case UInt8(ascii: "u"):
            guard let unit = Escapes.hexadecimal(self.bytes + position + 2) else {
                throw self.error(.invalidEscape, at: position)
            }
            guard unit & 0xF800 == 0xD800 else { return position &+ 6 }
            // A surrogate: the first half, then at once the second. A zero behind the input stops the comparison.
            guard unit < 0xDC00, self.bytes[position &+ 6] == UInt8(ascii: "\\"),
                self.bytes[position &+ 7] == UInt8(ascii: "u"),
                let second = Escapes.hexadecimal(self.bytes + position + 8), second & 0xFC00 == 0xDC00
            else { throw self.error(.loneSurrogate, at: position) }
            return position &+ 12
        default:
            throw self.error(position &+ 1 >= self.end ? .unexpectedEnd : .invalidEscape, at: position)
        }
    }

    /// Checks the characters outside ASCII that start at `position` (RFC 3629 §4); returns the position behind them.
    private func multibyte(at position: Int) throws(ParseError) -> Int {
        var position = position
        // Every byte read is in bounds: a byte behind it is read only when it is a continuation byte, hence not the
        // zero behind the input.
        while self.bytes[position] >= 0x80 {
            let length = Self.sequenceLength(self.bytes + position)
            guard length > 0 else { throw self.error(.invalidUTF8, at: position) }
            position &+= length
        }
        return position
    }

    /// The length of the well-formed multi-byte sequence there (Unicode table 3-7), 0 for anything else.
    @inline(__always)
    private static func sequenceLength(_ bytes: UnsafePointer<UInt8>) -> Int {
        let first = bytes[0]
        let second = bytes[1]
        guard second & 0xC0 == 0x80 else { return 0 }
        if first < 0xE0 { return first >= 0xC2 ? 2 : 0 }
        let third = bytes[2]
        guard third & 0xC0 == 0x80 else { return 0 }
        if first < 0xF0 {
            if first == 0xE0, second < 0xA0 { return 0 }
            if first == 0xED, second >= 0xA0 { return 0 }
            return 3
        }
        guard bytes[3] & 0xC0 == 0x80, first <= 0xF4 else { return 0 }
        if first == 0xF0, second < 0x90 { return 0 }
        if first == 0xF4, second >= 0x90 { return 0 }
        return 4
    }

    /// Hashes on from `state` to the end of a string of `count` bytes without escapes.
    private func hashPlain(_ state: UInt64, from hashed: Int, to end: Int, count: Int) -> UInt64 {
        var state = state
        var position = hashed
        while end &- position >= 8 {
            state = fold(state ^ loadWord(self.bytes + position), self.seed.multiplier)
            position &+= 8
        }
        // In bounds: `position` is at most `end`, and padding is longer than a word.
        let tail = Word.low(loadWord(self.bytes + position), count: end &- position)
        return self.seed.closeString(state, tail: tail, count: count)
    }

    /// The hash of the text between two quotes with its escapes resolved; already checked.
    private func hashUnescaped(from start: Int, to end: Int) -> UInt64 {
        withUnsafeTemporaryAllocation(of: UInt8.self, capacity: end &- start) { scratch in
            // A string with an escape is not empty, so there is a base; unescaping never makes it longer.
            guard let base = scratch.baseAddress else { return 0 }
            let count = Escapes.resolve(self.bytes + start, count: end &- start, into: base)
            return self.seed.string(base, count: count)
        }
    }
}
