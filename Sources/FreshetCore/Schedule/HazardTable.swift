// When a source changes is rarely memoryless: feeds follow clocks, and changes come in bursts. A hazard table learns
// one such pattern, as a factor on the change rate for each cell of time; this file knows the cells.

/// One way to divide time into cells: by the age since the last change, or by the phase of a clock.
///
/// Only the geometry lives here. The counts belong to `Haze`.
struct HazardTable: Hashable, Sendable {
    enum Kind: Hashable, Sendable {
        /// Four cells an octave of the time since the last change, from 15 s; the last cell is open.
        case age
        /// Equal cells of wall-clock time modulo `period` seconds.
        case clock(period: Double)
    }

    let kind: Kind
    /// The place of its first cell among the cells of all tables.
    let firstCell: Int
    let cellCount: Int

    /// The tables of the policy, in the order in which ties are broken.
    static let all: [HazardTable] = [
        HazardTable(kind: .age, firstCell: 0, cellCount: 60),
        HazardTable(kind: .clock(period: 300), firstCell: 60, cellCount: 30),
        HazardTable(kind: .clock(period: 3600), firstCell: 90, cellCount: 60),
        HazardTable(kind: .clock(period: 86400), firstCell: 150, cellCount: 48),
    ]
    /// The cells of all tables together.
    static let totalCells = 198
    static let largestCellCount = 60

    /// Upper bounds of the age cells in seconds: 15 s * 2^((k + 1) / 4), but for the last, which is open.
    private static let ageBounds: [Double] = {
        // 2 to the power of 0, 1/4, 1/2 and 3/4.
        let quarters = [1, 1.189207115002721, 1.4142135623730951, 1.681792830507429]
        let bounds = (1..<60).map { (index: Int) -> Double in
            15 * Double(1 << (index / 4)) * quarters[index % 4]
        }
        return bounds + [Double.infinity]
    }()

    /// A stretch of time inside one cell.
    struct Stretch {
        /// Counted from the table's first cell.
        var cell: Int
        var start: Double
        var end: Double
        var duration: Double { end - start }
    }

    /// The stretch that begins at `start` and ends with its cell or at `limit`, whichever comes first.
    ///
    /// All times are wall-clock seconds; `start` is less than `limit`. The result always ends after `start`, so that a
    /// walk ends.
    func stretch(from start: Double, to limit: Double, lastChange: Double) -> Stretch {
        switch kind {
        case .age:
            var cell = ageCell(after: start - lastChange)
            // A walk steps from bound to bound, and rounding may put a bound an ulp before itself.
            while cell < cellCount - 1, lastChange + Self.ageBounds[cell] <= start {
                cell += 1
            }
            let bound = lastChange + Self.ageBounds[cell]
            return Stretch(cell: cell, start: start, end: bound > start ? min(bound, limit) : limit)
        case .clock(let period):
            let width = period / Double(cellCount)
            let index = Elementary.floor(start / width)
            let bound = (index + 1) * width
            let cell = index - Elementary.floor(index / Double(cellCount)) * Double(cellCount)
            let isInRange = cell >= 0 && cell < Double(cellCount)
            return Stretch(
                cell: isInRange ? Int(cell) : 0,
                start: start,
                end: bound > start ? min(bound, limit) : limit
            )
        }
    }

    /// The cell that holds the moment `time`, where a moment on a boundary belongs to the cell that ends there.
    func cell(endingWith time: Double, lastChange: Double) -> Int {
        switch kind {
        case .age:
            let age = time - lastChange
            var cell = 0
            while cell < cellCount - 1, Self.ageBounds[cell] < age {
                cell += 1
            }
            return cell
        case .clock(let period):
            let width = period / Double(cellCount)
            let index = -Elementary.floor(-time / width) - 1
            let cell = index - Elementary.floor(index / Double(cellCount)) * Double(cellCount)
            return cell >= 0 && cell < Double(cellCount) ? Int(cell) : 0
        }
    }

    /// Fills `dwell` with the seconds that the time from `start` to `end` spends in each cell. Bounded work, however
    /// long that is.
    func measure(from start: Double, to end: Double, lastChange: Double, into dwell: inout [Double]) {
        for cell in 0..<cellCount {
            dwell[cell] = 0
        }
        var time = start
        if case .clock(let period) = kind, end - start >= period {
            let rounds = Elementary.floor((end - start) / period)
            let inEachCell = rounds * period / Double(cellCount)
            for cell in 0..<cellCount {
                dwell[cell] = inEachCell
            }
            time += rounds * period
        }
        while time < end - Self.negligible {
            let stretch = stretch(from: time, to: end, lastChange: lastChange)
            dwell[stretch.cell] += stretch.duration
            time = stretch.end
        }
    }

    /// Seconds below which the rest of a walk is dropped.
    static let negligible = 1e-6

    private func ageCell(after age: Double) -> Int {
        var low = 0
        var high = cellCount - 1
        while low < high {
            let middle = (low + high) / 2
            if Self.ageBounds[middle] <= age {
                low = middle + 1
            } else {
                high = middle
            }
        }
        return low
    }
}
