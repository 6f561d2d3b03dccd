// The key with which administration is reached over a main listener (CONTRACT §3).

import HTTPFields

/// A secret that proves its holder an administrator of this process. Its description shows nothing of it.
package struct AdminKey: Hashable, Sendable, CustomStringConvertible {
    /// 43 characters of base64url: 256 bits.
    package let text: String

    /// Draws a new key from the system's source of randomness.
    package static func random() -> AdminKey {
        var generator = SystemRandomNumberGenerator()
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_".utf8)
        let bytes = (0..<Self.length).map { _ in alphabet[Int(generator.next() & 0x3F)] }
        return AdminKey(text: String(decoding: bytes, as: UTF8.self))
    }

    private static let length = 43

    private init(text: String) {
        self.text = text
    }

    /// A key as ``text`` gave it; `nil` for anything else.
    package init?(_ text: some StringProtocol) {
        let isWritten = text.utf8.allSatisfy { byte in
            byte.isDigit || byte.isLetter || byte == UInt8(ascii: "-") || byte == UInt8(ascii: "_")
        }
        guard text.utf8.count == Self.length, isWritten else { return nil }
        self.text = String(text)
    }

    /// Whether this is the key. Takes the same time wherever the first difference is (FAULTS S21).
    func matches(_ presented: some StringProtocol) -> Bool {
        guard presented.utf8.count == Self.length else { return false }
        let difference = zip(self.text.utf8, presented.utf8).reduce(into: UInt8(0)) { $0 |= $1.0 ^ $1.1 }
        return difference == 0
    }

    package var description: String { "(redacted)" }
}
