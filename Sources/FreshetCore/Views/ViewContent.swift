// What one change is in a view.

import JSON

/// The text of a change event in a view, and the form that it has.
struct ViewContent: Hashable, Sendable {
    /// That which was asked for, or ``StreamMode/snapshot`` where the whole of the view has to be sent.
    var mode: StreamMode
    var text: [UInt8]

    static let null = ViewContent(mode: .snapshot, text: Array("null".utf8))

    /// The whole of what a view shows.
    static func snapshot(_ document: Document?) -> ViewContent {
        document.map { ViewContent(mode: .snapshot, text: $0.text) } ?? .null
    }
}

/// A step from one value of a source to the next, as views see it. Made for one change; not shared.
struct ViewStep {
    /// `nil` for the first value.
    let old: KeyedValue?
    let new: KeyedValue
    /// The items of both, where that is known already.
    let known: ItemStep?

    init(old: KeyedValue?, new: KeyedValue, known: ItemStep? = nil) {
        self.old = old
        self.new = new
        self.known = known
    }

    /// The step from one version to the next, by the change that made it.
    init(from old: SourceVersion?, to new: SourceVersion, by change: ItemStep?) {
        guard let old, let change, old.rule == new.rule, change.leads(from: old.document, to: new.document) else {
            self.init(old: old?.value, new: new.value)
            return
        }
        self.init(old: old.value(with: change.old), new: new.value(with: change.new), known: change)
    }

    /// What the step is in a view; `nil` where it changes nothing there.
    func content(of view: View, in mode: StreamMode) -> ViewContent? {
        let shown = view.document(of: self.new)
        guard let old else { return .snapshot(shown) }
        return Self.content(
            from: view.document(of: old),
            to: shown,
            in: mode,
            rule: old.rule == self.new.rule ? view.rule(within: self.new.rule) : nil,
            isBounded: !view.needsItems
        )
    }

    /// `isBounded`: item events that are not smaller than the value give way to it, as they do without a view.
    private static func content(
        from old: Document?,
        to new: Document?,
        in mode: StreamMode,
        rule: ItemRule?,
        isBounded: Bool
    ) -> ViewContent? {
        guard let old, !old.root.isNull, let new, !new.root.isNull else {
            let areBothNothing = old?.root.isNull ?? true && new?.root.isNull ?? true
            return areBothNothing ? nil : .snapshot(new)
        }
        guard old.hash != new.hash else { return nil }
        let size = new.text.count
        switch mode {
        case .snapshot: break
        case .patch:
            let patch = old.patch(to: new, items: rule)
            if patch.isEmpty { return nil }
            if patch.text.count < size { return ViewContent(mode: .patch, text: patch.text) }
        case .merge:
            if let merge = old.mergePatch(to: new, shorterThan: size) {
                return ViewContent(mode: .merge, text: merge)
            }
        case .items:
            let limit = isBounded ? size : .max
            guard let rule, let changes = old.itemChanges(to: new, items: rule, shorterThan: limit) else { break }
            if changes.isEmpty { return nil }
            if let text = changes.text { return ViewContent(mode: .items, text: text) }
        }
        return .snapshot(new)
    }
}

/// The items of one change that a view follows, by what happened to them in it.
struct TouchedItems<Item> {
    /// They were not there before.
    var created: [Item] = []
    /// They were there before, and match now.
    var entered: [Item] = []
    var updated: [Item] = []
    /// They are there no more.
    var deleted: [Item] = []
    /// They are still there, and match no more.
    var left: [Item] = []

    /// The item event. `append` writes an item; `appendKey` its identity, of one that is gone or of one that is there.
    func content(
        _ append: (Item, inout [UInt8]) -> Void,
        _ appendKey: (_ item: Item, _ isGone: Bool, inout [UInt8]) -> Void
    ) -> ViewContent {
        var text = Array(#"{"created":["#.utf8)
        var count = 0
        func list(_ items: [Item], _ write: (Item, inout [UInt8]) -> Void) {
            for item in items {
                if count > 0 { text.append(UInt8(ascii: ",")) }
                count += 1
                write(item, &text)
            }
        }
        list(self.created, append)
        list(self.entered, append)
        text.append(contentsOf: #"],"updated":["#.utf8)
        count = 0
        list(self.updated, append)
        text.append(contentsOf: #"],"deleted":["#.utf8)
        count = 0
        list(self.deleted) { appendKey($0, true, &$1) }
        list(self.left) { appendKey($0, false, &$1) }
        text.append(contentsOf: "]}".utf8)
        return ViewContent(mode: .items, text: text)
    }
}
