// Finds positions by hash: flat, without an object per key, and never quadratic.

/// A multimap from the hashes of a list to the positions in it. Positions of equal hashes come out in order.
///
/// Open addressing, at most half full. The hashes it holds are seeded, so nobody outside can crowd a slot.
struct HashTable {
    private static let empty: Int32 = -1
    private static let exhausted: Int32 = -2

    /// Per slot: the hash it belongs to, and the first position left.
    private var hashes: [UInt64]
    private var heads: [Int32]
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
        self.hashes = [UInt64](repeating: 0, count: size)
        self.heads = [Int32](repeating: Self.empty, count: size)
        self.following = [Int32](repeating: Self.exhausted, count: list.count)
        // From the back, so that the first position becomes the head of its chain.
        var position = list.count
        for hash in list.reversed() {
            position -= 1
            guard let hash else { continue }
            let slot = self.slot(of: hash)
            if self.heads[slot] >= 0 {
                self.isUnique = false
                self.following[position] = self.heads[slot]
            }
            self.hashes[slot] = hash
            self.heads[slot] = Int32(truncatingIfNeeded: position)
        }
    }

    /// The first position of that hash.
    func first(_ hash: UInt64) -> Int? {
        let head = self.heads[self.slot(of: hash)]
        return head >= 0 ? Int(head) : nil
    }

    /// The first position of that hash for which `isMatch` holds.
    func first(_ hash: UInt64, where isMatch: (Int) -> Bool) -> Int? {
        var head = self.heads[self.slot(of: hash)]
        while head >= 0 {
            if isMatch(Int(head)) { return Int(head) }
            head = self.following[Int(head)]
        }
        return nil
    }

    /// Removes and returns the first position of that hash.
    mutating func take(_ hash: UInt64) -> Int? {
        let slot = self.slot(of: hash)
        let head = self.heads[slot]
        guard head >= 0 else { return nil }
        self.heads[slot] = self.following[Int(head)]
        return Int(head)
    }

    /// The slot that holds the hash, or the empty one where it would go.
    private func slot(of hash: UInt64) -> Int {
        var slot = Int(truncatingIfNeeded: hash) & self.mask
        while self.heads[slot] != Self.empty, self.hashes[slot] != hash { slot = (slot &+ 1) & self.mask }
        return slot
    }
}
