// The figures that the policy has to reach, as ratios to the fixed interval with the same number of requests, so that
// they can be held against any traces.

/// The acceptance goals of the polling benchmark.
enum PollingGoals {
    /// A. A pool at its budget, as recorded.
    static let poolDelay = 310.0 / 837
    static let poolAge = 18.5 / 50.8
    static let poolP95 = 1200.0 / 1583
    /// Absolute: the share of versions missed.
    static let poolMissed = 0.08
    /// The share of the requests that buys the fixed interval's delay.
    static let poolRequests = 38.0 / 80
    /// The pool with the recorder's clock taken out.
    static let dequantisedPoolDelay = 345.0 / 841
    /// The budget controller, by requests an hour.
    static let budgeted: [Double: Double] = [40: 900.0 / 1647, 80: 310.0 / 837, 160: 145.0 / 417]
    /// B. The synthetic pool.
    static let syntheticDelay = 170.0 / 342
    static let syntheticAge = 21.0 / 42.6
    /// C. The median over all histories and views, by requests for each change.
    static let median: [Double: Double] = [2: 0.92, 4: 0.86]
    /// D. The worst single history, by how many versions it has.
    static func worst(versions: Int) -> Double? {
        if versions >= 80 { return 1.10 }
        return versions < 20 ? 1.35 : nil
    }
    /// D. Polls a day of a source that never changes, at a price of 60 s.
    static let deadPollsPerDay = 10.0
}
