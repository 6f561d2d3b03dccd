/// Finds line ends in raw bytes: the one thing that both directions of the format depend on.
///
/// Works on bytes throughout. On `String` a CRLF is a single `Character`, and a split at `"\n"` steps over it: that is
/// how a line end gets smuggled into a field.
enum Newlines {
    static let lineFeed: UInt8 = 0x0A
    static let carriageReturn: UInt8 = 0x0D

    /// The position of the first CR or LF in `bytes` at or after `start`, or `nil`.
    ///
    /// Looks at eight bytes at a time; `start` must lie within `0...bytes.count`.
    static func first(in bytes: UnsafeRawBufferPointer, from start: Int) -> Int? {
        var position = start
        while bytes.count &- position >= 8 {
            let word = bytes.loadUnaligned(fromByteOffset: position, as: UInt64.self)
            let found = zeroBytes(word ^ 0x0A0A_0A0A_0A0A_0A0A) | zeroBytes(word ^ 0x0D0D_0D0D_0D0D_0D0D)
            if found != 0 {
                return position &+ UInt64(littleEndian: found).trailingZeroBitCount / 8
            }
            position &+= 8
        }
        while position < bytes.count {
            if bytes[position] == lineFeed || bytes[position] == carriageReturn { return position }
            position &+= 1
        }
        return nil
    }

    /// Sets the high bit of each byte of `word` that is zero, and of no other byte.
    ///
    /// The shorter formula that subtracts ones also marks bytes above a real zero, which the byte order of a
    /// big-endian machine would read first.
    private static func zeroBytes(_ word: UInt64) -> UInt64 {
        let low7: UInt64 = 0x7F7F_7F7F_7F7F_7F7F
        return ~(((word & low7) &+ low7) | word | low7)
    }
}
