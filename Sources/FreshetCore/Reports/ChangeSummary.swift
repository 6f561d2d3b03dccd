// A change in a few words, for lists of sources: how much of the value it touched, and one example.

package import JSON

/// How much a change touched, and one value before and after.
package struct ChangeSummary: Hashable, Sendable {
    /// One value that the change touched.
    package struct Sample: Hashable, Sendable {
        /// The identity of the item that holds it, as JSON text; `nil` where the source has no items.
        package var item: [UInt8]?
        /// Where it stands: in the item, or in the value.
        package var path: Pointer
        /// JSON text, at most ``ChangeSummary/maxSampleBytes``; `nil` where there was nothing.
        package var old: [UInt8]?
        package var new: [UInt8]?
    }

    /// Items that came, went and changed; 0 for a source without items.
    package var added = 0
    package var removed = 0
    package var updated = 0
    /// Operations of the patch, where the change touched no item.
    package var values = 0
    package var sample: Sample?

    /// The longest text of a sample; a change without a short one has none.
    package static let maxSampleBytes = 120
    /// Members and elements that are looked at for a sample: one change costs no more, whatever its value is.
    private static let maxSteps = 10_000

    /// - Parameters:
    ///   - old: the value before.
    ///   - new: the value after.
    ///   - operations: those of the patch.
    ///   - items: what happened to the items, for a source that has some.
    ///   - ignored: what is no change, and so no example of one.
    package init(
        from old: Document,
        to new: Document,
        operations: Int,
        items: ItemChanges?,
        ignored: [PointerPattern] = []
    ) {
        if let items, !items.isEmpty {
            (self.added, self.removed, self.updated) = (items.createdCount, items.deletedCount, items.updatedCount)
        } else {
            self.values = operations
        }
        var search = SampleSearch(steps: Self.maxSteps, ignored: items?.firstUpdated == nil ? ignored : [])
        if let places = items?.firstUpdated, let before = old.value(place: places.old),
            let after = new.value(place: places.new)
        {
            self.sample = search.sample(before, after)
            let identity = new.value(place: places.key)?.text
            self.sample?.item = identity.flatMap { $0.count <= Self.maxSampleBytes ? Array($0) : nil }
        } else if self.values > 0 {
            self.sample = search.sample(old.root, new.root)
        }
    }

    package init() {}
}

/// Looks for a value that differs between two trees and is short: a scalar of the shallowest object that has one.
private struct SampleSearch {
    var steps: Int
    let ignored: [PointerPattern]
    private var path = Pointer()

    init(steps: Int, ignored: [PointerPattern]) {
        self.steps = steps
        self.ignored = ignored
    }

    mutating func sample(_ old: Value, _ new: Value) -> ChangeSummary.Sample? {
        var (old, new) = (old, new)
        while let next = self.step(old, new) {
            self.path = self.path.appending(next.token)
            guard let before = next.old, let after = next.new, before.isContainer, after.isContainer,
                before.kind == after.kind
            else { return Self.sample(self.path, next.old, next.new) }
            (old, new) = (before, after)
        }
        return self.path.isEmpty ? Self.sample(self.path, old, new) : nil
    }

    private static func sample(_ path: Pointer, _ old: Value?, _ new: Value?) -> ChangeSummary.Sample? {
        let texts = [old, new].map { $0.map { Array($0.text.prefix(ChangeSummary.maxSampleBytes + 1)) } }
        guard texts.allSatisfy({ $0?.count ?? 0 <= ChangeSummary.maxSampleBytes }) else { return nil }
        return ChangeSummary.Sample(path: path, old: texts[0], new: texts[1])
    }

    private typealias Step = (token: Pointer.Token, old: Value?, new: Value?)

    /// The child to go on with: the first that differs and is no container on either side, else the first that differs.
    private mutating func step(_ old: Value, _ new: Value) -> Step? {
        switch (old.kind, new.kind) {
        case (.object, .object): self.member(old, new)
        case (.array, .array): self.element(old, new)
        default: nil
        }
    }

    /// Members of both sides are walked in step; one that came, went or moved costs a look at the whole object.
    private mutating func member(_ old: Value, _ new: Value) -> Step? {
        var first: Step?
        var others = old.members
        var next = others.next()
        for member in new.members {
            guard self.steps > 0 else { return first }
            self.steps -= 1
            var known: Value?
            if let other = next, other.key == member.key {
                known = other.value
                next = others.next()
            } else {
                self.steps -= old.count
                known = old[member.name]
                // Those before it on the old side have gone.
                if known != nil {
                    while let other = next, other.key != member.key { next = others.next() }
                    next = others.next()
                }
            }
            guard known?.hash != member.value.hash, !self.isIgnored(member.name) else { continue }
            let step: Step = (Pointer.Token(member.name), known, member.value)
            if !member.value.isContainer, known?.isContainer != true { return step }
            first = first ?? step
        }
        return first ?? self.removed(old, new)
    }

    private func isIgnored(_ name: String) -> Bool {
        guard !self.ignored.isEmpty else { return false }
        let place = self.path.appending(name)
        return self.ignored.contains { $0.matches(place) }
    }

    private mutating func removed(_ old: Value, _ new: Value) -> Step? {
        for member in old.members {
            guard self.steps > 0 else { return nil }
            self.steps -= new.count
            if new[member.name] == nil { return (Pointer.Token(member.name), member.value, nil) }
        }
        return nil
    }

    /// Elements of lists of one length; where some came or went, positions say nothing.
    private mutating func element(_ old: Value, _ new: Value) -> Step? {
        guard old.count == new.count else { return nil }
        var elements = old.elements
        for (index, element) in new.elements.enumerated() {
            guard self.steps > 0, let before = elements.next() else { return nil }
            self.steps -= 1
            if before.hash != element.hash { return (Pointer.Token("\(index)"), before, element) }
        }
        return nil
    }
}
