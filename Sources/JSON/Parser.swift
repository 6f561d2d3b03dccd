// Turns bytes into a tape in one pass: checks the grammar and UTF-8, drops whitespace, hashes every value.
//
// The input lies in a buffer of our own with zeros behind it. A zero byte is legal nowhere in JSON, so every scan
// stops there at the latest and no loop needs to compare against the end: a word of eight bytes is loaded only at
// positions up to `end`, and `padding` is longer than that. Nesting lives in `frames`, never on the call stack.

/// Parses one document, in place: whitespace is squeezed out of the same buffer that becomes the document's text.
struct Parser {
    /// Zero bytes behind the input.
    static let padding = 16
    /// Nodes in the first allocation; the second is sized by how densely these came.
    static let firstCapacity = 1024

    /// What is remembered of an enclosing container while an inner one is read.
    struct Frame {
        var accumulator: UInt64
        var shape: UInt64
        var children: UInt32
        var container: UInt32
    }

    let bytes: UnsafeMutablePointer<UInt8>
    let end: Int
    let seed: HashSeed
    let limits: ParseLimits
    let workspace: Workspace

    /// The workspace's, as long as there is room for what is open.
    private(set) var frames: UnsafeMutablePointer<Frame>
    private var frameCapacity: Int
    var nodes: UnsafeMutablePointer<Node>
    var capacity: Int
    var count = 0

    var depth = 0
    /// The innermost open container.
    var container = 0
    var isObject = false
    var children: UInt32 = 0
    var accumulator: UInt64 = 0
    /// Chained hash of the names so far: tells objects of a known layout.
    var shape: UInt64 = 0

    /// Where to stop: at the first value or name behind `pausePosition` in a container at `pauseDepth`, or behind that
    /// container. Never, below zero.
    var pauseDepth = -1
    var pausePosition = 0

    var squeeze = Squeeze()
    var names: NameCheck

    /// - Parameters:
    ///   - bytes: `end` bytes of input and `padding` zeros.
    ///   - end: the length of the input.
    ///   - limits: already clamped, so that every position and count fits 32 bits.
    ///   - seed: the secrets of the hashes.
    ///   - workspace: of this parser alone until it has finished.
    ///   - expectedNodes: how many there will be, where that is known.
    init(
        bytes: UnsafeMutablePointer<UInt8>,
        end: Int,
        limits: ParseLimits,
        seed: HashSeed,
        in workspace: Workspace,
        expectedNodes: Int = Parser.firstCapacity
    ) {
        self.bytes = bytes
        self.end = end
        self.seed = seed
        self.limits = limits
        self.workspace = workspace
        self.frames = workspace.frames
        self.frameCapacity = min(limits.maxDepth, Workspace.depth)
        self.names = NameCheck(room: workspace.shapes)
        self.capacity = min(end / 2 + 2, expectedNodes, limits.maxNodes)
        self.nodes = .allocate(capacity: max(self.capacity, 1))
    }

    /// Frees everything but the nodes, which go to the document.
    func finish() {
        if self.frames != self.workspace.frames { self.frames.deallocate() }
    }

    /// The whole input: one value with whitespace around it.
    ///
    /// - Returns: the length of the minified text, which starts at the beginning of the buffer.
    mutating func document() throws(ParseError) -> Int {
        var position = 0
        if self.end >= 3, self.bytes[0] == 0xEF, self.bytes[1] == 0xBB, self.bytes[2] == 0xBF {
            // A byte order mark (RFC 8259 §8.1 lets a parser ignore it).
            self.squeeze.drop(from: 0, to: 3, in: self.bytes)
            position = 3
        }
        position = try self.values(from: self.skip(position))
        position = self.skip(position)
        guard position >= self.end else { throw self.error(.trailingContent, at: position) }
        return self.squeeze.finish(at: self.end, in: self.bytes)
    }

    /// An input that has lost its byte order mark and its whitespace: one value and nothing around it.
    ///
    /// - Throws: an error whose offset says nothing about the original text.
    mutating func minifiedDocument() throws(ParseError) {
        let position = try self.values(from: 0)
        guard position >= self.end, self.squeeze.shift == 0 else { throw self.error(.trailingContent, at: position) }
    }

    /// Reads on from a value, or in an object from a name, until the outermost value is complete or `pausePosition` reached.
    ///
    /// - Returns: the position behind the outermost value, or of the next value or name. There, a container is open.
    mutating func values(from start: Int) throws(ParseError) -> Int {
        var position = start
        while true {
            if self.isObject { position = try self.name(at: position) }
            guard try self.value(at: &position) else { continue }
            if try self.closeFinished(at: &position) { return position }
        }
    }

