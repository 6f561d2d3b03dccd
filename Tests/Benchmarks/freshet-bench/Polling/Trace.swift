// The change times of one source, as the benchmark replays them.

/// When one upstream changed, over a window in which it was watched. Unix seconds throughout.
struct Trace {
    var name: String
    var start: Double
    var end: Double
    /// In order, inside the window.
    var changes: [Double]
    /// The versions in the recording: the changes, and where the window begins with a version, that one.
    var versions: Int

    var duration: Double { end - start }
}

/// How the change times are taken.
enum TraceView: String, CaseIterable {
    /// As recorded: partly the clock of the scraper.
    case raw
    /// With the recording's quantisation undone at random: each change moved back to where it may have been.
    case dequantised = "deq"
}

/// A recording as its file has it: with `t0` a member of a pool, watched for 28 days or until `t1`; without, a history
/// by itself.
struct Recording: Hashable {
    /// The scraper's interval in seconds, or 0.
    var quantum: Double
    /// Unix times of the versions, in order.
    var times: [Double]
    /// The window in which the source was watched with others.
    var start: Double?
    var end: Double?

    private static let poolDuration = 28 * 86_400.0
    /// With fewer versions a history says nothing.
    static let fewestVersions = 3

    /// The trace for a pool; nil when it has too few changes to have a window.
    func poolMember(_ name: String, _ view: TraceView) -> Trace? {
        guard let start = self.start else { return self.history(name, view) }
        let end = self.end ?? start + Self.poolDuration
        guard end > start else { return nil }
        let changes = self.times(name, view).filter { $0 > start && $0 < end }
        return Trace(name: name, start: start, end: end, changes: changes, versions: changes.count)
    }

    /// The trace by itself: from its first version to half a mean interval after its last.
    func history(_ name: String, _ view: TraceView) -> Trace? {
        let times = self.times(name, view)
        guard let first = times.first, let last = times.last, times.count >= Self.fewestVersions, last > first else {
            return nil
        }
        let meanInterval = (last - first) / Double(times.count - 1)
        return Trace(
            name: name,
            start: first,
            end: last + meanInterval / 2,
            changes: Array(times.dropFirst()),
            versions: times.count
        )
    }

    /// A scraper saw a version that was not there at its visit before: it appeared in between, and after the version
    /// before it had been seen.
    private func times(_ name: String, _ view: TraceView) -> [Double] {
        guard view == .dequantised, self.quantum > 0 else { return self.times }
        var generator = MersenneTwister(name: name, seed: 0)
        var previous = -Double.infinity
        return self.times.map { time in
            let earliest = max(previous, time - self.quantum)
            previous = time
            return earliest + (time - earliest) * generator.unit()
        }
    }
}
