// What the poll thread counts (CONTRACT §7).

package import FreshetCore

/// Figures of all polls since the start. A value: a copy is a consistent moment.
package struct PollMetrics: Sendable {
    /// Counts of observations by upper bound, as Prometheus has them.
    package struct Histogram: Hashable, Sendable {
        /// In seconds, ascending; observations above the last are in ``count`` only.
        package let bounds: [Double]
        /// Observations at or below the bound of the same index and above the one before.
        package private(set) var counts: [UInt64]
        package private(set) var count: UInt64 = 0
        /// In seconds.
        package private(set) var sum = 0.0

        init(bounds: [Double]) {
            self.bounds = bounds
            self.counts = Array(repeating: 0, count: bounds.count)
        }

        mutating func observe(_ duration: Duration) {
            let seconds = max(0, duration.inSeconds)
            self.count += 1
            self.sum += seconds
            if let index = self.bounds.firstIndex(where: { seconds <= $0 }) { self.counts[index] += 1 }
        }

        /// What was observed after `earlier`, a copy of this histogram from then.
        package func since(_ earlier: Histogram) -> Histogram {
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

    /// `freshet_polls_total`, by source and outcome. A source that was removed is not in it.
    package internal(set) var polls = SourceMap<[PollOutcome: UInt64]>()
    /// `freshet_poll_duration_seconds`: from the start of a poll to its last byte, redirects included.
    package internal(set) var duration = Histogram(
        bounds: [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60]
    )
    /// `freshet_poll_lateness_seconds`: from when a poll was due to when it began.
    package internal(set) var lateness = Histogram(
        bounds: [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60]
    )
    /// Body bytes received, before decoding.
    package internal(set) var wireBytes: UInt64 = 0
    /// Body bytes after decoding.
    package internal(set) var bodyBytes: UInt64 = 0
    /// Polls under way.
    package internal(set) var inFlight = 0
    /// The CPU time that the poll thread has used.
    package internal(set) var threadCPU = Duration.zero

    mutating func pollStarted(lateness: Duration) {
        self.inFlight += 1
        self.lateness.observe(lateness)
    }

    mutating func pollAbandoned() {
        self.inFlight -= 1
    }

    mutating func pollEnded(_ source: SourceID, _ outcome: PollOutcome, duration: Duration, wire: Int, body: Int) {
        self.inFlight -= 1
        self.polls[source, default: [:]][outcome, default: 0] += 1
        self.duration.observe(duration)
        self.wireBytes += UInt64(clamping: wire)
        self.bodyBytes += UInt64(clamping: body)
    }
}
