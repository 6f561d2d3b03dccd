// Finds out whether an object names a member twice, without asking of every record of a list.

/// Remembers layouts (sequences of names) that hold no name twice, so that a list of alike records is checked once.
///
/// Names are compared by hash. A suspicion is confirmed by comparing bytes once the document is complete.
struct NameCheck {
    static let slots = 64

    /// Room for ``known``.
    private let room: UnsafeMutablePointer<UInt64>
    /// Layouts seen to be free of duplicates, at the slot of their low bits; zero is an empty slot.
    private var known: UnsafeMutablePointer<UInt64>?
    /// Some object may hold a name twice.
    private(set) var foundDuplicate = false

    /// - Parameter room: for ``slots`` layouts, undefined; it must outlive this.
    init(room: UnsafeMutablePointer<UInt64>) {
        self.room = room
    }

    @inline(__always)
    func isKnown(_ shape: UInt64) -> Bool {
        guard let known = self.known else { return false }
        // The index is below `slots`.
        return known[Int(truncatingIfNeeded: shape & UInt64(NameCheck.slots - 1))] == shape && shape != 0
    }

    /// Compares the names of the object at `object`, whose members fill the tape up to `end`.
    @inline(never)
    mutating func check(shape: UInt64, nodes: UnsafePointer<Node>, object: Int, end: Int, names: Int) {
        let distinct =
            names <= 48
            ? Self.fewAreDistinct(nodes, from: object + 1, to: end)
            : Self.manyAreDistinct(nodes, from: object + 1, to: end, names: names)
        guard distinct else {
            self.foundDuplicate = true
            return
        }
        if self.known == nil {
            // No layout of an earlier document is in it.
            self.room.initialize(repeating: 0, count: NameCheck.slots)
            self.known = self.room
        }
        self.room[Int(truncatingIfNeeded: shape & UInt64(NameCheck.slots - 1))] = shape
    }

    /// Six bits of each hash in one word; only names whose bit is taken are compared with those in front.
    private static func fewAreDistinct(_ nodes: UnsafePointer<Node>, from first: Int, to end: Int) -> Bool {
        var taken: UInt64 = 0
        var index = first
        while index < end {
            let hash = nodes[index].hash
            let bit: UInt64 = 1 &<< (hash >> 58)
            if taken & bit != 0 {
                var other = first
                while other < index {
                    if nodes[other].hash == hash { return false }
                    other = nodes[other &+ 1].end
                }
            }
            taken |= bit
            index = nodes[index &+ 1].end
        }
        return true
    }

    /// A hash table with open addressing, at most half full.
    private static func manyAreDistinct(_ nodes: UnsafePointer<Node>, from first: Int, to end: Int, names: Int) -> Bool
    {
        var size = 128
        while size < names * 2 { size *= 2 }
        let table = UnsafeMutablePointer<UInt64>.allocate(capacity: size)
        table.initialize(repeating: 0, count: size)
        defer { table.deallocate() }
        var index = first
        while index < end {
            // Zero marks an empty slot. To take a hash of zero for one can only raise a false suspicion.
            let hash = nodes[index].hash | 1
            var slot = Int(truncatingIfNeeded: (hash >> 1) & UInt64(size - 1))
            while table[slot] != 0 {
                if table[slot] == hash { return false }
                slot = (slot &+ 1) & (size - 1)
            }
            table[slot] = hash
            index = nodes[index &+ 1].end
        }
        return true
    }
}
