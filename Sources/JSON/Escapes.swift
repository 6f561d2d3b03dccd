// Escape sequences of JSON strings (RFC 8259 §7), in both directions.

/// Reading of escapes in text that the parser has already accepted, and writing of text that needs them.
enum Escapes {
    /// Four hexadecimal digits as a number; nil for anything else. Stops at the first byte that is not a digit.
    @inline(__always)
    static func hexadecimal(_ bytes: UnsafePointer<UInt8>) -> UInt32? {
        var value: UInt32 = 0
        for index in 0..<4 {
            let byte = bytes[index]
            let digit: UInt8
            switch byte {
            case 0x30...0x39: digit = byte &- 0x30
            case 0x41...0x46: digit = byte &- 0x37
            case 0x61...0x66: digit = byte &- 0x57
            default: return nil
            }
            value = value << 4 | UInt32(digit)
        }
        return value
    }

    /// Writes `count` bytes of string text to `target` with its escapes resolved.
    ///
    /// - Precondition: the parser accepted the text; `target` has room for `count` bytes, and the result is no longer.
    /// - Returns: the number of bytes written.
    static func resolve(
        _ source: UnsafePointer<UInt8>,
        count: Int,
        into target: UnsafeMutablePointer<UInt8>
    ) -> Int {
        var read = 0
        var written = 0
        while read < count {
            if count &- read >= 8 {
                // Never more is written than read, so these eight bytes end within the first `count` of the target. What
                // lies behind a backslash in them is written over, or lies behind the result.
                let word = loadWord(source + read)
                UnsafeMutableRawPointer(target + written).storeBytes(of: word.littleEndian, as: UInt64.self)
                let backslash = Word.backslash(word)
                let plain = backslash.trailingZeroBitCount >> 3
                written &+= plain
                read &+= plain
                guard backslash != 0 else { continue }
            } else if source[read] != UInt8(ascii: "\\") {
                target[written] = source[read]
                written &+= 1
                read &+= 1
                continue
            }
            let kind = source[read &+ 1]
            guard kind == UInt8(ascii: "u") else {
                target[written] = self.character(kind)
                written &+= 1
                read &+= 2
                continue
            }
            var scalar = self.hexadecimal(source + read + 2) ?? 0xFFFD
            read &+= 6
            if scalar & 0xFC00 == 0xD800 {
                let second = self.hexadecimal(source + read + 2) ?? 0xDC00
                scalar = 0x10000 &+ ((scalar &- 0xD800) << 10) &+ (second &- 0xDC00)
                read &+= 6
            }
            written &+= self.encode(scalar, into: target + written)
        }
        return written
    }

    /// What a backslash and this letter stand for.
    private static func character(_ letter: UInt8) -> UInt8 {
        switch letter {
        case UInt8(ascii: "b"): 0x08
        case UInt8(ascii: "t"): 0x09
        case UInt8(ascii: "n"): 0x0A
        case UInt8(ascii: "f"): 0x0C
        case UInt8(ascii: "r"): 0x0D
        default: letter
        }
    }

    /// UTF-8 of a scalar value: never more bytes than its escape has.
    private static func encode(_ scalar: UInt32, into target: UnsafeMutablePointer<UInt8>) -> Int {
        func byte(_ value: UInt32) -> UInt8 { UInt8(truncatingIfNeeded: value) }
        if scalar < 0x80 {
            target[0] = byte(scalar)
            return 1
        }
        if scalar < 0x800 {
            target[0] = byte(0xC0 | scalar >> 6)
            target[1] = byte(0x80 | scalar & 0x3F)
            return 2
        }
        if scalar < 0x10000 {
            target[0] = byte(0xE0 | scalar >> 12)
            target[1] = byte(0x80 | scalar >> 6 & 0x3F)
            target[2] = byte(0x80 | scalar & 0x3F)
            return 3
        }
        target[0] = byte(0xF0 | scalar >> 18)
        target[1] = byte(0x80 | scalar >> 12 & 0x3F)
        target[2] = byte(0x80 | scalar >> 6 & 0x3F)
        target[3] = byte(0x80 | scalar & 0x3F)
        return 4
    }

    /// How many bytes from `start` on need no escape.
    static func plainCount(_ bytes: UnsafeBufferPointer<UInt8>, from start: Int) -> Int {
        guard let base = bytes.baseAddress else { return 0 }
        var position = start
        // Whole words inside the buffer, then what is left of it.
        while bytes.count &- position >= 8 {
            let special = Word.needsEscape(loadWord(base + position))
            guard special == 0 else { return position &- start &+ special.trailingZeroBitCount >> 3 }
            position &+= 8
        }
        while position < bytes.count {
            let byte = bytes[position]
            guard byte >= 0x20, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") else { break }
            position &+= 1
        }
        return position &- start
    }

    /// Appends one byte of string content, escaped where RFC 8259 §7 demands it.
    @inline(__always)
    static func append(_ byte: UInt8, to text: inout [UInt8]) {
        switch byte {
        case UInt8(ascii: "\""), UInt8(ascii: "\\"):
            text.append(UInt8(ascii: "\\"))
            text.append(byte)
        case 0x20...:
            text.append(byte)
        case 0x08: text.append(contentsOf: "\\b".utf8)
        case 0x09: text.append(contentsOf: "\\t".utf8)
        case 0x0A: text.append(contentsOf: "\\n".utf8)
        case 0x0C: text.append(contentsOf: "\\f".utf8)
        case 0x0D: text.append(contentsOf: "\\r".utf8)
        default:
            text.append(contentsOf: "\\u00".utf8)
            text.append(byte < 0x10 ? 0x30 : 0x31)
            let low = byte & 0xF
            text.append(low < 10 ? 0x30 + low : 0x57 + low)
        }
    }
}

/// Appends `string` as a JSON string, quotes included. Quotes, backslashes and all control characters are escaped.
package func appendJSONString(_ string: String, to text: inout [UInt8]) {
    var string = string
    string.withUTF8 { appendJSONString(utf8: $0, to: &text) }
}

/// Appends bytes, which must be UTF-8, as a JSON string, quotes included.
package func appendJSONString(utf8 bytes: [UInt8], to text: inout [UInt8]) {
    bytes.withUnsafeBufferPointer { appendJSONString(utf8: $0, to: &text) }
}

/// Appends bytes, which must be UTF-8, as a JSON string, quotes included.
package func appendJSONString(utf8 bytes: UnsafeBufferPointer<UInt8>, to text: inout [UInt8]) {
    text.append(UInt8(ascii: "\""))
    var start = 0
    while start < bytes.count {
        let plain = Escapes.plainCount(bytes, from: start)
        text.append(contentsOf: UnsafeBufferPointer(rebasing: bytes[start..<(start + plain)]))
        start += plain
        guard start < bytes.count else { break }
        Escapes.append(bytes[start], to: &text)
        start += 1
    }
    text.append(UInt8(ascii: "\""))
}
