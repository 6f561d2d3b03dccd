// An array while it is being edited.

/// The cells of an array in chunks: an insertion or a removal shifts one chunk and counts the chunks in front of it, not
/// the elements behind it. A patch of half a million operations on half a million elements stays affordable.
struct DraftArray {
    /// Elements of a new chunk; one that holds twice as many is split.
    private static let chunkSize = 512

    private var chunks: [[Draft.Cell]] = []
    /// The length of each chunk, side by side: what a search reads.
    private var lengths: [Int] = []
    private(set) var count: Int
    /// Every chunk but the last still holds `chunkSize` elements, so that a position says in which one it is.
    private var isUniform = true

    init(_ cells: [Draft.Cell]) {
        self.count = cells.count
        var start = 0
        while start < cells.count {
            let end = min(start + Self.chunkSize, cells.count)
            self.chunks.append(Array(cells[start..<end]))
            self.lengths.append(end - start)
            start = end
        }
    }

    /// All elements in order.
    var cells: [Draft.Cell] {
        var cells: [Draft.Cell] = []
        cells.reserveCapacity(self.count)
        for chunk in self.chunks { cells.append(contentsOf: chunk) }
        return cells
    }

    /// What a search looks at, at most.
    var stepsToFind: Int { self.isUniform ? 1 : self.chunks.count }

    /// The element at `position`, which must be below `count`.
    subscript(_ position: Int) -> Draft.Cell {
        get {
            let (chunk, offset) = self.find(position)
            return self.chunks[chunk][offset]
        }
        set {
            let (chunk, offset) = self.find(position)
            self.chunks[chunk][offset] = newValue
        }
    }

    /// Puts a cell in front of the element at `position`, which may be `count`.
    ///
    /// - Returns: the steps that it took.
    mutating func insert(_ cell: Draft.Cell, at position: Int) -> Int {
        guard !self.chunks.isEmpty else {
            self = DraftArray([cell])
            return 1
        }
        let steps = self.stepsToFind
        let (chunk, offset) = self.find(position)
        self.isUniform = false
        self.chunks[chunk].insert(cell, at: offset)
        self.lengths[chunk] += 1
        self.count += 1
        return steps + self.lengths[chunk] - offset + self.splitIfLong(chunk)
    }

    /// Removes the element at `position`, which must be below `count`.
    ///
    /// - Returns: the cell, and the steps that it took.
    mutating func remove(at position: Int) -> (cell: Draft.Cell, steps: Int) {
        var steps = self.stepsToFind
        let (chunk, offset) = self.find(position)
        self.isUniform = false
        steps += self.lengths[chunk] - offset
        let cell = self.chunks[chunk].remove(at: offset)
        self.lengths[chunk] -= 1
        self.count -= 1
        if self.lengths[chunk] == 0 {
            steps += self.chunks.count - chunk
            self.chunks.remove(at: chunk)
            self.lengths.remove(at: chunk)
        }
        return (cell, steps)
    }

    /// The chunk of a position and the place within it. `count` is a place behind the last element.
    private func find(_ position: Int) -> (chunk: Int, offset: Int) {
        if self.isUniform {
            let chunk = min(position / Self.chunkSize, self.chunks.count - 1)
            return (chunk, position - chunk * Self.chunkSize)
        }
        var chunk = 0
        var rest = position
        while chunk < self.lengths.count - 1, rest >= self.lengths[chunk] {
            rest -= self.lengths[chunk]
            chunk += 1
        }
        return (chunk, rest)
    }

    /// - Returns: the steps that it took.
    private mutating func splitIfLong(_ chunk: Int) -> Int {
        guard self.lengths[chunk] >= 2 * Self.chunkSize else { return 0 }
        let tail = Array(self.chunks[chunk][Self.chunkSize...])
        self.chunks[chunk].removeSubrange(Self.chunkSize...)
        self.chunks.insert(tail, at: chunk + 1)
        self.lengths[chunk] = Self.chunkSize
        self.lengths.insert(tail.count, at: chunk + 1)
        return self.chunks.count - chunk + tail.count
    }
}
