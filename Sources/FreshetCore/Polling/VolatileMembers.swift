// Members that change with every poll, such as the time at which an answer was made: they turn each poll into an event
// and are worth a word to the source's owner (FAULTS F39f).

import JSON

/// Looks for strings and numbers that no poll has left as they were. Costs nothing for a source that is ever unchanged.
struct VolatileMembers: Sendable {
    /// Where such members stand, once there were changes enough to say so.
    private(set) var found: [Pointer] = []
    private var changesInARow = 0
    private var candidates: [Pointer] = []

    /// Changes in a row before anybody looks, and before anything is said.
    private static let looksAfter = 5
    private static let saysAfter = 12
    /// Objects inside objects that are looked into, and members looked at.
    private static let maxDepth = 3
    private static let maxMembers = 256
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
        if self.changesInARow == Self.saysAfter { self.found = Array(self.candidates.prefix(Self.maxNamed)) }
    }

    private static func differs(_ pointer: Pointer, _ old: Document, _ new: Document) -> Bool {
        guard let before = old.value(at: pointer), let after = new.value(at: pointer) else { return false }
        return before.hash != after.hash
    }

    private static func scalars(of document: Document) -> [Pointer] {
        var pointers: [Pointer] = []
        var pending: [(value: Value, pointer: Pointer)] = [(document.root, Pointer())]
        var seen = 0
        while let (value, pointer) = pending.popLast() {
            for member in value.members {
                seen += 1
                guard seen <= Self.maxMembers else { return pointers }
                let inner = pointer.appending(Pointer.Token(utf8: member.key.utf8 ?? []))
                switch member.value.kind {
                case .string, .number: pointers.append(inner)
                case .object where inner.tokens.count < Self.maxDepth: pending.append((member.value, inner))
                case .object, .array, .null, .true, .false: break
                }
            }
        }
        return pointers
    }
}
