// Policies can only be compared at the same cost: this turns a policy's knob until it spends what is asked, or delays
// as much.

import Foundation

/// Finds the figures of a policy at a given value of one of them.
///
/// The knob is doubled or halved until the goal lies between two runs, and then the bracket is halved until its ends
/// are 5 % apart; between them the figures are interpolated on logarithmic scales.
///
/// - Parameters:
///   - path: The figure that is given.
///   - goal: Its value.
///   - knob: Where to begin.
///   - isRising: Whether the figure rises with the knob.
///   - run: Makes a run at a knob.
/// - Returns: The figures there and the knob that is nearest; nil when no knob gets there.
func calibrate(
    _ path: KeyPath<Figures, Double>,
    to goal: Double,
    knob: Double,
    isRising: Bool,
    run: (Double) -> Figures
) -> (figures: Figures, knob: Double)? {
    func exceeds(_ figures: Figures) -> Bool { (figures[keyPath: path] > goal) == isRising }
    var low = knob
    var high = knob
    var atLow = run(knob)
    var atHigh = atLow
    // A knob that no longer moves the cost has met the policy's bounds.
    func isStuck(_ one: Figures, _ other: Figures) -> Bool {
        abs(one.requestsPerHour - other.requestsPerHour) <= 0.001 * one.requestsPerHour
    }
    for step in 0..<24 where exceeds(atLow) {
        if step > 2, isStuck(atLow, atHigh) { return nil }
        (high, atHigh) = (low, atLow)
        low /= 2
        atLow = run(low)
    }
    for step in 0..<24 where !exceeds(atHigh) {
        if step > 2, isStuck(atLow, atHigh) { return nil }
        (low, atLow) = (high, atHigh)
        high *= 2
        atHigh = run(high)
    }
    guard !exceeds(atLow), exceeds(atHigh) else { return nil }
    while high / low > 1.05 {
        let middle = (low * high).squareRoot()
        let figures = run(middle)
        if exceeds(figures) { (high, atHigh) = (middle, figures) } else { (low, atLow) = (middle, figures) }
    }
    return (interpolate(atLow, atHigh, path, goal), (low * high).squareRoot())
}

/// The mean delay at a number of requests, by the straight line on logarithmic scales that fits several runs best.
func delay(along runs: [Figures], at requestsPerHour: Double) -> Double {
    let points = runs.filter { $0.delay > 0 && $0.requestsPerHour > 0 }.map { (log($0.requestsPerHour), log($0.delay)) }
    let count = Double(max(1, points.count))
    let meanX = points.reduce(0) { $0 + $1.0 } / count
    let meanY = points.reduce(0) { $0 + $1.1 } / count
    let covariance = points.reduce(0) { $0 + ($1.0 - meanX) * ($1.1 - meanY) }
    let variance = points.reduce(0) { $0 + ($1.0 - meanX) * ($1.0 - meanX) }
    let slope = variance > 1e-9 ? covariance / variance : 0
    return exp(meanY + slope * (log(requestsPerHour) - meanX))
}

private func interpolate(_ low: Figures, _ high: Figures, _ path: KeyPath<Figures, Double>, _ goal: Double) -> Figures {
    let span = log(high[keyPath: path] / low[keyPath: path])
    let share = abs(span) < 1e-9 ? 0.5 : min(1, max(0, log(goal / low[keyPath: path]) / span))
    func between(_ path: KeyPath<Figures, Double>) -> Double {
        exp((1 - share) * log(max(1e-9, low[keyPath: path])) + share * log(max(1e-9, high[keyPath: path])))
    }
    return Figures(
        requestsPerHour: between(\.requestsPerHour),
        delay: between(\.delay),
        delayP95: between(\.delayP95),
        age: between(\.age),
        missed: between(\.missed),
        longestGap: max(low.longestGap, high.longestGap)
    )
}
