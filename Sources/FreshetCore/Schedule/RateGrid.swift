// The twenty change rates over which the policy keeps its belief. They halve from one to the next, which lets one
// exponential serve all of them: e^-2x is the square of e^-x.

/// The grid of change rates, from one change in 16 seconds down to one in 97 days, and what is believed of a source not
/// yet met.
enum RateGrid {
    static let count = 20

    /// Changes a second, fastest first: `rates[j]` is 1 / (16 s * 2^j).
    static let rates: [Double] = (0..<count).map { 1 / (16 * Double(1 << $0)) }

    /// The mean times between changes, in seconds: `intervals[j]` is 1 / `rates[j]`.
    static let intervals: [Double] = (0..<count).map { 16 * Double(1 << $0) }

    /// The prior: four fifths a bell of two octaves around half an hour, one fifth evenly spread, so that nothing is
    /// ruled out.
    static let prior: [Double] = {
        let bell = (0..<count).map { Elementary.exp(-(Double($0) - 6.8) * (Double($0) - 6.8) / 8) }
        let sum = bell.reduce(0, +)
        return bell.map { 0.8 * $0 / sum + 0.2 / Double(count) }
    }()

    /// Fills `changed` with the probability, for each rate, of at least one change within `duration`.
    ///
    /// - Parameters:
    ///   - duration: Seconds of operational time, not negative.
    ///   - changed: Receives `count` values; it must have that many.
    @inline(__always)
    static func changeProbabilities(within duration: Double, into changed: inout [Double]) {
        // From the slowest rate up: 1 - e^-2x = a (2 - a) with a = 1 - e^-x. No cancellation at small x.
        var probability = -Elementary.expMinusOne(-duration / (16 * Double(1 << (count - 1))))
        var index = count - 1
        while index >= 0 {
            changed[index] = probability
            probability *= 2 - probability
            index -= 1
        }
    }
}
