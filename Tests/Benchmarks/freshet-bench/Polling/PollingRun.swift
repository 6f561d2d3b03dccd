// One run on a virtual clock: polls leave a heap in the order of their due times, a bisection of the trace tells
// whether something changed, the policy says when to poll next. Nothing sleeps.

import FreshetCore

/// What a run of one or more sources cost, and what it bought.
struct Figures {
    var requestsPerHour = 0.0
    /// The mean over all changes, from the change to the poll that saw it. Seconds.
    var delay = 0.0
    var delayP95 = 0.0
    /// The age of the oldest unseen change, averaged over time and then over sources. Seconds.
    var age = 0.0
    /// The share of versions that no poll saw.
    var missed = 0.0
    /// The longest time between two polls of a source.
    var longestGap = 0.0

    static func mean(_ figures: [Figures]) -> Figures {
        let count = Double(max(1, figures.count))
        func mean(_ path: KeyPath<Figures, Double>) -> Double { figures.reduce(0) { $0 + $1[keyPath: path] } / count }
        return Figures(
            requestsPerHour: mean(\.requestsPerHour),
            delay: mean(\.delay),
            delayP95: mean(\.delayP95),
            age: mean(\.age),
            missed: mean(\.missed),
            longestGap: figures.map(\.longestGap).max() ?? 0
        )
    }
}

/// What one source has seen so far.
private struct Watch {
    let trace: Trace
    var seen = 0
    var polls = 0
    var missed = 0
    var age = 0.0
    var lastPoll = 0.0
    var longestGap = 0.0
    var delays: [Double] = []

    init(trace: Trace) {
        self.trace = trace
        self.delays.reserveCapacity(trace.changes.count)
    }

    /// - Returns: Whether something changed since the last poll.
    mutating func poll(at now: Double) -> Bool {
        polls += 1
        longestGap = max(longestGap, now - lastPoll)
        lastPoll = now
        let time = trace.start + now
        var low = seen
        var high = trace.changes.count
        while low < high {
            let middle = (low + high) / 2
            if trace.changes[middle] <= time { low = middle + 1 } else { high = middle }
        }
        guard low > seen else { return false }
        missed += low - seen - 1
        see(upTo: low, at: time)
        return true
    }

    /// Changes that the end of the trace leaves unseen count with what they waited.
    mutating func finish() {
        if seen < trace.changes.count { see(upTo: trace.changes.count, at: trace.end) }
    }

    private mutating func see(upTo end: Int, at time: Double) {
        let oldest = time - trace.changes[seen]
        age += oldest * oldest / 2
        for change in trace.changes[seen..<end] { delays.append(time - change) }
        seen = end
    }
}

/// Runs each source with a policy of its own.
///
/// - Parameters:
///   - traces: The sources, each from the start of its own window.
///   - budget: Limits all together, if given.
///   - policy: Makes the policy of a source.
///   - reprice: Called with the budget's price before a policy decides.
/// - Returns: What all sources together cost and yielded.
func replay<Policy: PollingPolicy>(
    _ traces: [Trace],
    budget: PollBudget? = nil,
    policy: (Trace) -> Policy,
    reprice: (inout Policy, Double) -> Void = { _, _ in }
) -> Figures {
    var budget = budget
    var watches = traces.map(Watch.init)
    var policies = traces.map(policy)
    var queue = DueQueue()
    for index in policies.indices { queue.push(policies[index].firstPoll(), index) }
    var clock = 0.0
    while let (due, index) = queue.pop() {
        guard due < watches[index].trace.duration else { continue }
        clock = budget == nil ? due : max(clock, due)
        let start = budget?.take(due: due, now: clock) ?? due
        clock = start
        guard start < watches[index].trace.duration else { continue }
        let changed = watches[index].poll(at: start)
        if let theta = budget?.theta { reprice(&policies[index], theta) }
        queue.push(policies[index].polled(now: start, changed: changed), index)
    }
    for index in watches.indices { watches[index].finish() }
    return figures(of: watches)
}

private func figures(of watches: [Watch]) -> Figures {
    let delays = watches.flatMap(\.delays).sorted()
    let changes = watches.reduce(0) { $0 + $1.trace.changes.count }
    return Figures(
        requestsPerHour: watches.reduce(0) { $0 + Double($1.polls) / $1.trace.duration * 3600 },
        delay: delays.reduce(0, +) / Double(max(1, delays.count)),
        delayP95: percentile(95, of: delays),
        age: watches.reduce(0) { $0 + $1.age / $1.trace.duration } / Double(max(1, watches.count)),
        missed: Double(watches.reduce(0) { $0 + $1.missed }) / Double(max(1, changes)),
        longestGap: watches.map(\.longestGap).max() ?? 0
    )
}

/// Between the two nearest ranks, in proportion.
private func percentile(_ percent: Double, of sorted: [Double]) -> Double {
    guard let last = sorted.last else { return 0 }
    let rank = percent / 100 * Double(sorted.count - 1)
    let below = Int(rank)
    guard below + 1 < sorted.count else { return last }
    return sorted[below] + (rank - Double(below)) * (sorted[below + 1] - sorted[below])
}

/// The sources in the order of their due times: a binary heap.
private struct DueQueue {
    private var entries: [(due: Double, index: Int)] = []

    mutating func push(_ due: Double, _ index: Int) {
        entries.append((due, index))
        var child = entries.count - 1
        while child > 0, entries[child].due < entries[(child - 1) / 2].due {
            entries.swapAt(child, (child - 1) / 2)
            child = (child - 1) / 2
        }
    }

    mutating func pop() -> (due: Double, index: Int)? {
        guard let first = entries.first else { return nil }
        let last = entries.removeLast()
        guard !entries.isEmpty else { return first }
        entries[0] = last
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < entries.count && entries[child].due < entries[least].due {
                least = child
            }
            guard least != parent else { return first }
            entries.swapAt(parent, least)
            parent = least
        }
    }
}
