// Policies can only be compared at the same cost: a policy's knob is set to a few values, and what it would yield at
// the cost that is asked is read off between them.

import Foundation

/// What a policy costs and yields over the settings of its knob.
///
/// Between two settings the figures run straight on logarithmic scales. With settings far apart no single run decides,
/// whose polls may have fallen in or out of step with the source.
struct Curve {
    private let runs: [Figures]

    init(runs: [Figures]) {
        self.runs = runs.filter { $0.requestsPerHour > 0 }
    }

    /// Runs a policy at each of `knobs`, and then further out until `budgets` lie inside the curve or the policy's
    /// bounds keep it from spending more or less.
    ///
    /// - Parameters:
    ///   - knobs: From the most requests to the fewest.
    ///   - budgets: Requests an hour.
    ///   - run: Makes a run at a knob.
    init(knobs: [Double], covering budgets: ClosedRange<Double>, run: (Double) -> Figures) {
        var runs = knobs.map(run)
        guard let least = knobs.first, let most = knobs.last else {
            self.init(runs: runs)
            return
        }
        for (knob, factor) in [(least, 1 / Self.stride), (most, Self.stride)] {
            var knob = knob
            for _ in 0..<Self.mostExtensions {
                let costs = runs.map(\.requestsPerHour)
                let reached =
                    factor < 1 ? (costs.max() ?? 0) >= budgets.upperBound : (costs.min() ?? 0) <= budgets.lowerBound
                guard !reached else { break }
                knob *= factor
                runs.append(run(knob))
            }
        }
        self.init(runs: runs)
    }

    private static let stride = 3.0
    private static let mostExtensions = 8
    /// How far outside of the curve its end still counts, as a logarithm.
    private static let tolerance = 0.02

    /// The figures at so many requests an hour; nil where no setting spends that.
    func figures(at requestsPerHour: Double) -> Figures? {
        func value(_ path: KeyPath<Figures, Double>) -> Double? {
            self.interpolate(path, over: \.requestsPerHour, at: requestsPerHour)
        }
        guard let delay = value(\.delay), let p95 = value(\.delayP95), let age = value(\.age),
            let missed = value(\.missed)
        else { return nil }
        return Figures(
            requestsPerHour: requestsPerHour,
            delay: delay,
            delayP95: p95,
            age: age,
            missed: missed,
            longestGap: self.runs.map(\.longestGap).max() ?? 0
        )
    }

    /// The requests an hour that buy a mean delay in seconds; nil where no setting yields it.
    func requests(forDelay delay: Double) -> Double? {
        self.interpolate(\.requestsPerHour, over: \.delay, at: delay)
    }

    private func interpolate(
        _ path: KeyPath<Figures, Double>,
        over axis: KeyPath<Figures, Double>,
        at place: Double
    ) -> Double? {
        let points = self.runs.map { (x: log(max(1e-9, $0[keyPath: axis])), y: log(max(1e-9, $0[keyPath: path]))) }
            .sorted { $0.x < $1.x }
        let x = log(max(1e-9, place))
        guard let first = points.first, let last = points.last,
            x >= first.x - Self.tolerance, x <= last.x + Self.tolerance
        else { return nil }
        guard let upper = points.firstIndex(where: { $0.x >= x }) else { return exp(last.y) }
        guard upper > 0 else { return exp(first.y) }
        let (below, above) = (points[upper - 1], points[upper])
        let share = above.x > below.x ? (x - below.x) / (above.x - below.x) : 1
        return exp(below.y + share * (above.y - below.y))
    }
}
