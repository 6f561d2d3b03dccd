// What the events of the log are in a view: worked out after the fact, for readers that are behind.

import JSON

/// Leads one source's events past a view, in order, with the value that they start from.
///
/// Most events say by themselves that they do not concern a view: a patch by its paths, an item event by its identities.
/// Only for others the value before them is looked up, and the patches in between are applied at once.
struct ViewReplay {
    private let view: View
    private let mode: StreamMode
    private let rule: ItemRule?
    /// The first event whose value has ``rule``: what came before it is not compared with what comes after.
    private let ruleSince: UInt64
    /// The value before the first of ``pending``; `nil` where it is not known.
    private var value: KeyedValue?
    /// Events since ``value`` that did not need it.
    private var pending: [ChangeEvent] = []
    /// The identities of the items that a filter shows, by hash; `nil` where they are not known.
    private var members: Set<UInt64>?

    /// Beyond, the value is looked up again where it is needed.
    private static let maxPending = 1024

    init(_ view: View, in mode: StreamMode, rule: ItemRule?, ruleSince: UInt64) {
        self.view = view
        self.mode = mode
        self.rule = rule
        self.ruleSince = view.needsItems ? ruleSince : 0
    }

    /// The value of the source before an event.
    enum Before {
        case value(Document)
        /// There was none yet.
        case none
        /// It is not kept.
        case gone
    }

    enum Step {
        /// The event changes nothing in the view.
        case nothing
        case content(ViewContent)
        /// It cannot be told any more.
        case lost
    }

    /// What the next event is in the view. `before` looks up the value that it changed.
    mutating func next(_ event: ChangeEvent, before: (ChangeEvent) -> Before) -> Step {
        if event.sequence < self.ruleSince {
            self.pass(event)
            return .nothing
        }
        if event.sequence > self.ruleSince {
            switch self.view {
            case .whole: break
            case .pointer(let pointer):
                if event.patchDocument.map({ !Self.reaches(pointer, $0) }) == true {
                    self.pass(event)
                    return .nothing
                }
            case .items, .filter:
                if let step = self.items(of: event, before: before) { return step }
            }
        }
        return self.compare(event, before: before)
    }

    /// Goes past an event that does not concern the view.
    private mutating func pass(_ event: ChangeEvent) {
        guard self.value != nil else { return }
        guard self.pending.count < Self.maxPending else {
            self.value = nil
            self.pending = []
            return
        }
        self.pending.append(event)
    }

    // MARK: By comparison

    private mutating func compare(_ event: ChangeEvent, before: (ChangeEvent) -> Before) -> Step {
        let old = self.valueBefore(event, before)
        guard let document = Self.document(after: event, from: old) else { return .lost }
        let new = KeyedValue(document, rule: self.rule)
        self.value = new
        self.pending = []
        self.note(new)
        let step: ViewStep
        switch old {
        case .value(let known) where event.sequence != self.ruleSince || self.ruleSince == 0:
            step = ViewStep(old: known, new: new)
        // What its reader has is not known, so that it gets the whole.
        case .value, .none, .gone: step = ViewStep(old: nil, new: new)
        }
        return step.content(of: self.view, in: self.mode).map(Step.content) ?? .nothing
    }

    private enum Known {
        case value(KeyedValue)
        case none
        case gone
    }

    private mutating func valueBefore(_ event: ChangeEvent, _ before: (ChangeEvent) -> Before) -> Known {
        if let value = self.value {
            if self.pending.isEmpty { return .value(value) }
            if let document = Self.document(after: self.pending[...], from: value.document) {
                return .value(KeyedValue(document, rule: self.rule))
            }
        }
        switch before(event) {
        case .value(let document): return .value(KeyedValue(document, rule: self.rule))
        case .none: return .none
        case .gone: return .gone
        }
    }

    private static func document(after event: ChangeEvent, from old: Known) -> Document? {
        if let value = event.value { return try? Document(parsing: value, limits: .widest) }
        guard case .value(let old) = old, let patch = event.patchDocument else { return nil }
        return try? old.document.applying(patch: patch, limits: .widest)
    }

    /// Applies the patches of several events in one go.
    private static func document(after events: ArraySlice<ChangeEvent>, from document: Document) -> Document? {
        var document = document
        var events = events
        if let last = events.lastIndex(where: { $0.value != nil }), let value = events[last].value {
            guard let known = try? Document(parsing: value, limits: .widest) else { return nil }
            document = known
            events = events[(last + 1)...]
        }
        guard !events.isEmpty else { return document }
        var text: [UInt8] = [UInt8(ascii: "[")]
        for event in events {
            guard let operations = event.patchDocument?.text, operations.count > 2 else { return nil }
            if text.count > 1 { text.append(UInt8(ascii: ",")) }
            text.append(contentsOf: operations.dropFirst().dropLast())
        }
        text.append(UInt8(ascii: "]"))
        guard let patch = try? Document(parsing: text, limits: .widest) else { return nil }
        return try? document.applying(patch: patch, limits: .widest)
    }

    // MARK: By identities

