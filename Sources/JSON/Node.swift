// One value or member name of a document: the tape is a flat array of these, in the order of the text.

/// A member name is a string node in front of its value's node. Positions count bytes of the minified text.
@usableFromInline
struct Node {
    @usableFromInline var start: UInt32
    @usableFromInline var length: UInt32
    /// The index of the node behind this whole subtree.
    @usableFromInline var next: UInt32
    /// Three bits kind, one bit "has escapes", the rest the number of members or elements.
    @usableFromInline var tag: UInt32
    @usableFromInline var hash: UInt64

    /// A scalar or a name: `next` is the node behind it.
    @inline(__always)
    init(_ kind: Value.Kind, start: Int, length: Int, index: Int, escaped: Bool = false, hash: UInt64) {
        self.start = UInt32(truncatingIfNeeded: start)
        self.length = UInt32(truncatingIfNeeded: length)
        self.next = UInt32(truncatingIfNeeded: index &+ 1)
        self.tag = UInt32(kind.rawValue) | (escaped ? Node.escapedBit : 0)
        self.hash = hash
    }

    static let escapedBit: UInt32 = 8

    @inline(__always)
    var kind: Value.Kind {
        // Only kinds are ever stored in these bits; the fallback is never taken.
        Value.Kind(rawValue: UInt8(truncatingIfNeeded: self.tag & 7)) ?? .null
    }

    @inline(__always)
    var isEscaped: Bool { self.tag & Node.escapedBit != 0 }

    @inline(__always)
    var isContainer: Bool { self.tag & 7 >= UInt32(Value.Kind.array.rawValue) }

    @inline(__always)
    var count: Int { Int(self.tag >> 4) }

    @inline(__always)
    var first: Int { Int(self.start) }

    @inline(__always)
    var byteCount: Int { Int(self.length) }

    @inline(__always)
    var end: Int { Int(self.next) }
}
