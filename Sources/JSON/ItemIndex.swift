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
        self.init(of: document, rule, like: nil)
    }

    /// The same, faster where another document's items have the same identities in the same order.
    init?(of document: Document, _ rule: ItemRule, like other: ItemIndex?) {
        guard let collection = document.value(at: rule.items) else { return nil }
        self.storage = document.storage
        let nodes = document.storage.nodes
        var items: [Item] = []
        items.reserveCapacity(collection.count)
        let end = collection.node.end
        switch (collection.kind, rule.key) {
        case (.object, nil):
            self.isKeyed = true
            var name = collection.index + 1
            while name < end {
                items.append(Item(key: name, value: name + 1))
                name = nodes[name + 1].end
            }
        case (.array, let key?):
            self.isKeyed = false
            let way = IdentityWay(key)
            let isComplete = document.withView { view in
                var item = collection.index + 1
                while item < end {
                    guard let identity = way.find(item, in: document.storage, view) else { return false }
                    items.append(Item(key: identity, value: item))
                    item = nodes[item].end
                }
                return true
            }
            guard isComplete == true else { return nil }
        default:
            return nil
        }
        let keyKind = items.first.map { nodes[$0.key].kind }
        for item in items where nodes[item.key].kind != keyKind { return nil }
        self.keyKind = keyKind
        self.items = items
        if let other, other.hasHashes(of: items, in: nodes) {
            self.table = other.table
        } else {
            self.table = HashTable(items.map { nodes[$0.key].hash })
        }
        guard self.table.isUnique else { return nil }
    }

    private func hasHashes(of items: [Item], in nodes: UnsafePointer<Node>) -> Bool {
        guard items.count == self.items.count else { return false }
        for (item, own) in zip(items, self.items) where nodes[item.key].hash != self.storage.nodes[own.key].hash {
            return false
        }
        return true
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

    /// The item of the same identity as one of another collection, which most likely stands at the same position.
    private func find(_ key: Int, of other: ItemIndex, near position: Int) -> Int? {
        if position < self.items.count,
            self.storage.nodes[self.items[position].key].hash == other.storage.nodes[key].hash,
            self.storage.isEqual(self.items[position].key, in: other.storage, key)
        {
            return position
        }
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
            guard let match = self.find(item.key, of: new, near: position) else {
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

    /// The length of what ``append(_:to:)`` appends.
    func byteCount(_ position: Int) -> Int {
        let item = self.items[position]
        let value = self.storage.nodes[item.value].byteCount
        return self.isKeyed ? value + self.storage.nodes[item.key].byteCount + #"{"key":,"value":}"#.utf8.count : value
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

/// The way to an item's identity inside an item, with the hashes of the names.
private struct IdentityWay {
    fileprivate struct Step {
        let name: [UInt8]
        let hash: UInt64
        /// Of an element, where the token is one.
        let position: Int?
    }

    private let steps: [Step]

    init(_ key: Pointer) {
        self.steps = key.tokens.map { token in
            Step(name: token.utf8, hash: documentHash(ofName: token.utf8), position: token.arrayIndex)
        }
    }

    /// The place of the identity, a string or a number, of the item at a place; nil if absent.
    func find(_ item: Int, in storage: Storage, _ view: DocumentView) -> Int? {
        let nodes = storage.nodes
        var index = item
        for step in self.steps {
            let end = nodes[index].end
            var child = index + 1
            switch nodes[index].kind {
            case .object:
                while child < end, nodes[child].hash != step.hash || !step.isName(child, in: storage, view) {
                    child = nodes[child + 1].end
                }
                guard child < end else { return nil }
                index = child + 1
            case .array:
                guard let position = step.position, position < nodes[index].count else { return nil }
                for _ in 0..<position { child = nodes[child].end }
                index = child
            case .null, .false, .true, .number, .string:
                return nil
            }
        }
        return nodes[index].kind == .string || nodes[index].kind == .number ? index : nil
    }
}

extension IdentityWay.Step {
    /// Whether the name at a place is this one.
    fileprivate func isName(_ place: Int, in storage: Storage, _ view: DocumentView) -> Bool {
        guard !view.isEscaped(place) else { return storage.unescaped(place) == self.name }
        return self.name.withUnsafeBufferPointer { name in
            guard let base = name.baseAddress else { return view.content(place).isEmpty }
            return view.hasContent(place, base, count: name.count)
        }
    }
}
