// A part of a source's value that a reader asks for (CONTRACT §4: `pointer`, `item`, `where`).

package import JSON

/// What of a source's value a reader gets. Readers of equal views share the work and the bytes.
package enum View: Hashable, Sendable {
    /// All of it.
    case whole
    /// What stands at a pointer, as a value of its own; `null` where nothing does.
    case pointer(Pointer)
    /// The items of these identities, ascending, each once. They stand in that order, in the place of the collection, and
    /// nothing else of the value does.
    case items([ScalarText])
    /// The items that a filter matches, in the place of the collection.
    case filter(ItemFilter)

    package var isWhole: Bool { self == .whole }

    /// Whether it needs to know what tells the items of a source apart.
    package var needsItems: Bool {
        switch self {
        case .whole, .pointer: false
        case .items, .filter: true
        }
    }
}

/// Which items are followed: those with this value at this place.
package struct ItemFilter: Hashable, Sendable {
    /// Inside the item.
    package var member: Pointer
    package var value: ScalarText

    package init(member: Pointer, value: ScalarText) {
        self.member = member
        self.value = value
    }

    package func matches(_ item: Value) -> Bool {
        item.value(at: self.member).map(self.value.matches) ?? false
    }
}

extension View {
    /// What the view shows of a value; `nil` where that is nothing, for which `null` stands. For items it is nothing where
    /// there is no collection.
    package func document(of value: KeyedValue) -> Document? {
        switch self {
        case .whole: return value.document
        case .pointer(let pointer): return value.document.extracting(pointer)
        case .items, .filter:
            guard let text = self.itemsText(of: value) else { return nil }
            // Made of parts of a document, and no deeper: no limit is in the way.
            return try? Document(parsing: text, limits: .widest)
        }
    }

    /// The rule for the items of ``document(of:)``, where those of the value have this one.
    func rule(within rule: ItemRule?) -> ItemRule? {
        guard let rule else { return nil }
        switch self {
        case .whole, .items, .filter: return rule
        case .pointer(let pointer):
            guard pointer.isPrefix(of: rule.items) else { return nil }
            let rest = rule.items.tokens.dropFirst(pointer.tokens.count)
            return ItemRule(items: Pointer(tokens: Array(rest)), key: rule.key)
        }
    }

    private func itemsText(of value: KeyedValue) -> [UInt8]? {
        guard let rule = value.rule, let collection = value.document.value(at: rule.items),
            collection.kind == (rule.key == nil ? .object : .array)
        else { return nil }
        var text: [UInt8] = []
        var ends: [UInt8] = []
        var outer = value.document.root
        for token in rule.items.tokens {
            // What stands around the collection is left out, and the collection stays where it is.
            if outer.kind == .array {
                text.append(UInt8(ascii: "["))
                for _ in 0..<(token.arrayIndex ?? 0) { text.append(contentsOf: "null,".utf8) }
                ends.append(UInt8(ascii: "]"))
            } else {
                text.append(UInt8(ascii: "{"))
                appendJSONString(utf8: token.utf8, to: &text)
                text.append(UInt8(ascii: ":"))
                ends.append(UInt8(ascii: "}"))
            }
            guard let inner = outer.value(at: Pointer(tokens: [token])) else { return nil }
            outer = inner
        }
        text.append(UInt8(ascii: rule.key == nil ? "{" : "["))
        var count = 0
        self.eachItem(of: collection, rule, value) { key, item in
            if count > 0 { text.append(UInt8(ascii: ",")) }
            count += 1
            if let key {
                text.append(contentsOf: key.text)
                text.append(UInt8(ascii: ":"))
            }
            text.append(contentsOf: item.text)
        }
        text.append(UInt8(ascii: rule.key == nil ? "}" : "]"))
        text.append(contentsOf: ends.reversed())
        return text
    }

    /// The items that it shows, with their names where the collection is an object.
    private func eachItem(
        of collection: Value,
        _ rule: ItemRule,
        _ value: KeyedValue,
        _ body: (Value?, Value) -> Void
    ) {
        if case .items(let identities) = self, let index = value.items {
            for identity in identities {
                guard let position = index.position(of: identity) else { continue }
                body(index.isKeyed ? index.key(position) : nil, index.item(position))
            }
            return
        }
        // Also where the items cannot be told apart at the moment: all that are meant are shown.
        for member in collection.members where self.shows(member.key, member.value) { body(member.key, member.value) }
        guard let key = rule.key else { return }
        for item in collection.elements where self.shows(item.value(at: key), item) { body(nil, item) }
    }

    private func shows(_ key: Value?, _ item: Value) -> Bool {
        switch self {
        case .whole, .pointer: false
        case .items(let identities): key.map { key in identities.contains { $0.matches(key) } } ?? false
        case .filter(let filter): filter.matches(item)
        }
    }
}
