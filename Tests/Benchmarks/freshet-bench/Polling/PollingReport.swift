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
            let pool = PoolComparison(traces: SyntheticTraces.make(days: 10), covering: 160...160)
            print("\nB. synthetic pool, 30 sources, 10 days")
            let row = printBudget(pool, 160)
            if let adaptive = row.adaptive {
                goal("delay / fixed", adaptive.delay / row.fixed.delay, atMost: PollingGoals.syntheticDelay)
                goal("age / fixed", adaptive.age / row.fixed.age, atMost: PollingGoals.syntheticAge)
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
        let changes = traces.reduce(0) { $0 + $1.changes.count }
        let budget = options.requestsPerHour
        print("\nA. \(title): \(traces.count) sources, \(changes) changes")
        let budgets = view == .raw ? [budget / 2, budget, 2 * budget] : [budget]
        let pool = PoolComparison(traces: traces, covering: (budget / 2)...(2 * budget))
        for requests in budgets {
            let row = printBudget(pool, requests)
            if requests == budget { poolGoals(pool, row, budget, view) }
        }
        for theta in options.thetas { self.row("adaptive, theta \(theta)", pool.adaptive(theta: theta), nil) }
        guard view == .raw else { return }
        print("\nA. budget controller: no knob, start-up included")
        for requests in budgets {
            header(requests)
            let fixed = pool.fixed(requests)
            let used = pool.budgeted(requests)
            row("adaptive, budget", used, fixed)
            goal("used / budget", used.requestsPerHour / requests, atMost: 1)
            if let most = PollingGoals.budgeted[requests] {
                goal("delay / fixed", used.delay / fixed.delay, atMost: most)
            }
        }
    }

    private static func poolGoals(
        _ pool: PoolComparison,
        _ row: PoolComparison.Row,
        _ budget: Double,
        _ view: TraceView
    ) {
        guard let adaptive = row.adaptive else { return }
        let fixed = row.fixed
        guard view == .raw else {
            goal("delay / fixed", adaptive.delay / fixed.delay, atMost: PollingGoals.dequantisedPoolDelay)
            return
        }
        goal("delay / fixed", adaptive.delay / fixed.delay, atMost: PollingGoals.poolDelay)
        goal("age / fixed", adaptive.age / fixed.age, atMost: PollingGoals.poolAge)
        goal("p95 / fixed", adaptive.delayP95 / fixed.delayP95, atMost: PollingGoals.poolP95)
        goal("missed", adaptive.missed, atMost: PollingGoals.poolMissed)
        if let requests = pool.adaptiveRequests(forDelay: fixed.delay) {
            goal("requests for fixed's delay / budget", requests / budget, atMost: PollingGoals.poolRequests)
        }
    }

    /// Prints all policies at one budget, and returns their figures.
    private static func printBudget(_ pool: PoolComparison, _ budget: Double) -> PoolComparison.Row {
        header(budget)
        let figures = pool.row(budget)
        row("fixed", figures.fixed, figures.fixed)
        row("AIMD", figures.additiveIncrease, figures.fixed)
        row("known rate", figures.knownRate, figures.fixed)
        row("adaptive", figures.adaptive, figures.fixed)
        return figures
    }

    private static func printHistories(_ recordings: Recordings) {
        let results = recordings.histories()
        print("\nC. each history by itself, at equal requests: mean delay in seconds, and adaptive / fixed")
        let columns = ["view", "versions", "req/change", "fixed", "AIMD", "known rate", "adaptive", "/ fixed"]
        print(pad("history", 28) + columns.map { $0.leftPadded(11) }.joined())
        for result in results {
            let cells = [
                result.view.rawValue, "\(result.versions)", decimal(result.beta, 1), decimal(result.fixed, 0),
                result.additiveIncrease.map { decimal($0, 0) } ?? "-", decimal(result.knownRate, 0),
                decimal(result.adaptive, 0), decimal(result.ratio, 2),
            ]
            print(pad(result.name, 28) + cells.map { $0.leftPadded(11) }.joined())
        }
        if !recordings.tooShort.isEmpty {
            print(
                "left out, with fewer than \(Recording.fewestVersions) versions: "
                    + recordings.tooShort.joined(separator: ", ")
            )
        }
        printHistoryGoals(results, hasPool: recordings.hasPool)
    }

    private static func printHistoryGoals(_ results: [HistoryComparison.Result], hasPool: Bool) {
        for beta in HistoryComparison.betas {
            let ratios = results.filter { $0.beta == beta }.map(\.ratio).sorted()
            guard !ratios.isEmpty else { continue }
            let median = (ratios[(ratios.count - 1) / 2] + ratios[ratios.count / 2]) / 2
            // The goal is one for histories with structure; a pool is mostly of sources without.
            goal("median at \(beta) requests a change", median, atMost: hasPool ? nil : PollingGoals.median[beta])
        }
        for result in results {
            guard let most = PollingGoals.histories[result.name]?[result.view]?[result.beta] else { continue }
            let name = "\(result.name), \(result.view.rawValue), \(decimal(result.beta, 0)) a change"
            goal(name, result.ratio, atMost: most)
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
        let dead = Trace(name: "dead", start: 0, end: 30 * 86_400, changes: [], versions: 0)
        let figures = replay([dead]) { trace in
            AdaptivePolicy(
                theta: 60,
                trace: trace,
                generator: MersenneTwister(name: "dead", seed: 1),
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
