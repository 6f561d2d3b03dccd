// Which of many pointers a change concerns, found by walking down where the two values differ.

import JSON

/// Pointers with the numbers of their views, by their tokens. A change is led down it: where the two values are equal, all
/// pointers below are passed over at once, and where many pointers part ways, the change's own members decide which of
/// them are looked at. A value; whoever holds it confines it.
struct PointerTree: Sendable {
    private struct Node: Sendable {
        var children: [Pointer.Token: Int] = [:]
        /// The view of the pointer that ends here; 0 for none.
        var view: ViewID = .none
        var parent = 0
    }

    /// The first is the root.
    private var nodes: [Node] = [Node()]
    private var free: [Int] = []

    /// So many children are looked for one by one, before those of the values are gone through.
    private static let fewChildren = 8

    private(set) var count = 0

    /// Adds a pointer, which is not there.
    mutating func insert(_ pointer: Pointer, as view: ViewID) {
        var place = 0
        for token in pointer.tokens {
            if let child = self.nodes[place].children[token] {
                place = child
                continue
            }
            let child: Int
            if let reused = self.free.popLast() {
                child = reused
                self.nodes[child] = Node(parent: place)
            } else {
                child = self.nodes.count
                self.nodes.append(Node(parent: place))
            }
            self.nodes[place].children[token] = child
            place = child
        }
        self.nodes[place].view = view
        self.count += 1
    }

    /// Takes a pointer out, and what only led to it.
    mutating func remove(_ pointer: Pointer) {
        var place = 0
        for token in pointer.tokens {
            guard let child = self.nodes[place].children[token] else { return }
            place = child
        }
        guard self.nodes[place].view != .none else { return }
        self.nodes[place].view = .none
        self.count -= 1
        for token in pointer.tokens.reversed() {
            guard self.nodes[place].view == .none, self.nodes[place].children.isEmpty else { return }
            self.free.append(place)
            place = self.nodes[place].parent
            self.nodes[place].children[token] = nil
        }
    }

    /// The views of pointers at which, or below or above which, two values differ.
    func views(from old: Value?, to new: Value?) -> [ViewID] {
        guard self.count > 0 else { return [] }
        var found: [ViewID] = []
        var pending: [(node: Int, old: Value?, new: Value?)] = [(0, old, new)]
        while let (place, old, new) = pending.popLast() {
            if old == nil, new == nil { continue }
            if let old, let new, old.hash == new.hash { continue }
            let node = self.nodes[place]
            if node.view != .none { found.append(node.view) }
            guard !node.children.isEmpty else { continue }
            if node.children.count <= Self.fewChildren {
                for (token, child) in node.children {
                    let pointer = Pointer(tokens: [token])
                    pending.append((child, old?.value(at: pointer), new?.value(at: pointer)))
                }
            } else {
                self.descend(node.children, old, new, into: &pending)
            }
        }
        return found
    }

    /// Pairs the children of both values, and keeps those that differ and that a pointer leads to. Only those that differ are
    /// looked up by name.
    private func descend(
        _ children: [Pointer.Token: Int],
        _ old: Value?,
        _ new: Value?,
        into pending: inout [(node: Int, old: Value?, new: Value?)]
    ) {
        func differ(_ token: Pointer.Token, _ old: Value?, _ new: Value?) {
            if let child = children[token] { pending.append((child, old, new)) }
        }
        var before = old?.elements.makeIterator()
        var after = new?.elements.makeIterator()
        var position = 0
        while true {
            let (was, became) = (before?.next(), after?.next())
            if was == nil, became == nil { break }
            if was?.hash != became?.hash { differ(Pointer.Token(String(position)), was, became) }
            position += 1
        }
        for (name, was, became) in Self.differingMembers(old, new) { differ(name, was, became) }
    }

    /// Members of two objects in step for as long as they have the same names; behind that by a table.
    private static func differingMembers(
        _ old: Value?,
        _ new: Value?
    ) -> [(name: Pointer.Token, old: Value?, new: Value?)] {
        func name(_ member: Value.Member) -> Pointer.Token { Pointer.Token(utf8: member.key.utf8 ?? []) }
        var found: [(name: Pointer.Token, old: Value?, new: Value?)] = []
        var before = old?.members.makeIterator()
        var after = new?.members.makeIterator()
        var left: [Value.Member] = []
        var others: [Pointer.Token: Value] = [:]
        while let was = before?.next() {
            guard let became = after?.next() else {
                left.append(was)
                break
            }
            guard was.key == became.key else {
                left.append(was)
                others[name(became)] = became.value
                break
            }
            if was.value.hash != became.value.hash { found.append((name(was), was.value, became.value)) }
        }
        while let was = before?.next() { left.append(was) }
        while let became = after?.next() { others[name(became)] = became.value }
        for was in left {
            let name = name(was)
            let became = others.removeValue(forKey: name)
            if became?.hash != was.value.hash { found.append((name, was.value, became)) }
        }
        for (name, became) in others { found.append((name, nil, became)) }
        return found
    }
}
