// JSON as tokens and key sets must be: one object, every name once (RFC 7515 §4, RFC 7519 §4, RFC 8725 §2.4).

import JSON

/// Reads the JSON of a token or a key set.
enum StrictJSON {
    /// Deep enough for any claim; a token is no place for documents.
    static let maxDepth = 16

    /// The object that a part of a token is, as ``object(_:maxBytes:maxNodes:)``.
    static func tokenPart(_ bytes: [UInt8]) -> Value? {
        self.object(bytes, maxBytes: TokenLimits.maxBytes, maxNodes: TokenLimits.maxNodes)
    }

    /// The object that the bytes are; `nil` for anything else, and where an object has a name twice, escapes resolved.
    static func object(_ bytes: [UInt8], maxBytes: Int, maxNodes: Int) -> Value? {
        let limits = ParseLimits(maxBytes: maxBytes, maxDepth: self.maxDepth, maxNodes: maxNodes)
        // RFC 8259 §8.1 forbids the mark; the parser passes over it.
        guard bytes.first != 0xEF, let document = try? Document(parsing: bytes, limits: limits),
            document.root.kind == .object, self.members(in: document.root) == self.colons(in: bytes)
        else { return nil }
        return document.root
    }

    /// How many members there are at any depth. The parser keeps one of each name.
    private static func members(in value: Value) -> Int {
        switch value.kind {
        case .object: value.members.reduce(value.count) { $0 + self.members(in: $1.value) }
        case .array: value.elements.reduce(0) { $0 + self.members(in: $1) }
        case .null, .false, .true, .number, .string: 0
        }
    }

    /// How many members the text has: in valid JSON every colon outside of a string is one.
    private static func colons(in text: [UInt8]) -> Int {
        var count = 0
        var isString = false
        var isEscaped = false
        for byte in text {
            switch byte {
            case _ where isEscaped: isEscaped = false
            case UInt8(ascii: "\\"): isEscaped = isString
            case UInt8(ascii: "\""): isString.toggle()
            case UInt8(ascii: ":") where !isString: count += 1
            default: break
            }
        }
        return count
    }
}
