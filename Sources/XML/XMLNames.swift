// The names of a document's elements: each is kept once.

/// The distinct element names of a document, by number. To be deallocated.
struct XMLNames {
    private struct Entry {
        /// Where the name ends in `bytes`, and as a JSON string in `json`; it begins where the one before ends.
        var end: Int
        var jsonEnd: Int
        var hash: Int
        /// The last child of this name that was met in `parent`.
        var parent = -1
        var lastChild = -1
        /// Whether an element of this name is an item in one of the name `itemParent`: the last answer.
        var itemParent = -1
        var isItem = false
    }

    private var bytes = Growing<UInt8>()
    private var json = Growing<UInt8>()
    private var entries = Growing<Entry>()
    /// Open addressing: numbers of entries, or -1. The size is a power of two, at least twice the entries.
    private var slots = [Int](repeating: -1, count: 64)
    /// Numbers that were asked for, by length and first bytes; -1 where there is none.
    private let recent: UnsafeMutablePointer<Int>

    private static let recentCount = 256

    init() {
        self.recent = .allocate(capacity: Self.recentCount)
        self.recent.initialize(repeating: -1, count: Self.recentCount)
    }

    func deallocate() {
        self.bytes.deallocate()
        self.json.deallocate()
        self.entries.deallocate()
        self.recent.deallocate()
    }

    /// The number of a name, which may not lie in this memory.
    mutating func number(of name: UnsafeRawBufferPointer) -> Int {
        let slot = Self.recentSlot(name)
        let recent = self.recent[slot]
        if recent >= 0, Self.areEqual(self.text(recent), name) { return recent }
        let number = self.find(name)
        self.recent[slot] = number
        return number
    }

    private static func recentSlot(_ name: UnsafeRawBufferPointer) -> Int {
        var word = UInt64(truncatingIfNeeded: name.count)
        for byte in name.prefix(8) { word = (word << 7) ^ (word >> 57) ^ UInt64(byte) }
        return Int(truncatingIfNeeded: (word &* 0x9E37_79B9_7F4A_7C15) >> 56)
    }

    private static func areEqual(_ left: UnsafeRawBufferPointer, _ right: UnsafeRawBufferPointer) -> Bool {
        guard left.count == right.count else { return false }
        for index in 0..<left.count where left[index] != right[index] { return false }
        return true
    }

    /// Hashed with the process's own seed, so that no upstream can make names that collide.
    @inline(never)
    private mutating func find(_ name: UnsafeRawBufferPointer) -> Int {
        var hasher = Hasher()
        hasher.combine(bytes: name)
        let hash = hasher.finalize()
        var slot = hash & (self.slots.count - 1)
        while self.slots[slot] >= 0 {
            let number = self.slots[slot]
            if self.entries.base[number].hash == hash, Self.areEqual(self.text(number), name) { return number }
            slot = (slot + 1) & (self.slots.count - 1)
        }
        let number = self.entries.count
        self.bytes.append(contentsOf: name)
        self.json.appendJSONString(name)
        self.entries.append(Entry(end: self.bytes.count, jsonEnd: self.json.count, hash: hash))
        self.slots[slot] = number
        if self.entries.count * 2 > self.slots.count { self.grow() }
        return number
    }

    private mutating func grow() {
        self.slots = [Int](repeating: -1, count: self.slots.count * 2)
        for number in 0..<self.entries.count {
            var slot = self.entries.base[number].hash & (self.slots.count - 1)
            while self.slots[slot] >= 0 { slot = (slot + 1) & (self.slots.count - 1) }
            self.slots[slot] = number
        }
    }

    /// The name as a JSON string, until the next name is looked up.
    func json(_ number: Int) -> UnsafeRawBufferPointer {
        let start = number > 0 ? self.entries.base[number &- 1].jsonEnd : 0
        return UnsafeRawBufferPointer(start: self.json.base + start, count: self.entries.base[number].jsonEnd &- start)
    }

    /// The name, until the next one is looked up.
    func text(_ number: Int) -> UnsafeRawBufferPointer {
        let start = number > 0 ? self.entries.base[number &- 1].end : 0
        return UnsafeRawBufferPointer(start: self.bytes.base + start, count: self.entries.base[number].end &- start)
    }

    func lastChild(of name: Int, in parent: Int) -> Int? {
        self.entries.base[name].parent == parent ? self.entries.base[name].lastChild : nil
    }

    mutating func setLastChild(_ child: Int, of name: Int, in parent: Int) {
        self.entries.base[name].parent = parent
        self.entries.base[name].lastChild = child
    }

    /// As ``Vocabulary/isItem(_:in:)``.
    mutating func isItem(_ name: Int, in parent: Int) -> Bool {
        if self.entries.base[name].itemParent == parent { return self.entries.base[name].isItem }
        let isItem = Vocabulary.isItem(self.text(name), in: self.text(parent))
        self.entries.base[name].itemParent = parent
        self.entries.base[name].isItem = isItem
        return isItem
    }
}
