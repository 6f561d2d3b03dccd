// Parses only what changed: where the text goes on like the last version's, nodes are copied from the last version's tape.
//
// Both texts are without whitespace. The state of the parser is its position, the open containers and what is expected
// next. A run of equal bytes is taken over only where this state is that of the parser that read the old text, so up to
// the start of the last token that begins within the run both do the same. Each open container is paired with an old
// one, or with none; a paired one is of the same kind, and its parent is paired with the parent of its old one. Hashes
// say only where to compare. Whatever goes wrong, the plain parser reads the whole text and has the last word.

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

/// One parse of a text by comparison with a document.
struct Comparison {
    /// A container of the old document to which an open one of the new document corresponds.
    private struct Pair {
        /// The index of its node; negative where there is none.
        var old: Int
        /// The index behind it.
        var end: Int
        /// The old child that is expected next: of an object, its name.
        var cursor: Int
        /// The first old element behind the last that was taken over: what comes may have been put in before it.
        var anchor: Int
        /// What was taken over when this container was opened, in bytes.
        var takenBefore: Int
        /// Names were all those of the old object, in its order, so that none can come twice.
        var isInOrder = true
        /// The number of its table of elements; negative without.
        var table = -1

        static let none = Pair(old: -1, end: 0, cursor: 0, anchor: 0, takenBefore: 0)
    }

    /// What comes next.
    private enum Step {
        /// An element or a name, which corresponds to an old one, or to none.
        case child(old: Int)
        /// The value of a name that was taken over.
        case value(old: Int)
        /// The outermost value is complete.
        case finished
    }

    private(set) var parser: Parser
    private let old: UnsafePointer<Node>
    private let oldCount: Int
    private let oldText: UnsafePointer<UInt8>
    private let oldLength: Int
    /// One more than may be open.
    private let pairs: UnsafeMutablePointer<Pair>
    private var tables: [MovedElements] = []
    private let costs: ComparisonCosts

    /// Nanoseconds that may still be lost.
    private var balance: Int
    /// What it was at first.
    private let allowance: Int
    /// Comparisons in vain since the last run.
    private var failures = 0
    /// Names in a row that were not found in the old object.
    private var strangers = 0
    /// Bytes taken over so far.
    private var taken = 0

    /// - Parameters:
    ///   - parser: at the start of a text without whitespace, of which nothing was read yet; taken over.
    ///   - old: a document whose text was accepted within limits at least as narrow in depth; it must outlive this.
    ///   - oldText: its text.
    ///   - costs: when to compare.
    init(_ parser: Parser, with old: Storage, oldText: UnsafePointer<UInt8>, costs: ComparisonCosts) {
        self.parser = parser
        self.old = old.nodes
        self.oldCount = old.count
        self.oldText = oldText
        self.oldLength = old.text.count
        self.costs = costs
        self.pairs = .allocate(capacity: parser.limits.maxDepth + 1)
        let nodes = Int(Double(old.count) * Double(parser.end) / Double(max(old.text.count, 1)))
        self.allowance = ComparisonCosts.parsing(bytes: parser.end, nodes: nodes) / 16 + 64
        self.balance = self.allowance
    }

    /// Whether comparing cost more than it saved, by some hundredths of a plain parse.
    var wasLoss: Bool { self.balance < self.allowance * 3 / 4 }

    /// Frees everything but what is the parser's.
    func finish() {
        self.pairs.deallocate()
    }

    /// Reads the whole text.
    ///
    /// - Throws: an error whose offset says nothing about the original text.
    mutating func document() throws(ParseError) {
        self.pairs.initialize(to: Pair(old: 0, end: self.oldCount, cursor: 0, anchor: 0, takenBefore: 0))
        let end = try self.values()
        guard end >= self.parser.end, self.parser.squeeze.shift == 0 else {
            throw self.parser.error(.trailingContent, at: end)
        }
    }

    /// - Returns: the position behind the outermost value.
    private mutating func values() throws(ParseError) -> Int {
        var position = 0
        while true {
            // Without comparisons the plain parser is faster.
            guard self.balance >= 0 || self.costs.isEndless else { return try self.parser.values(from: position) }
            self.balance &-= ComparisonCosts.token
            if self.failures > ComparisonCosts.patience, !self.costs.isEndless {
                guard try !self.readPlainly(from: &position) else { return position }
            }
            var counterpart: Int
            var isValue = false
            switch try self.next(at: &position) {
            case .finished:
                return position
            case .value(let old):
                counterpart = old
                isValue = true
            case .child(let old):
                counterpart = old
            }
            if self.parser.isObject, !isValue {
                position = try self.parser.name(at: position)
                counterpart = self.oldValue(ofNameAt: self.parser.count &- 1)
                if counterpart >= 0, self.pairs[self.parser.depth].cursor != counterpart &- 1 {
                    // Behind names that are gone: the value was not compared yet.
                    self.pairs[self.parser.depth].cursor = counterpart &- 1
                    switch try self.take(from: counterpart, at: &position, isValue: true) {
                    case .finished?: return position
                    case .value(let old)?:
                        // A name further on was taken over, and its value comes next.
                        counterpart = old
                    case .child?: continue
                    case nil: break
                    }
                }
            }
            if try self.value(at: &position, counterpart) { return position }
        }
    }

