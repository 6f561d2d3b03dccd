// JSON Pointer, RFC 6901: names a value inside a document.

/// Names one value by the member names and positions on the way to it. The empty pointer names the whole document.
package struct Pointer: Hashable, Sendable {
    /// A member name or an array position, unescaped; compared by code points, hence bytes.
    package struct Token: Hashable, Sendable {
        package let utf8: [UInt8]

        package init(_ name: String) {
            self.utf8 = Array(name.utf8)
        }

        package init(utf8: [UInt8]) {
            self.utf8 = utf8
        }

        package var text: String { String(decoding: self.utf8, as: UTF8.self) }

        /// The position that this token names in an array: digits without a leading zero (RFC 6901 §4); otherwise nil.
        package var arrayIndex: Int? {
            guard let first = self.utf8.first, self.utf8.count <= 18 else { return nil }
            guard first != UInt8(ascii: "0") || self.utf8.count == 1 else { return nil }
            var index = 0
            for byte in self.utf8 {
                guard byte >= UInt8(ascii: "0"), byte <= UInt8(ascii: "9") else { return nil }
                index = index * 10 + Int(byte - UInt8(ascii: "0"))
            }
            return index
        }

        /// Appends the token as it stands in a pointer: `~` is `~0`, `/` is `~1`.
        fileprivate func write(to text: inout [UInt8]) {
            for byte in self.utf8 {
                switch byte {
                case UInt8(ascii: "~"): text.append(contentsOf: "~0".utf8)
                case UInt8(ascii: "/"): text.append(contentsOf: "~1".utf8)
                default: text.append(byte)
                }
            }
        }
    }

    package private(set) var tokens: [Token]

    package init(tokens: [Token] = []) {
        self.tokens = tokens
    }

    /// Reads a pointer's text: nil unless it is empty or starts with `/`, with every `~` part of `~0` or `~1`.
    package init?(_ text: String) {
        self.init(utf8: text.utf8)
    }

    package init?(utf8 text: some Sequence<UInt8>) {
        self.tokens = []
        var token: [UInt8]?
        var tilde = false
        for byte in text {
            if tilde {
                guard byte == UInt8(ascii: "0") || byte == UInt8(ascii: "1") else { return nil }
                token?.append(byte == UInt8(ascii: "0") ? UInt8(ascii: "~") : UInt8(ascii: "/"))
                tilde = false
            } else if byte == UInt8(ascii: "/") {
                if let token { self.tokens.append(Token(utf8: token)) }
                token = []
            } else if token == nil {
                return nil
            } else if byte == UInt8(ascii: "~") {
                tilde = true
            } else {
                token?.append(byte)
            }
        }
        guard !tilde else { return nil }
        if let token { self.tokens.append(Token(utf8: token)) }
    }

    package var isEmpty: Bool { self.tokens.isEmpty }

    package func appending(_ name: String) -> Pointer {
        Pointer(tokens: self.tokens + [Token(name)])
    }

    package func appending(_ token: Token) -> Pointer {
        Pointer(tokens: self.tokens + [token])
    }

    package func appending(_ other: Pointer) -> Pointer {
        Pointer(tokens: self.tokens + other.tokens)
    }

    /// Whether this pointer names `other` or something around it.
    package func isPrefix(of other: Pointer) -> Bool {
        other.tokens.starts(with: self.tokens)
    }
}

extension Pointer: CustomStringConvertible {
    /// The pointer's text.
    package var description: String {
        var text: [UInt8] = []
        for token in self.tokens {
            text.append(UInt8(ascii: "/"))
            token.write(to: &text)
        }
        return String(decoding: text, as: UTF8.self)
    }
}
