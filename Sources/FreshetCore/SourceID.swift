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

/// The sources that a request path names: `rates`, `rates,stations`, `bike-*`, `*`, `user/42`.
package struct SourceSelector: Hashable, Sendable {
    /// One part of the comma-separated list.
    package enum Term: Hashable, Sendable {
        case exact(String)
        /// Every source whose name begins so; the empty prefix is every source. In a path no instance is among them, in a
        /// grant its instances are.
        case prefix(String)
    }

    package var terms: [Term]

    /// Whether a source of this name is among those that are named.
    package func matches(_ name: String) -> Bool {
        self.terms.contains { $0.matches(name) }
    }

    /// The most terms that one request may name.
    package static let maxTerms = 1000

    /// The instances that are named.
    package var instances: [InstanceName] {
        self.terms.compactMap { term in
            guard case .exact(let name) = term, InstanceName.isInstance(name) else { return nil }
            return InstanceName(name)
        }
    }

    package init(_ terms: [Term]) {
        self.terms = terms
    }

    /// `nil` where a term is neither a name, nor a name's beginning followed by `*`, or where there are too many.
    package init?(_ text: some StringProtocol) {
        let parts = text.split(separator: ",", maxSplits: Self.maxTerms, omittingEmptySubsequences: false)
        guard parts.count <= Self.maxTerms else { return nil }
        self.terms = []
        for part in parts {
            if part.hasSuffix("*") {
                let prefix = part.dropLast()
                guard prefix.isEmpty || Self.isPrefix(prefix) else { return nil }
                self.terms.append(.prefix(String(prefix)))
            } else if InstanceName.isInstance(part) {
                guard let name = InstanceName(part) else { return nil }
                self.terms.append(.exact(name.text))
            } else {
                guard SourceName.isValid(part) else { return nil }
                self.terms.append(.exact(String(part)))
            }
        }
    }

    /// Whether a name can begin so, of an instance too.
    private static func isPrefix(_ text: some StringProtocol) -> Bool {
        let template = text.prefix { $0 != "/" }
        return SourceName.isValid(template) && text.utf8.count <= InstanceName.maxBytes
            && text.utf8.dropFirst(template.utf8.count).allSatisfy { byte in
                PercentEncoding.isUnreserved(byte) || "/%".utf8.contains(byte)
            }
    }
}

/// A selector in the one form that all selectors of the same names have: sorted, each term once, and no term that
/// another one covers. `a,a,b` and `b,a` are equal, and `a*,ab,ab*` is `a*` (A08).
///
/// Instances of templates stand beside the other terms. What names sources (a path) names an instance by its own name
/// alone, and what grants them grants the instances of a template with its name.
package struct SourcePattern: Hashable, Sendable {
    /// Ascending by their text, without ``instances``.
    private let others: [SourceSelector.Term]
    /// The names of instances, ascending.
    package let instances: [String]

    /// Ascending by their text, instances last.
    package var terms: [SourceSelector.Term] { self.others + self.instances.map { .exact($0) } }

    /// No source.
    package static let none = SourcePattern([])
    /// Every source.
    package static let all = SourcePattern([.prefix("")])

    package init(_ selector: SourceSelector) {
        self.init(selector.terms)
    }

    package init(_ terms: [SourceSelector.Term]) {
        var instances: Set<String> = []
        for case .exact(let name) in terms where InstanceName.isInstance(name) { instances.insert(name) }
        self.instances = instances.sorted()
        let sorted = terms.filter { !$0.isInstance }.sorted { left, right in
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
        self.others = kept
    }

    private init(_ pattern: SourcePattern, instances: [String]) {
        self.others = pattern.others
        self.instances = instances
    }

    /// Whether it names every source.
    package var isAll: Bool { self.others == Self.all.others }

    /// What of it a grant covers: of instances those that it names.
    package func intersection(_ grant: SourcePattern) -> SourcePattern {
        let instances = self.instances.filter(grant.matches)
        guard !grant.isAll else { return self }
        guard !self.isAll else { return SourcePattern(grant, instances: instances) }
        // A term of the one that the other covers as a whole stays; where two overlap at all, one covers the other.
        let terms = self.others.filter(grant.covers) + grant.others.filter(self.covers)
        return SourcePattern(SourcePattern(terms), instances: instances)
    }

    /// The same without some of its instances.
    package func filteringInstances(_ isKept: (String) -> Bool) -> SourcePattern {
        SourcePattern(self, instances: self.instances.filter(isKept))
    }

    /// Whether it names every source that the term names.
    package func covers(_ term: SourceSelector.Term) -> Bool {
        if case .exact(let name) = term, InstanceName.isInstance(name) { return self.matches(name) }
        guard let candidate = self.last(notAfter: term.text) else { return false }
        // A name covers no more than itself; of a name and a prefix with equal text, the prefix is kept alone.
        return candidate == term || candidate.isPrefix && term.text.hasPrefix(candidate.text)
    }

    /// Whether a stream that this names has the source of this name: of instances those that are named themselves.
    package func names(_ name: String) -> Bool {
        InstanceName.isInstance(name) ? self.instances.contains(name) : self.matches(name)
    }

    /// Whether a source of this name is among those that are granted: an instance with its template's name as well, or by a
    /// prefix.
    package func matches(_ name: String) -> Bool {
        if self.last(notAfter: name)?.matches(name) ?? false { return true }
        guard InstanceName.isInstance(name) else { return false }
        let template = String(InstanceName.template(of: name))
        return self.instances.contains(name) || self.last(notAfter: template)?.matches(template) ?? false
    }

    /// The only term that can cover what begins with this text.
    private func last(notAfter text: String) -> SourceSelector.Term? {
        var range = 0..<self.others.count
        while !range.isEmpty {
            let middle = range.lowerBound + range.count / 2
            if self.others[middle].text <= text {
                range = (middle + 1)..<range.upperBound
            } else {
                range = range.lowerBound..<middle
            }
        }
        return range.lowerBound > 0 ? self.others[range.lowerBound - 1] : nil
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

    fileprivate var isInstance: Bool { !self.isPrefix && InstanceName.isInstance(self.text) }

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
