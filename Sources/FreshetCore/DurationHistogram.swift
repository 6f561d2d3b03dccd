// How long something took, many times over: what metrics tell of durations.

/// Counts of observations by upper bound, as Prometheus has them. A value: a copy is a consistent moment.
package struct DurationHistogram: Hashable, Sendable {
    /// In seconds, ascending; observations above the last are in ``count`` only.
    package let bounds: [Double]
    /// Observations at or below the bound of the same index and above the one before.
    package private(set) var counts: [UInt64]
    package private(set) var count: UInt64 = 0
    /// In seconds.
    package private(set) var sum = 0.0

    package init(bounds: [Double]) {
        self.bounds = bounds
        self.counts = Array(repeating: 0, count: bounds.count)
    }

    /// Takes note that something took this long, `times` times. A negative duration counts as zero.
    package mutating func observe(_ duration: Duration, times: UInt64 = 1) {
        let seconds = max(0, duration.inSeconds)
        self.count += times
        self.sum += seconds * Double(times)
        if let index = self.bounds.firstIndex(where: { seconds <= $0 }) { self.counts[index] += times }
    }

    /// Adds what another histogram with the same bounds observed.
    package mutating func add(_ other: DurationHistogram) {
        precondition(other.bounds == self.bounds, "DurationHistogram.add(_:) with other bounds")
        self.counts = zip(self.counts, other.counts).map { $0 + $1 }
        self.count += other.count
        self.sum += other.sum
    }

    /// What was observed after `earlier`, a copy of this histogram from then.
    package func since(_ earlier: DurationHistogram) -> DurationHistogram {
        var rest = self
        rest.counts = zip(self.counts, earlier.counts).map { $0 &- $1 }
        rest.count &-= earlier.count
        rest.sum -= earlier.sum
        return rest
    }

    /// The bound at or below which this share of the observations lies; `nil` where there are none or it is above
    /// the last bound.
    package func quantile(_ share: Double) -> Double? {
        let wanted = Double(self.count) * share
        var seen: UInt64 = 0
        for (bound, count) in zip(self.bounds, self.counts) {
            seen += count
            if self.count > 0, Double(seen) >= wanted { return bound }
        }
        return nil
    }
}