    /// What the lists of an event say; `nil` where it has none, or where more has to be known.
    private mutating func items(of event: ChangeEvent, before: (ChangeEvent) -> Before) -> Step? {
        if event.touchesNoItem {
            self.pass(event)
            return .nothing
        }
        guard let rule, let lists = event.itemsDocument?.root else { return nil }
        switch self.view {
        case .whole, .pointer: return nil
        case .items(let identities):
            let touched = Self.touched(lists, rule) { key in identities.contains { $0.matches(key) } }
            guard !touched.isEmpty else {
                self.pass(event)
                return .nothing
            }
            guard self.mode == .items else { return nil }
            self.pass(event)
            return .content(touched.content)
        case .filter(let filter):
            guard self.mode == .items, self.knowsMembers(before: event, before) else { return nil }
            let touched = self.filtered(lists, rule, filter)
            self.pass(event)
            return touched.isEmpty ? .nothing : .content(touched.content)
        }
    }

    private static func touched(_ lists: Value, _ rule: ItemRule, _ isFollowed: (Value) -> Bool) -> TouchedItems<Value>
    {
        func followed(_ name: String) -> [Value] {
            (lists[name]?.elements).map { $0.filter { Self.identity(of: $0, rule).map(isFollowed) ?? false } } ?? []
        }
        var touched = TouchedItems<Value>()
        touched.created = followed("created")
        touched.updated = followed("updated")
        touched.deleted = (lists["deleted"]?.elements).map { $0.filter(isFollowed) } ?? []
        return touched
    }

    private mutating func filtered(_ lists: Value, _ rule: ItemRule, _ filter: ItemFilter) -> TouchedItems<Value> {
        var members = self.members ?? []
        var touched = TouchedItems<Value>()
        for item in lists["created"].map({ Array($0.elements) }) ?? [] where Self.matches(filter, item, rule) {
            touched.created.append(item)
            if let key = Self.identity(of: item, rule) { members.insert(key.hash) }
        }
        for item in lists["updated"].map({ Array($0.elements) }) ?? [] {
            guard let key = Self.identity(of: item, rule) else { continue }
            switch (members.contains(key.hash), Self.matches(filter, item, rule)) {
            case (true, true): touched.updated.append(item)
            case (false, true):
                members.insert(key.hash)
                touched.entered.append(item)
            case (true, false):
                members.remove(key.hash)
                touched.left.append(item)
            case (false, false): break
            }
        }
        for key in lists["deleted"].map({ Array($0.elements) }) ?? [] where members.remove(key.hash) != nil {
            touched.deleted.append(key)
        }
        self.members = members
        return touched.withKeys(rule)
    }

    /// Of an item as item events have it.
    private static func identity(of item: Value, _ rule: ItemRule) -> Value? {
        rule.key.map { item.value(at: $0) } ?? item["key"]
    }

    private static func matches(_ filter: ItemFilter, _ item: Value, _ rule: ItemRule) -> Bool {
        (rule.key == nil ? item["value"] : item).map(filter.matches) ?? false
    }

    /// Whether it is known what a filter shows before an event.
    private mutating func knowsMembers(before event: ChangeEvent, _ before: (ChangeEvent) -> Before) -> Bool {
        if self.members != nil { return true }
        guard case .value(let value) = self.valueBefore(event, before) else { return false }
        self.value = value
        self.pending = []
        self.note(value)
        return self.members != nil
    }

    /// Takes note of what a filter shows of a value.
    private mutating func note(_ value: KeyedValue) {
        guard case .filter(let filter) = self.view else { return }
        self.members = value.items.map { items in
            Set((0..<items.count).filter { filter.matches(items.item($0)) }.map { items.key($0).hash })
        }
    }
}

extension TouchedItems<Value> {
    var isEmpty: Bool {
        self.created.isEmpty && self.entered.isEmpty && self.updated.isEmpty && self.deleted.isEmpty
            && self.left.isEmpty
    }

    /// Items that left, as their identities.
    fileprivate func withKeys(_ rule: ItemRule) -> Self {
        var touched = self
        touched.left = self.left.compactMap { item in rule.key.map { item.value(at: $0) } ?? item["key"] }
        return touched
    }

    fileprivate var content: ViewContent {
        self.content({ $1.append(contentsOf: $0.text) }, { $2.append(contentsOf: $0.text) })
    }
}

extension ViewReplay {
    /// Whether a patch may change what stands at a pointer: it names that, or something around or inside it, or shifts the
    /// elements of a list on the way.
    static func reaches(_ pointer: Pointer, _ patch: Document) -> Bool {
        patch.root.elements.contains { operation in
            let name = operation["op"]?.utf8
            if name == Array("test".utf8) { return false }
            let isReplace = name == Array("replace".utf8)
            if self.reaches(pointer, operation["path"], isShift: !isReplace) { return true }
            return name == Array("move".utf8) && self.reaches(pointer, operation["from"], isShift: true)
        }
    }

    private static func reaches(_ pointer: Pointer, _ text: Value?, isShift: Bool) -> Bool {
        guard let utf8 = text?.utf8, let path = Pointer(utf8: utf8) else { return true }
        if path.isPrefix(of: pointer) || pointer.isPrefix(of: path) { return true }
        guard isShift, let last = path.tokens.last else { return false }
        // An element that comes or goes shifts those behind it. What is no list has no positions, and is taken for one.
        let depth = path.tokens.count - 1
        guard depth < pointer.tokens.count, pointer.tokens.prefix(depth).elementsEqual(path.tokens.dropLast()) else {
            return false
        }
        let isPosition = last.arrayIndex != nil || last.utf8 == [UInt8(ascii: "-")]
        return isPosition && pointer.tokens[depth].arrayIndex != nil
    }
}
