// What it costs to compare, and where that is tried.

/// What comparing may cost, as expected times in nanoseconds, and from when on it pays.
struct ComparisonCosts {
    /// The shortest run of equal bytes that is taken over.
    var shortestRun = 48
    /// Never gives up, for tests.
    var isEndless = false

    /// What a plain parser takes for a node; six bytes take another nanosecond.
    static let node = 6
    /// What a token takes here beyond what it takes a plain parser.
    static let token = 4
    /// One comparison in vain; sixteen bytes of it take another nanosecond.
    static let attempt = 10
    /// To take a run over, its nodes apart.
    static let run = 50
    /// One entry of a table of elements.
    static let entry = 14
    /// A document shorter than this is parsed plainly.
    static let shortestDocument = 256
    /// Old elements that are looked at for one that equals what was parsed.
    static let lookAhead = 24
    /// After so many comparisons in vain a stretch of the text is read plainly, and a longer one after each further one.
    static let patience = 8

    /// What a plain parser would take for so much.
    static func parsing(bytes: Int, nodes: Int) -> Int { nodes &* self.node &+ bytes / 6 }
}

extension Comparison {
    /// At an element, a name or the outermost value: takes over what is the same.
    @inline(__always)
    mutating func next(at position: inout Int) throws(ParseError) -> Step {
        let pair = self.pairs[self.parser.depth]
        guard pair.old >= 0 else { return .child(old: -1) }
        return try self.compare(pair, at: &position)
    }

    mutating func compare(_ pair: Pair, at position: inout Int) throws(ParseError) -> Step {
        var best = -1
        var length = 0
        var compared = 0
        func isEnough() -> Bool { best >= 0 && length &* 2 >= self.old[best].byteCount }
        func consider(_ candidate: Int) {
            guard candidate < pair.end, candidate != best else { return }
            let count = self.equalCount(position, Int(self.old[candidate].start))
            compared &+= count
            if best < 0 || count > length {
                best = candidate
                length = count
            }
        }
        consider(pair.cursor)
        if !self.parser.isObject, !isEnough() {
            if pair.anchor != pair.cursor { consider(pair.anchor) }
            if !isEnough(), pair.cursor < pair.end { consider(self.old[pair.cursor].end) }
            if !isEnough(), let moved = self.moved(pair, at: position) { consider(moved) }
        }
        guard best >= 0 else {
            self.failed(compared)
            return .child(old: -1)
        }
        if let step = try self.takeRun(from: best, length: length, at: &position, isValue: false) { return step }
        self.failed(compared)
        if self.parser.isObject { return .child(old: pair.cursor) }
        return .child(old: best)
    }

    mutating func take(from old: Int, at position: inout Int, isValue: Bool) throws(ParseError) -> Step? {
        let length = self.equalCount(position, Int(self.old[old].start))
        let step = try self.takeRun(from: old, length: length, at: &position, isValue: isValue)
        if step == nil { self.failed(length) }
        return step
    }

    /// The old element that begins like what stands at `position`; makes a table when it is first called.
    mutating func moved(_ pair: Pair, at position: Int) -> Int? {
        guard self.isContainer(at: position),
            self.parser.end &- position >= MovedElements.prefix, self.parser.depth > 0
        else { return nil }
        var table = pair.table
        if table < 0 {
            let cost = ComparisonCosts.entry &* self.old[pair.old].count
            guard self.old[pair.old].count >= 4, self.balance >= cost || self.costs.isEndless else { return nil }
            self.balance &-= cost
            table = self.tables.count
            self.tables.append(
                MovedElements(of: pair.old, nodes: self.old, text: self.oldText, seed: self.parser.seed)
            )
            self.pairs[self.parser.depth].table = table
        }
        return self.tables[table].find(self.parser.bytes + position)
    }

    /// An element was read of which little was taken over. Where an old one a little further on equals it, the ones between
    /// are gone.
    @inline(__always)
    mutating func findEqual(to element: Int, counterpart: Int, taken: Int) {
        guard self.parser.depth > 0, self.pairs[self.parser.depth].old >= 0 else { return }
        if counterpart >= 0, taken &* 2 >= self.old[counterpart].byteCount { return }
        self.searchEqual(self.parser.nodes[element].hash)
    }

    @inline(never)
    mutating func searchEqual(_ hash: UInt64) {
        let pair = self.pairs[self.parser.depth]
        var candidate = pair.anchor
        var count = 0
        while candidate < pair.end, count < ComparisonCosts.lookAhead {
            let node = self.old[candidate]
            candidate = node.end
            count &+= 1
            guard node.hash != hash else {
                self.pairs[self.parser.depth].cursor = candidate
                self.pairs[self.parser.depth].anchor = candidate
                break
            }
        }
        self.balance &-= count
    }

    mutating func failed(_ compared: Int) {
        self.balance &-= ComparisonCosts.attempt &+ compared / 16
        self.failures &+= 1
    }

    /// Reads a stretch of the text without a comparison, up to an element of the array around it where there is one.
    ///
    /// - Returns: whether the outermost value is complete.
    @inline(never)
    mutating func readPlainly(from position: inout Int) throws(ParseError) -> Bool {
        let stretch = 256 &<< min(self.failures &- ComparisonCosts.patience, 6)
        // One more comparison, and a longer stretch if that is in vain too.
        self.failures &+= 1
        var depth = self.parser.depth
        var children = Int(self.parser.children)
        if self.parser.isObject, depth > 1, self.pairs[depth &- 1].old >= 0 {
            depth &-= 1
            children = Int(self.parser.frames[depth].children)
        }
        let start = position
        self.parser.pauseDepth = depth
        self.parser.pausePosition = start &+ stretch
        position = try self.parser.values(from: start)
        self.parser.pauseDepth = -1
        let reached = self.parser.depth
        guard reached > 0 else { return true }
        if reached < depth {
            self.leave(to: reached)
        } else {
            self.advance(by: Int(self.parser.children) &- children, bytes: position &- start)
            self.pairs[reached].isInOrder = false
        }
        return false
    }

    /// Passes over old children of the innermost container, as many as new ones were read, unless they are so short that
    /// this would take as long as to read them.
    mutating func advance(by count: Int, bytes: Int) {
        let pair = self.pairs[self.parser.depth]
        guard pair.old >= 0, count &* 32 <= bytes else { return }
        var cursor = pair.cursor
        for _ in 0..<count where cursor < pair.end {
            cursor = self.old[self.parser.isObject ? cursor &+ 1 : cursor].end
        }
        self.pairs[self.parser.depth].cursor = cursor
        self.balance &-= count
    }

    /// How many bytes of the new text from `position` on are those of the old one from `start` on.
    @inline(__always)
    func equalCount(_ position: Int, _ start: Int) -> Int {
        if position | start == 0 { return self.common }
        let limit = min(self.parser.end &- position, self.oldLength &- start)
        return JSON.equalCount(self.parser.bytes + position, self.oldText + start, limit: limit)
    }
}
