// A document while it is being edited: what is not touched stays a reference into the old tape.

/// A tree of cells in one array. A container becomes cells of its own only when an operation passes through it, so an
/// edit costs what it touches; freeing is flat, and no walk recurses.
struct Draft {
    typealias Cell = Int

    private enum Content {
        /// As some document has it.
        case untouched(Value)
        /// A position in `arrays`.
        case array(Int)
        /// A position in `objects`.
        case object(Int)
    }

    private var contents: [Content] = []
    private var arrays: [DraftArray] = []
    private var objects: [DraftObject] = []
    private var root: Cell
    private let limits: ParseLimits
    /// Cells copied, steps to and within arrays, bytes compared: what a patch may spend besides the size of its result.
    private var work = 0
    private static let workLimit = 1 << 30

    init(_ value: Value, limits: ParseLimits) {
        self.contents = [.untouched(value)]
        self.root = 0
        self.limits = limits.clamped
    }

    mutating func makeCell(_ value: Value) -> Cell {
        self.makeCell(.untouched(value))
    }

    private mutating func makeCell(_ content: Content) -> Cell {
        self.contents.append(content)
        return self.contents.count - 1
    }

    private mutating func spend(_ amount: Int) throws(PatchFailure) {
        self.work += amount
        guard self.work <= Self.workLimit else { throw PatchFailure(reason: .tooLarge) }
    }

    /// Before making cells: copies of copies grow without bound.
    private mutating func spend(cells: Int) throws(PatchFailure) {
        guard self.contents.count + cells <= 2 * self.limits.maxNodes + 64 else {
            throw PatchFailure(reason: .tooLarge)
        }
    }
}

// MARK: - The operations of RFC 6902 §4

extension Draft {
    mutating func find(_ pointer: Pointer) throws(PatchFailure) -> Cell {
        try self.find(pointer.tokens[...])
    }

    mutating func add(_ cell: Cell, at pointer: Pointer) throws(PatchFailure) {
        guard let last = pointer.tokens.last else {
            self.root = cell
            return
        }
        switch try self.findContainer(pointer.tokens.dropLast()) {
        case .untouched:
            throw PatchFailure(reason: .noTarget)
        case .object(let object):
            self.objects[object].set(last, to: cell)
        case .array(let array):
            let count = self.arrays[array].count
            let position = last.utf8 == [UInt8(ascii: "-")] ? count : last.arrayIndex
            guard let position, position <= count else { throw PatchFailure(reason: .noTarget) }
            try self.spend(self.arrays[array].insert(cell, at: position))
        }
    }

    mutating func remove(at pointer: Pointer) throws(PatchFailure) -> Cell {
        guard let last = pointer.tokens.last else { throw PatchFailure(reason: .noTarget) }
        switch try self.findContainer(pointer.tokens.dropLast()) {
        case .untouched:
            throw PatchFailure(reason: .noTarget)
        case .object(let object):
            guard let cell = self.objects[object].remove(last) else { throw PatchFailure(reason: .noTarget) }
            return cell
        case .array(let array):
            let count = self.arrays[array].count
            guard let position = last.arrayIndex, position < count else { throw PatchFailure(reason: .noTarget) }
            let (cell, steps) = self.arrays[array].remove(at: position)
            try self.spend(steps)
            return cell
        }
    }

    mutating func replace(at pointer: Pointer, with cell: Cell) throws(PatchFailure) {
        guard let last = pointer.tokens.last else {
            self.root = cell
            return
        }
        switch try self.findContainer(pointer.tokens.dropLast()) {
        case .untouched:
            throw PatchFailure(reason: .noTarget)
        case .object(let object):
            guard self.objects[object].find(last) != nil else { throw PatchFailure(reason: .noTarget) }
            self.objects[object].set(last, to: cell)
        case .array(let array):
            guard let position = last.arrayIndex, position < self.arrays[array].count else {
                throw PatchFailure(reason: .noTarget)
            }
            self.arrays[array][position] = cell
        }
    }

    /// A copy that shares nothing which could still be edited.
    mutating func copy(_ cell: Cell) throws(PatchFailure) -> Cell {
        let copy = self.makeCell(self.contents[cell])
        var pending = [copy]
        while let next = pending.popLast() {
            switch self.contents[next] {
            case .untouched:
                continue
            case .array(let array):
                var cells = self.arrays[array].cells
                try self.spend(cells: cells.count + 1)
                for index in cells.indices {
                    cells[index] = self.makeCell(self.contents[cells[index]])
                }
                pending += cells
                self.arrays.append(DraftArray(cells))
                self.contents[next] = .array(self.arrays.count - 1)
            case .object(let object):
                var members = self.objects[object]
                try self.spend(cells: members.entries.count + 1)
                for index in members.entries.indices {
                    members.entries[index].cell = self.makeCell(self.contents[members.entries[index].cell])
                    pending.append(members.entries[index].cell)
                }
                self.objects.append(members)
                self.contents[next] = .object(self.objects.count - 1)
            }
        }
        return copy
    }

