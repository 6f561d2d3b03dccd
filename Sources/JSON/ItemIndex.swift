// The items of one document with their identities, found by them.

/// The items of a collection, in the order of the document. A value; it keeps the document alive.
package struct ItemIndex: Sendable {
    struct Item: Sendable {
        /// Node indexes.
        var key: Int
        var value: Int
    }

    let storage: Storage
    /// An object keyed by identity.
    package let isKeyed: Bool
    let keyKind: Value.Kind?
    let items: [Item]
    private let table: HashTable

    /// - Returns: nil where the rule does not hold: no collection there or of another type, an item without identity, an
    ///   identity twice, or identities that are strings here and numbers there.
    package init?(of document: Document, _ rule: ItemRule) {
        guard let collection = document.value(at: rule.items) else { return nil }
        self.storage = document.storage
        var items: [Item] = []
        items.reserveCapacity(collection.count)
        switch (collection.kind, rule.key) {
        case (.object, nil):
            self.isKeyed = true
            for member in collection.members { items.append(Item(key: member.key.index, value: member.value.index)) }
        case (.array, let key?):
            self.isKeyed = false
            for item in collection.elements {
                guard let identity = item.value(at: key), identity.kind == .string || identity.kind == .number else {
                    return nil
                }
                items.append(Item(key: identity.index, value: item.index))
            }
        default:
            return nil
        }
        let nodes = document.storage.nodes
        let keyKind = items.first.map { nodes[$0.key].kind }
        for item in items where nodes[item.key].kind != keyKind { return nil }
        self.keyKind = keyKind
        self.items = items
        self.table = HashTable(items.map { nodes[$0.key].hash })
        guard self.table.isUnique else { return nil }
    }

    package var count: Int { self.items.count }

    /// The identity of the item at a position.
    package func key(_ position: Int) -> Value { Value(storage: self.storage, index: self.items[position].key) }

    /// The item at a position.
    package func item(_ position: Int) -> Value { Value(storage: self.storage, index: self.items[position].value) }

    /// Where the item of this identity stands.
    package func position(of identity: ScalarText) -> Int? {
        for hash in identity.hashes {
            if let position = self.table.first(hash), identity.matches(self.key(position)) { return position }
        }
        return nil
    }

    /// The item of the same identity as one of another collection.
    private func find(_ key: Int, of other: ItemIndex) -> Int? {
        guard let match = self.table.first(other.storage.nodes[key].hash),
            self.storage.isEqual(self.items[match].key, in: other.storage, key)
        else { return nil }
        return match
    }

    /// What happened to the items from this document to another; nil where their identities are of different types.
    package func difference(to new: ItemIndex) -> ItemDifference? {
        guard self.isKeyed == new.isKeyed,
            self.items.isEmpty || new.items.isEmpty || self.keyKind == new.keyKind
        else { return nil }
        var difference = ItemDifference()
        var isKept = [Bool](repeating: false, count: self.items.count)
        for (position, item) in new.items.enumerated() {
            guard let match = self.find(item.key, of: new) else {
                difference.created.append(position)
                continue
            }
            isKept[match] = true
            if self.storage.nodes[self.items[match].value].hash != new.storage.nodes[item.value].hash {
                difference.updated.append((match, position))
            }
        }
        difference.deleted = self.items.indices.filter { !isKept[$0] }
        return difference
    }

    /// Appends an item as item events have it: whole, or of an object keyed by identity as `{"key":…,"value":…}`.
    package func append(_ position: Int, to text: inout [UInt8]) {
        let item = self.items[position]
        guard self.isKeyed else {
            text.append(contentsOf: self.storage.sourceText(item.value))
            return
        }
        text.append(contentsOf: #"{"key":"#.utf8)
        text.append(contentsOf: self.storage.sourceText(item.key))
        text.append(contentsOf: #","value":"#.utf8)
        text.append(contentsOf: self.storage.sourceText(item.value))
        text.append(UInt8(ascii: "}"))
    }
}

/// Positions of items that came, changed and went.
package struct ItemDifference: Sendable {
    /// In the new document.
    package internal(set) var created: [Int] = []
    /// In both.
    package internal(set) var updated: [(old: Int, new: Int)] = []
    /// In the old document.
    package internal(set) var deleted: [Int] = []

    package var isEmpty: Bool { self.created.isEmpty && self.updated.isEmpty && self.deleted.isEmpty }
}
