// How long a source is left alone after a failure: exponential, with full jitter, so that what failed together does not
// return together.

/// The delay after failures in a row: uniform between nothing and a ceiling that doubles, but never below the minimum.
///
/// Ceilings in seconds, with the longest delay of an hour:
///
/// | failures | minimum 1 s | minimum 10 s | minimum 10 min |
/// |---|---|---|---|
/// | 1 | 4 | 20 | 1200 |
/// | 2 | 8 | 40 | 2400 |
/// | 3 | 16 | 80 | 3600 |
/// | 5 | 64 | 320 | 3600 |
/// | 9 | 1024 | 3600 | 3600 |
/// | 20 | 3600 | 3600 | 3600 |
package enum Backoff {
    /// The longest delay by default: an hour.
    package static let longestDelay = 3600.0

    /// The upper end of the delay after `failures` failures in a row, in seconds. The ceiling grows from `minimum`, or
    /// from `base` where the minimum is shorter.
    package static func ceiling(
        failures: Int,
        minimum: Double,
        base: Double = 2,
        longest: Double = longestDelay
    ) -> Double {
        // Twenty doublings reach any cap in use; more would only lead to infinity.
        let doublings = Double(1 << min(20, max(0, failures)))
        return max(minimum, min(longest, max(base, minimum) * doublings))
    }

    /// The delay in seconds. `minimum` is the source's `min_interval`; a NaN counts as 2 s.
    package static func delay(
        failures: Int,
        minimum: Double,
        base: Double = 2,
        longest: Double = longestDelay,
        using generator: inout some RandomNumberGenerator
    ) -> Double {
        let least = minimum.isNaN ? 2 : max(0, minimum)
        let ceiling = ceiling(failures: failures, minimum: least, base: base, longest: longest)
        return max(least, Double.random(in: 0...1, using: &generator) * ceiling)
    }
}
