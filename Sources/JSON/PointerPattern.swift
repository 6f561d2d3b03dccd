// Pointers with wildcards, and hashes that leave out what they match.

/// A JSON Pointer in which a token `*` stands for any member or element.
///
/// It names the values that a source ignores, such as the time at which an answer was generated. A member really called
/// `*` can be named only together with its siblings.
package struct PointerPattern: Hashable, Sendable, CustomStringConvertible {
    package let pointer: Pointer

    /// Reads a pattern's text: nil where it is no pointer (RFC 6901), and for the empty one, which would ignore all.
    package init?(_ text: String) {
        guard let pointer = Pointer(text), !pointer.isEmpty else { return nil }
        self.pointer = pointer
    }

    package var description: String { self.pointer.description }

    /// Whether this pattern matches exactly that pointer.
    package func matches(_ other: Pointer) -> Bool {
        self.pointer.tokens.count == other.tokens.count
            && zip(self.pointer.tokens, other.tokens).allSatisfy { $0.isWildcard || $0 == $1 }
    }
}

extension Pointer.Token {
    var isWildcard: Bool { self.utf8 == [UInt8(ascii: "*")] }
}

extension Document {
    /// As `hash`, but as if the members and elements that the patterns match were not there.
    ///
    /// Walks only the containers that a pattern leads through.
    package func hash(ignoring patterns: [PointerPattern]) -> UInt64 {
        guard !patterns.isEmpty else { return self.hash }
        var walk = IgnoringHash(storage: self.storage, patterns: patterns.map(\.pointer.tokens))
        return walk.run()
    }
}

/// Computes the hash of a document without what patterns match; open containers are frames in an array.
private struct IgnoringHash {
    private struct Frame {
        var isObject: Bool
        var next: Int
        var end: Int
        /// The patterns that match the way down to this container.
        var active: [Int]
        var accumulator: UInt64
        var count: UInt64 = 0
        /// The hash of the name of the member that is being read; unused in an array.
        var name: UInt64 = 0
        /// The position of the next element.
        var position = 0
    }

    let storage: Storage
    let patterns: [[Pointer.Token]]
    private let seed = HashSeed.process
    private var frames: [Frame] = []

    init(storage: Storage, patterns: [[Pointer.Token]]) {
        self.storage = storage
        self.patterns = patterns
    }

    mutating func run() -> UInt64 {
        guard self.storage.nodes[0].isContainer else { return self.storage.nodes[0].hash }
        self.open(0, active: Array(self.patterns.indices))
        while true {
            let depth = self.frames.count - 1
            guard self.frames[depth].next < self.frames[depth].end else {
                let hash = self.close()
                guard !self.frames.isEmpty else { return hash }
                self.add(hash)
                continue
            }
            self.step(depth)
        }
    }

    /// Takes the next child of the innermost container: leaves it out, adds its hash, or walks into it.
    private mutating func step(_ depth: Int) {
        let frame = self.frames[depth]
        let value = frame.isObject ? frame.next + 1 : frame.next
        let node = self.storage.nodes[value]
        self.frames[depth].next = node.end
        self.frames[depth].position += 1
        if frame.isObject { self.frames[depth].name = self.storage.nodes[frame.next].hash }
        let token = frame.isObject ? self.storage.unescaped(frame.next) : Array(String(frame.position).utf8)

        let matching = frame.active.filter { pattern in
            let expected = self.patterns[pattern][depth]
            return expected.isWildcard || expected.utf8 == token
        }
        if matching.contains(where: { self.patterns[$0].count == depth + 1 }) { return }
        if matching.isEmpty || !node.isContainer {
            self.add(node.hash)
        } else {
            self.open(value, active: matching)
        }
    }

    private mutating func open(_ index: Int, active: [Int]) {
        let node = self.storage.nodes[index]
        let isObject = node.kind == .object
        self.frames.append(
            Frame(
                isObject: isObject,
                next: index + 1,
                end: node.end,
                active: active,
                accumulator: isObject ? 0 : self.seed.array
            )
        )
    }

    private mutating func add(_ hash: UInt64) {
        let depth = self.frames.count - 1
        self.frames[depth].count += 1
        if self.frames[depth].isObject {
            self.frames[depth].accumulator &+= self.seed.member(name: self.frames[depth].name, value: hash)
        } else {
            self.frames[depth].accumulator = self.seed.element(self.frames[depth].accumulator, hash)
        }
    }

    private mutating func close() -> UInt64 {
        let frame = self.frames.removeLast()
        return frame.isObject
            ? self.seed.closeObject(frame.accumulator, count: frame.count)
            : self.seed.closeArray(frame.accumulator, count: frame.count)
    }
}
