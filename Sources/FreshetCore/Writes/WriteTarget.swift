// Where in a source's value an item stands, and the value with an item put in, replaced or taken out.

package import JSON

/// The item of a key in a collection.
package enum ItemSearch: Sendable {
    case found(Value, at: Pointer)
    case missing
    /// Two items have the key.
    case ambiguous
    /// The value has no collection where the rule says, or its items have no identity there.
    case noCollection
}

extension Document {
    /// The item with this key: a string, or the digits of an integer.
    package func item(_ key: String, in rule: ItemRule) -> ItemSearch {
        guard let collection = self.value(at: rule.items) else { return .noCollection }
        switch (collection.kind, rule.key) {
        case (.object, nil):
            guard let item = collection[utf8: Array(key.utf8)] else { return .missing }
            return .found(item, at: rule.items.appending(key))
        case (.array, let identity?):
            var search = ItemSearch.missing
            for (position, item) in collection.elements.enumerated() {
                guard let found = item.value(at: identity), found.isKey(key) else { continue }
                guard case .missing = search else { return .ambiguous }
                search = .found(item, at: rule.items.appending("\(position)"))
            }
            return search
        default:
            return .noCollection
        }
    }
}

extension Value {
    /// Whether this is the identity that the path of an item names so.
    package func isKey(_ key: String) -> Bool {
        switch self.kind {
        case .string: self.utf8 == Array(key.utf8)
        case .number: self.keyText.elementsEqual(key.utf8)
        default: false
        }
    }

    /// The identity as the path of an item has it; `nil` for what is none.
    package var key: String? {
        switch self.kind {
        case .string: self.utf8.map { String(decoding: $0, as: UTF8.self) }
        case .number: String(decoding: self.keyText, as: UTF8.self)
        default: nil
        }
    }

    /// Of a number: an integer is its digits, however it is written.
    private var keyText: [UInt8] { self.int.map { Array("\($0)".utf8) } ?? Array(self.text) }
}

/// What a write changes in the value of its source.
package enum WriteEdit: Hashable, Sendable {
    /// The whole value is this text.
    case value([UInt8])
    /// The item of this key is this text, new or not.
    case item(String, [UInt8])
    /// There is a new item of this key. One that is there already came by a poll, which cannot be older.
    case creation(String, [UInt8])
    /// There is no item of this key any more.
    case removal(String)

    /// The value after the edit; `nil` where it does not fit: there is no collection, or more than one item of the key.
    package func applied(to document: Document?, rule: ItemRule?, limits: ParseLimits) -> Document? {
        if case .value(let text) = self { return try? Document(parsing: text, limits: limits) }
        guard let document, let rule else { return nil }
        switch (self, self.search(document, rule)) {
        case (.value, _), (_, .ambiguous), (_, .noCollection): return nil
        case (.removal, .missing): return document
        case (.removal, .found(_, let pointer)): return document.edited("remove", at: pointer, nil, limits)
        case (.item(_, let text), .found(_, let pointer)):
            return document.edited("replace", at: pointer, text, limits)
        case (.creation, .found): return document
        case (.item(let key, let text), .missing), (.creation(let key, let text), .missing):
            let place = rule.key == nil ? rule.items.appending(key) : rule.items.appending("-")
            return document.edited("add", at: place, text, limits)
        }
    }

    private func search(_ document: Document, _ rule: ItemRule) -> ItemSearch {
        switch self {
        case .value: .noCollection
        case .item(let key, _), .creation(let key, _), .removal(let key): document.item(key, in: rule)
        }
    }
}

extension Document {
    fileprivate func edited(_ operation: String, at pointer: Pointer, _ value: [UInt8]?, _ limits: ParseLimits)
        -> Document?
    {
        var json = JSONWriter()
        json.array { json in
            json.object { json in
                json.member("op", operation)
                json.member("path", pointer.description)
                if let value { json.member("value", raw: value) }
            }
        }
        guard let patch = try? Document(parsing: json.text, limits: .widest) else { return nil }
        return try? self.applying(patch: patch, limits: limits)
    }
}
