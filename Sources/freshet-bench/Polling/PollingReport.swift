// The figures as tables for people, with the goals beside them.

import Foundation

/// Prints the tables of the polling benchmark.
enum PollingReport {
    static func printTables(_ recordings: Recordings, _ options: PollingBenchmarkOptions) {
        if recordings.hasPool {
            for view in TraceView.allCases {
                printPool(recordings.pool(view), "pool, \(view.rawValue)", view, options)
            }
        } else if !recordings.isEmpty {
            print("A. no pool: none of the recordings has a t0")
        }
        if options.isSynthetic {
            let pool = PoolComparison(traces: SyntheticTraces.make(days: 10))
            print("\nB. synthetic pool, 30 sources, 10 days")
            let adaptive = printBudget(pool, 160)
            let fixed = pool.fixed(160)
            if let adaptive {
                goal("delay / fixed", adaptive.delay / fixed.delay, atMost: PollingGoals.syntheticDelay)
                goal("age / fixed", adaptive.age / fixed.age, atMost: PollingGoals.syntheticAge)
            }
        }
        if !recordings.isEmpty { printHistories(recordings) }
        printRobustness()
    }

    private static func printPool(
        _ traces: [Trace],
        _ title: String,
        _ view: TraceView,
        _ options: PollingBenchmarkOptions
    ) {
        let pool = PoolComparison(traces: traces)
        let changes = traces.reduce(0) { $0 + $1.changes.count }
        print("\nA. \(title): \(traces.count) sources, \(changes) changes")
        let budgets =
            view == .raw
            ? [options.requestsPerHour / 2, options.requestsPerHour, 2 * options.requestsPerHour]
            : [options.requestsPerHour]
        for budget in budgets {
            let adaptive = printBudget(pool, budget)
            if budget == options.requestsPerHour, let adaptive { poolGoals(pool, adaptive, budget, view) }
        }
        for theta in options.thetas { row("adaptive, theta \(theta)", pool.adaptive(theta: theta), nil) }
        guard view == .raw else { return }
        print("\nA. budget controller: no knob, start-up included")
        for budget in budgets {
            header(budget)
            let fixed = pool.fixed(budget)
            let used = pool.budgeted(budget)
            row("adaptive, budget", used, fixed)
            goal("used / budget", used.requestsPerHour / budget, atMost: 1)
            if let most = PollingGoals.budgeted[budget] {
                goal("delay / fixed", used.delay / fixed.delay, atMost: most)
            }
        }
    }

    private static func poolGoals(_ pool: PoolComparison, _ adaptive: Figures, _ budget: Double, _ view: TraceView) {
        let fixed = pool.fixed(budget)
        guard view == .raw else {
            goal("delay / fixed", adaptive.delay / fixed.delay, atMost: PollingGoals.dequantisedPoolDelay)
            return
        }
        goal("delay / fixed", adaptive.delay / fixed.delay, atMost: PollingGoals.poolDelay)
        goal("age / fixed", adaptive.age / fixed.age, atMost: PollingGoals.poolAge)
        goal("p95 / fixed", adaptive.delayP95 / fixed.delayP95, atMost: PollingGoals.poolP95)
        goal("missed", adaptive.missed, atMost: PollingGoals.poolMissed)
        if let same = pool.adaptive(delay: fixed.delay) {
            goal("requests for fixed's delay", same.requestsPerHour / budget, atMost: PollingGoals.poolRequests)
        }
    }

    /// Prints all policies at one budget, and returns the adaptive one's figures.
    private static func printBudget(_ pool: PoolComparison, _ budget: Double) -> Figures? {
        header(budget)
        let fixed = pool.fixed(budget)
        let adaptive = pool.adaptive(budget)
        row("fixed", fixed, fixed)
        row("AIMD", pool.additiveIncrease(budget), fixed)
        row("known rate", pool.knownRate(budget), fixed)
        row("adaptive", adaptive, fixed)
        return adaptive
    }

