// Finds positions by hash: flat, without an object per key, and never quadratic.

/// A multimap from the hashes of a list to the positions in it. Positions of equal hashes come out in order.
///
/// Open addressing, at most half full. The hashes it holds are seeded, so an attacker cannot crowd a slot.
struct HashTable {
    private static let empty: Int32 = -1
    private static let exhausted: Int32 = -2

    private struct Slot {
        var hash: UInt64
        /// The first position left, `exhausted`, or `empty` where the slot belongs to no hash yet.
        var head: Int32
    }

    private var slots: [Slot]
    /// Per position: the next one of equal hash, or `exhausted`.
    private var following: [Int32]
    private let mask: Int
    /// Whether each hash occurs once.
    private(set) var isUnique = true

    /// - Parameter list: fewer than 2³¹ hashes; a nil is left out.
    init(_ list: some RandomAccessCollection<UInt64?>) {
        var size = 8
        while size < list.count * 2 { size *= 2 }
        self.mask = size - 1
        self.slots = [Slot](repeating: Slot(hash: 0, head: Self.empty), count: size)
        self.following = [Int32](repeating: Self.exhausted, count: list.count)
        // From the back, so that the first position becomes the head of its chain.
        var position = list.count
        for hash in list.reversed() {
            position -= 1
            guard let hash else { continue }
            let slot = self.slot(of: hash)
            if self.slots[slot].head >= 0 {
                self.isUnique = false
                self.following[position] = self.slots[slot].head
            }
            self.slots[slot] = Slot(hash: hash, head: Int32(truncatingIfNeeded: position))
        }
    }

    /// The first position of that hash.
    func first(_ hash: UInt64) -> Int? {
        let head = self.slots[self.slot(of: hash)].head
        return head >= 0 ? Int(head) : nil
    }

    /// The next position of the same hash as `position`.
    func next(after position: Int) -> Int? {
        let next = self.following[position]
        return next >= 0 ? Int(next) : nil
    }

    /// Removes and returns the first position of that hash.
    mutating func take(_ hash: UInt64) -> Int? {
        let slot = self.slot(of: hash)
        let head = self.slots[slot].head
        guard head >= 0 else { return nil }
        self.slots[slot].head = self.following[Int(head)]
        return Int(head)
    }

    /// The slot that holds the hash, or the empty one where it would go.
    private func slot(of hash: UInt64) -> Int {
        var slot = Int(truncatingIfNeeded: hash) & self.mask
        while self.slots[slot].head != Self.empty, self.slots[slot].hash != hash { slot = (slot &+ 1) & self.mask }
        return slot
    }
}
