// Takes over what is the same: nodes of the old tape, and what they mean for the containers that are open.

extension Comparison {
    /// Takes over the tokens from `first` on that begin within `length` equal bytes, but for the last of them.
    ///
    /// - Returns: nil where that is not worth it, and nothing was done.
    mutating func takeRun(
        from first: Int,
        length: Int,
        at position: inout Int,
        isValue: Bool
    ) throws(ParseError) -> Step? {
        guard length >= self.costs.shortestRun else { return nil }
        let start = self.old[first].first
        let end = self.lastToken(from: first, startingBy: start &+ length)
        guard end > first else { return nil }
        let bytes = (end < self.oldCount ? self.old[end].first : self.oldLength) &- start
        let nodes = end &- first
        self.failures = 0
        self.taken &+= bytes
        self.balance &+=
            ComparisonCosts.parsing(bytes: bytes, nodes: nodes) &- ComparisonCosts.run &- nodes &- length / 16
        try self.parser.reserve(nodes, at: position)
        let shift = NodeShift(text: position &- start, nodes: self.parser.count &- first)
        self.copy(first, nodes, shift)
        position &+= bytes
        let step = try self.follow(first, to: end, shift, isValue: isValue)
        // The old container went on where the new one may end.
        if case .child = step, self.parser.children == 0, self.parser.depth > 0 {
            let closing = self.parser.isObject ? UInt8(ascii: "}") : UInt8(ascii: "]")
            if self.parser.bytes[position] == closing {
                position = self.close(at: position, nodeEnd: self.parser.count)
                guard try !self.closeFinished(at: &position) else { return .finished }
                return .child(old: -1)
            }
        }
        return step
    }

    /// The last token that starts at or before a position in the old text; the number of tokens stands for the text's end.
    func lastToken(from first: Int, startingBy position: Int) -> Int {
        if position >= self.oldLength { return self.oldCount }
        var low = first
        var step = 1
        while low &+ step < self.oldCount, self.old[low &+ step].first <= position {
            low &+= step
            step &*= 2
        }
        var high = min(low &+ step, self.oldCount)
        while high &- low > 1 {
            let middle = (low &+ high) / 2
            if self.old[middle].first <= position { low = middle } else { high = middle }
        }
        return low
    }

    /// Appends old nodes to the new tape, which has room for them.
    mutating func copy(_ first: Int, _ count: Int, _ shift: NodeShift) {
        Node.copy(self.old + first, count: count, to: self.parser.nodes + self.parser.count, shift)
        self.parser.count &+= count
    }

    /// Brings the open containers up to date with the nodes that were copied: the old ones from `first` up to `end`.
    ///
    /// Goes from sibling to sibling, and into containers that go on behind `end`.
    mutating func follow(
        _ first: Int,
        to end: Int,
        _ shift: NodeShift,
        isValue: Bool
    ) throws(ParseError) -> Step {
        var index = first
        var isValue = isValue
        while true {
            let depth = self.parser.depth
            if index == self.pairs[depth].end, !isValue {
                guard depth > 0 else { return .finished }
                // Behind the container's last child, and its bracket is among the equal bytes.
                let container = self.old[self.pairs[depth].old]
                let last = container.first &+ container.byteCount &- 1
                _ = self.close(at: last &+ shift.text, nodeEnd: index &+ shift.nodes)
                continue
            }
            // The container around the old document has no counterpart.
            guard index < self.oldCount || self.pairs[depth].old >= 0 else { return .behind }
            guard index < end else {
                self.pairs[depth].cursor = index
                self.pairs[depth].anchor = index
                return .child(old: index)
            }
            var value = index
            if self.parser.isObject, !isValue {
                value &+= 1
                guard value < end else {
                    self.pairs[depth].cursor = index
                    return .value(old: value)
                }
            }
            isValue = false
            let node = self.old[value]
            guard node.end > end else {
                self.parser.add(node.hash, index: value &+ shift.nodes)
                index = node.end
                continue
            }
            let new = value &+ shift.nodes
            let isObject = node.kind == .object
            try self.parser.enter(new, isObject: isObject, at: self.parser.nodes[new].first)
            // The kind alone: members are counted when it is closed.
            self.parser.nodes[new].tag &= 7
            self.open(value, isObject: isObject)
            index = value &+ 1
        }
    }
}
