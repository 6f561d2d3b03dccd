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

/// What is added to the positions in the text, and to the indexes of nodes, where a part of a tape goes elsewhere.
struct NodeShift {
    var text: Int
    var nodes: Int
}

extension Node {
    /// Initializes `count` nodes at `target` as those at `source` with a shift: two at a time, as three words of four fields.
    @inline(__always)
    static func copy(
        _ source: UnsafePointer<Node>,
        count: Int,
        to target: UnsafeMutablePointer<Node>,
        _ shift: NodeShift
    ) {
        let text = UInt32(truncatingIfNeeded: shift.text)
        let nodes = UInt32(truncatingIfNeeded: shift.nodes)
        // Of a node: start, length, next, tag, and the two halves of the hash.
        let a = SIMD4<UInt32>(text, 0, nodes, 0)
        let b = SIMD4<UInt32>(0, 0, text, 0)
        let c = SIMD4<UInt32>(nodes, 0, 0, 0)
        var from = UnsafeRawPointer(source)
        var to = UnsafeMutableRawPointer(target)
        for _ in 0..<(count / 2) {
            let first = from.loadUnaligned(as: SIMD4<UInt32>.self)
            let second = from.loadUnaligned(fromByteOffset: 16, as: SIMD4<UInt32>.self)
            let third = from.loadUnaligned(fromByteOffset: 32, as: SIMD4<UInt32>.self)
            to.storeBytes(of: first &+ a, as: SIMD4<UInt32>.self)
            to.storeBytes(of: second &+ b, toByteOffset: 16, as: SIMD4<UInt32>.self)
            to.storeBytes(of: third &+ c, toByteOffset: 32, as: SIMD4<UInt32>.self)
            from += 48
            to += 48
        }
        if count & 1 == 1 {
            var node = source[count &- 1]
            node.start &+= text
            node.next &+= nodes
            (target + count - 1).initialize(to: node)
        }
    }
}