    /// Reads a scalar or the start of a container, and what closes behind it.
    ///
    /// - Returns: whether the outermost value is complete.
    @inline(__always)
    private mutating func value(at position: inout Int, _ counterpart: Int) throws(ParseError) -> Bool {
        guard try self.parser.value(at: &position) else {
            self.open(counterpart, isObject: self.parser.isObject)
            return false
        }
        self.complete(counterpart, taken: 0)
        return try self.closeFinished(at: &position)
    }

    /// Pairs the container that was opened last.
    @inline(__always)
    private mutating func open(_ old: Int, isObject: Bool) {
        let kind = UInt32((isObject ? Value.Kind.object : .array).rawValue)
        let depth = self.parser.depth
        // A name that comes again must not be taken for the same old one, whatever its value is now.
        if old >= 0 { self.pairs[depth &- 1].cursor = self.old[old].end }
        guard old >= 0, self.old[old].tag & 7 == kind else {
            self.pairs[depth] = .none
            return
        }
        self.pairs[depth] = Pair(
            old: old,
            end: self.old[old].end,
            cursor: old &+ 1,
            anchor: old &+ 1,
            takenBefore: self.taken
        )
    }

    /// A value is complete that corresponds to an old one, of which so many bytes were taken over.
    @inline(__always)
    private mutating func complete(_ old: Int, taken: Int) {
        guard old >= 0 else { return }
        let depth = self.parser.depth
        self.pairs[depth].cursor = self.old[old].end
        if taken &* 2 >= self.old[old].byteCount { self.pairs[depth].anchor = self.old[old].end }
    }

    /// As the parser's own.
    @inline(__always)
    private mutating func closeFinished(at position: inout Int) throws(ParseError) -> Bool {
        while self.parser.depth > 0 {
            switch self.parser.bytes[position] {
            case UInt8(ascii: ","):
                position &+= 1
                return false
            case UInt8(ascii: "}") where self.parser.isObject, UInt8(ascii: "]") where !self.parser.isObject:
                position = self.close(at: position, nodeEnd: self.parser.count)
            default:
                throw self.parser.unexpected(at: position)
            }
        }
        return true
    }

    @inline(__always)
    private mutating func close(at position: Int, nodeEnd: Int) -> Int {
        let pair = self.pairs[self.parser.depth]
        let container = self.parser.container
        let end = self.parser.close(
            at: position,
            end: nodeEnd,
            namesAreDistinct: pair.old >= 0 && pair.isInOrder
        )
        let taken = self.taken &- pair.takenBefore
        self.complete(pair.old, taken: taken)
        if !self.parser.isObject { self.findEqual(to: container, counterpart: pair.old, taken: taken) }
        return end
    }

    /// Where the old object has the name that was read last.
    ///
    /// - Returns: the index of its value; negative where it was not found.
    @inline(__always)
    private mutating func oldValue(ofNameAt name: Int) -> Int {
        let depth = self.parser.depth
        guard self.pairs[depth].old >= 0 else { return -1 }
        let hash = self.parser.nodes[name].hash
        let end = self.pairs[depth].end
        var candidate = self.pairs[depth].cursor
        // Where many were not found, the next one alone is looked at.
        for _ in 0..<(self.strangers < 8 ? 16 : 1) {
            guard candidate < end else { break }
            guard self.old[candidate].hash != hash else {
                self.strangers = 0
                return candidate &+ 1
            }
            candidate = self.old[candidate &+ 1].end
        }
        self.strangers &+= 1
        self.pairs[depth].isInOrder = false
        return -1
    }
}

// MARK: - Where to compare

extension Comparison {
    /// At an element, a name or the outermost value: takes over what is the same.
    @inline(__always)
    private mutating func next(at position: inout Int) throws(ParseError) -> Step {
        let pair = self.pairs[self.parser.depth]
        guard pair.old >= 0 else { return .child(old: -1) }
        return try self.compare(pair, at: &position)
    }

