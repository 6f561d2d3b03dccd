// What must never be written anywhere, and the hashes by which it is found (FAULTS S21, S27).

import Crypto
import Foundation
import FreshetCore

/// The bytes of a credential. No description, reflection or error shows them.
package struct Secret: Hashable, Sendable, CustomStringConvertible, CustomDebugStringConvertible, CustomReflectable {
    let bytes: [UInt8]

    package init(_ bytes: [UInt8]) {
        self.bytes = bytes
    }

    package init(_ text: String) {
        self.bytes = Array(text.utf8)
    }

    /// The content of a `secret_file`, without the white space at its end.
    package init(fileContent: [UInt8]) {
        let end = fileContent.lastIndex { !Self.isWhiteSpace($0) }
        self.bytes = end.map { Array(fileContent[...$0]) } ?? []
    }

    /// Space, tab, line feed, vertical tab, form feed, carriage return.
    static func isWhiteSpace(_ byte: UInt8) -> Bool {
        byte == 0x20 || (0x09...0x0D).contains(byte)
    }

    package var description: String { "(redacted)" }
    package var debugDescription: String { "(redacted)" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}

/// The SHA-256 of a whole secret.
///
/// A table looks secrets up by it. Whoever measures that look-up learns of the hash of what was sent, and nothing of the
/// hashes in the table that would help to find a secret.
struct SecretHash: Hashable, Sendable {
    private let first, second, third, fourth: UInt64

    init(of bytes: [UInt8]) {
        (self.first, self.second, self.third, self.fourth) = SHA256.hash(data: bytes).withUnsafeBytes { hash in
            (
                hash.loadUnaligned(fromByteOffset: 0, as: UInt64.self),
                hash.loadUnaligned(fromByteOffset: 8, as: UInt64.self),
                hash.loadUnaligned(fromByteOffset: 16, as: UInt64.self),
                hash.loadUnaligned(fromByteOffset: 24, as: UInt64.self)
            )
        }
    }

    init(of secret: Secret) {
        self.init(of: secret.bytes)
    }

    /// The first half.
    var fingerprint: Fingerprint { Fingerprint(first: self.first, second: self.second) }

    /// Takes the same time wherever the first difference is.
    static func == (left: Self, right: Self) -> Bool {
        (left.first ^ right.first) | (left.second ^ right.second) | (left.third ^ right.third)
            | (left.fourth ^ right.fourth) == 0
    }
}

/// Whether both are the same bytes. Takes the same time wherever the first difference is.
func equalInConstantTime(_ left: some Collection<UInt8>, _ right: some Collection<UInt8>) -> Bool {
    guard left.count == right.count else { return false }
    return zip(left, right).reduce(into: UInt8(0)) { $0 |= $1.0 ^ $1.1 } == 0
}
