// The policies that are compared. Each decides for one source; the knob is what an operator would turn to spend more or
// fewer requests.

import Foundation
import FreshetCore

/// Decides the polls of one source in the benchmark. Times are seconds from the start of its trace.
protocol PollingPolicy {
    mutating func firstPoll() -> Double
    /// A poll at `now` was answered. Returns the time of the next.
    mutating func polled(now: Double, changed: Bool) -> Double
}

/// The bounds that all policies but the fixed interval keep.
private let shortestInterval = 10.0
private let longestInterval = 86_400.0

/// Polls at equal distances. The knob is the interval.
struct FixedPolicy: PollingPolicy {
    let interval: Double
    /// Draws where in the interval the polls lie.
    var generator: MersenneTwister

    mutating func firstPoll() -> Double { generator.unit() * interval }

    func polled(now: Double, changed: Bool) -> Double { now + interval }
}

/// Halves its interval on a change and lengthens it by half on none. The knob scales the interval.
struct AdditiveIncreasePolicy: PollingPolicy {
    let scale: Double
    var generator: MersenneTwister
    private var interval = 900.0

    init(scale: Double, generator: MersenneTwister) {
        self.scale = scale
        self.generator = generator
    }

    mutating func firstPoll() -> Double {
        generator.unit() * interval * scale
    }

    mutating func polled(now: Double, changed: Bool) -> Double {
        interval = min(longestInterval, max(shortestInterval, interval * (changed ? 0.5 : 1.5)))
        let wait = min(longestInterval, max(shortestInterval, interval * scale))
        return now + wait * (0.95 + 0.1 * generator.unit())
    }
}

/// Knows the true mean rate of the trace and polls by the square-root law, which is best for memoryless sources. The
/// knob is the price.
struct KnownRatePolicy: PollingPolicy {
    let interval: Double
    private var generator: MersenneTwister

    init(price: Double, trace: Trace, generator: MersenneTwister) {
        self.generator = generator
        let rate = max(Double(trace.changes.count), 0.5) / trace.duration
        self.interval = min(longestInterval, max(shortestInterval, (2 * price / rate).squareRoot()))
    }

    mutating func firstPoll() -> Double { generator.unit() * interval }

    func polled(now: Double, changed: Bool) -> Double { now + interval }
}

/// `interval: adaptive`, exactly as the gateway runs it. The knob is theta.
struct AdaptivePolicy: PollingPolicy {
    var theta: Double
    private var source: AdaptiveInterval
    private var generator: MersenneTwister

    init(theta: Double, trace: Trace, generator: MersenneTwister, longestInterval: Double = longestInterval) {
        self.theta = theta
        self.generator = generator
        self.source = AdaptiveInterval(
            model: Haze(now: 0, wallOffset: trace.start),
            bounds: IntervalBounds(minimum: shortestInterval, maximum: longestInterval)
        )
    }

    mutating func firstPoll() -> Double {
        source.firstPoll(now: 0, using: &generator).at
    }

    mutating func polled(now: Double, changed: Bool) -> Double {
        source.responseReceived(now: now, changed: changed, theta: theta, using: &generator).at
    }
}
