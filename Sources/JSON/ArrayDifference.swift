// Arrays: what stays, what moves, what comes and goes.

extension Difference {
    /// Writes what came, went and moved, and notes what changed in place.
    ///
    /// Equal elements at the front and the back, and records that kept their identity there, need no more. Between them
    /// an alignment decides.
    mutating func arrayChanged(_ change: Change) {
        let oldEnd = self.old.nodes[change.old].end
        let newEnd = self.new.nodes[change.new].end
        var i = change.old + 1
        var j = change.new + 1
        var position = 0
        var candidates: [KeyCandidate]?
        while i < oldEnd, j < newEnd {
            if self.old.nodes[i].hash != self.new.nodes[j].hash {
                let known = candidates ?? self.keyCandidates(sample: j)
                candidates = known
                guard self.areSameRecord(i, j, known) else { break }
                self.note(old: i, new: j, token: position)
            }
            i = self.old.nodes[i].end
            j = self.new.nodes[j].end
            position += 1
        }
        guard i < oldEnd || j < newEnd else { return }

        var olds = Self.siblings(self.old.nodes, from: i, to: oldEnd)
        var news = Self.siblings(self.new.nodes, from: j, to: newEnd)
        while let a = olds.last, let b = news.last {
            if self.old.nodes[a].hash != self.new.nodes[b].hash {
                guard self.areSameRecord(a, b, candidates ?? []) else { break }
                self.note(old: a, new: b, token: position + news.count - 1)
            }
            olds.removeLast()
            news.removeLast()
        }
        guard olds.count + news.count <= Self.alignmentLimit else { return self.outgrow() }
        var alignment = Alignment(
            olds: olds,
            news: news,
            oldNodes: self.old.nodes,
            newNodes: self.new.nodes,
            candidates: candidates ?? []
        )
        guard !self.wouldOutgrow(alignment.operationCount) else { return self.outgrow() }
        self.write(&alignment, at: position)
    }

    /// Whether two elements carry the same trusted identity.
    private func areSameRecord(_ i: Int, _ j: Int, _ candidates: [KeyCandidate]) -> Bool {
        guard let candidate = candidates.first, candidate.rank.isStrong,
            let old = candidate.key.hash(i, in: self.old.nodes)
        else { return false }
        return candidate.key.hash(j, in: self.new.nodes) == old
    }

    private static func siblings(_ nodes: UnsafePointer<Node>, from first: Int, to end: Int) -> [Int] {
        var siblings: [Int] = []
        var index = first
        while index < end {
            siblings.append(index)
            index = nodes[index].end
        }
        return siblings
    }

    /// Removals from the back, so that they do not shift each other; additions and moves from the front; then changes.
    private mutating func write(_ alignment: inout Alignment, at base: Int) {
        for (index, isMatched) in alignment.isOldMatched.enumerated().reversed() where !isMatched {
            guard !self.hasOutgrown else { return }
            self.emit(.remove, element: base + index)
        }
        var order = alignment.moverCount > 0 ? LiveOrder(alignment) : nil
        for (index, node) in alignment.news.enumerated() {
            guard !self.hasOutgrown else { return }
            switch alignment.matches[index] {
            case .none:
                self.emit(.add, element: base + (order?.insert() ?? index), value: node)
            case .stay(let old):
                order?.pass(old)
            case .move(let old):
                guard let (source, target) = order?.move(old), source != target else { continue }
                self.emitMove(from: base + source, to: base + target)
            }
        }
        for (index, node) in alignment.news.enumerated() {
            guard let old = alignment.matches[index].old else { continue }
            self.note(old: alignment.olds[old], new: node, token: base + index)
        }
    }
}

/// Live positions while elements are added and moved from the front to the back: a Fenwick tree over the survivors.
///
/// Slot 0 stands for the front, slot k + 1 for the k-th survivor in old order. A slot counts its survivor, while it is
/// still there, and everything that was put right behind it.
private struct LiveOrder {
    private var tree: [Int32]
    /// Per old element: its slot.
    private var slots: [Int]
    /// The slot of the last element that stays and was passed: additions and moves go right behind what it counts.
    private var current = 0

    init(_ alignment: Alignment) {
        self.slots = []
        var survivors = 0
        for isMatched in alignment.isOldMatched {
            if isMatched { survivors += 1 }
            self.slots.append(survivors)
        }
        self.tree = [Int32](repeating: 0, count: survivors + 2)
        // Linear construction: each node hands its sum on to its parent.
        for node in 1..<self.tree.count {
            if node >= 2 { self.tree[node] += 1 }
            let parent = node + (node & -node)
            if parent < self.tree.count { self.tree[parent] += self.tree[node] }
        }
    }

    /// Adds an element behind everything placed so far; returns its position.
    mutating func insert() -> Int {
        let target = self.sum(below: self.current + 1)
        self.add(1, at: self.current)
        return target
    }

    mutating func pass(_ old: Int) {
        self.current = self.slots[old]
    }

    /// Moves an element behind everything placed so far; both positions as RFC 6902 §4.4 counts them.
    mutating func move(_ old: Int) -> (source: Int, target: Int) {
        let slot = self.slots[old]
        let source = self.sum(below: slot)
        self.add(-1, at: slot)
        return (source, self.insert())
    }

    private mutating func add(_ delta: Int32, at slot: Int) {
        var node = slot + 1
        while node < self.tree.count {
            self.tree[node] += delta
            node += node & -node
        }
    }

    /// How many live elements the slots in front of `slot` count.
    private func sum(below slot: Int) -> Int {
        var node = slot
        var sum = 0
        while node > 0 {
            sum += Int(self.tree[node])
            node -= node & -node
        }
        return sum
    }
}
