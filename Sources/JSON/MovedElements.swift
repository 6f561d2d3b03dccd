// Finds the element of the last version that begins like one of the new version, wherever it stood.

/// The containers of an old array by the bytes that they begin with. A mistake costs time: what is found is compared.
struct MovedElements {
    /// How many bytes an element has to have, which are what it is found by.
    static let prefix = 48

    private struct Slot {
        var hash: UInt64
        /// The index of the element's node; negative where the slot is empty.
        var index: Int32
    }

    private var slots: [Slot]
    private let mask: Int
    private let multiplier: UInt64

    /// - Parameters:
    ///   - array: the index of the array's node.
    ///   - nodes: the old document's tape.
    ///   - text: its text.
    ///   - seed: so that no upstream can make elements that collide.
    init(of array: Int, nodes: UnsafePointer<Node>, text: UnsafePointer<UInt8>, seed: HashSeed) {
        var size = 16
        while size < nodes[array].count * 2 { size *= 2 }
        self.slots = [Slot](repeating: Slot(hash: 0, index: -1), count: size)
        self.mask = size - 1
        self.multiplier = seed.multiplier
        let end = nodes[array].end
        var element = array + 1
        while element < end {
            let node = nodes[element]
            if node.isContainer, node.byteCount >= Self.prefix {
                let hash = self.hash(text + node.first)
                let slot = self.slot(of: hash)
                // Of elements that begin alike the first one is kept.
                if self.slots[slot].index < 0 {
                    self.slots[slot] = Slot(hash: hash, index: Int32(truncatingIfNeeded: element))
                }
            }
            element = node.end
        }
    }

    /// The old element that begins with these ``prefix`` bytes.
    func find(_ bytes: UnsafePointer<UInt8>) -> Int? {
        let slot = self.slots[self.slot(of: self.hash(bytes))]
        return slot.index >= 0 ? Int(slot.index) : nil
    }

    private func hash(_ bytes: UnsafePointer<UInt8>) -> UInt64 {
        var state = self.multiplier
        for offset in stride(from: 0, to: Self.prefix, by: 8) {
            state = fold(state ^ loadWord(bytes + offset), self.multiplier)
        }
        return state
    }

    /// The slot that holds the hash, or the empty one where it would go.
    private func slot(of hash: UInt64) -> Int {
        var slot = Int(truncatingIfNeeded: hash) & self.mask
        while self.slots[slot].index >= 0, self.slots[slot].hash != hash { slot = (slot &+ 1) & self.mask }
        return slot
    }
}
