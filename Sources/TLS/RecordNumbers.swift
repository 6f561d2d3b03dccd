// Numbers of records under one key. Two records of one number would be sealed with one nonce, which gives away both and the
// key of their authentication (RFC 5116 §5.1.1); so that a number is used once is a matter of types.

/// The number of one record. It cannot be copied, and sealing a record consumes it, whatever comes of the record.
package struct RecordNumber: ~Copyable {
    private let value: UInt64

    fileprivate init(_ value: UInt64) { self.value = value }

    /// Uses the number up.
    consuming func spend() -> UInt64 { self.value }
}

/// The numbers of one key and direction, each given out once, in order. It cannot be copied either, and counts only up: a
/// new key gets new numbers, never these again.
package struct RecordNumbers: ~Copyable {
    private var next: UInt32

    /// Numbers of one key, by far less than what RFC 8446 §5.5 allows AES-GCM. Nothing is sealed or opened past them.
    package static let limit: UInt32 = 1 << 24

    /// `used`: how many records the key was used for already.
    init(after used: UInt64 = 0) {
        self.next = UInt32(clamping: used)
    }

    /// How many were given out.
    package var used: UInt32 { self.next }

    /// - Returns: The next number; `nil` where the key is worn out.
    mutating func take() -> RecordNumber? {
        guard self.next < Self.limit else { return nil }
        defer { self.next += 1 }
        return RecordNumber(UInt64(self.next))
    }
}
