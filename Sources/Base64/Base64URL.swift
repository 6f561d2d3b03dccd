// base64url without padding (RFC 4648 §5, RFC 7515 §2): the text of tokens, keys, tickets and push subscriptions.

/// Reads and writes base64url, and reads only the one text that each sequence of bytes has. Any thread; keeps nothing.
package enum Base64URL {
    private static let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
    /// The value of each character; 255 for other bytes.
    private static let values: [UInt8] = {
        var values = [UInt8](repeating: 255, count: 256)
        for (value, character) in alphabet.enumerated() { values[Int(character)] = UInt8(value) }
        return values
    }()

    /// The text of the bytes, in ASCII, without padding.
    package static func encode(_ bytes: some Collection<UInt8>) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity((bytes.count * 4 + 2) / 3)
        var buffer: UInt32 = 0
        var bits: UInt32 = 0
        for byte in bytes {
            buffer = buffer << 8 | UInt32(byte)
            bits += 8
            while bits >= 6 {
                bits -= 6
                text.append(self.alphabet[Int(buffer >> bits & 0x3F)])
            }
        }
        if bits > 0 { text.append(self.alphabet[Int(buffer << (6 - bits) & 0x3F)]) }
        return text
    }

    /// The same as a string.
    package static func text(_ bytes: some Collection<UInt8>) -> String {
        String(decoding: self.encode(bytes), as: UTF8.self)
    }

    /// `nil` for padding, white space and other characters, for a length that no bytes have, and where bits are left
    /// over that are not zero: two texts for one token would be two tokens to a cache and one to a signature.
    package static func decode(_ text: some Collection<UInt8>) -> [UInt8]? {
        guard text.count % 4 != 1 else { return nil }
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count / 4 * 3 + 2)
        var buffer: UInt32 = 0
        var bits: UInt32 = 0
        for character in text {
            let value = self.values[Int(character)]
            guard value < 64 else { return nil }
            buffer = buffer << 6 | UInt32(value)
            bits += 6
            if bits >= 8 {
                bits -= 8
                bytes.append(UInt8(truncatingIfNeeded: buffer >> bits))
            }
        }
        return buffer & (1 << bits - 1) == 0 ? bytes : nil
    }
}
