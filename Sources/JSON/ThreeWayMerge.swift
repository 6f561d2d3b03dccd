// Two edits of one document as one: what each changed from what both began with (diff3, on values instead of lines).

/// A place that both sides changed, each otherwise.
package struct MergeConflict: Sendable {
    /// Where, in all three; an element of a keyed array stands by its position in theirs, or where it is missing there, in
    /// mine.
    package let path: Pointer
    /// What stood there; `nil` for nothing.
    package let base: Value?
    package let theirs: Value?
    package let mine: Value?

    package init(path: Pointer, base: Value?, theirs: Value?, mine: Value?) {
        self.path = path
        self.base = base
        self.theirs = theirs
        self.mine = mine
    }
}

/// What becomes of two edits.
package enum MergeResult: Sendable {
    case merged(Document)
    /// In the order of the document, at most ``ThreeWayMerge/maxConflicts``.
    case conflicts([MergeConflict])
}

/// Merges two edits of one document.
///
/// Objects are merged member by member. An array is merged element by element where something tells its elements apart: the
/// rule's key for the collection, else a member of all elements on all three sides whose name is that of an identity
/// (``identities``). Any other array is one value, as a string is. What only one side changed is taken from it; what both
/// changed alike is taken once; everything else is a conflict, and nothing is guessed: a change against a removal, two
/// different values, two things added in the same place, two different new orders of one keyed array.
package struct ThreeWayMerge {
    /// More are not told: they fill an answer.
    package static let maxConflicts = 100
    /// Names of members that tell the elements of an array apart, the first that all have.
    package static let identities = ["id", "_id", "uuid", "guid", "uid", "key"]
    /// Deeper than this a value is one value: the merge recurses.
    private static let maxDepth = 128

    private let rule: ItemRule?
    private var conflicts: [MergeConflict] = []

    /// The merged document, or all places that collide. `items`: where a collection lies and what identifies its items.
    package static func merge(base: Document, theirs: Document, mine: Document, items: ItemRule? = nil) -> MergeResult {
        var merge = ThreeWayMerge(rule: items)
        var text: [UInt8] = []
        merge.merge(base.root, theirs.root, mine.root, at: Pointer(), depth: 0, to: &text)
        guard merge.conflicts.isEmpty else { return .conflicts(merge.conflicts) }
        // Built from three valid documents: only limits of the widest tape are in the way.
        guard let document = try? Document(parsing: text, limits: .widest) else {
            return .conflicts([MergeConflict(path: Pointer(), base: base.root, theirs: theirs.root, mine: mine.root)])
        }
        return .merged(document)
    }

    private init(rule: ItemRule?) {
        self.rule = rule
    }

    /// Writes the merged value. After a conflict what is written means nothing.
    ///
    /// - Returns: Whether there is one; not where it was removed.
    @discardableResult
    private mutating func merge(
        _ base: Value?,
        _ theirs: Value?,
        _ mine: Value?,
        at path: Pointer,
        depth: Int,
        to text: inout [UInt8]
    ) -> Bool {
        if Self.isSame(base, mine) || Self.isSame(theirs, mine) { return Self.write(theirs, to: &text) }
        if Self.isSame(base, theirs) { return Self.write(mine, to: &text) }
        if depth < Self.maxDepth, let base, let theirs, let mine {
            switch (base.kind, theirs.kind, mine.kind) {
            case (.object, .object, .object):
                self.mergeObjects(base, theirs, mine, at: path, depth: depth, to: &text)
                return true
            case (.array, .array, .array):
                if self.mergeArrays(base, theirs, mine, at: path, depth: depth, to: &text) { return true }
            default:
                break
            }
        }
        self.collide(base, theirs, mine, at: path)
        return false
    }

    private mutating func collide(_ base: Value?, _ theirs: Value?, _ mine: Value?, at path: Pointer) {
        guard self.conflicts.count < Self.maxConflicts else { return }
        self.conflicts.append(MergeConflict(path: path, base: base, theirs: theirs, mine: mine))
    }

    private static func isSame(_ left: Value?, _ right: Value?) -> Bool {
        // Hashes settle nearly all of it: see ``Value/==(_:_:)``.
        switch (left, right) {
        case (nil, nil): true
        case (let left?, let right?): left == right
        case (nil, _?), (_?, nil): false
        }
    }

    private static func write(_ value: Value?, to text: inout [UInt8]) -> Bool {
        guard let value else { return false }
        text.append(contentsOf: value.text)
        return true
    }
}

// MARK: - Objects

