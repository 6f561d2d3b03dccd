// What the gateway believes about when one source changes: the policy behind `interval: adaptive`. HAZE stands for
// hazard-indexed expected age: a source is due when the expected age of its oldest unseen change reaches a price.

/// A learned model of one source's changes: a Bayes filter over the change rate, run in time that is warped by the best
/// of four hazard tables. Constant size (about 1.8 KB), no clock, no randomness.
///
/// For any model the expected age of the oldest unseen change, t seconds after the last poll, is the integral of the
/// probability that the source has changed by then. Uncertainty, bursts and clocks enter only through that probability.
///
/// Times are seconds on one monotonic axis; `wallOffset` leads from there to wall-clock time, which the clock tables
/// follow.
package struct Haze: Hashable, Sendable {
    /// Added to a monotonic time gives unix time in seconds. Set it again when the wall clock was stepped.
    package var wallOffset: Double {
        didSet { wallOffset = Self.clamped(wallOffset) }
    }

    /// When the last successful poll was made; what is learned next covers the time since then.
    package internal(set) var lastPoll: Double
    /// The estimated time of the last change.
    package internal(set) var lastChange: Double

    /// The slow mean rate, `changes` / `seconds`, which scales the exposure of the tables.
    var changes = 0.5
    var seconds = 1800.0
    /// Per table: how much better than no table it foretold the polls, in nats, slowly forgotten.
    var scores: SIMD4<Double> = .zero
    /// One buffer: the changes seen in each cell, then the changes expected there, then the belief over
    /// `RateGrid.rates`.
    var numbers: [Float]

    static let beliefStart = 2 * HazardTable.totalCells
    static let numberCount = beliefStart + RateGrid.count

    /// A model of a source that has never been polled.
    ///
    /// - Parameters:
    ///   - now: Seconds on the monotonic axis.
    ///   - wallOffset: Unix time minus `now`'s axis, in seconds. With 0 the two are the same.
    package init(now: Double, wallOffset: Double = 0) {
        self.wallOffset = Self.clamped(wallOffset)
        self.lastPoll = Self.clamped(now)
        self.lastChange = self.lastPoll
        self.numbers = [Float](repeating: 0, count: Self.beliefStart) + RateGrid.prior.map(Float.init)
    }

    /// The table that foretells this source best, if any is clearly better than none.
    package var pattern: Pattern {
        switch selection {
        case 0: .sinceLastChange
        case 1: .fiveMinuteClock
        case 2: .hourlyClock
        case 3: .dailyClock
        default: .none
        }
    }

    /// What a source's changes follow, in words that can be shown.
    package enum Pattern: String, Hashable, Sendable {
        /// Nothing that is known yet.
        case none
        case sinceLastChange = "the time since the last change"
        case fiveMinuteClock = "the five-minute clock"
        case hourlyClock = "the hour"
        case dailyClock = "the time of day"
    }

    /// The believed change rate without any pattern, in changes a second.
    package var meanRate: Double {
        var sum = 0.0
        for index in 0..<RateGrid.count {
            sum += RateGrid.rates[index] * Double(numbers[Self.beliefStart + index])
        }
        return sum
    }

    /// The index of the best table, when its score passes the margin.
    var selection: Int? {
        var best = 0
        for index in 1..<HazardTable.all.count where scores[index] > scores[best] {
            best = index
        }
        return scores[best] > Self.margin ? best : nil
    }

    /// The factor on the change rate in a cell, counted over all tables.
    @inline(__always)
    func factor(ofCell cell: Int) -> Double {
        let seen = Double(numbers[cell])
        let expected = Double(numbers[HazardTable.totalCells + cell])
        return min(Self.largestFactor, max(Self.smallestFactor, (seen + Self.stiffness) / (expected + Self.stiffness)))
    }

    // The constants of the policy. About six were tuned on a pool of real sources.
    static let restartAfterChange = 0.005
    static let restartWithoutChange = 0.002
    static let diffusion = 0.01
    static let stiffness = 0.05
    static let smallestFactor = 0.01
    static let largestFactor = 60.0
    static let tableMemory = 200.0
    static let rateMemory = 50.0
    static let margin = 3.0
    static let decay = 0.99

    /// Keeps arithmetic on times exact enough whatever a caller or a stored state says.
    static func clamped(_ time: Double) -> Double {
        time.isNaN ? 0 : min(1e11, max(-1e11, time))
    }
}
