// One source under a budget of its own: here the adaptive interval has only the structure of the source to win by.

import Foundation

/// Compares the adaptive with the fixed interval on one history, at so many requests for each real change.
///
/// A single history is noisy: what a run yields hangs on where the polls of either side happen to fall. So many runs
/// are averaged, each with jitter, phase, and in the dequantised view change times of its own. And no single price
/// decides, which may fall in or out of step with the source: a line is laid through seven around the one that spends
/// the budget.
struct HistoryComparison {
    /// The comparison at one budget.
    struct Result {
        var name: String
        var view: TraceView
        var versions: Int
        /// Requests for each change.
        var beta: Double
        /// Mean delays in seconds.
        var adaptive: Double
        var fixed: Double
        var ratio: Double { adaptive / fixed }
    }

    static let betas = [1.5, 2, 4]
    /// Enough runs that some thousands of changes are averaged.
    private static func runs(versions: Int) -> UInt64 { UInt64(min(50, max(3, 4000 / versions))) }

    private let name: String
    private let view: TraceView
    private let meanInterval: Double
    private let traces: [Trace]

    /// Nil when the recording has too few versions to say anything.
    init?(name: String, recording: Recording, view: TraceView) {
        guard let recorded = recording.history(name, .raw, draw: 0) else { return nil }
        self.name = name
        self.view = view
        self.meanInterval = recorded.duration / (Double(recorded.changes.count) + 0.5)
        self.traces = (1...Self.runs(versions: recorded.versions)).compactMap {
            recording.history(name, view, draw: $0)
        }
    }

    /// The results for all budgets that the bounds of 10 s and a day allow.
    func results() -> [Result] {
        Self.betas.compactMap(result(beta:))
    }

    private func result(beta: Double) -> Result? {
        let interval = meanInterval / beta
        let fixed = averaged { index, _ in
            FixedPolicy(interval: interval, phase: (Double(index) + 0.5) / Double(traces.count))
        }
        let requests = 3600 / interval
        let price = calibrate(\.requestsPerHour, to: requests, knob: interval / 4, isRising: false, run: adaptive)?.knob
        guard let price, fixed.delay > 0, let versions = traces.first?.versions else { return nil }
        let runs = (-3...3).map { step in adaptive(theta: price * pow(1.05, Double(step))) }
        return Result(
            name: name,
            view: view,
            versions: versions,
            beta: beta,
            adaptive: delay(along: runs, at: requests),
            fixed: fixed.delay
        )
    }

    private func adaptive(theta: Double) -> Figures {
        averaged { index, trace in
            let generator = BenchmarkGenerator(name: name, seed: UInt64(index) + 1)
            return AdaptivePolicy(theta: theta, trace: trace, generator: generator)
        }
    }

    private func averaged(_ policy: (Int, Trace) -> some PollingPolicy) -> Figures {
        Figures.mean(traces.enumerated().map { index, trace in replay([trace]) { policy(index, $0) } })
    }
}
