// The views of one source that are read, found by what a change touches.

import JSON
import Synchronization

/// Knows the views of one source and in which formats each is read. Any thread. Its lock is held for a lookup and no longer;
/// it is taken inside of the hub's, never the other way round.
///
/// A change decides who is asked: by the values that differ on the way to a pointer, by the identities of the items it
/// touches, and by what stands, and stood, in their members. How many other views there are does not count.
final class ViewRegistry: Sendable {
    fileprivate struct Entry: Sendable {
        var view: View
        var demand: FormatDemand
    }

    fileprivate struct State: Sendable {
        var entries: [ViewID: Entry] = [:]
        var pointers = PointerTree()
        /// By the hash of an identity.
        var byIdentity: [UInt64: [ViewID]] = [:]
        /// By the place in an item, by the hash of what stands there.
        var byMember: [Pointer: [UInt64: [ViewID]]] = [:]
        /// Views that need the items.
        var itemViews = 0
        /// Readers whose events have an envelope.
        var enveloped = 0
        /// A change has asked and is not readable yet.
        var isAsking = false
        /// Views that came, or came to be read in another format, since that change asked.
        var late: [ViewID] = []
    }

    private let state = Mutex(State())

    /// A view that a change concerns.
    struct Asked {
        var id: ViewID
        var view: View
        var demand: FormatDemand
        /// What of its items the change touches; `nil` where the values have to be compared.
        var touched: TouchedItems<TouchedPosition>?
    }

    var isEmpty: Bool { self.state.withLock { $0.entries.isEmpty } }

    /// The wires that somebody may read: without a reader of envelopes, those without.
    var wires: [StreamWire] { self.state.withLock { $0.enveloped } > 0 ? StreamWire.allCases : StreamWire.plain }

    /// Counts readers in.
    func join(_ id: ViewID, _ view: View, _ count: Int, in format: StreamFormat) {
        self.state.withLock { state in
            if state.entries[id] == nil {
                state.entries[id] = Entry(view: view, demand: FormatDemand())
                state.index(id, view)
            }
            state.entries[id]?.demand.add(count, in: format)
            if format.wire.envelope != .plain { state.enveloped += count }
            if state.isAsking { state.late.append(id) }
        }
    }

    /// Counts readers out.
    func leave(_ id: ViewID, _ count: Int, in format: StreamFormat) {
        self.state.withLock { state in
            guard let entry = state.entries[id] else { return }
            if format.wire.envelope != .plain { state.enveloped -= count }
            state.entries[id]?.demand.remove(count, in: format)
            guard state.entries[id]?.demand.isEmpty == true else { return }
            state.entries[id] = nil
            state.unindex(id, entry.view)
        }
    }

    /// The views that a step concerns. One step after the other; each is followed by ``endAsking()``.
    func ask(_ step: ViewStep) -> [Asked] {
        let needsItems = self.state.withLock { state in
            state.isAsking = true
            state.late = []
            return state.itemViews > 0
        }
        // Without the lock: it takes as long as there are items.
        let difference = needsItems ? step.difference : nil
        return self.state.withLock { state in
            var asked = state.pointers.views(from: step.old?.document.root, to: step.new.document.root)
                .map { ($0, TouchedItems<TouchedPosition>?.none) }
            if let difference {
                asked += state.touched(by: difference).map { ($0.key, Optional($0.value)) }
            } else if needsItems {
                asked += state.entries.filter { $0.value.view.needsItems }.map { ($0.key, nil) }
            }
            return asked.compactMap { id, touched in
                guard let entry = state.entries[id] else { return nil }
                return Asked(id: id, view: entry.view, demand: entry.demand, touched: touched)
            }
        }
    }

    /// The step is readable.
    ///
    /// - Parameter hasAsked: whether ``ask(_:)`` was called for it, which it is not where nobody reads a view.
    /// - Returns: Views that came since: what the step is to them was not found out.
    func endAsking(hasAsked: Bool) -> [ViewID] {
        self.state.withLock { state in
            guard hasAsked else { return Array(state.entries.keys) }
            defer { state.late = [] }
            state.isAsking = false
            return state.late
        }
    }

    /// Whether one more filter may look at this member of items: each item that changes is looked at for every one.
    func hasRoom(for view: View) -> Bool {
        guard case .filter(let filter) = view else { return true }
        return self.state.withLock {
            $0.byMember[filter.member] != nil || $0.byMember.count < Defaults.Views.maxFilterMembers
        }
    }
}

