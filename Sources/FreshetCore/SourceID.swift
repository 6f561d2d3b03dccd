// Sources by number inside the process, by name outside of it.

/// A source inside this process: an index that is never given out twice.
package struct SourceID: Hashable, Comparable, Sendable {
    package var index: Int

    package init(index: Int) {
        self.index = index
    }

    package static func < (left: Self, right: Self) -> Bool {
        left.index < right.index
    }
}

/// The name of a source: `[a-z0-9][a-z0-9._-]*`, at most 128 bytes.
package enum SourceName {
    package static let maxBytes = 128

    package static func isValid(_ name: some StringProtocol) -> Bool {
        guard let first = name.utf8.first, name.utf8.count <= self.maxBytes else { return false }
        return self.isAlphanumeric(first) && name.utf8.allSatisfy { self.isAlphanumeric($0) || "._-".utf8.contains($0) }
    }

    private static func isAlphanumeric(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte) || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
    }
}

/// The sources that a request path names: `rates`, `rates,stations`, `bike-*`, `*`.
package struct SourceSelector: Hashable, Sendable {
    /// One part of the comma-separated list.
    package enum Term: Hashable, Sendable {
        case exact(String)
        /// Every source whose name begins so; the empty prefix is every source.
        case prefix(String)
    }

    package var terms: [Term]

    /// Whether a source of this name is among those that are named.
    package func matches(_ name: String) -> Bool {
        self.terms.contains { term in
            switch term {
            case .exact(let exact): exact == name
            case .prefix(let prefix): name.hasPrefix(prefix)
            }
        }
    }

    /// The most terms that one request may name.
    package static let maxTerms = 1000

    /// `nil` where a term is neither a name, nor a name's beginning followed by `*`, or where there are too many.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ",", maxSplits: Self.maxTerms, omittingEmptySubsequences: false)
        guard parts.count <= Self.maxTerms else { return nil }
        self.terms = []
        for part in parts {
            if part.hasSuffix("*") {
                let prefix = part.dropLast()
                guard prefix.isEmpty || SourceName.isValid(prefix) else { return nil }
                self.terms.append(.prefix(String(prefix)))
            } else {
                guard SourceName.isValid(part) else { return nil }
                self.terms.append(.exact(String(part)))
            }
        }
    }
}
