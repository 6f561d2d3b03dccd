// A pool of sources under one budget: the main goal of the policy.

import Foundation
import FreshetCore

/// Compares the policies on one pool, each at the same number of requests. Jitter seeds 1, 2 and 3 are averaged.
struct PoolComparison {
    let traces: [Trace]

    private static let seeds: [UInt64] = [1, 2, 3]
    private var sourceCount: Double { Double(traces.count) }

    /// The fixed interval that spends the budget exactly.
    func fixed(_ requestsPerHour: Double) -> Figures {
        averaged { trace, seed in
            var generator = BenchmarkGenerator(name: trace.name, seed: seed)
            let phase = Double.random(in: 0..<1, using: &generator)
            return FixedPolicy(interval: 3600 * sourceCount / requestsPerHour, phase: phase)
        }
    }

    /// One price for all sources, the jitter of each from its own seed.
    func adaptive(theta: Double) -> Figures {
        averaged { trace, seed in
            AdaptivePolicy(theta: theta, trace: trace, generator: BenchmarkGenerator(name: trace.name, seed: seed))
        }
    }

    func adaptive(_ requestsPerHour: Double) -> Figures? {
        calibrate(\.requestsPerHour, to: requestsPerHour, knob: 100, isRising: false, run: adaptive(theta:))?.figures
    }

    /// What the adaptive interval spends for a given mean delay.
    func adaptive(delay: Double) -> Figures? {
        calibrate(\.delay, to: delay, knob: 100, isRising: true, run: adaptive(theta:))?.figures
    }

    func knownRate(_ requestsPerHour: Double) -> Figures? {
        calibrate(\.requestsPerHour, to: requestsPerHour, knob: 100, isRising: false) { price in
            averaged { trace, seed in
                KnownRatePolicy(price: price, trace: trace, generator: BenchmarkGenerator(name: trace.name, seed: seed))
            }
        }?.figures
    }

    func additiveIncrease(_ requestsPerHour: Double) -> Figures? {
        calibrate(\.requestsPerHour, to: requestsPerHour, knob: 1, isRising: false) { scale in
            averaged { trace, seed in
                AdditiveIncreasePolicy(scale: scale, generator: BenchmarkGenerator(name: trace.name, seed: seed))
            }
        }?.figures
    }

    /// The process budget as the gateway runs it: token bucket and steered price, no knob, start-up included.
    func budgeted(_ requestsPerHour: Double) -> Figures {
        Figures.mean(
            Self.seeds.map { seed in
                let budget = PollBudget(requestsPerHour: requestsPerHour, now: 0)
                return replay(traces, budget: budget) { trace in
                    AdaptivePolicy(
                        theta: budget.theta,
                        trace: trace,
                        generator: BenchmarkGenerator(name: trace.name, seed: seed)
                    )
                } reprice: { policy, theta in
                    policy.theta = theta
                }
            }
        )
    }

    private func averaged(_ policy: (Trace, UInt64) -> some PollingPolicy) -> Figures {
        Figures.mean(Self.seeds.map { seed in replay(traces) { policy($0, seed) } })
    }
}
