// How the model learns from one poll that succeeded. Failures teach nothing: the next success covers the whole gap.

extension Haze {
    /// Takes in a poll that was answered with 200 or 304. Constant work, however long ago the last poll was.
    ///
    /// - Parameters:
    ///   - now: When it was answered, in seconds on the monotonic axis. A time before the last poll counts as just
    ///     after it.
    ///   - changed: Whether the content differs by the gateway's own test. Noise must be masked before, or the source
    ///     looks as if it changed on every poll.
    ///   - lastModified: The upstream's `Last-Modified` in unix seconds. Used only with `changed`, and only when it
    ///     lies after the last poll and not after `now`: a date in the future is no evidence.
    package mutating func observe(now: Double, changed: Bool, lastModified: Double? = nil) {
        let start = lastPoll + wallOffset
        let end = max(start, Self.clamped(now) + wallOffset)
        let elapsed = max(1e-3, end - start)
        let modified = lastModified.flatMap { changed && start < $0 && $0 <= end ? $0 : nil }
        let selected = selection

        var probabilities = [Double](repeating: 0, count: RateGrid.count)
        let plain = likelihood(of: changed, within: elapsed, scratch: &probabilities)
        var operational = elapsed
        var changeTime = (start + end) / 2
        var dwell = [Double](repeating: 0, count: HazardTable.largestCellCount)
        for (index, table) in HazardTable.all.enumerated() {
            table.measure(from: start, to: end, lastChange: lastChange + wallOffset, into: &dwell)
            let warped = warpedDuration(dwell, in: table)
            let foretold = likelihood(of: changed, within: warped, scratch: &probabilities)
            scores[index] = Self.decay * scores[index] + Elementary.log(foretold) - Elementary.log(plain)
            if index == selected {
                operational = warped
                if changed, table.kind == .age, warped > 0 {
                    changeTime = expectedChangeTime(from: start, to: end, warped: warped, in: table)
                }
            }
            count(dwell, warped: warped, in: table, changed: changed, modified: modified)
        }
        updateBelief(changed: changed, within: operational, scratch: &probabilities)

        seconds += elapsed
        if changed {
            changes += 1
            lastChange = (modified ?? changeTime) - wallOffset
            if changes > Self.rateMemory {
                seconds *= Self.rateMemory / changes
                changes = Self.rateMemory
            }
        }
        lastPoll = end - wallOffset
    }

    /// The probability of what was seen, had `duration` seconds of operational time passed.
    private func likelihood(of changed: Bool, within duration: Double, scratch probabilities: inout [Double]) -> Double
    {
        RateGrid.changeProbabilities(within: duration, into: &probabilities)
        var probability = 0.0
        for index in 0..<RateGrid.count {
            probability += Double(numbers[Self.beliefStart + index]) * probabilities[index]
        }
        return max(1e-9, changed ? probability : 1 - probability)
    }

    private func warpedDuration(_ dwell: [Double], in table: HazardTable) -> Double {
        var sum = 0.0
        for cell in 0..<table.cellCount where dwell[cell] > 0 {
            sum += factor(ofCell: table.firstCell + cell) * dwell[cell]
        }
        return sum
    }

    /// Where in the interval the change is expected to have been, under the age table. Unix seconds.
    private func expectedChangeTime(from start: Double, to end: Double, warped: Double, in table: HazardTable) -> Double
    {
        var sum = 0.0
        var time = start
        while time < end - HazardTable.negligible {
            let stretch = table.stretch(from: time, to: end, lastChange: lastChange + wallOffset)
            // Relative to the start, so that no digits are lost in a sum of unix times.
            let middle = (stretch.start + stretch.end) / 2 - start
            sum += factor(ofCell: table.firstCell + stretch.cell) * stretch.duration * middle
            time = stretch.end
        }
        return start + sum / warped
    }

    /// Adds the interval to a table: the exposure of each cell, and the change, shared out by the present belief or
    /// placed.
    private mutating func count(
        _ dwell: [Double],
        warped: Double,
        in table: HazardTable,
        changed: Bool,
        modified: Double?
    ) {
        let rate = changes / seconds
        let cells = table.firstCell..<(table.firstCell + table.cellCount)
        let exposure = HazardTable.totalCells
        var total = 0.0
        for cell in cells {
            let duration = dwell[cell - table.firstCell]
            if duration > 0 {
                if changed, modified == nil, warped > 0 {
                    numbers[cell] += Float(factor(ofCell: cell) * duration / warped)
                }
                numbers[exposure + cell] += Float(rate * duration)
            }
            total += Double(numbers[exposure + cell])
        }
        if let modified {
            numbers[table.firstCell + table.cell(endingWith: modified, lastChange: lastChange + wallOffset)] += 1
        }
        guard total > Self.tableMemory else { return }
        let scale = Float(Self.tableMemory / total)
        for cell in cells {
            numbers[cell] *= scale
            numbers[exposure + cell] *= scale
        }
    }

    /// Bayes' rule on the rates, then a little doubt: a change blurs the belief, and every poll pulls it towards the
    /// prior, so that it follows a source that starts or stops, and the interval of a dead one stays bounded.
    private mutating func updateBelief(changed: Bool, within duration: Double, scratch probabilities: inout [Double]) {
        RateGrid.changeProbabilities(within: duration, into: &probabilities)
        var sum = 0.0
        for index in 0..<RateGrid.count {
            let likelihood = changed ? probabilities[index] : 1 - probabilities[index]
            probabilities[index] = Double(numbers[Self.beliefStart + index]) * likelihood
            sum += probabilities[index]
        }
        let restart = changed ? Self.restartAfterChange : Self.restartWithoutChange
        let blur = changed ? Self.diffusion : 0
        for index in 0..<RateGrid.count {
            let prior = RateGrid.prior[index]
            // So unlikely that nothing is left of the belief: begin again.
            guard sum > 1e-200 else {
                numbers[Self.beliefStart + index] = Float(prior)
                continue
            }
            let below = probabilities[max(0, index - 1)]
            let above = probabilities[min(RateGrid.count - 1, index + 1)]
            let belief = ((1 - 2 * blur) * probabilities[index] + blur * (below + above)) / sum
            numbers[Self.beliefStart + index] = Float((1 - restart) * belief + restart * prior)
        }
    }
}
