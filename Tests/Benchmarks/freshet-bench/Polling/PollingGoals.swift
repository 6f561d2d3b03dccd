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
    /// C. What may be had of single recordings, by name and view: at two and at four requests for each change.
    static let histories: [String: [TraceView: [Double: Double]]] = [
        "calfire-incidents": [.raw: [2: 0.94, 4: 0.94], .dequantised: [2: 1.01, 4: 1.03]],
        "dockerhub-repo": [.raw: [2: 0.63, 4: 0.38], .dequantised: [2: 1.00, 4: 0.93]],
        "essential-energy-kml": [.raw: [2: 0.91, 4: 0.83], .dequantised: [2: 0.99, 4: 0.97]],
        "exchange-rates": [.raw: [2: 0.41, 4: 0.17]],
        "hn-by-domain": [.raw: [2: 0.84, 4: 0.68], .dequantised: [2: 0.76, 4: 0.70]],
        "mastodon-instances-big": [.raw: [2: 1.20, 4: 0.97], .dequantised: [2: 1.27, 4: 1.13]],
        "nyc-boro-csv": [.raw: [2: 0.76, 4: 0.61]],
        "usgs-quakes": [.raw: [2: 0.57, 4: 0.48], .dequantised: [2: 0.93, 4: 0.90]],
    ]
    /// D. The worst single history, by how many versions it has.
    static func worst(versions: Int) -> Double? {
        if versions >= 80 { return 1.10 }
        return versions < 20 ? 1.35 : nil
    }
    /// D. Polls a day of a source that never changes, at a price of 60 s.
    static let deadPollsPerDay = 10.0
}
