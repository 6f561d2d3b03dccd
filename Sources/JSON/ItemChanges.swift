// What happened to the items of a collection, for streams in the mode `items`.

/// The items that came, changed and went, as one JSON object:
/// `{"created":[…],"updated":[…],"deleted":[…]}`.
///
/// Of an array, `created` and `updated` hold whole new items; of an object keyed by identity, `{"key":…,"value":…}`.
/// `deleted` holds identities, as the old document wrote them. Created and updated items come in the new document's
/// order, deleted ones in the old one's.
package struct ItemChanges: Hashable, Sendable {
    package let text: [UInt8]
    package let createdCount: Int
    package let updatedCount: Int
    package let deletedCount: Int

    /// What ``text`` is where nothing happened to the items.
    package static let emptyText = Array(#"{"created":[],"updated":[],"deleted":[]}"#.utf8)

    /// Nothing happened to the items; their order and what surrounds them may still have changed.
    package var isEmpty: Bool { self.createdCount == 0 && self.updatedCount == 0 && self.deletedCount == 0 }
}

extension Document {
    /// What happened to the items from this document to `new`.
    ///
    /// - Returns: nil where the rule does not hold in either document, and only the whole value can be sent: no
    ///   collection there or of another type, an item without identity, an identity twice, or identities that are
    ///   strings here and numbers there.
    package func itemChanges(to new: Document, items: ItemRule) -> ItemChanges? {
        guard let old = Collection(of: self, items), let new = Collection(of: new, items),
            old.isKeyed == new.isKeyed, old.items.isEmpty || new.items.isEmpty || old.keyKind == new.keyKind
        else { return nil }
        return old.changes(to: new)
    }
}

/// The items of one document with their identities.
private struct Collection {
    let storage: Storage
    /// An object keyed by identity.
    let isKeyed: Bool
    private(set) var keyKind: Value.Kind?
    /// Node indexes.
    private(set) var items: [(key: Int, value: Int)] = []
    private let table: HashTable

    init?(of document: Document, _ rule: ItemRule) {
        guard let collection = document.value(at: rule.items) else { return nil }
        self.storage = document.storage
        switch (collection.kind, rule.key) {
        case (.object, nil):
            self.isKeyed = true
            for member in collection.members { self.items.append((member.key.index, member.value.index)) }
        case (.array, let key?):
            self.isKeyed = false
            for item in collection.elements {
                guard let identity = item.value(at: key), identity.kind == .string || identity.kind == .number else {
                    return nil
                }
                self.items.append((identity.index, item.index))
            }
        default:
            return nil
        }
        let nodes = self.storage.nodes
        self.keyKind = self.items.first.map { nodes[$0.key].kind }
        for item in self.items where nodes[item.key].kind != self.keyKind { return nil }
        self.table = HashTable(self.items.map { nodes[$0.key].hash })
        guard self.table.isUnique else { return nil }
    }

    /// The item of the same identity as one of another collection.
    private func find(_ key: Int, of other: Collection) -> Int? {
        guard let match = self.table.first(other.storage.nodes[key].hash),
            self.storage.isEqual(self.items[match].key, in: other.storage, key)
        else { return nil }
        return match
    }

    func changes(to new: Collection) -> ItemChanges {
        var created: [Int] = []
        var updated: [Int] = []
        var isKept = [Bool](repeating: false, count: self.items.count)
        for (position, item) in new.items.enumerated() {
            guard let match = self.find(item.key, of: new) else {
                created.append(position)
                continue
            }
            isKept[match] = true
            if self.storage.nodes[self.items[match].value].hash != new.storage.nodes[item.value].hash {
                updated.append(position)
            }
        }
        let deleted = self.items.indices.filter { !isKept[$0] }
        var writer = JSONWriter()
        writer.object { writer in
            writer.name("created")
            writer.array { writer in for position in created { new.write(position, to: &writer) } }
            writer.name("updated")
            writer.array { writer in for position in updated { new.write(position, to: &writer) } }
            writer.name("deleted")
            writer.array { writer in
                for position in deleted { writer.raw(self.storage.sourceText(self.items[position].key)) }
            }
        }
        return ItemChanges(
            text: writer.text,
            createdCount: created.count,
            updatedCount: updated.count,
            deletedCount: deleted.count
        )
    }

    private func write(_ position: Int, to writer: inout JSONWriter) {
        let item = self.items[position]
        guard self.isKeyed else {
            writer.raw(self.storage.sourceText(item.value))
            return
        }
        writer.object { writer in
            writer.name("key")
            writer.raw(self.storage.sourceText(item.key))
            writer.name("value")
            writer.raw(self.storage.sourceText(item.value))
        }
    }
}
