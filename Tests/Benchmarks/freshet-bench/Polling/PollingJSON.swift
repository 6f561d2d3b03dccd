// The figures of the polling benchmark for scripts.

import Foundation

/// The shape of `freshet-bench polling --json`.
struct PollingJSON: Encodable {
    /// The pool as recorded, all sources at one price.
    struct Pool: Encodable {
        var requests_per_hour: Double
        var delay_s: Double
        var age_s: Double
        var p95_s: Double
        /// The share of versions that no poll saw.
        var missed: Double
        /// The fixed interval's mean delay with the budget.
        var fixed_delay_s: Double
    }

    /// One history in one view at one budget.
    struct History: Encodable {
        var name: String
        var view: String
        /// Requests for each change.
        var beta: Double
        /// The mean delay over the fixed interval's.
        var ratio: Double
    }

    /// Null when no price spends the budget.
    var pool: Pool?
    var traces: [History]

    /// Runs the benchmark and prints the figures as one line.
    static func print(_ recordings: Recordings, _ options: PollingBenchmarkOptions) {
        let pool = PoolComparison(
            traces: options.paths.isEmpty ? SyntheticTraces.make(days: 10) : recordings.pool(.raw),
            covering: options.requestsPerHour...options.requestsPerHour
        )
        let fixed = pool.fixed(options.requestsPerHour)
        let adaptive =
            options.thetas.first.map(pool.adaptive(theta:)) ?? pool.row(options.requestsPerHour).adaptive
        let output = PollingJSON(
            pool: adaptive.map {
                Pool(
                    requests_per_hour: $0.requestsPerHour,
                    delay_s: $0.delay,
                    age_s: $0.age,
                    p95_s: $0.delayP95,
                    missed: $0.missed,
                    fixed_delay_s: fixed.delay
                )
            },
            traces: recordings.histories().map {
                History(name: $0.name, view: $0.view.rawValue, beta: $0.beta, ratio: $0.ratio)
            }
        )
        let encoder = JSONEncoder()
        encoder.outputFormatting = [.sortedKeys]
        if let data = try? encoder.encode(output) { Swift.print(String(decoding: data, as: UTF8.self)) }
    }
}
