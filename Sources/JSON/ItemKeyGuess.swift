// Finds a document's collection and what identifies its items, for a source whose configuration does not say.

/// A guess at the `items` and `key` of a source. The same document always gives the same guess.
package enum ItemKeyGuess {
    /// Containers looked into, from the outside in, and items looked at per collection.
    private static let depthLimit = 4
    private static let containerLimit = 200
    /// An object with fewer members than this is a record, not a collection.
    private static let keyedMinimum = 4
    /// Members of a record that are considered as its identity: to judge a name costs more than to compare one.
    private static let candidateLimit = 1024

    /// The rule for the largest collection in `document`; nil where nothing looks like one.
    ///
    /// An array of objects counts if some string or integer in them, at most two levels deep, tells all items apart:
    /// names such as `id` first, then any. Otherwise an object counts whose members are all objects with much the same
    /// names, or all numbers.
    package static func rule(for document: Document) -> ItemRule? {
        var best: (rule: ItemRule, count: Int)?
        self.forEachContainer(of: document) { value, pointer in
            if value.count > best?.count ?? 0, let rule = self.rule(for: value, at: pointer) {
                best = (rule, value.count)
            }
        }
        return best?.rule
    }

    /// The rules of all collections in `document`, the largest first, and of equal ones the outermost; 16 at most.
    package static func rules(for document: Document) -> [ItemRule] {
        var found: [(rule: ItemRule, count: Int)] = []
        self.forEachContainer(of: document) { value, pointer in
            guard found.count < self.ruleLimit, let rule = self.rule(for: value, at: pointer) else { return }
            found.append((rule, value.count))
        }
        return found.enumerated().sorted { ($1.element.count, $0.offset) < ($0.element.count, $1.offset) }
            .map(\.element.rule)
    }

    private static let ruleLimit = 16

    /// From the outside in, as far as the limits allow.
    private static func forEachContainer(of document: Document, _ body: (Value, Pointer) -> Void) {
        var pending: [(value: Value, pointer: Pointer)] = [(document.root, Pointer())]
        var position = 0
        while position < pending.count, position < self.containerLimit {
            let (value, pointer) = pending[position]
            position += 1
            body(value, pointer)
            guard value.kind == .object, pointer.tokens.count < self.depthLimit else { continue }
            for member in value.members where member.value.node.isContainer && pending.count < self.containerLimit {
                pending.append((member.value, pointer.appending(Pointer.Token(utf8: member.key.utf8 ?? []))))
            }
        }
    }

    private static func rule(for value: Value, at pointer: Pointer) -> ItemRule? {
        if value.kind == .array { return self.key(of: value).map { ItemRule(items: pointer, key: $0) } }
        return self.isKeyed(value) ? ItemRule(items: pointer, key: nil) : nil
    }

    /// What tells all elements of an array apart; nil where nothing does or one is no object.
    package static func key(of array: Value) -> Pointer? {
        guard let sample = array[0], sample.kind == .object else { return nil }
        let candidates = self.candidates(in: sample).sorted { ($0.order, $0.position) < ($1.order, $1.position) }
        return candidates.prefix(32).first { self.identifies($0.pointer, in: array) }?.pointer
    }

    private struct Candidate {
        var pointer: Pointer
        /// Less is more likely: by name, then by depth.
        var order: Int
        var position: Int
    }

    /// The strings and integers of a record, down to the objects inside the objects inside it.
    private static func candidates(in sample: Value) -> [Candidate] {
        var candidates: [Candidate] = []
        var pending: [(value: Value, pointer: Pointer)] = [(sample, Pointer())]
        var position = 0
        while position < pending.count, position < 64 {
            let (record, pointer) = pending[position]
            position += 1
            for member in record.members {
                guard candidates.count < self.candidateLimit else { return candidates }
                let name = member.key.utf8 ?? []
                let inner = pointer.appending(Pointer.Token(utf8: name))
                if member.value.kind == .object, pointer.tokens.count < 2 { pending.append((member.value, inner)) }
                guard member.value.kind == .string || member.value.int != nil else { continue }
                // The text of an XML element with attributes has its name one level further out.
                let telling = name.elementsEqual("#text".utf8) ? pointer.tokens.last?.utf8 ?? name : name
                let order = ItemKeyRank(telling).rawValue * 4 + pointer.tokens.count
                candidates.append(Candidate(pointer: inner, order: order, position: candidates.count))
            }
        }
        return candidates
    }

    /// Whether all elements have that value, all of one kind, no two of them equal.
    private static func identifies(_ pointer: Pointer, in array: Value) -> Bool {
        var seen: Set<UInt64> = []
        var kind: Value.Kind?
        for element in array.elements {
            guard let identity = element.value(at: pointer), identity.kind == kind ?? identity.kind,
                identity.kind == .string || identity.int != nil, seen.insert(identity.hash).inserted
            else { return false }
            kind = identity.kind
        }
        return true
    }

    /// Whether an object's member names are identities of alike values.
    private static func isKeyed(_ value: Value) -> Bool {
        guard value.kind == .object, value.count >= self.keyedMinimum,
            let sample = value.members.first(where: { _ in true })?.value
        else {
            return false
        }
        switch sample.kind {
        case .number:
            return value.members.allSatisfy { $0.value.kind == .number }
        case .object:
            let names = Set(sample.members.map(\.key.hash))
            return !names.isEmpty
                && value.members.allSatisfy { member in
                    member.value.kind == .object && member.value.members.contains { names.contains($0.key.hash) }
                }
        case .null, .false, .true, .string, .array:
            return false
        }
    }
}
