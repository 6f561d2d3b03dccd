// Exact JSON equality: members in any order, numbers by decimal value, strings by code points.

extension Document: Equatable {
    /// Exact equality of the values: member order and the writing of numbers and strings do not count, `-0` equals `0`.
    ///
    /// Unequal hashes settle it at once; equal ones are confirmed value by value, in one pass and without recursion.
    package static func == (left: Document, right: Document) -> Bool {
        left.storage === right.storage || left.storage.isEqual(0, in: right.storage, 0)
    }
}

extension Storage {
    /// Whether the value at `index` equals the one at `otherIndex` of `other`.
    func isEqual(_ index: Int, in other: Storage, _ otherIndex: Int) -> Bool {
        var pending = [(index, otherIndex)]
        while let (left, right) = pending.popLast() {
            let a = self.nodes[left]
            let b = other.nodes[right]
            guard a.hash == b.hash, a.kind == b.kind, a.count == b.count else { return false }
            switch a.kind {
            case .null, .false, .true:
                break
            case .number:
                guard self.numbersAreEqual(left, in: other, right) else { return false }
            case .string:
                guard self.stringsAreEqual(left, in: other, right) else { return false }
            case .array:
                var (i, j) = (left + 1, right + 1)
                while i < a.end {
                    pending.append((i, j))
                    i = self.nodes[i].end
                    j = other.nodes[j].end
                }
            case .object:
                guard self.pairMembers(of: left, in: other, right, into: &pending) else { return false }
            }
        }
        return true
    }

    /// Appends each member's value with its counterpart; false where the names differ.
    private func pairMembers(of index: Int, in other: Storage, _ otherIndex: Int, into pending: inout [(Int, Int)])
        -> Bool
    {
        var (i, j) = (index + 1, otherIndex + 1)
        let end = self.nodes[index].end
        while i < end, self.nodes[i].hash == other.nodes[j].hash, self.stringsAreEqual(i, in: other, j) {
            pending.append((i + 1, j + 1))
            i = self.nodes[i + 1].end
            j = other.nodes[j + 1].end
        }
        guard i < end else { return true }
        // From here on the order differs.
        let names = NameIndex(other, from: j, to: other.nodes[otherIndex].end)
        while i < end {
            guard let match = names.find(i, of: self) else { return false }
            pending.append((i + 1, names.names[match] + 1))
            i = self.nodes[i + 1].end
        }
        return true
    }

    /// Whether two string or name nodes hold the same code points.
    func stringsAreEqual(_ index: Int, in other: Storage, _ otherIndex: Int) -> Bool {
        let a = self.nodes[index]
        let b = other.nodes[otherIndex]
        guard a.hash == b.hash else { return false }
        if !a.isEscaped, !b.isEscaped {
            return a.length == b.length && self.textsAreEqual(index, in: other, otherIndex)
        }
        return self.unescaped(index) == other.unescaped(otherIndex)
    }

    private func numbersAreEqual(_ index: Int, in other: Storage, _ otherIndex: Int) -> Bool {
        let isSameText =
            self.nodes[index].length == other.nodes[otherIndex].length
            && self.textsAreEqual(index, in: other, otherIndex)
        return isSameText
            || self.withDecimal(index) { left in
                other.withDecimal(otherIndex) { left.isEqual(to: $0) }
            }
    }

    /// Whether two nodes of the same length have the same text.
    private func textsAreEqual(_ index: Int, in other: Storage, _ otherIndex: Int) -> Bool {
        self.text.withUnsafeBufferPointer { left in
            other.text.withUnsafeBufferPointer { right in
                guard let a = left.baseAddress, let b = right.baseAddress else { return false }
                // The parser found both nodes inside their texts.
                let node = self.nodes[index]
                return bytesAreEqual(a + node.first, b + other.nodes[otherIndex].first, count: node.byteCount)
            }
        }
    }

    /// The text of a node.
    func sourceText(_ index: Int) -> ArraySlice<UInt8> {
        let node = self.nodes[index]
        return self.text[node.first..<(node.first + node.byteCount)]
    }

    /// The exact value of a number node.
    func withDecimal<Result>(_ index: Int, _ body: (DecimalText) -> Result) -> Result {
        let node = self.nodes[index]
        return self.text.withUnsafeBufferPointer { buffer in
            guard let base = buffer.baseAddress else { preconditionFailure("a document without text") }
            // The parser found the node's text inside the document's text.
            return body(DecimalText(base + node.first, count: node.byteCount))
        }
    }

    /// The content of a string or name node with its escapes resolved, as UTF-8.
    func unescaped(_ index: Int) -> [UInt8] {
        let node = self.nodes[index]
        let content = self.text[(node.first + 1)..<(node.first + node.byteCount - 1)]
        guard node.isEscaped else { return Array(content) }
        return content.withUnsafeBufferPointer { source in
            guard let base = source.baseAddress else { return [] }
            return Array(unsafeUninitializedCapacity: source.count) { target, count in
                guard let start = target.baseAddress else { return }
                count = Escapes.resolve(base, count: source.count, into: start)
            }
        }
    }
}

/// Finds members of one object by name. Never quadratic.
struct NameIndex {
    private let storage: Storage
    /// The name nodes, in the order of the text.
    let names: [Int]
    private let table: HashTable

    /// Of the members whose name nodes lie in `first..<end`.
    init(_ storage: Storage, from first: Int, to end: Int) {
        self.storage = storage
        var names: [Int] = []
        var name = first
        while name < end {
            names.append(name)
            name = storage.nodes[name + 1].end
        }
        self.names = names
        self.table = HashTable(names.map { storage.nodes[$0].hash })
    }

    /// The position in `names` of the name equal to the one at `name` of `other`.
    func find(_ name: Int, of other: Storage) -> Int? {
        var candidate = self.table.first(other.nodes[name].hash)
        while let position = candidate {
            if other.stringsAreEqual(name, in: self.storage, self.names[position]) { return position }
            candidate = self.table.next(after: position)
        }
        return nil
    }
}
