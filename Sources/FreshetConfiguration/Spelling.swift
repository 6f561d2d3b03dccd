// "Did you mean": the known word that a misspelt one is closest to.

enum Spelling {
    /// The candidate nearest to `word`, if it is near enough to be meant: one edit for each three letters, at least
    /// one, where an edit adds, drops, changes or swaps letters. The first of several at the same distance.
    static func nearest(to word: String, among candidates: some Sequence<String>) -> String? {
        let normal = self.normalised(word)
        let allowed = max(1, normal.count / 3)
        // A word this long is no misspelling, and the table below is quadratic.
        guard normal.count <= 64 else { return nil }
        var best: (distance: Int, candidate: String)?
        for candidate in candidates {
            let distance = self.distance(from: normal, to: self.normalised(candidate))
            if distance <= allowed, distance < best?.distance ?? .max {
                best = (distance, candidate)
            }
        }
        return best?.candidate
    }

    /// Lower case, with one kind of separator: `minInterval` and `min-interval` are `min_interval`.
    private static func normalised(_ word: String) -> [UInt8] {
        var result: [UInt8] = []
        var previousIsLower = false
        for byte in word.utf8 {
            switch byte {
            case UInt8(ascii: "A")...UInt8(ascii: "Z"):
                if previousIsLower { result.append(UInt8(ascii: "_")) }
                result.append(byte | 0x20)
                previousIsLower = false
            case UInt8(ascii: "-"), UInt8(ascii: " "), UInt8(ascii: "."):
                result.append(UInt8(ascii: "_"))
                previousIsLower = false
            default:
                result.append(byte)
                previousIsLower = (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
            }
        }
        return result
    }

    /// Optimal string alignment distance: insertions, deletions, substitutions, swaps of neighbours.
    static func distance(from left: [UInt8], to right: [UInt8]) -> Int {
        guard !left.isEmpty, !right.isEmpty else { return max(left.count, right.count) }
        var beforePrevious: [Int] = []
        var previous = Array(0...right.count)
        for row in 1...left.count {
            var current = [row] + Array(repeating: 0, count: right.count)
            for column in 1...right.count {
                let isEqual = left[row - 1] == right[column - 1]
                var cost = min(previous[column] + 1, current[column - 1] + 1, previous[column - 1] + (isEqual ? 0 : 1))
                if row > 1, column > 1, left[row - 1] == right[column - 2], left[row - 2] == right[column - 1] {
                    cost = min(cost, beforePrevious[column - 2] + 1)
                }
                current[column] = cost
            }
            (beforePrevious, previous) = (previous, current)
        }
        return previous[right.count]
    }
}
