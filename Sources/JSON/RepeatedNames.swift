// Drops members whose name comes again later in the same object: the last one wins.

extension Storage {
    /// The same document with each name once per object, as the last occurrence has it.
    ///
    /// Runs only where the parser met equal name hashes in one object, and compares the bytes of the names.
    func withoutRepeatedNames() -> Result<Storage, ParseError> {
        let dropped = self.repeatedMembers()
        guard !dropped.isEmpty else { return .success(self) }
        var text: [UInt8] = []
        text.reserveCapacity(self.text.count)
        var kept = 0
        for name in dropped.sorted() {
            let value = self.nodes[name + 1]
            let start = self.nodes[name].first
            // Nested in a member that is dropped already.
            guard start >= kept else { continue }
            text.append(contentsOf: self.text[kept..<start])
            // A member that another follows is dropped with the comma behind it: one does follow, the later occurrence.
            kept = value.first + value.byteCount + 1
        }
        text.append(contentsOf: self.text[kept...])
        return text.withUnsafeBytes { Storage.parse($0, limits: .widest) }
    }

    /// The name nodes that a later member of the same object overrides.
    private func repeatedMembers() -> [Int] {
        var dropped: [Int] = []
        for index in 0..<self.count where self.nodes[index].kind == .object {
            var last: [UInt64: [Int]] = [:]
            var name = index + 1
            while name < self.nodes[index].end {
                var others = last[self.nodes[name].hash] ?? []
                if let same = others.firstIndex(where: { self.stringsAreEqual($0, in: self, name) }) {
                    dropped.append(others[same])
                    others[same] = name
                } else {
                    others.append(name)
                }
                last[self.nodes[name].hash] = others
                name = self.nodes[name + 1].end
            }
        }
        return dropped
    }
}