    /// Reads a scalar or an empty container, or opens a container.
    ///
    /// - Returns: whether the value is complete; otherwise `position` is at the container's first member.
    @inline(__always)
    mutating func value(at position: inout Int) throws(ParseError) -> Bool {
        switch self.bytes[position] {
        case UInt8(ascii: "\""):
            position = try self.string(from: position &+ 1)
            self.addLast()
        case UInt8(ascii: "{"):
            try self.open(.object, at: position)
            position = self.skip(position &+ 1)
            guard self.bytes[position] == UInt8(ascii: "}") else { return false }
            position = self.close(at: position)
        case UInt8(ascii: "["):
            try self.open(.array, at: position)
            position = self.skip(position &+ 1)
            guard self.bytes[position] == UInt8(ascii: "]") else { return false }
            position = self.close(at: position)
        case UInt8(ascii: "-"), UInt8(ascii: "0")...UInt8(ascii: "9"):
            position = try self.number(from: position)
            self.addLast()
        case UInt8(ascii: "t") where self.word32(position) == 0x6575_7274:
            position = try self.literal(.true, from: position, count: 4)
        case UInt8(ascii: "f") where self.word32(position &+ 1) == 0x6573_6C61:
            position = try self.literal(.false, from: position, count: 5)
        case UInt8(ascii: "n") where self.word32(position) == 0x6C6C_756E:
            position = try self.literal(.null, from: position, count: 4)
        default:
            throw self.unexpected(at: position)
        }
        return true
    }

    /// Takes what follows a complete value: a comma, or the end of one or more containers.
    ///
    /// - Returns: whether the outermost value is complete or a pause is due; otherwise `position` is at the next member.
    @inline(__always)
    private mutating func closeFinished(at position: inout Int) throws(ParseError) -> Bool {
        while self.depth > 0 {
            position = self.skip(position)
            switch self.bytes[position] {
            case UInt8(ascii: ","):
                position = self.skip(position &+ 1)
                return self.depth <= self.pauseDepth
                    && (position >= self.pausePosition || self.depth < self.pauseDepth)
            case UInt8(ascii: "}") where self.isObject, UInt8(ascii: "]") where !self.isObject:
                position = self.close(at: position)
            default:
                throw self.unexpected(at: position)
            }
        }
        return true
    }

    /// A member's name and its colon.
    @inline(__always)
    mutating func name(at position: Int) throws(ParseError) -> Int {
        guard self.bytes[position] == UInt8(ascii: "\"") else { throw self.unexpected(at: position) }
        var position = try self.string(from: position &+ 1)
        if self.bytes[position] != UInt8(ascii: ":") {
            position = self.skip(position)
            guard self.bytes[position] == UInt8(ascii: ":") else { throw self.unexpected(at: position) }
        }
        return self.skip(position &+ 1)
    }
}

// MARK: - Containers

extension Parser {
    @inline(__always)
    private mutating func open(_ kind: Value.Kind, at position: Int) throws(ParseError) {
        try self.enter(self.count, isObject: kind == .object, at: position)
        try self.push(kind, from: position, to: position, escaped: false, hash: 0)
    }

    /// Makes the container at `index`, a node that is there or comes next, the innermost one.
    @inline(__always)
    mutating func enter(_ index: Int, isObject: Bool, at position: Int) throws(ParseError) {
        if self.depth >= self.frameCapacity { try self.growFrames(at: position) }
        // `depth` is below the capacity.
        self.frames[self.depth] = Frame(
            accumulator: self.accumulator,
            shape: self.shape,
            children: self.children,
            container: UInt32(truncatingIfNeeded: self.container)
        )
        self.depth &+= 1
        self.container = index
        self.isObject = isObject
        self.children = 0
        self.shape = 0
        self.accumulator = self.isObject ? 0 : self.seed.array
    }

    /// Makes room for one more open container.
    @inline(never)
    private mutating func growFrames(at position: Int) throws(ParseError) {
        guard self.depth < self.limits.maxDepth else {
            throw self.error(.tooDeep(limit: self.limits.maxDepth), at: position)
        }
        let capacity = min(max(self.frameCapacity * 2, self.depth + 1), self.limits.maxDepth)
        let frames = UnsafeMutablePointer<Frame>.allocate(capacity: capacity)
        frames.initialize(from: self.frames, count: self.depth)
        self.finish()
        self.frames = frames
        self.frameCapacity = capacity
    }

    /// Completes the innermost container, whose last byte is at `position`.
    @inline(__always)
    private mutating func close(at position: Int) -> Int {
        self.close(at: position, end: self.count, namesAreDistinct: false)
    }

