// Where a reference leads that stands in an answer (RFC 3986 §5.2). Whether a request may go there is decided by the
// parser that also dials it.

/// Resolves references against the URL of the page that they stand in.
enum URLReference {
    /// The longest URL of a page.
    static let maxBytes = 8 << 10

    /// The reference as an absolute URL, without a fragment; `nil` where it is empty or too long.
    static func resolved(_ reference: String, against base: String) -> String? {
        let reference = reference.prefix { $0 != "#" }
        guard !reference.isEmpty, reference.utf8.count <= self.maxBytes else { return nil }
        if self.hasScheme(reference) { return String(reference) }
        guard let schemeEnd = base.range(of: "://") else { return nil }
        if reference.hasPrefix("//") { return base[..<schemeEnd.lowerBound] + ":" + reference }
        let rest = base[schemeEnd.upperBound...]
        let authorityEnd = rest.firstIndex { $0 == "/" || $0 == "?" || $0 == "#" } ?? rest.endIndex
        let root = String(base[..<authorityEnd])
        let path = rest[authorityEnd...].prefix { $0 != "?" && $0 != "#" }
        if reference.hasPrefix("?") { return root + path + reference }
        let parts = reference.prefix { $0 != "?" }
        let query = reference[parts.endIndex...]
        let folder = path.lastIndex(of: "/").map { path[...$0] } ?? "/"
        let joined = reference.hasPrefix("/") ? Substring(parts) : folder + parts
        return root + self.withoutDots(joined) + query
    }

    private static func hasScheme(_ reference: Substring) -> Bool {
        guard let colon = reference.firstIndex(of: ":"), let first = reference.first, first.isASCII, first.isLetter
        else { return false }
        return reference[..<colon].allSatisfy { $0.isASCII && ($0.isLetter || $0.isNumber || "+-.".contains($0)) }
    }

    /// RFC 3986 §5.2.4, for a path that begins with a slash.
    private static func withoutDots(_ path: Substring) -> String {
        var segments: [Substring] = []
        let parts = path.split(separator: "/", omittingEmptySubsequences: false).dropFirst()
        for (index, part) in parts.enumerated() {
            let isLast = index == parts.count - 1
            switch part {
            case ".": if isLast { segments.append("") }
            case "..":
                _ = segments.popLast()
                if isLast { segments.append("") }
            case _: segments.append(part)
            }
        }
        return "/" + segments.joined(separator: "/")
    }
}

extension String {
    /// The range of the first occurrence.
    fileprivate func range(of other: String) -> Range<String.Index>? {
        var index = self.startIndex
        while index < self.endIndex {
            if self[index...].hasPrefix(other) { return index..<self.index(index, offsetBy: other.count) }
            index = self.index(after: index)
        }
        return nil
    }
}
