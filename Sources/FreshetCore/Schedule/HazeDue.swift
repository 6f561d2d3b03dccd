// When a source should be polled next: the first moment at which the expected age of its oldest unseen change reaches
// the price. Closed form inside a cell; whole rounds of a clock are skipped, so the work does not grow with the
// horizon.

extension Haze {
    /// The first moment at which the expected age of the oldest unseen change is `theta / weight` seconds, on the
    /// monotonic axis.
    ///
    /// - Parameters:
    ///   - theta: The price of a poll in seconds: the staleness target, or what the budget asks.
    ///   - weight: How much this source matters, as a rule its number of subscribers; polls grow with its square root.
    ///   - horizon: Seconds after the last poll beyond which nothing is sought.
    /// - Returns: Seconds on the monotonic axis, from the last poll to `horizon` after it.
    package func due(theta: Double, weight: Double = 1, horizon: Double) -> Double {
        let price = theta / max(weight, 1e-9)
        let limit = min(1e9, max(0, horizon.isNaN ? 0 : horizon))
        guard price > 0 else { return lastPoll }
        var search = DueSearch(model: self, price: price)
        let start = lastPoll + wallOffset
        let end = start + limit
        guard let selected = selection else {
            let found = search.advance(from: start, to: end, factor: 1)
            return (found ?? end) - wallOffset
        }
        let table = HazardTable.all[selected]
        return (search.walk(table, from: start, to: end, lastChange: lastChange + wallOffset) ?? end) - wallOffset
    }
}

/// One search for the due time: the expected age so far, and for each rate the probability of no change so far.
private struct DueSearch {
    let model: Haze
    let price: Double
    private var age = 0.0
    /// Belief times the probability of no change yet, by rate.
    private var unchanged: [Double]
    private var probabilities = [Double](repeating: 0, count: RateGrid.count)

    init(model: Haze, price: Double) {
        self.model = model
        self.price = price
        self.unchanged = model.numbers[Haze.beliefStart...].map(Double.init)
    }

    /// Walks the cells of `table`; nil when the price is not reached by `end`.
    mutating func walk(_ table: HazardTable, from start: Double, to end: Double, lastChange: Double) -> Double? {
        var time = start
        guard case .clock(let period) = table.kind else {
            return walkCells(of: table, from: &time, to: end, lastChange: lastChange)
        }
        // To the next boundary between cells, then a round from there, then as many rounds as leave the price
        // unreached.
        let first = table.stretch(from: time, to: end, lastChange: lastChange)
        if let found = walkCells(of: table, from: &time, to: min(first.end, end), lastChange: lastChange) {
            return found
        }
        if time + 2 * period < end {
            if let found = walkCells(of: table, from: &time, to: time + period, lastChange: lastChange) {
                return found
            }
            skipRounds(of: period, in: table, from: &time, to: end)
        }
        return walkCells(of: table, from: &time, to: end, lastChange: lastChange)
    }

    private mutating func walkCells(
        of table: HazardTable,
        from time: inout Double,
        to end: Double,
        lastChange: Double
    ) -> Double? {
        while time < end - HazardTable.negligible {
            let stretch = table.stretch(from: time, to: end, lastChange: lastChange)
            let factor = model.factor(ofCell: table.firstCell + stretch.cell)
            if let found = advance(from: stretch.start, to: stretch.end, factor: factor) {
                return found
            }
            time = stretch.end
        }
        return nil
    }

    /// Advances by whole rounds while none of them can hold the due time.
    ///
    /// In each round every rate's share of the unchanged time shrinks by the same factor, the probability that it saw
    /// no change in a round, so that one round is enough to know them all.
    private mutating func skipRounds(of period: Double, in table: HazardTable, from time: inout Double, to end: Double)
    {
        var (shares, warped) = round(of: period, in: table, from: time)
        RateGrid.changeProbabilities(within: warped, into: &probabilities)
        while time + period < end {
            let gained = period - shares.reduce(0, +)
            guard age + gained < price else { return }
            age += gained
            time += period
            for index in 0..<RateGrid.count {
                unchanged[index] *= 1 - probabilities[index]
                shares[index] *= 1 - probabilities[index]
            }
        }
    }

    /// For each rate, the time that the round from a cell boundary spends unchanged; and the round's operational time.
    private func round(of period: Double, in table: HazardTable, from start: Double) -> (
        shares: [Double], warped: Double
    ) {
        var shares = [Double](repeating: 0, count: RateGrid.count)
        var left = unchanged
        var probabilities = [Double](repeating: 0, count: RateGrid.count)
        let intervals = RateGrid.intervals
        var warped = 0.0
        var time = start
        while time < start + period - HazardTable.negligible {
            let stretch = table.stretch(from: time, to: start + period, lastChange: start)
            let factor = model.factor(ofCell: table.firstCell + stretch.cell)
            warped += factor * stretch.duration
            RateGrid.changeProbabilities(within: factor * stretch.duration, into: &probabilities)
            for index in 0..<RateGrid.count {
                shares[index] += left[index] * probabilities[index] * intervals[index] / factor
                left[index] *= 1 - probabilities[index]
            }
            time = stretch.end
        }
        return (shares, warped)
    }

    /// Moves through time with one hazard factor. Returns the due time when it lies inside; otherwise adds the stretch.
    mutating func advance(from start: Double, to end: Double, factor: Double) -> Double? {
        let duration = end - start
        let gained = gain(over: duration, factor: factor)
        guard age + gained < price else {
            return start + bisect(duration, factor: factor)
        }
        age += gained
        for index in 0..<RateGrid.count {
            unchanged[index] *= 1 - probabilities[index]
        }
        return nil
    }

    /// The expected age gained over `duration`; leaves the probabilities of a change within it in `probabilities`.
    private mutating func gain(over duration: Double, factor: Double) -> Double {
        RateGrid.changeProbabilities(within: factor * duration, into: &probabilities)
        let intervals = RateGrid.intervals
        var unchangedTime = 0.0
        for index in 0..<RateGrid.count {
            unchangedTime += unchanged[index] * probabilities[index] * intervals[index]
        }
        return duration - unchangedTime / factor
    }

    /// To a thousandth of the duration or 0.05 s, whichever is larger: the jitter is wider than that.
    private mutating func bisect(_ duration: Double, factor: Double) -> Double {
        var low = 0.0
        var high = duration
        while high - low > max(0.05, 0.001 * high) {
            let middle = (low + high) / 2
            if age + gain(over: middle, factor: factor) < price {
                low = middle
            } else {
                high = middle
            }
        }
        return high
    }
}
