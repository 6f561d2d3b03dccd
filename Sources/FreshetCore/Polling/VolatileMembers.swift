// Members that change with every poll, such as the time at which an answer was made: they turn each poll into an event
// and are worth a word to the source's owner (FAULTS F39f).

import JSON

/// Looks for strings and numbers that no poll has left as they were. Costs nothing for a source that is ever unchanged.
struct VolatileMembers: Sendable {
    /// Where such members stand, once there were changes enough to say so.
    private(set) var found: [Pointer] = []
    private var changesInARow = 0
    private var candidates: [Candidate] = []

    /// A member that may change with every poll.
    private struct Candidate {
        var pointer: Pointer
        /// The hashes of the names on the way, as this process makes them.
        var names: [UInt64]
    }

    /// Changes in a row before anybody looks, and before anything is said.
    private static let looksAfter = 5
    private static let saysAfter = 12
    /// Objects inside objects that are looked into, and members looked at.
    private static let maxDepth = 3
    private static let maxMembers = 256
    /// Members of an object among which a candidate is searched: one that moved further back is no candidate any more.
    private static let maxSearched = 512
    /// The most members that are named.
    private static let maxNamed = 5

    mutating func nothingChanged() {
        guard self.changesInARow > 0 else { return }
        self = VolatileMembers()
    }

    mutating func valueReplaced(_ old: Document, by new: Document) {
        self.changesInARow = min(self.changesInARow + 1, 1_000_000)
        guard self.changesInARow >= Self.looksAfter, self.changesInARow <= Self.saysAfter else { return }
        self.candidates =
            self.changesInARow == Self.looksAfter
            ? Self.scalars(of: new).filter { Self.differs($0, old, new) }
            : self.candidates.filter { Self.differs($0, old, new) }
        guard self.changesInARow == Self.saysAfter else { return }
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
            var members = value.members
            var searched = 0
            var found: Value?
            while found == nil, searched < self.maxSearched, let member = members.next() {
                searched += 1
                if member.key.hash == name { found = member.value }
            }
            guard let found else { return nil }
            value = found
        }
        return value
    }

    private static func scalars(of document: Document) -> [Candidate] {
        var scalars: [Candidate] = []
        var pending: [(value: Value, way: Candidate)] = [(document.root, Candidate(pointer: Pointer(), names: []))]
        var seen = 0
        while let (value, way) = pending.popLast() {
            for member in value.members {
                seen += 1
                guard seen <= Self.maxMembers else { return scalars }
                let inner = Candidate(
                    pointer: way.pointer.appending(Pointer.Token(utf8: member.key.utf8 ?? [])),
                    names: way.names + [member.key.hash]
                )
                switch member.value.kind {
                case .string, .number: scalars.append(inner)
                case .object where inner.names.count < Self.maxDepth: pending.append((member.value, inner))
                case .object, .array, .null, .true, .false: break
                }
            }
        }
        return scalars
    }
}
