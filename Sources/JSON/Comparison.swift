// Parses only what changed: where the text goes on like the last version's, nodes are copied from the last version's tape.
//
// Both texts are without whitespace. The state of the parser is its position, the open containers and what is expected
// next. A run of equal bytes is taken over only where this state is that of the parser that read the old text, so up to
// the start of the last token that begins within the run both do the same. Each open container is paired with an old
// one, or with none; a paired one is of the same kind, and its parent is paired with the parent of its old one. Hashes
// say only where to compare. After any error the plain parser reads the whole text, and its result counts.

/// One parse of a text by comparison with a document.
struct Comparison {
    /// A container of the old document to which an open one of the new document corresponds.
    struct Pair {
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
    enum Step {
        /// An element or a name, which corresponds to an old one, or to none.
        case child(old: Int)
        /// The value of a name that was taken over.
        case value(old: Int)
        /// What follows a value that was taken over with all of the old document, which is a part of the new one.
        case behind
        /// The outermost value is complete.
        case finished
    }

    var parser: Parser
    let old: UnsafePointer<Node>
    let oldCount: Int
    let oldText: UnsafePointer<UInt8>
    let oldLength: Int
    /// How many bytes at the start are those of the old text.
    let common: Int
    /// One more than are open. The workspace's, as long as there is room.
    private(set) var pairs: UnsafeMutablePointer<Pair>
    private var pairCapacity = Workspace.depth + 1
    /// Hashes of the names that lead to what the old document is a version of.
    let way: [UInt64]
    /// How many of them lead to the container at hand, or all.
    var matched = 0
    var tables: [MovedElements] = []
    let costs: ComparisonCosts

    /// Nanoseconds that may still be lost.
    var balance: Int
    /// What it was at first.
    let allowance: Int
    /// Comparisons in vain since the last run.
    var failures = 0
    /// Names in a row that were not found in the old object.
    var strangers = 0
    /// Bytes taken over so far.
    var taken = 0

    /// - Parameters:
    ///   - parser: at the start of a text without whitespace, of which nothing was read yet; taken over.
    ///   - old: a document whose text was accepted within limits at least as narrow in depth; it must outlive this.
    ///   - oldText: its text.
    ///   - common: how many bytes at the start are the same in both texts, where it is a version of the whole text.
    ///   - way: hashes of the names that lead to what it is a version of; none where that is the whole text.
    ///   - costs: when to compare.
    init(
        _ parser: Parser,
        with old: Storage,
        oldText: UnsafePointer<UInt8>,
        common: Int,
        at way: [UInt64],
        costs: ComparisonCosts
    ) {
        self.common = common
        self.way = way
        self.parser = parser
        self.old = old.nodes
        self.oldCount = old.count
        self.oldText = oldText
        self.oldLength = old.text.count
        self.costs = costs
        self.pairs = parser.workspace.pairs
        let nodes = Int(Double(old.count) * Double(parser.end) / Double(max(old.text.count, 1)))
        self.allowance = ComparisonCosts.parsing(bytes: parser.end, nodes: nodes) / 16 + 64
        self.balance = self.allowance
    }

    /// Whether comparing cost more than it saved, by some hundredths of a plain parse.
    var wasLoss: Bool { self.balance < self.allowance * 3 / 4 }

    /// Frees everything but what is the parser's.
    func finish() {
        if self.pairs != self.parser.workspace.pairs { self.pairs.deallocate() }
    }

    /// Reads the whole text.
    ///
    /// - Throws: an error whose offset says nothing about the original text.
    mutating func document() throws(ParseError) {
        let whole = Pair(old: 0, end: self.oldCount, cursor: 0, anchor: 0, takenBefore: 0)
        self.pairs.initialize(to: self.way.isEmpty ? whole : .none)
        let end = try self.values()
        guard end >= self.parser.end, self.parser.squeeze.shift == 0 else {
            throw self.parser.error(.trailingContent, at: end)
        }
    }

    /// - Returns: the position behind the outermost value.
    mutating func values() throws(ParseError) -> Int {
        var position = 0
        while true {
            // Without comparisons the plain parser is faster.
            guard self.balance >= 0 || self.costs.isEndless else { return try self.parser.values(from: position) }
            self.balance &-= ComparisonCosts.token
            if self.failures > ComparisonCosts.patience, !self.costs.isEndless {
                guard try !self.readPlainly(from: &position) else { return position }
            }
            let isComplete: Bool
            switch try self.next(at: &position) {
            case .finished: return position
            case .behind: isComplete = try self.closeFinished(at: &position)
            case .value(let old): isComplete = try self.value(at: &position, old)
            case .child(let old) where !self.parser.isObject:
                let isPlain = self.failures > ComparisonCosts.patience && self.isContainer(at: position)
                isComplete = isPlain ? try self.record(at: &position, old) : try self.value(at: &position, old)
            case .child: isComplete = try self.member(at: &position)
            }
            if isComplete { return position }
        }
    }

