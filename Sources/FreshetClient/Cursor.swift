// A position in a gateway's log.

extension FreshetClient {
    /// A position in the change log of a gateway: everything up to and including it has been seen.
    ///
    /// One cursor is valid for any set of sources of the gateway. Its text may be kept, and given to
    /// ``Start/after(_:)`` later. Cursors of different epochs cannot be compared: the numbering began again.
    public struct Cursor: Hashable, Sendable, LosslessStringConvertible {
        /// As the gateway wrote it, `EPOCH-SEQUENCE`, at most 64 bytes of `[A-Za-z0-9._-]`.
        public let description: String
        /// Ends before the last `-`.
        private let epochCount: Int
        let sequence: UInt64

        static let maxBytes = 64

        /// - Returns: `nil` where the text is not a cursor.
        public init?(_ description: String) {
            let text = description.utf8
            guard text.count <= Self.maxBytes, let dash = text.lastIndex(of: UInt8(ascii: "-")), dash > text.startIndex,
                text.allSatisfy({ PercentEncoding.isUnreserved($0) && $0 != UInt8(ascii: "~") })
            else { return nil }
            let digits = description[description.index(after: dash)...]
            guard digits.utf8.allSatisfy({ (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }),
                let sequence = UInt64(digits)
            else { return nil }
            self.description = description
            self.epochCount = text.distance(from: text.startIndex, to: dash)
            self.sequence = sequence
        }

        /// Names one unbroken numbering of the log.
        public var epoch: String { String(self.description.prefix(self.epochCount)) }

        /// Whether everything up to `other` has been seen too; `nil` where the epochs differ.
        public func reaches(_ other: Cursor) -> Bool? {
            self.epoch == other.epoch ? self.sequence >= other.sequence : nil
        }
    }
}

/// Percent-encoding (RFC 3986 §2).
enum PercentEncoding {
    /// ALPHA, DIGIT, `-`, `.`, `_`, `~`.
    static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
        default: false
        }
    }

    /// The text with all but unreserved characters, and those of `kept`, encoded.
    static func encode(_ text: String, keeping kept: String = "") -> String {
        let digits = Array("0123456789ABCDEF".utf8)
        var bytes: [UInt8] = []
        for byte in text.utf8 {
            if self.isUnreserved(byte) || kept.utf8.contains(byte) {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), digits[Int(byte >> 4)], digits[Int(byte & 15)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// The text with its encoded bytes decoded; what is not an encoding stays.
    static func decode(_ text: some StringProtocol) -> String {
        let text = Array(text.utf8)
        var bytes: [UInt8] = []
        var position = 0
        while position < text.count {
            if text[position] == UInt8(ascii: "%"), position + 2 < text.count,
                let high = Self.digit(text[position + 1]), let low = Self.digit(text[position + 2])
            {
                bytes.append(high << 4 | low)
                position += 3
            } else {
                bytes.append(text[position])
                position += 1
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        default: nil
        }
    }
}
