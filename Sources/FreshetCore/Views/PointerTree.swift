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

    /// Pairs the children of both values, and keeps those that differ and that a pointer leads to.
    private func descend(
        _ children: [Pointer.Token: Int],
        _ old: Value?,
        _ new: Value?,
        into pending: inout [(node: Int, old: Value?, new: Value?)]
    ) {
        let before = Self.children(of: old)
        var after = Self.children(of: new)
        for (token, value) in before {
            let other = after.removeValue(forKey: token)
            if let other, other.hash == value.hash { continue }
            if let child = children[token] { pending.append((child, value, other)) }
        }
        for (token, value) in after {
            if let child = children[token] { pending.append((child, nil, value)) }
        }
    }

    private static func children(of value: Value?) -> [Pointer.Token: Value] {
        guard let value, value.isContainer else { return [:] }
        var found: [Pointer.Token: Value] = [:]
        found.reserveCapacity(value.count)
        for member in value.members { found[Pointer.Token(utf8: member.key.utf8 ?? [])] = member.value }
        for (position, element) in value.elements.enumerated() { found[Pointer.Token(String(position))] = element }
        return found
    }
}
