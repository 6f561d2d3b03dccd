// A pool of sources under one budget: the main goal of the policy.

import Foundation
import FreshetCore

/// Compares the policies on one pool, each at the same number of requests. Jitter seeds 1, 2 and 3 are averaged.
struct PoolComparison {
    /// All policies at one budget; nil where no setting of a policy's knob spends it.
    struct Row {
        var fixed: Figures
        var additiveIncrease: Figures?
        var knownRate: Figures?
        var adaptive: Figures?
    }

    let traces: [Trace]
    private let adaptiveCurve: Curve
    private let additiveIncreaseCurve: Curve
    private let knownRateCurve: Curve

    private static let seeds: [UInt64] = [1, 2, 3]
    /// The settings of the knobs: prices in seconds, and factors on the interval.
    private static let adaptivePrices = [8.0, 20, 40, 80, 176, 360]
    private static let knownRatePrices = [4.0, 8, 16, 40, 80, 160, 320, 640]
    private static let scales = [0.03, 0.1, 0.3, 1, 3, 10]

    /// - Parameters:
    ///   - traces: The members of the pool.
    ///   - budgets: The requests an hour that will be asked for.
    init(traces: [Trace], covering budgets: ClosedRange<Double>) {
        self.traces = traces
        self.adaptiveCurve = Curve(knobs: Self.adaptivePrices, covering: budgets) { theta in
            Self.averaged(traces) { AdaptivePolicy(theta: theta, trace: $0, generator: $1) }
        }
        self.additiveIncreaseCurve = Curve(
            runs: Self.scales.map { scale in
                Self.averaged(traces) { AdditiveIncreasePolicy(scale: scale, generator: $1) }
            }
        )
        self.knownRateCurve = Curve(knobs: Self.knownRatePrices, covering: budgets) { price in
            Self.averaged(traces) { KnownRatePolicy(price: price, trace: $0, generator: $1) }
        }
    }

    /// All policies at so many requests an hour.
    func row(_ requestsPerHour: Double) -> Row {
        Row(
            fixed: self.fixed(requestsPerHour),
            additiveIncrease: self.additiveIncreaseCurve.figures(at: requestsPerHour),
            knownRate: self.knownRateCurve.figures(at: requestsPerHour),
            adaptive: self.adaptiveCurve.figures(at: requestsPerHour)
        )
    }

    /// The fixed interval that spends the budget exactly.
    func fixed(_ requestsPerHour: Double) -> Figures {
        let interval = 3600 * Double(self.traces.count) / requestsPerHour
        return Self.averaged(self.traces) { FixedPolicy(interval: interval, generator: $1) }
    }

    /// One price for all sources, the jitter of each from its own seed.
    func adaptive(theta: Double) -> Figures {
        Self.averaged(self.traces) { AdaptivePolicy(theta: theta, trace: $0, generator: $1) }
    }

    /// What the adaptive interval spends for a given mean delay.
    func adaptiveRequests(forDelay delay: Double) -> Double? {
        self.adaptiveCurve.requests(forDelay: delay)
    }

    /// The process budget as the gateway runs it: token bucket and steered price, no knob, start-up included.
    func budgeted(_ requestsPerHour: Double) -> Figures {
        Figures.mean(
            Self.seeds.map { seed in
                let budget = PollBudget(requestsPerHour: requestsPerHour, now: 0)
                return replay(self.traces, budget: budget) { trace in
                    AdaptivePolicy(
                        theta: budget.theta,
                        trace: trace,
                        generator: MersenneTwister(name: trace.name, seed: seed)
                    )
                } reprice: { policy, theta in
                    policy.theta = theta
                }
            }
        )
    }

    private static func averaged(
        _ traces: [Trace],
        _ policy: (Trace, MersenneTwister) -> some PollingPolicy
    ) -> Figures {
        Figures.mean(
            self.seeds.map { seed in
                replay(traces) { policy($0, MersenneTwister(name: $0.name, seed: seed)) }
            }
        )
    }
}