    private mutating func compare(_ pair: Pair, at position: inout Int) throws(ParseError) -> Step {
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

    private mutating func take(from old: Int, at position: inout Int, isValue: Bool) throws(ParseError) -> Step? {
        let length = self.equalCount(position, Int(self.old[old].start))
        let step = try self.takeRun(from: old, length: length, at: &position, isValue: isValue)
        if step == nil { self.failed(length) }
        return step
    }

    /// The old element that begins like what stands at `position`; makes a table at the first question.
    private mutating func moved(_ pair: Pair, at position: Int) -> Int? {
        let byte = self.parser.bytes[position]
        guard byte == UInt8(ascii: "{") || byte == UInt8(ascii: "["),
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
    private mutating func findEqual(to element: Int, counterpart: Int, taken: Int) {
        guard self.parser.depth > 0, self.pairs[self.parser.depth].old >= 0 else { return }
        if counterpart >= 0, taken &* 2 >= self.old[counterpart].byteCount { return }
        self.searchEqual(self.parser.nodes[element].hash)
    }

    @inline(never)
    private mutating func searchEqual(_ hash: UInt64) {
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

    private mutating func failed(_ compared: Int) {
        self.balance &-= ComparisonCosts.attempt &+ compared / 16
        self.failures &+= 1
    }

    /// Reads a stretch of the text without a comparison, up to an element of the array around it where there is one.
    ///
    /// - Returns: whether the outermost value is complete.
    @inline(never)
    private mutating func readPlainly(from position: inout Int) throws(ParseError) -> Bool {
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
            let closed = self.pairs[reached &+ 1].old
            if closed >= 0 { self.pairs[reached].cursor = self.old[closed].end }
        } else {
            self.advance(by: Int(self.parser.children) &- children, bytes: position &- start)
        }
        // Names were read that were not looked up.
        for level in 0...reached { self.pairs[level].isInOrder = false }
        return false
    }

    /// Passes over old children of the innermost container, as many as new ones were read, unless they are so short that
    /// this would take as long as to read them.
    private mutating func advance(by count: Int, bytes: Int) {
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
    private func equalCount(_ position: Int, _ start: Int) -> Int {
        let new = self.parser.bytes + position
        let old = self.oldText + start
        let limit = min(self.parser.end &- position, self.oldLength &- start)
        var count = 0
        while limit &- count >= 32 {
            let a = loadWord(new + count) ^ loadWord(old + count)
            let b = loadWord(new + count + 8) ^ loadWord(old + count + 8)
            let c = loadWord(new + count + 16) ^ loadWord(old + count + 16)
            let d = loadWord(new + count + 24) ^ loadWord(old + count + 24)
            guard a | b | c | d == 0 else { break }
            count &+= 32
        }
        while limit &- count >= 8 {
            let difference = loadWord(new + count) ^ loadWord(old + count)
            guard difference == 0 else { return count &+ difference.trailingZeroBitCount >> 3 }
            count &+= 8
        }
        while count < limit, new[count] == old[count] { count &+= 1 }
        return count
    }
}

// MARK: - Taking over

extension Comparison {
    /// Takes over the tokens from `first` on that begin within `length` equal bytes, but for the last of them.
    ///
    /// - Returns: nil where that is not worth it, and nothing was done.
    private mutating func takeRun(
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
        let shift = Shift(text: position &- start, nodes: self.parser.count &- first)
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

    /// What is added to the positions in the text, and to the indexes of nodes.
    private struct Shift {
        var text: Int
        var nodes: Int
    }

    /// The last token that starts at or before a position in the old text; the number of tokens stands for the text's end.
    private func lastToken(from first: Int, startingBy position: Int) -> Int {
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

    /// Appends old nodes to the new tape, which has room for them: two at a time, as three words of four fields.
    private mutating func copy(_ first: Int, _ count: Int, _ shift: Shift) {
        let text = UInt32(truncatingIfNeeded: shift.text)
        let nodes = UInt32(truncatingIfNeeded: shift.nodes)
        // Of a node: start, length, next, tag, and the two halves of the hash.
        let a = SIMD4<UInt32>(text, 0, nodes, 0)
        let b = SIMD4<UInt32>(0, 0, text, 0)
        let c = SIMD4<UInt32>(nodes, 0, 0, 0)
        var source = UnsafeRawPointer(self.old + first)
        var target = UnsafeMutableRawPointer(self.parser.nodes + self.parser.count)
        for _ in 0..<(count / 2) {
            let first = source.loadUnaligned(as: SIMD4<UInt32>.self)
            let second = source.loadUnaligned(fromByteOffset: 16, as: SIMD4<UInt32>.self)
            let third = source.loadUnaligned(fromByteOffset: 32, as: SIMD4<UInt32>.self)
            target.storeBytes(of: first &+ a, as: SIMD4<UInt32>.self)
            target.storeBytes(of: second &+ b, toByteOffset: 16, as: SIMD4<UInt32>.self)
            target.storeBytes(of: third &+ c, toByteOffset: 32, as: SIMD4<UInt32>.self)
            source += 48
            target += 48
        }
        if count & 1 == 1 {
            var node = self.old[first &+ count &- 1]
            node.start &+= text
            node.next &+= nodes
            (self.parser.nodes + self.parser.count + count - 1).initialize(to: node)
        }
        self.parser.count &+= count
    }

    /// Brings the open containers up to date with the nodes that were copied: the old ones from `first` up to `end`.
    ///
    /// Goes from sibling to sibling, and into containers that go on behind `end`.
    private mutating func follow(
        _ first: Int,
        to end: Int,
        _ shift: Shift,
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
