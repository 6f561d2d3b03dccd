// What a parser may spend on one document, and why it refused one.

/// Bounds on one document. A body comes from an upstream that is not under our control.
package struct ParseLimits: Hashable, Sendable {
    /// The longest input, in bytes. The default is 64 MiB; values above 2 GiB count as 2 GiB.
    package var maxBytes: Int
    /// The most containers open at once. The default is 128; values above 65,536 count as 65,536.
    package var maxDepth: Int
    /// The most values and member names together. The default is 4,000,000; values above 2²⁸ − 1 count as that.
    package var maxNodes: Int

    package init(maxBytes: Int = 64 << 20, maxDepth: Int = 128, maxNodes: Int = 4_000_000) {
        self.maxBytes = maxBytes
        self.maxDepth = maxDepth
        self.maxNodes = maxNodes
    }

    /// As wide as the tape can hold: for text that was parsed once and kept, or that this program wrote itself.
    package static let widest = ParseLimits(maxBytes: .max, maxDepth: .max, maxNodes: .max)

    /// The same bounds, within what 32-bit offsets and counts of the tape can express.
    var clamped: ParseLimits {
        ParseLimits(
            maxBytes: min(max(self.maxBytes, 0), 2 << 30),
            maxDepth: min(max(self.maxDepth, 0), 1 << 16),
            maxNodes: min(max(self.maxNodes, 0), (1 << 28) - 1)
        )
    }
}

/// Why bytes are not a document (RFC 8259).
package struct ParseError: Error, Hashable, Sendable {
    /// What was wrong at `offset`.
    package enum Reason: Hashable, Sendable {
        /// Nothing but whitespace, or the input stopped inside a value.
        case unexpectedEnd
        /// A character that the grammar does not allow here.
        case unexpectedCharacter
        /// A number that is not one of RFC 8259 §6, such as `-` or `1.`.
        case invalidNumber
        /// A backslash before a character that has no escape, or `\u` without four hexadecimal digits.
        case invalidEscape
        /// `\uD800`–`\uDFFF` without its other half: no Unicode text can hold it.
        case loneSurrogate
        /// Bytes that are not UTF-8 (RFC 3629): overlong, a surrogate, beyond U+10FFFF or cut short.
        case invalidUTF8
        /// A character below U+0020 inside a string.
        case controlCharacter
        /// Something other than whitespace after the value.
        case trailingContent
        /// More than `ParseLimits.maxBytes`.
        case tooLong(limitBytes: Int)
        /// More open containers than `ParseLimits.maxDepth`.
        case tooDeep(limit: Int)
        /// More values and names than `ParseLimits.maxNodes`.
        case tooManyNodes(limit: Int)
    }

    package var reason: Reason
    /// In bytes from the start of the input, a byte order mark included.
    package var offset: Int

    package init(reason: Reason, offset: Int) {
        self.reason = reason
        self.offset = offset
    }
}

extension ParseError: CustomStringConvertible {
    /// One line for a log; it never quotes the input.
    package var description: String {
        let what =
            switch self.reason {
            case .unexpectedEnd: "the JSON text ends too early"
            case .unexpectedCharacter: "a character that JSON does not allow here"
            case .invalidNumber: "not a JSON number"
            case .invalidEscape: "not a JSON escape sequence"
            case .loneSurrogate: "half of a surrogate pair"
            case .invalidUTF8: "not UTF-8"
            case .controlCharacter: "a control character inside a string"
            case .trailingContent: "content after the JSON value"
            case .tooLong(let limit): "longer than \(limit) bytes"
            case .tooDeep(let limit): "nested deeper than \(limit) levels"
            case .tooManyNodes(let limit): "more than \(limit) values"
            }
        return "\(what) (byte \(self.offset))"
    }
}