extension ThreeWayMerge {
    private mutating func mergeObjects(
        _ base: Value,
        _ theirs: Value,
        _ mine: Value,
        at path: Pointer,
        depth: Int,
        to text: inout [UInt8]
    ) {
        let (baseMembers, mineMembers) = (Self.members(of: base), Self.members(of: mine))
        var names: Set<[UInt8]> = []
        var isFirst = true
        text.append(UInt8(ascii: "{"))
        func name(_ key: Value, _ isFirst: Bool) -> [UInt8] { (isFirst ? [] : [UInt8(ascii: ",")]) + key.text }
        for member in theirs.members {
            guard let utf8 = member.key.utf8 else { continue }
            names.insert(utf8)
            let start = text.count
            text += name(member.key, isFirst) + [UInt8(ascii: ":")]
            let isThere = self.merge(
                baseMembers[utf8],
                member.value,
                mineMembers[utf8],
                at: path.appending(Pointer.Token(utf8: utf8)),
                depth: depth + 1,
                to: &text
            )
            if isThere { isFirst = false } else { text.removeSubrange(start...) }
        }
        for member in mine.members {
            guard let utf8 = member.key.utf8, !names.contains(utf8) else { continue }
            let start = text.count
            text += name(member.key, isFirst) + [UInt8(ascii: ":")]
            let isThere = self.merge(
                baseMembers[utf8],
                nil,
                member.value,
                at: path.appending(Pointer.Token(utf8: utf8)),
                depth: depth + 1,
                to: &text
            )
            if isThere { isFirst = false } else { text.removeSubrange(start...) }
        }
        text.append(UInt8(ascii: "}"))
    }

    private static func members(of object: Value) -> [[UInt8]: Value] {
        var members: [[UInt8]: Value] = [:]
        for member in object.members {
            if let utf8 = member.key.utf8 { members[utf8] = member.value }
        }
        return members
    }
}

// MARK: - Keyed arrays

/// The elements of an array by what tells them apart.
private struct KeyedElements {
    /// Identities as JSON text of one form: `1` and `1.0` are one.
    var order: [Key] = []
    var values: [Key: Value] = [:]

    enum Key: Hashable {
        case text([UInt8])
        case number(UInt64)
    }

    /// `nil` where an element has no identity, or two have the same.
    init?(_ array: Value, by identity: (Value) -> Value?) {
        for element in array.elements {
            guard let found = identity(element) else { return nil }
            let key: Key
            switch found.kind {
            case .string: key = .text(found.utf8 ?? [])
            // Equal numbers have equal hashes, however they are written.
            case .number: key = .number(found.hash)
            default: return nil
            }
            guard self.values.updateValue(element, forKey: key) == nil else { return nil }
            self.order.append(key)
        }
    }
}

extension ThreeWayMerge {
    /// - Returns: Whether something tells the elements apart on all three sides; else nothing is written.
    private mutating func mergeArrays(
        _ base: Value,
        _ theirs: Value,
        _ mine: Value,
        at path: Pointer,
        depth: Int,
        to text: inout [UInt8]
    ) -> Bool {
        guard let (old, left, right) = self.keyed(base, theirs, mine, at: path) else { return false }
        guard let order = Self.order(old.order, left.order, right.order) else { return false }
        let positions = Dictionary(left.order.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        let others = Dictionary(right.order.enumerated().map { ($1, $0) }, uniquingKeysWith: { first, _ in first })
        text.append(UInt8(ascii: "["))
        var isFirst = true
        for key in order {
            let start = text.count
            if !isFirst { text.append(UInt8(ascii: ",")) }
            let isThere = self.merge(
                old.values[key],
                left.values[key],
                right.values[key],
                at: path.appending("\(positions[key] ?? others[key] ?? 0)"),
                depth: depth + 1,
                to: &text
            )
            if isThere { isFirst = false } else { text.removeSubrange(start...) }
        }
        text.append(UInt8(ascii: "]"))
        return true
    }

    private func keyed(
        _ base: Value,
        _ theirs: Value,
        _ mine: Value,
        at path: Pointer
    ) -> (KeyedElements, KeyedElements, KeyedElements)? {
        func keyed(by identity: (Value) -> Value?) -> (KeyedElements, KeyedElements, KeyedElements)? {
            guard let base = KeyedElements(base, by: identity), let theirs = KeyedElements(theirs, by: identity),
                let mine = KeyedElements(mine, by: identity)
            else { return nil }
            return (base, theirs, mine)
        }
        if let rule = self.rule, rule.items == path, let key = rule.key {
            return keyed { $0.value(at: key) }
        }
        for name in Self.identities {
            if let found = keyed(by: { $0.kind == .object ? $0[name] : nil }) { return found }
        }
        return nil
    }

    /// The order of the merged elements: that of the side which changed it; what the other side added stands behind what it
    /// stood behind there. `nil` where both changed the order of what they have in common, each otherwise.
    private static func order<Key: Hashable>(_ base: [Key], _ theirs: [Key], _ mine: [Key]) -> [Key]? {
        let common = Set(base).intersection(theirs).intersection(mine)
        let (old, left, right) = (
            base.filter(common.contains), theirs.filter(common.contains), mine.filter(common.contains)
        )
        // Sides that agree, or of which one kept the order.
        let leads: [Key]
        let follows: [Key]
        if left == right || right == old {
            (leads, follows) = (theirs, mine)
        } else if left == old {
            (leads, follows) = (mine, theirs)
        } else {
            return nil
        }
        let known = Set(leads)
        var behind: [Key: [Key]] = [:]
        var first: [Key] = []
        var anchor: Key?
        for key in follows {
            if known.contains(key) {
                anchor = key
            } else if let anchor {
                behind[anchor, default: []].append(key)
            } else {
                first.append(key)
            }
        }
        // Those at the end of the one side stay at its end, behind what the other added there.
        return first + leads.flatMap { [$0] + (behind[$0] ?? []) }
    }
}
