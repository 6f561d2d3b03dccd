// References between schemas: RFC 3986 as far as resolving one against a base needs it.

/// An absolute or relative reference, split (RFC 3986 appendix B).
struct SchemaURI: Hashable, Sendable {
    var scheme: Substring?
    var authority: Substring?
    var path: Substring
    var query: Substring?
    var fragment: Substring?

    init(_ text: String) {
        var rest = text[...]
        if let hash = rest.firstIndex(of: "#") {
            self.fragment = rest[rest.index(after: hash)...]
            rest = rest[..<hash]
        }
        if let mark = rest.firstIndex(of: "?") {
            self.query = rest[rest.index(after: mark)...]
            rest = rest[..<mark]
        }
        if let colon = rest.firstIndex(of: ":"), Self.isScheme(rest[..<colon]) {
            self.scheme = rest[..<colon]
            rest = rest[rest.index(after: colon)...]
        }
        if rest.hasPrefix("//") {
            rest = rest.dropFirst(2)
            let end = rest.firstIndex(of: "/") ?? rest.endIndex
            self.authority = rest[..<end]
            rest = rest[end...]
        }
        self.path = rest
    }

    private static func isScheme(_ text: Substring) -> Bool {
        guard let first = text.utf8.first, (0x61...0x7A).contains(first | 0x20) else { return false }
        return text.utf8.allSatisfy { byte in
            (0x61...0x7A).contains(byte | 0x20) || (0x30...0x39).contains(byte) || [0x2B, 0x2D, 0x2E].contains(byte)
        }
    }

    /// The reference as it stands against `base` (RFC 3986 §5.2.2).
    func resolved(against base: SchemaURI) -> SchemaURI {
        var target = self
        guard self.scheme == nil else { return target.withoutDots() }
        target.scheme = base.scheme
        guard self.authority == nil else { return target.withoutDots() }
        target.authority = base.authority
        guard !self.path.isEmpty else {
            target.path = base.path
            target.query = self.query ?? base.query
            return target
        }
        if !self.path.hasPrefix("/") {
            if base.authority != nil, base.path.isEmpty {
                target.path = "/" + self.path
            } else if let slash = base.path.lastIndex(of: "/") {
                target.path = base.path[...slash] + self.path
            }
        }
        return target.withoutDots()
    }

    /// Without the segments `.` and `..` (RFC 3986 §5.2.4). Other than a path with slashes has none.
    private func withoutDots() -> SchemaURI {
        guard self.path.contains("/") else { return self }
        var kept: [Substring] = []
        let segments = self.path.split(separator: "/", omittingEmptySubsequences: false)
        for (position, segment) in segments.enumerated() {
            let isLast = position == segments.count - 1
            switch segment {
            case ".":
                if isLast { kept.append("") }
            case "..":
                // The empty segment in front of the first slash stays.
                if kept.count > 1 { kept.removeLast() }
                if isLast { kept.append("") }
            case _:
                kept.append(segment)
            }
        }
        var target = self
        target.path = kept.joined(separator: "/")[...]
        return target
    }

    /// Without the fragment: the name of a schema resource.
    var resource: String {
        var text = ""
        if let scheme { text += scheme + ":" }
        if let authority { text += "//" + authority }
        text += self.path
        if let query { text += "?" + query }
        return text
    }

    /// The fragment with its percent encoding undone; empty if absent, nil where it is not UTF-8.
    var decodedFragment: String? {
        var bytes: [UInt8] = []
        var rest = Array((self.fragment ?? "").utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), let value = Self.hexadecimal(rest.prefix(2)) {
                bytes.append(value)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(validating: bytes, as: UTF8.self)
    }

    private static func hexadecimal(_ digits: ArraySlice<UInt8>) -> UInt8? {
        digits.count == 2 ? UInt8(String(decoding: digits, as: UTF8.self), radix: 16) : nil
    }
}
