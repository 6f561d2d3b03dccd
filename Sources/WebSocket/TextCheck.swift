// Whether bytes are UTF-8, piece by piece (RFC 3629): a message of several fragments may be cut inside of a character.

/// Follows text; fails at the first byte that no UTF-8 can have there.
struct TextCheck: Sendable {
    /// Bytes that the character under way still needs.
    private var needed = 0
    /// What the next byte may be.
    private var low: UInt8 = 0x80
    private var high: UInt8 = 0xBF

    /// Whether what passed ends with a whole character.
    var isComplete: Bool { self.needed == 0 }

    /// - Returns: `false` at the first byte that is wrong.
    mutating func pass(_ bytes: UnsafeRawBufferPointer) -> Bool {
        var offset = 0
        while offset < bytes.count {
            if self.needed == 0 {
                // Eight bytes of ASCII at a time.
                while offset + 8 <= bytes.count,
                    bytes.loadUnaligned(fromByteOffset: offset, as: UInt64.self) & 0x8080_8080_8080_8080 == 0
                {
                    offset += 8
                }
                guard offset < bytes.count else { return true }
            }
            guard self.pass(bytes[offset]) else { return false }
            offset += 1
        }
        return true
    }

    private mutating func pass(_ byte: UInt8) -> Bool {
        guard self.needed == 0 else {
            guard (self.low...self.high).contains(byte) else { return false }
            self.needed -= 1
            (self.low, self.high) = (0x80, 0xBF)
            return true
        }
        switch byte {
        case 0x00...0x7F: return true
        case 0xC2...0xDF: self.needed = 1
        case 0xE0: (self.needed, self.low) = (2, 0xA0)
        // No surrogates.
        case 0xED: (self.needed, self.high) = (2, 0x9F)
        case 0xE1...0xEF: self.needed = 2
        case 0xF0: (self.needed, self.low) = (3, 0x90)
        case 0xF4: (self.needed, self.high) = (3, 0x8F)
        case 0xF1...0xF3: self.needed = 3
        case _: return false
        }
        return true
    }
}