    /// Completes the innermost container, whose last byte is at `position` and whose nodes end in front of `end`. Names that
    /// are known to be distinct need no check.
    ///
    /// - Returns: the position behind it.
    @inline(__always)
    mutating func close(at position: Int, end: Int, namesAreDistinct: Bool) -> Int {
        let index = self.container
        let count = UInt64(self.children)
        let hash =
            self.isObject
            ? self.seed.closeObject(self.accumulator, count: count)
            : self.seed.closeArray(self.accumulator, count: count)
        if self.isObject, self.children > 1, !namesAreDistinct, !self.names.isKnown(self.shape) {
            self.names.check(shape: self.shape, nodes: self.nodes, object: index, end: end, names: Int(count))
        }
        // `container` is a node that `open` appended, so it is below `count`.
        self.nodes[index].length = UInt32(
            truncatingIfNeeded: position &+ 1 &- self.squeeze.shift &- self.nodes[index].first
        )
        self.nodes[index].next = UInt32(truncatingIfNeeded: end)
        self.nodes[index].tag |= self.children << 4
        self.nodes[index].hash = hash

        self.depth &-= 1
        let frame = self.frames[self.depth]
        self.accumulator = frame.accumulator
        self.shape = frame.shape
        self.children = frame.children
        self.container = Int(frame.container)
        self.isObject = self.depth > 0 && self.nodes[self.container].tag & 7 == UInt32(Value.Kind.object.rawValue)
        self.add(hash, index: index)
        return position &+ 1
    }

    /// Adds the node appended last, a scalar, to the innermost container.
    @inline(__always)
    private mutating func addLast() {
        self.add(self.nodes[self.count &- 1].hash, index: self.count &- 1)
    }

    /// Adds a complete value to the innermost container.
    @inline(__always)
    mutating func add(_ hash: UInt64, index: Int) {
        self.children &+= 1
        if self.isObject {
            // The name is the node in front: in an object a value is never its first node.
            let name = self.nodes[index &- 1].hash
            self.accumulator &+= self.seed.member(name: name, value: hash)
            self.shape = fold(self.shape ^ name, self.seed.multiplier)
        } else {
            self.accumulator = self.seed.element(self.accumulator, hash)
        }
    }
}

// MARK: - Nodes, whitespace and errors

extension Parser {
    @inline(__always)
    private mutating func literal(_ kind: Value.Kind, from start: Int, count: Int) throws(ParseError) -> Int {
        try self.push(kind, from: start, to: start &+ count, escaped: false, hash: self.seed.literal(kind))
        self.addLast()
        return start &+ count
    }

    /// Appends a node. The caller adds it to its container, unless it is a name.
    @inline(__always)
    mutating func push(
        _ kind: Value.Kind,
        from start: Int,
        to end: Int,
        escaped: Bool,
        hash: UInt64
    ) throws(ParseError) {
        if self.count == self.capacity { try self.grow(at: start) }
        (self.nodes + self.count).initialize(
            to: Node(
                kind,
                start: start &- self.squeeze.shift,
                length: end &- start,
                index: self.count,
                escaped: escaped,
                hash: hash
            )
        )
        self.count &+= 1
    }

    /// Makes room for so many more nodes.
    @inline(__always)
    mutating func reserve(_ count: Int, at position: Int) throws(ParseError) {
        if self.capacity &- self.count < count { try self.grow(by: count, at: position) }
    }

    @inline(never)
    private mutating func grow(by needed: Int = 1, at position: Int) throws(ParseError) {
        guard self.count + needed <= self.limits.maxNodes else {
            throw self.error(.tooManyNodes(limit: self.limits.maxNodes), at: position)
        }
        // As dense as so far, and a tenth; at least half as much again, so that growing stays linear.
        let expected = Int(Double(self.count) * Double(self.end) / Double(max(position, 1)) * 1.1)
        let least = max(self.capacity + self.capacity / 2 + 1, self.count + needed)
        let capacity = min(max(expected, least), self.limits.maxNodes)
        let nodes = UnsafeMutablePointer<Node>.allocate(capacity: capacity)
        nodes.moveInitialize(from: self.nodes, count: self.count)
        self.nodes.deallocate()
        self.nodes = nodes
        self.capacity = capacity
    }

    @inline(__always)
    func word32(_ position: Int) -> UInt32 {
        UInt32(littleEndian: UnsafeRawPointer(self.bytes + position).loadUnaligned(as: UInt32.self))
    }

    @inline(__always)
    mutating func skip(_ position: Int) -> Int {
        self.bytes[position] > 0x20 ? position : self.squeeze.skip(position, in: self.bytes)
    }

    func error(_ reason: ParseError.Reason, at position: Int) -> ParseError {
        ParseError(reason: reason, offset: min(position, self.end))
    }

    func unexpected(at position: Int) -> ParseError {
        self.error(position >= self.end ? .unexpectedEnd : .unexpectedCharacter, at: position)
    }
}
