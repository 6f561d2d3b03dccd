// Sources by number inside the process, by name outside of it.

/// A source inside this process: an index that is never given out twice, and ascends. See ``SourceTable``.
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
        self.terms.contains { $0.matches(name) }
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

/// A selector in the one form that all selectors of the same names have: sorted, each term once, and no term that
/// another one covers. `a,a,b` and `b,a` are equal, and `a*,ab,ab*` is `a*` (A08).
package struct SourcePattern: Hashable, Sendable {
    /// Ascending by their text.
    package let terms: [SourceSelector.Term]

    /// No source.
    package static let none = SourcePattern([])
    /// Every source.
    package static let all = SourcePattern([.prefix("")])

    package init(_ selector: SourceSelector) {
        self.init(selector.terms)
    }

    package init(_ terms: [SourceSelector.Term]) {
        let sorted = terms.sorted { left, right in
            // Of equal text the prefix comes first, which covers the name.
            left.text == right.text ? left.isPrefix && !right.isPrefix : left.text < right.text
        }
        var kept: [SourceSelector.Term] = []
        for term in sorted {
            // What a prefix covers follows it without a gap.
            guard let last = kept.last, term == last || last.isPrefix && term.text.hasPrefix(last.text) else {
                kept.append(term)
                continue
            }
        }
        self.terms = kept
    }

    /// Whether it names every source.
    package var isAll: Bool { self.terms == Self.all.terms }

    /// The sources that both name.
    package func intersection(_ other: SourcePattern) -> SourcePattern {
        guard !other.isAll else { return self }
        guard !self.isAll else { return other }
        // A term of the one that the other covers as a whole stays; where two overlap at all, one covers the other.
        return SourcePattern(self.terms.filter(other.covers) + other.terms.filter(self.covers))
    }

    /// Whether it names every source that the term names.
    package func covers(_ term: SourceSelector.Term) -> Bool {
        guard let candidate = self.last(notAfter: term.text) else { return false }
        // A name covers no more than itself; of a name and a prefix with equal text, the prefix is kept alone.
        return candidate == term || candidate.isPrefix && term.text.hasPrefix(candidate.text)
    }

    /// Whether a source of this name is among those that are named.
    package func matches(_ name: String) -> Bool {
        self.last(notAfter: name)?.matches(name) ?? false
    }

    /// The only term that can cover what begins with this text.
    private func last(notAfter text: String) -> SourceSelector.Term? {
        var range = 0..<self.terms.count
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            if self.terms[middle].text <= text {
                range = (middle + 1)..<range.upperBound
            } else {
                range = range.lowerBound..<middle
            }
        }
        return range.lowerBound > 0 ? self.terms[range.lowerBound - 1] : nil
    }
}

extension SourceSelector.Term: CustomStringConvertible {
    /// As a selector has it: a name, or the beginning of names and `*`.
    package var description: String { self.isPrefix ? "\(self.text)*" : self.text }

    fileprivate var text: String {
        switch self {
        case .exact(let text), .prefix(let text): text
        }
    }

    fileprivate var isPrefix: Bool {
        switch self {
        case .exact: false
        case .prefix: true
        }
    }

    fileprivate func matches(_ name: String) -> Bool {
        switch self {
        case .exact(let exact): exact == name
        case .prefix(let prefix): name.hasPrefix(prefix)
        }
    }
}
