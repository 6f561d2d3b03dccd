// Pairs the elements of two lists: equal ones, records of the same identity, then what stands in the same gap.

/// Which old element each new element comes from.
struct Alignment {
    /// Where a new element comes from. The associated value is a position in `olds`.
    enum Match {
        case none
        /// In order among all that stay.
        case stay(Int)
        /// Has to be moved past elements that stay.
        case move(Int)

        var old: Int? {
            switch self {
            case .none: nil
            case .stay(let old), .move(let old): old
            }
        }
    }

    let olds: [Int]
    let news: [Int]
    private(set) var matches: [Match]
    private(set) var isOldMatched: [Bool]
    private(set) var moverCount = 0

    private let oldNodes: UnsafePointer<Node>
    private let newNodes: UnsafePointer<Node>

    /// - Parameters:
    ///   - olds: node indexes of the old elements in order.
    ///   - news: node indexes of the new elements in order.
    ///   - oldNodes: the old document's tape.
    ///   - newNodes: the new document's tape.
    ///   - candidates: what may identify records, most likely first.
    init(
        olds: [Int],
        news: [Int],
        oldNodes: UnsafePointer<Node>,
        newNodes: UnsafePointer<Node>,
        candidates: [Difference.KeyCandidate]
    ) {
        self.olds = olds
        self.news = news
        self.oldNodes = oldNodes
        self.newNodes = newNodes
        self.matches = [Match](repeating: .none, count: news.count)
        self.isOldMatched = [Bool](repeating: false, count: olds.count)
        guard !olds.isEmpty, !news.isEmpty else { return }
        self.matchEqual()
        self.matchRecords(candidates)
        self.settleOrder()
        self.pairGaps()
        self.moveEqualScalars()
    }

    /// How many operations it takes at least, changes of matched elements aside.
    var operationCount: Int {
        var count = self.moverCount
        for isMatched in self.isOldMatched where !isMatched { count += 1 }
        for match in self.matches {
            if case .none = match { count += 1 }
        }
        return count
    }

    private mutating func match(_ new: Int, with old: Int) {
        self.matches[new] = .stay(old)
        self.isOldMatched[old] = true
    }

    private mutating func matchEqual() {
        var table = HashTable(self.olds.map { self.oldNodes[$0].hash })
        for (index, node) in self.news.enumerated() {
            if let old = table.take(self.newNodes[node].hash) { self.match(index, with: old) }
        }
    }

    private func isUnmatched(new index: Int) -> Bool {
        if case .none = self.matches[index] { return true }
        return false
    }

    /// Pairs what is left by the candidate that tells all of it apart and pairs most of it.
    private mutating func matchRecords(_ candidates: [Difference.KeyCandidate]) {
        let olds = self.olds.indices.filter { !self.isOldMatched[$0] }
        let news = self.news.indices.filter { self.isUnmatched(new: $0) }
        guard !olds.isEmpty, !news.isEmpty else { return }
        var best: [(new: Int, old: Int)] = []
        for candidate in candidates {
            let table = HashTable(olds.map { candidate.key.hash(self.olds[$0], in: self.oldNodes) })
            let hashes = news.map { candidate.key.hash(self.news[$0], in: self.newNodes) }
            guard table.isUnique, HashTable(hashes).isUnique else { continue }
            var pairs: [(new: Int, old: Int)] = []
            for (new, hash) in zip(news, hashes) {
                if let hash, let old = table.first(hash) { pairs.append((new, olds[old])) }
            }
            if pairs.count > best.count { best = pairs }
            let isNearlyAll = best.count * 10 >= min(olds.count, news.count) * 9
            if isNearlyAll || (candidate.rank.isStrong && !best.isEmpty) { break }
        }
        for pair in best { self.match(pair.new, with: pair.old) }
    }

    /// Keeps the longest run of matches that are in order; the others move, or in the case of scalars are undone: a
    /// scalar is better replaced where it stands, and a value such as 0 says nothing about identity.
    private mutating func settleOrder() {
        let matched = self.news.indices.filter { !self.isUnmatched(new: $0) }
        let stays = Self.longestIncreasing(matched.map { self.matches[$0].old ?? 0 })
        for (index, new) in matched.enumerated() where !stays[index] {
            guard let old = self.matches[new].old else { continue }
            if self.oldNodes[self.olds[old]].isContainer {
                self.matches[new] = .move(old)
                self.moverCount += 1
            } else {
                self.matches[new] = .none
                self.isOldMatched[old] = false
            }
        }
    }

    /// Pairs unmatched elements between the same two that stay, in order: they change in place.
    private mutating func pairGaps() {
        // Per new element: the old position at which the next element that stays stands.
        var stops = [Int](repeating: self.olds.count, count: self.news.count)
        var stop = self.olds.count
        for new in self.news.indices.reversed() {
            if case .stay(let match) = self.matches[new] { stop = match }
            stops[new] = stop
        }
        var old = 0
        var pairs: [(new: Int, old: Int)] = []
        for new in self.news.indices {
            switch self.matches[new] {
            case .move:
                continue
            case .stay(let match):
                old = match + 1
            case .none:
                while old < stops[new], self.isOldMatched[old] { old += 1 }
                guard old < stops[new] else { continue }
                pairs.append((new, old))
                old += 1
            }
        }
        for pair in pairs { self.match(pair.new, with: pair.old) }
    }

    /// Undone scalar matches that found no place in a gap move after all.
    private mutating func moveEqualScalars() {
        let olds = self.olds.indices.filter { !self.isOldMatched[$0] }
        guard !olds.isEmpty else { return }
        var table = HashTable(olds.map { self.oldNodes[self.olds[$0]].hash })
        for (index, node) in self.news.enumerated() where self.isUnmatched(new: index) {
            guard let old = table.take(self.newNodes[node].hash) else { continue }
            self.matches[index] = .move(olds[old])
            self.isOldMatched[olds[old]] = true
            self.moverCount += 1
        }
    }

    /// Marks a longest strictly increasing subsequence, in O(n log n).
    static func longestIncreasing(_ values: [Int]) -> [Bool] {
        /// Per length: the position of the smallest value that ends a run of that length.
        var ends: [Int] = []
        var previous = [Int](repeating: -1, count: values.count)
        for (position, value) in values.enumerated() {
            var low = 0
            var high = ends.count
            // Mostly in order already: try the end first.
            if let last = ends.last, values[last] < value { low = high }
            while low < high {
                let middle = (low + high) / 2
                if values[ends[middle]] < value { low = middle + 1 } else { high = middle }
            }
            if low > 0 { previous[position] = ends[low - 1] }
            if low == ends.count { ends.append(position) } else { ends[low] = position }
        }
        var isMember = [Bool](repeating: false, count: values.count)
        var position = ends.last ?? -1
        while position >= 0 {
            isMember[position] = true
            position = previous[position]
        }
        return isMember
    }
}
