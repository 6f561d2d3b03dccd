// An object while it is being edited.

/// Members in order, found by name. Removed ones leave a gap, so that no edit shifts others.
struct DraftObject {
    /// A name as a document has it, or a pointer's token.
    enum Name {
        case source(Value)
        case token(Pointer.Token)

        var utf8: [UInt8] {
            switch self {
            case .source(let value): value.utf8 ?? []
            case .token(let token): token.utf8
            }
        }
    }

    struct Entry {
        var name: Name
        var cell: Draft.Cell
        var isPresent = true
    }

    var entries: [Entry] = []
    private(set) var count = 0
    /// The entry whose name has that hash; should two names ever share one, the other is found by looking at all.
    private var positions: [UInt64: Int] = [:]
    private var hasCollision = false

    mutating func append(_ member: Value.Member, cell: Draft.Cell) {
        self.append(Entry(name: .source(member.key), cell: cell), hash: member.key.hash)
    }

    private mutating func append(_ entry: Entry, hash: UInt64) {
        if self.positions.updateValue(self.entries.count, forKey: hash) != nil { self.hasCollision = true }
        self.entries.append(entry)
        self.count += 1
    }

    func find(_ token: Pointer.Token) -> Draft.Cell? {
        self.position(token, hash: HashSeed.process.string(token.utf8)).map { self.entries[$0].cell }
    }

    mutating func set(_ token: Pointer.Token, to cell: Draft.Cell) {
        let hash = HashSeed.process.string(token.utf8)
        if let position = self.position(token, hash: hash) {
            self.entries[position].cell = cell
        } else {
            self.append(Entry(name: .token(token), cell: cell), hash: hash)
        }
    }

    mutating func remove(_ token: Pointer.Token) -> Draft.Cell? {
        let hash = HashSeed.process.string(token.utf8)
        guard let position = self.position(token, hash: hash) else { return nil }
        self.entries[position].isPresent = false
        self.count -= 1
        if self.positions[hash] == position { self.positions[hash] = nil }
        return self.entries[position].cell
    }

    private func position(_ token: Pointer.Token, hash: UInt64) -> Int? {
        func isMatch(_ entry: Entry) -> Bool { entry.isPresent && entry.name.utf8 == token.utf8 }
        if let position = self.positions[hash], isMatch(self.entries[position]) { return position }
        return self.hasCollision ? self.entries.firstIndex(where: isMatch) : nil
    }

    /// Writes the name of the next member at or behind `position`, with the comma in front; returns its cell.
    func write(_ position: inout Int, to text: inout [UInt8]) -> Draft.Cell? {
        while position < self.entries.count, !self.entries[position].isPresent { position += 1 }
        guard position < self.entries.count else { return nil }
        if text.last != UInt8(ascii: "{") { text.append(UInt8(ascii: ",")) }
        switch self.entries[position].name {
        case .source(let value): text.append(contentsOf: value.text)
        case .token(let token): appendJSONString(utf8: token.utf8, to: &text)
        }
        text.append(UInt8(ascii: ":"))
        position += 1
        return self.entries[position - 1].cell
    }
}