    private static func printHistories(_ recordings: Recordings) {
        let results = recordings.histories()
        print("\nC. each history by itself: adaptive / fixed mean delay at equal requests")
        print(pad("history", 28) + "view".leftPadded(5) + "versions".leftPadded(10), terminator: "")
        print(HistoryComparison.betas.map { "b=\($0)".leftPadded(8) }.joined())
        let groups = Dictionary(grouping: results) { "\($0.name) \($0.view.rawValue)" }
        for group in groups.sorted(by: { $0.key < $1.key }).map(\.value) {
            guard let first = group.first else { continue }
            let ratios = HistoryComparison.betas.map { beta in
                (group.first { $0.beta == beta }.map { decimal($0.ratio, 2) } ?? "-").leftPadded(8)
            }
            print(
                pad(first.name, 28) + first.view.rawValue.leftPadded(5) + "\(first.versions)".leftPadded(10)
                    + ratios.joined()
            )
        }
        for beta in HistoryComparison.betas {
            let ratios = results.filter { $0.beta == beta }.map(\.ratio).sorted()
            guard !ratios.isEmpty else { continue }
            let median = (ratios[(ratios.count - 1) / 2] + ratios[ratios.count / 2]) / 2
            // The goal is one for histories with structure; a pool is mostly of sources without.
            goal(
                "median at \(beta) requests a change",
                median,
                atMost: recordings.hasPool ? nil : PollingGoals.median[beta]
            )
        }
        for (title, range) in [("worst with 80 versions or more", 80...Int.max), ("worst with fewer than 20", 0...19)] {
            guard let worst = results.filter({ range.contains($0.versions) }).max(by: { $0.ratio < $1.ratio }) else {
                continue
            }
            goal("\(title) (\(worst.name))", worst.ratio, atMost: PollingGoals.worst(versions: worst.versions))
        }
    }

    private static func printRobustness() {
        print("\nD. a source that never changes, theta 60 s, longest interval 6 h, 30 days")
        let dead = Trace(name: "dead", start: 0, end: 30 * 86_400, changes: [], quantum: 0, versions: 0)
        let figures = replay([dead]) { trace in
            AdaptivePolicy(
                theta: 60,
                trace: trace,
                generator: BenchmarkGenerator(name: "dead", seed: 1),
                longestInterval: 21_600
            )
        }
        goal("polls a day", figures.requestsPerHour * 24, atMost: PollingGoals.deadPollsPerDay)
        goal("longest gap / longest interval", figures.longestGap / 21_600, atMost: 1)
    }

    private static func header(_ budget: Double) {
        print("\n\(decimal(budget, 0)) requests an hour")
        let columns = ["requests/h", "delay s", "p95 s", "age s", "missed", "/ fixed"]
        print(pad("  policy", 26) + columns.map { $0.leftPadded(11) }.joined())
    }

    private static func row(_ name: String, _ figures: Figures?, _ fixed: Figures?) {
        guard let figures else {
            print(pad("  \(name)", 26) + "no setting spends that many".leftPadded(33))
            return
        }
        let columns = [
            decimal(figures.requestsPerHour, 1), decimal(figures.delay, 0), decimal(figures.delayP95, 0),
            decimal(figures.age, 1), decimal(figures.missed, 3),
            fixed.map { decimal(figures.delay / $0.delay, 2) } ?? "",
        ]
        print(pad("  \(name)", 26) + columns.map { $0.leftPadded(11) }.joined())
    }

    private static func goal(_ name: String, _ value: Double, atMost most: Double?) {
        let verdict = most.map { "goal \(decimal($0, 2))  \(value <= $0 ? "met" : "MISSED")" } ?? ""
        print("  " + pad(name, 50) + decimal(value, 3).leftPadded(8) + "  " + verdict)
    }

    private static func decimal(_ value: Double, _ digits: Int) -> String {
        String(format: "%.\(digits)f", value)
    }

    private static func pad(_ text: String, _ width: Int) -> String {
        text + String(repeating: " ", count: max(1, width - text.count))
    }
}

extension String {
    fileprivate func leftPadded(_ width: Int) -> String {
        String(repeating: " ", count: max(1, width - count)) + self
    }
}
