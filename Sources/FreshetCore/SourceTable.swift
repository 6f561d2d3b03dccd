// Values by source, for as long as the sources last.

/// Values by ``SourceID/index``, in an array without holes: a source that is removed leaves nothing behind, however many
/// come and go (A20). To find one costs a hash of its number.
struct SourceTable<Value: Sendable>: Sendable {
    /// The indexes of the values that are there.
    struct Indices: Sendable {
        fileprivate let slots: [Int: Int]

        func contains(_ index: Int) -> Bool { self.slots[index] != nil }
    }

    private var slots: [Int: Int] = [:]
    private var values: [Value] = []
    /// By slot: the index of the value there.
    private var owners: [Int] = []
    /// Every index below this was there once, or is: they are given out in ascending order.
    private(set) var end = 0

    var count: Int { self.values.count }

    var indices: Indices { Indices(slots: self.slots) }

    /// The indexes in ascending order.
    var sortedIndices: [Int] { self.owners.sorted() }

    /// The values, in no particular order.
    var all: [Value] { self.values }

    /// Whether a value was there and is no more.
    func wasRemoved(_ index: Int) -> Bool { index < self.end && self.slots[index] == nil }

    /// Adds a value under the next index.
    ///
    /// - Returns: The index.
    @discardableResult
    mutating func append(_ value: Value) -> Int {
        let index = self.end
        self.slots[index] = self.values.count
        self.values.append(value)
        self.owners.append(index)
        self.end += 1
        return index
    }

    /// Takes a value out. Its index is never used again.
    mutating func remove(_ index: Int) {
        guard let slot = self.slots.removeValue(forKey: index) else { return }
        // The last one takes the place that becomes free.
        let lastSlot = self.values.count - 1
        if slot != lastSlot {
            self.values.swapAt(slot, lastSlot)
            self.owners.swapAt(slot, lastSlot)
            self.slots[self.owners[slot]] = slot
        }
        self.values.removeLast()
        self.owners.removeLast()
        if self.values.capacity > 64, self.values.count < self.values.capacity / 8 { self.release() }
    }

    /// Gives memory back after most of many sources went.
    private mutating func release() {
        self.values = self.values.map { $0 }
        self.owners = self.owners.map { $0 }
        self.slots = Dictionary(uniqueKeysWithValues: self.owners.enumerated().map { ($0.element, $0.offset) })
    }

    /// The value of an index that ``indices`` contains.
    subscript(_ index: Int) -> Value {
        get { self.values[self.slots[index, default: self.values.count]] }
        _modify { yield &self.values[self.slots[index, default: self.values.count]] }
    }
}
