// How much of a secret a guesser does not know, as far as its text shows.

/// An upper bound for the entropy of a secret that somebody made, from its text alone.
///
/// The bound is `characters × bits per character`. The bits follow from the smallest of these alphabets that holds every
/// character: decimal digits 3.32, hexadecimal digits of one case 4, base64 or base64url 6, any other visible ASCII 6.55.
/// A text that repeats a part counts as that part; a text with fewer than 6 different characters counts as nothing. So the
/// shortest that are strong enough have 39 decimal digits, 32 hexadecimal digits or 22 characters of base64url.
package enum SecretStrength {
    /// What an API key must have at least, in bits (CONTRACT §8).
    package static let minimumBits = 128.0
    private static let minimumAlphabet = 6

    /// In bits.
    package static func upperBound(_ secret: Secret) -> Double {
        let bytes = secret.bytes
        guard Set(bytes).count >= self.minimumAlphabet else { return 0 }
        return Double(self.period(bytes)) * self.bitsPerCharacter(bytes)
    }

    private static func bitsPerCharacter(_ bytes: [UInt8]) -> Double {
        let digits = UInt8(ascii: "0")...UInt8(ascii: "9")
        let lower = UInt8(ascii: "a")...UInt8(ascii: "z")
        let upper = UInt8(ascii: "A")...UInt8(ascii: "Z")
        if bytes.allSatisfy(digits.contains) { return 3.3219 }
        let lowerHex = UInt8(ascii: "a")...UInt8(ascii: "f")
        let upperHex = UInt8(ascii: "A")...UInt8(ascii: "F")
        if bytes.allSatisfy({ digits.contains($0) || lowerHex.contains($0) }) { return 4 }
        if bytes.allSatisfy({ digits.contains($0) || upperHex.contains($0) }) { return 4 }
        let isBase64 = bytes.allSatisfy { byte in
            digits.contains(byte) || lower.contains(byte) || upper.contains(byte) || "+/-_=".utf8.contains(byte)
        }
        return isBase64 ? 6 : 6.5546
    }

    /// The length of the shortest part that, repeated at least twice, is the text; else the length of the text.
    private static func period(_ bytes: [UInt8]) -> Int {
        // The prefix function of Knuth, Morris and Pratt: for each position the longest border that ends there.
        var borders = [Int](repeating: 0, count: bytes.count)
        for position in bytes.indices.dropFirst() {
            var border = borders[position - 1]
            while border > 0, bytes[position] != bytes[border] { border = borders[border - 1] }
            borders[position] = bytes[position] == bytes[border] ? border + 1 : 0
        }
        let period = bytes.count - (borders.last ?? 0)
        return period * 2 <= bytes.count ? period : bytes.count
    }
}
