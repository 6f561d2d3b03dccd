// One source under a budget of its own: here the adaptive interval has only the structure of the source to win by.

/// Compares the adaptive with the fixed interval on one history, at so many requests for each real change.
///
/// A single history is noisy: what a run yields hangs on where the polls of either side happen to fall. With three runs
/// the ratio of one history still moves by some 0.03 from jitter to jitter, as much as is to be told apart. So 24 runs of
/// the adaptive interval, each with jitter of its own, and eight phases of the fixed one are averaged.
struct HistoryComparison {
    /// The comparison at one budget.
    struct Result {
        var name: String
        var view: TraceView
        var versions: Int
        /// Requests for each change.
        var beta: Double
        /// Mean delays in seconds, of the adaptive and the fixed interval.
        var adaptive: Double
        var fixed: Double
        /// Of the interval that halves on a change; nil where its bounds keep it from spending the budget.
        var additiveIncrease: Double?
        /// What equal distances yield on average, half an interval: with one source the known rate does no better.
        var knownRate: Double
        var ratio: Double { self.adaptive / self.fixed }
    }

    static let betas = [1.5, 2, 4]
    private static let seeds: [UInt64] = Array(1...24)
    private static let phases: [UInt64] = Array(0..<8)
    /// The settings of the fixed interval, in requests for each change.
    private static let fixedSettings = [0.3, 0.6, 1, 1.5, 2, 3, 4, 6, 9]
    /// The prices of the adaptive interval, in mean intervals between changes.
    private static let prices = [
        0.0005, 0.001, 0.002, 0.004, 0.008, 0.014, 0.025, 0.045, 0.08, 0.14, 0.25, 0.42, 0.7, 1.2, 2,
    ]
    private static let scales = [0.01, 0.03, 0.1, 0.3, 1, 3, 10]

    private let trace: Trace
    private let view: TraceView
    private let meanInterval: Double

    /// Nil when the recording has too few versions to say anything.
    init?(name: String, recording: Recording, view: TraceView) {
        guard let trace = recording.history(name, view) else { return nil }
        self.trace = trace
        self.view = view
        self.meanInterval = trace.duration / (Double(trace.changes.count) + 0.5)
    }

    /// The results for all budgets that the bounds of 10 s and a day allow.
    func results() -> [Result] {
        let budgets = Self.betas.map { 3600 * $0 / self.meanInterval }
        guard let least = budgets.min(), let most = budgets.max() else { return [] }
        let fixed = Curve(
            runs: Self.fixedSettings.map { beta in
                self.averaged(Self.phases) { FixedPolicy(interval: self.meanInterval / beta, generator: $0) }
            }
        )
        let adaptive = Curve(knobs: Self.prices.map { $0 * self.meanInterval }, covering: least...most) { theta in
            self.averaged(Self.seeds) { AdaptivePolicy(theta: theta, trace: self.trace, generator: $0) }
        }
        let additiveIncrease = Curve(
            runs: Self.scales.map { scale in
                self.averaged(Self.seeds) { AdditiveIncreasePolicy(scale: scale, generator: $0) }
            }
        )
        return zip(Self.betas, budgets).compactMap { beta, budget in
            guard let ours = adaptive.figures(at: budget), let theirs = fixed.figures(at: budget), theirs.delay > 0
            else { return nil }
            return Result(
                name: self.trace.name,
                view: self.view,
                versions: self.trace.versions,
                beta: beta,
                adaptive: ours.delay,
                fixed: theirs.delay,
                additiveIncrease: additiveIncrease.figures(at: budget)?.delay,
                knownRate: 1800 / budget
            )
        }
    }

    private func averaged(_ seeds: [UInt64], _ policy: (MersenneTwister) -> some PollingPolicy) -> Figures {
        Figures.mean(
            seeds.map { seed in
                replay([self.trace]) { policy(MersenneTwister(name: $0.name, seed: seed)) }
            }
        )
    }
}