    /// Reads a member, or its name alone where its value is a container.
    ///
    /// - Returns: whether the outermost value is complete.
    @inline(__always)
    mutating func member(at position: inout Int) throws(ParseError) -> Bool {
        position = try self.parser.name(at: position)
        let name = self.parser.count &- 1
        var counterpart = self.oldValue(ofNameAt: name)
        var isCompared = true
        let depth = self.parser.depth
        if counterpart >= 0 {
            // Behind names that are gone, the value was not compared yet.
            isCompared = self.pairs[depth].cursor == counterpart &- 1
            self.pairs[depth].cursor = counterpart &- 1
        } else if self.matched < self.way.count, depth == self.matched &+ 1,
            self.parser.nodes[name].hash == self.way[self.matched]
        {
            self.matched &+= 1
            if self.matched == self.way.count {
                counterpart = 0
                isCompared = false
            }
        }
        guard !isCompared else { return try self.value(at: &position, counterpart) }
        switch try self.take(from: counterpart, at: &position, isValue: true) {
        case .finished?: return true
        case .behind?: return try self.closeFinished(at: &position)
        case .value(let old)?: return try self.value(at: &position, old)
        case .child?: return false
        case nil: return try self.value(at: &position, counterpart)
        }
    }

    /// Reads a container in an array plainly, after many comparisons in vain, and looks for an old one that equals it.
    ///
    /// - Returns: whether the outermost value is complete.
    mutating func record(at position: inout Int, _ counterpart: Int) throws(ParseError) -> Bool {
        let depth = self.parser.depth
        let element = self.parser.count
        self.parser.pauseDepth = depth
        self.parser.pausePosition = 0
        position = try self.parser.values(from: position)
        self.parser.pauseDepth = -1
        if self.parser.depth == depth {
            self.complete(counterpart, taken: 0)
            if depth > 0, self.pairs[depth].old >= 0 { self.searchEqual(self.parser.nodes[element].hash) }
        } else {
            self.leave(to: self.parser.depth)
        }
        return self.parser.depth == 0
    }

    /// Reads the rest of the container that was opened last plainly: it corresponds to none, and so nothing in it does.
    ///
    /// - Returns: whether the outermost value is complete.
    @inline(never)
    private mutating func strange(at position: inout Int) throws(ParseError) -> Bool {
        let depth = self.parser.depth &- 1
        let container = self.parser.container
        self.parser.pauseDepth = depth
        self.parser.pausePosition = 0
        position = try self.parser.values(from: position)
        self.parser.pauseDepth = -1
        if self.parser.depth < depth {
            self.leave(to: self.parser.depth)
        } else if !self.parser.isObject {
            self.findEqual(to: container, counterpart: -1, taken: 0)
        }
        return self.parser.depth == 0
    }

    @inline(__always)
    func isContainer(at position: Int) -> Bool {
        let byte = self.parser.bytes[position]
        return byte == UInt8(ascii: "{") || byte == UInt8(ascii: "[")
    }

    /// Containers were closed by the plain parser, down to a depth.
    mutating func leave(to depth: Int) {
        let closed = self.pairs[depth &+ 1].old
        if closed >= 0 { self.pairs[depth].cursor = self.old[closed].end }
        // Names were read that were not looked up.
        for level in 0...depth { self.pairs[level].isInOrder = false }
    }

    /// Reads a scalar or the start of a container, and what closes behind it.
    ///
    /// - Returns: whether the outermost value is complete.
    @inline(__always)
    mutating func value(at position: inout Int, _ counterpart: Int) throws(ParseError) -> Bool {
        guard try self.parser.value(at: &position) else {
            self.open(counterpart, isObject: self.parser.isObject)
            guard self.pairs[self.parser.depth].old < 0, self.matched == self.way.count else { return false }
            return try self.strange(at: &position)
        }
        self.complete(counterpart, taken: 0)
        return try self.closeFinished(at: &position)
    }

    /// Pairs the container that was opened last.
    @inline(__always)
    mutating func open(_ old: Int, isObject: Bool) {
        let kind = UInt32((isObject ? Value.Kind.object : .array).rawValue)
        let depth = self.parser.depth
        if depth >= self.pairCapacity { self.growPairs() }
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

    /// Makes room for what corresponds to the container that was opened last.
    @inline(never)
    private mutating func growPairs() {
        let capacity = max(self.pairCapacity * 2, self.parser.depth + 1)
        let pairs = UnsafeMutablePointer<Pair>.allocate(capacity: capacity)
        pairs.initialize(from: self.pairs, count: self.pairCapacity)
        self.finish()
        self.pairs = pairs
        self.pairCapacity = capacity
    }

    /// A value is complete that corresponds to an old one, of which so many bytes were taken over.
    @inline(__always)
    mutating func complete(_ old: Int, taken: Int) {
        guard old >= 0 else { return }
        let depth = self.parser.depth
        self.pairs[depth].cursor = self.old[old].end
        if taken &* 2 >= self.old[old].byteCount { self.pairs[depth].anchor = self.old[old].end }
    }

    /// As the parser's own.
    @inline(__always)
    mutating func closeFinished(at position: inout Int) throws(ParseError) -> Bool {
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
    mutating func close(at position: Int, nodeEnd: Int) -> Int {
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
    mutating func oldValue(ofNameAt name: Int) -> Int {
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
