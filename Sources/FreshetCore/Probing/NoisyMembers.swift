// Members that change with every poll, found in a few values of one source: time stamps and the like make each poll an event.

package import JSON

/// A member that changed between all values that were compared.
package struct NoisyMember: Hashable, Sendable {
    /// Where it stands; `*` for any item of a collection.
    package var pattern: PointerPattern
    /// It says when or how the answer was made, so that nothing is lost where it is ignored. Otherwise it may be what the
    /// source is about.
    package var isNoise: Bool

    package init(pattern: PointerPattern, isNoise: Bool) {
        self.pattern = pattern
        self.isNoise = isNoise
    }
}

extension NoisyMember {
    /// Values that must differ, one from the next, before anything is said.
    static let minDocuments = 3
    /// Values of one document that are looked at.
    private static let maxValues = 200_000
    /// Places that are distinguished.
    private static let maxPlaces = 2_000
    /// The most members that are named.
    private static let maxNamed = 8
    /// Share of the items in which a member must have changed.
    private static let share = 0.9

    /// Scalars of one place in two successive values.
    private struct Place {
        var total = 0
        var changed = 0
        var old: Value
        var new: Value
    }

    /// Finds the members that changed in every step from one document to the next.
    ///
    /// - Parameters:
    ///   - documents: Successive values, the oldest first; fewer than three tell nothing.
    ///   - items: The collection, whose items are compared by their identity.
    ///   - times: When each document was received.
    /// - Returns: The members in the order of their places, eight at most.
    package static func find(in documents: [Document], items: ItemRule?, times: [WallTime]) -> [NoisyMember] {
        guard documents.count >= Self.minDocuments else { return [] }
        var candidates: [[Pointer.Token]: Bool]?
        for (number, (old, new)) in zip(documents, documents.dropFirst()).enumerated() {
            guard old.hash != new.hash else { return [] }
            var step = Step(items: items?.items, key: items?.key)
            step.compare(old.root, new.root, [])
            let time = number + 1 < times.count ? times[number + 1] : nil
            let changed = step.places.filter { Double($0.value.changed) >= Self.share * Double($0.value.total) }
            var found: [[Pointer.Token]: Bool] = [:]
            for (path, place) in changed {
                guard candidates.map({ $0[path] != nil }) ?? true else { continue }
                let isNoise = NoiseSign.isNoise(path, from: place.old, to: place.new, at: time)
                found[path] = (candidates?[path] ?? true) && isNoise
            }
            candidates = found
        }
        let members = (candidates ?? [:]).compactMap { path, isNoise in
            PointerPattern(Pointer(tokens: path).description).map { NoisyMember(pattern: $0, isNoise: isNoise) }
        }
        return Array(members.sorted { $0.pattern.description < $1.pattern.description }.prefix(Self.maxNamed))
    }

    /// The comparison of two values.
    private struct Step {
        let items: Pointer?
        let key: Pointer?
        var places: [[Pointer.Token]: Place] = [:]
        private var budget = NoisyMember.maxValues

        init(items: Pointer?, key: Pointer?) {
            self.items = items
            self.key = key
        }

        /// Recursive as far as the document is deep, which the parser bounds.
        mutating func compare(_ old: Value, _ new: Value, _ path: [Pointer.Token]) {
            guard self.budget > 0 else { return }
            self.budget -= 1
            switch (old.kind, new.kind) {
            case (.object, .object) where self.isCollection(path) && self.key == nil:
                self.compareMembers(old, new, path, as: NoisyMember.any)
            case (.object, .object): self.compareMembers(old, new, path, as: nil)
            case (.array, .array) where self.isCollection(path) && self.key != nil: self.compareItems(old, new, path)
            case (.array, .array) where old.count == new.count:
                for (old, new) in zip(old.elements, new.elements) where old.hash != new.hash {
                    self.compare(old, new, path + [NoisyMember.any])
                }
            case (.string, .string), (.number, .number): self.take(old, new, path)
            default: break
            }
        }

        private func isCollection(_ path: [Pointer.Token]) -> Bool { self.items?.tokens == path }

        private mutating func compareMembers(
            _ old: Value,
            _ new: Value,
            _ path: [Pointer.Token],
            as token: Pointer.Token?
        ) {
            // By hash, since the members' order is free and a lookup by name is linear.
            let before = Dictionary(
                old.members.lazy.map { ($0.key.hash, $0.value) },
                uniquingKeysWith: { _, last in last }
            )
            for member in new.members {
                guard let earlier = before[member.key.hash] else { continue }
                self.compare(earlier, member.value, path + [token ?? Pointer.Token(utf8: member.key.utf8 ?? [])])
            }
        }

        private mutating func compareItems(_ old: Value, _ new: Value, _ path: [Pointer.Token]) {
            guard let key = self.key else { return }
            let before = Dictionary(
                old.elements.lazy.compactMap { item in item.value(at: key).map { ($0.hash, item) } },
                uniquingKeysWith: { _, last in last }
            )
            for item in new.elements {
                guard let identity = item.value(at: key), let earlier = before[identity.hash] else { continue }
                self.compare(earlier, item, path + [NoisyMember.any])
            }
        }

        private mutating func take(_ old: Value, _ new: Value, _ path: [Pointer.Token]) {
            let isChanged = old.hash != new.hash
            guard var place = self.places[path] else {
                guard self.places.count < NoisyMember.maxPlaces, !path.isEmpty else { return }
                self.places[path] = Place(total: 1, changed: isChanged ? 1 : 0, old: old, new: new)
                return
            }
            if isChanged, place.changed == 0 { (place.old, place.new) = (old, new) }
            place.total += 1
            place.changed += isChanged ? 1 : 0
            self.places[path] = place
        }
    }

    private static let any = Pointer.Token("*")
}