    mutating func isEqual(_ cell: Cell, to value: Value) throws(PatchFailure) -> Bool {
        switch self.contents[cell] {
        case .untouched(let own):
            return own == value
        case .array(let array) where value.kind != .array || self.arrays[array].count != value.count:
            return false
        case .object(let object) where value.kind != .object || self.objects[object].count != value.count:
            return false
        case .array, .object:
            let own = try self.document(of: cell)
            try self.spend(own.text.count)
            return own.root == value
        }
    }
}

// MARK: - Walking down and writing out

extension Draft {
    /// The cell that the tokens lead to; the containers on the way become cells of their own.
    private mutating func find(_ tokens: ArraySlice<Pointer.Token>) throws(PatchFailure) -> Cell {
        var cell = self.root
        for token in tokens {
            try self.open(cell)
            let next: Cell?
            switch self.contents[cell] {
            case .untouched:
                next = nil
            case .object(let object):
                next = self.objects[object].find(token)
            case .array(let array):
                let position = token.arrayIndex ?? .max
                guard position < self.arrays[array].count else { throw PatchFailure(reason: .noTarget) }
                try self.spend(self.arrays[array].stepsToFind)
                next = self.arrays[array][position]
            }
            guard let next else { throw PatchFailure(reason: .noTarget) }
            cell = next
        }
        return cell
    }

    /// The container that the tokens lead to, ready to be edited; it stays `untouched` only if it is a scalar.
    private mutating func findContainer(_ tokens: ArraySlice<Pointer.Token>) throws(PatchFailure) -> Content {
        let cell = try self.find(tokens)
        try self.open(cell)
        return self.contents[cell]
    }

    private mutating func open(_ cell: Cell) throws(PatchFailure) {
        guard case .untouched(let value) = self.contents[cell] else { return }
        try self.spend(cells: value.count)
        switch value.kind {
        case .array:
            self.arrays.append(DraftArray(value.elements.map { self.makeCell(.untouched($0)) }))
            self.contents[cell] = .array(self.arrays.count - 1)
        case .object:
            var object = DraftObject()
            for member in value.members { object.append(member, cell: self.makeCell(.untouched(member.value))) }
            self.objects.append(object)
            self.contents[cell] = .object(self.objects.count - 1)
        case .null, .false, .true, .number, .string:
            return
        }
    }

    func document() throws(PatchFailure) -> Document {
        try self.document(of: self.root)
    }

    private func document(of cell: Cell) throws(PatchFailure) -> Document {
        let text = try self.text(of: cell)
        do throws(ParseError) {
            return try Document(parsing: text, limits: self.limits)
        } catch {
            // Built from valid parts: only a limit can be in the way.
            throw PatchFailure(reason: .tooLarge)
        }
    }

    private func text(of cell: Cell) throws(PatchFailure) -> [UInt8] {
        var text: [UInt8] = []
        /// Containers being written, with the position of the next child, and an array's cells.
        var open: [(content: Content, cells: [Cell], position: Int)] = []
        var current: Cell? = cell
        while true {
            if let cell = current {
                current = nil
                switch self.contents[cell] {
                case .untouched(let value):
                    text.append(contentsOf: value.text)
                case .array(let array):
                    text.append(UInt8(ascii: "["))
                    open.append((self.contents[cell], self.arrays[array].cells, 0))
                case .object:
                    text.append(UInt8(ascii: "{"))
                    open.append((self.contents[cell], [], 0))
                }
                guard text.count <= self.limits.maxBytes else { throw PatchFailure(reason: .tooLarge) }
            }
            guard let container = open.last else { return text }
            switch container.content {
            case .untouched:
                return text
            case .array:
                current = container.position < container.cells.count ? container.cells[container.position] : nil
            case .object(let object):
                current = self.objects[object].write(&open[open.count - 1].position, to: &text)
            }
            guard current != nil else {
                self.close(container.content, in: &text)
                open.removeLast()
                continue
            }
            if case .array = container.content {
                if container.position > 0 { text.append(UInt8(ascii: ",")) }
                open[open.count - 1].position += 1
            }
        }
    }

    private func close(_ content: Content, in text: inout [UInt8]) {
        if case .array = content { text.append(UInt8(ascii: "]")) } else { text.append(UInt8(ascii: "}")) }
    }
}
