// Members that change with every poll, such as the time at which an answer was made: they turn each poll into an event
// and are worth a word to the source's owner (FAULTS F39f).

import JSON

/// Looks for strings and numbers that no poll has left as they were. Costs nothing for a source that is ever unchanged.
struct VolatileMembers: Sendable {
    /// Where such members stand, once there were changes enough to say so.
    private(set) var found: [Pointer] = []
    /// At most a million.
    private(set) var changesInARow = 0
    private var candidates: [Candidate] = []

    /// A member that may change with every poll.
    private struct Candidate {
        var pointer: Pointer
        /// The hashes of the names on the way, as this process makes them; nil for the first element of an array.
        var names: [UInt64?]
    }

    /// Changes in a row before anybody looks, and before anything is said.
    private let looksAfter: Int
    private let saysAfter: Int
    /// Look into the first element of an array, too.
    private let looksIntoArrays: Bool
    private let ignore: [PointerPattern]

    /// Objects inside objects that are looked into, and members looked at.
    private static let maxDepth = 3
    private static let maxMembers = 256
    /// Members of an object among which a candidate is searched: one that moved further back is no candidate any more.
    private static let maxSearched = 512
    /// The most members that are named.
    private static let maxNamed = 5

    /// - Parameters:
    ///   - looksAfter: Changes in a row before members are compared, at least 1.
    ///   - saysAfter: Changes in a row before ``found`` is filled, at least `looksAfter`.
    ///   - looksIntoArrays: Whether the first element of an array stands for all.
    ///   - ignore: What is not looked at.
    init(
        looksAfter: Int = 5,
        saysAfter: Int = 12,
        looksIntoArrays: Bool = false,
        ignore: [PointerPattern] = []
    ) {
        self.looksAfter = looksAfter
        self.saysAfter = saysAfter
        self.looksIntoArrays = looksIntoArrays
        self.ignore = ignore
    }

    mutating func nothingChanged() {
        guard self.changesInARow > 0 else { return }
        self.found = []
        self.changesInARow = 0
        self.candidates = []
    }

    mutating func valueReplaced(_ old: Document, by new: Document) {
        self.changesInARow = min(self.changesInARow + 1, 1_000_000)
        guard self.changesInARow >= self.looksAfter, self.changesInARow <= self.saysAfter else { return }
        self.candidates =
            self.changesInARow == self.looksAfter
            ? self.scalars(of: new).filter { Self.differs($0, old, new) }
            : self.candidates.filter { Self.differs($0, old, new) }
        guard self.changesInARow == self.saysAfter else { return }
        self.found = self.candidates.prefix(Self.maxNamed).map(\.pointer)
        self.candidates = []
    }

    private static func differs(_ candidate: Candidate, _ old: Document, _ new: Document) -> Bool {
        guard let before = self.find(candidate, in: old), let after = self.find(candidate, in: new) else {
            return false
        }
        return before.hash != after.hash
    }

    private static func find(_ candidate: Candidate, in document: Document) -> Value? {
        var value = document.root
        for name in candidate.names {
            guard let inner = name.map({ self.member($0, of: value) }) ?? value[0] else { return nil }
            value = inner
        }
        return value
    }

    private static func member(_ name: UInt64, of value: Value) -> Value? {
        var members = value.members
        var searched = 0
        while searched < self.maxSearched, let member = members.next() {
            searched += 1
            if member.key.hash == name { return member.value }
        }
        return nil
    }

    private func scalars(of document: Document) -> [Candidate] {
        var scalars: [Candidate] = []
        var pending: [(value: Value, way: Candidate)] = [(document.root, Candidate(pointer: Pointer(), names: []))]
        var seen = 0
        while let (value, way) = pending.popLast() {
            for (token, name, value) in self.inside(value) {
                seen += 1
                guard seen <= Self.maxMembers else { return scalars }
                let inner = Candidate(pointer: way.pointer.appending(token), names: way.names + [name])
                guard !self.isIgnored(inner.pointer) else { continue }
                switch value.kind {
                case .string, .number: scalars.append(inner)
                case .object where inner.names.count < Self.maxDepth: pending.append((value, inner))
                case .array where self.looksIntoArrays && inner.names.count < Self.maxDepth:
                    pending.append((value, inner))
                case .object, .array, .null, .true, .false: break
                }
            }
        }
        return scalars
    }

    /// The members of an object, or the first element of an array where those are looked into.
    private func inside(_ value: Value) -> [(token: Pointer.Token, name: UInt64?, value: Value)] {
        if self.looksIntoArrays, value.kind == .array, let first = value[0] {
            return [(Pointer.Token(utf8: Array("0".utf8)), nil, first)]
        }
        return value.members.prefix(Self.maxMembers + 1).map {
            (Pointer.Token(utf8: $0.key.utf8 ?? []), $0.key.hash, $0.value)
        }
    }

    private func isIgnored(_ pointer: Pointer) -> Bool {
        self.ignore.contains { $0.matches(pointer) }
    }
}