extension ViewRegistry.State {
    fileprivate mutating func index(_ id: ViewID, _ view: View) {
        switch view {
        case .whole: break
        case .pointer(let pointer): self.pointers.insert(pointer, as: id)
        case .items(let identities):
            self.itemViews += 1
            for hash in Self.hashes(of: identities) { self.byIdentity[hash, default: []].append(id) }
        case .filter(let filter):
            self.itemViews += 1
            for hash in filter.value.hashes { self.byMember[filter.member, default: [:]][hash, default: []].append(id) }
        }
    }

    fileprivate mutating func unindex(_ id: ViewID, _ view: View) {
        switch view {
        case .whole: break
        case .pointer(let pointer): self.pointers.remove(pointer)
        case .items(let identities):
            self.itemViews -= 1
            for hash in Self.hashes(of: identities) {
                self.byIdentity[hash]?.removeAll { $0 == id }
                if self.byIdentity[hash]?.isEmpty == true { self.byIdentity[hash] = nil }
            }
        case .filter(let filter):
            self.itemViews -= 1
            for hash in filter.value.hashes {
                self.byMember[filter.member]?[hash]?.removeAll { $0 == id }
                if self.byMember[filter.member]?[hash]?.isEmpty == true { self.byMember[filter.member]?[hash] = nil }
            }
            if self.byMember[filter.member]?.isEmpty == true { self.byMember[filter.member] = nil }
        }
    }

    private static func hashes(of identities: [ScalarText]) -> Set<UInt64> { Set(identities.flatMap(\.hashes)) }

    // MARK: Items that a change touches

    fileprivate func touched(by difference: StepDifference) -> [ViewID: TouchedItems<TouchedPosition>] {
        var found: [ViewID: TouchedItems<TouchedPosition>] = [:]
        for position in difference.items.created { self.touch(nil, position, difference, &found) }
        for (old, new) in difference.items.updated { self.touch(old, new, difference, &found) }
        for position in difference.items.deleted { self.touch(position, nil, difference, &found) }
        return found
    }

    private func touch(
        _ old: Int?,
        _ new: Int?,
        _ difference: StepDifference,
        _ found: inout [ViewID: TouchedItems<TouchedPosition>]
    ) {
        let position = TouchedPosition(old: old, new: new)
        if !self.byIdentity.isEmpty {
            let key = new.map(difference.new.key) ?? old.map(difference.old.key)
            for id in key.flatMap({ self.byIdentity[$0.hash] }) ?? [] {
                found[id, default: TouchedItems()].add(position, was: old != nil, is: new != nil)
            }
        }
        for (member, views) in self.byMember {
            let before = old.flatMap { difference.old.item($0).value(at: member) }
            let after = new.flatMap { difference.new.item($0).value(at: member) }
            let were = before.flatMap { views[$0.hash] } ?? []
            let are = after.flatMap { views[$0.hash] } ?? []
            if before?.hash == after?.hash {
                for id in are { found[id, default: TouchedItems()].add(position, was: true, is: true) }
            } else {
                for id in were { found[id, default: TouchedItems()].add(position, was: true, is: false) }
                for id in are { found[id, default: TouchedItems()].add(position, was: false, is: true) }
            }
        }
    }
}

/// An item by where it stood and stands; `nil` where it did not or does not.
struct TouchedPosition {
    var old: Int?
    var new: Int?
}

extension TouchedItems<TouchedPosition> {
    /// `was`, `is`: whether the item is shown before and after.
    fileprivate mutating func add(_ position: TouchedPosition, was: Bool, is isShown: Bool) {
        switch (was, isShown) {
        case (false, false): break
        case (false, true):
            if position.old == nil { self.created.append(position) } else { self.entered.append(position) }
        case (true, true): self.updated.append(position)
        case (true, false): if position.new == nil { self.deleted.append(position) } else { self.left.append(position) }
        }
    }
}

/// Which items a step touches.
struct StepDifference {
    var old: ItemIndex
    var new: ItemIndex
    var items: ItemDifference
}

extension ViewStep {
    /// `nil` where the items of the two values cannot be compared.
    var difference: StepDifference? {
        if let known { return StepDifference(old: known.old, new: known.new, items: known.difference) }
        guard let old, old.rule == self.new.rule, let before = old.items, let after = self.new.items,
            let items = before.difference(to: after)
        else { return nil }
        return StepDifference(old: before, new: after, items: items)
    }

    /// What the step is in the mode `items`, of what it touches of a view's items.
    func content(of touched: TouchedItems<TouchedPosition>) -> ViewContent? {
        guard let before = self.old?.items, let after = self.new.items else { return nil }
        return touched.content(
            { position, text in if let new = position.new { after.append(new, to: &text) } },
            { position, isGone, text in
                if isGone, let old = position.old {
                    text.append(contentsOf: before.key(old).text)
                } else if let new = position.new {
                    text.append(contentsOf: after.key(new).text)
                }
            }
        )
    }
}
