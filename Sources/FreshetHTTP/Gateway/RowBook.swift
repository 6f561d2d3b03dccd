// The rows of `/v1/sources` as they change: made once for all who follow them, at most once in a while.

import FreshetCore
import Synchronization

/// Knows the row of each source, when it last changed, and who waits for the next change. It costs nothing while nobody
/// follows. Any thread.
final class RowBook: Sendable {
    /// A row, or the end of a source.
    struct Row: Sendable {
        var name: String
        /// `nil` for a source that is gone.
        var text: [UInt8]?
        /// Rises with each row that changes.
        var revision: UInt64
    }

    private struct Entry: Sendable {
        var row: Row
        var report: SourceReport
        /// When figures that change with every poll were last looked at.
        var lookedAt: ContinuousClock.Instant
    }

    private struct State: Sendable {
        var entries: [SourceID: Entry] = [:]
        /// Sources that are gone, the oldest first.
        var gone: [Row] = []
        /// Who was told less than this may have missed the end of a source.
        var oldest: UInt64 = 0
        var revision: UInt64 = 0
        var waiting: [CheckedContinuation<Void, Never>] = []
        var isRunning = false
        var hasLooked = false
        var isClosed = false
        var followers = 0
        var refusals: UInt64 = 0
    }

    /// Tells the rows of this process from those of another.
    let epoch = UInt64.random(in: 0...UInt64.max)
    let maxFollowers: Int
    private let state = Mutex(State())
    private let hub: Hub
    private let interval: Duration

    /// Ends of sources that are remembered for followers who come back.
    private static let maxGone = 1000
    /// Sources whose figures are renewed a second, where nothing else of their rows changes: a row has figures that every
    /// poll moves.
    private static let figuresPerSecond = 100

    /// `interval`: how often the rows are looked at while somebody follows them.
    init(hub: Hub, interval: Duration, maxFollowers: Int) {
        self.hub = hub
        self.interval = max(interval, .milliseconds(20))
        self.maxFollowers = maxFollowers
    }

    // MARK: Followers

    /// Counts a follower in.
    ///
    /// - Returns: `false` where there are as many as may be.
    func enter() -> Bool {
        self.state.withLock { state in
            guard state.followers < self.maxFollowers, !state.isClosed else {
                state.refusals += 1
                return false
            }
            state.followers += 1
            return true
        }
    }

    func leave() {
        self.state.withLock { $0.followers -= 1 }
    }

    /// Lets every follower go; none comes after.
    func close() {
        let waiting = self.state.withLock { state in
            state.isClosed = true
            defer { state.waiting = [] }
            return state.waiting
        }
        for continuation in waiting { continuation.resume() }
    }

    var isClosed: Bool { self.state.withLock { $0.isClosed } }

    /// Whether a follower that has seen everything up to here can go on.
    func continues(from revision: UInt64) -> Bool {
        self.state.withLock { $0.oldest <= revision && revision <= $0.revision }
    }

    /// How many sources a caller may read.
    func count(within pattern: SourcePattern) -> Int {
        let names = self.state.withLock { $0.entries.values.map(\.row.name) }
        return pattern.isAll ? names.count : names.count(where: pattern.matches)
    }

    /// Returns after the next look at the rows. The first call has them looked at now.
    func nextLook() async {
        await withCheckedContinuation { continuation in
            let (isOver, begins) = self.state.withLock { state -> (Bool, Bool) in
                guard !state.isClosed else { return (true, false) }
                state.waiting.append(continuation)
                defer { state.isRunning = true }
                return (false, !state.isRunning)
            }
            if isOver { continuation.resume() }
            // Not on an event loop: a thousand rows take a while.
            if begins { Task.detached { await self.run() } }
        }
    }

    /// Returns at once where the rows were looked at lately, else after the next look.
    func recentLook() async {
        if self.state.withLock({ $0.isRunning && $0.hasLooked }) { return }
        await self.nextLook()
    }

    /// Up to `maxBytes` of the rows that changed after `revision` and that a caller may read, in the order of their changes;
    /// at least one where there is one. And up to where they reach.
    func rows(
        after revision: UInt64,
        within pattern: SourcePattern,
        maxBytes: Int
    ) -> (rows: [Row], revision: UInt64) {
        var (found, head) = self.state.withLock { state -> ([Row], UInt64) in
            guard revision < state.revision else { return ([], state.revision) }
            let changed = state.entries.values.lazy.map(\.row).filter { $0.revision > revision }
            return (Array(changed) + state.gone.filter { $0.revision > revision }, state.revision)
        }
        found = found.filter { pattern.matches($0.name) }.sorted { $0.revision < $1.revision }
        var bytes = 0
        for (index, row) in found.enumerated() {
            bytes += row.text?.count ?? row.name.utf8.count
            if bytes > maxBytes, index > 0 { return (Array(found[..<index]), found[index - 1].revision) }
        }
        return (found, head)
    }

    // MARK: Looking

    private func run() async {
        while true {
            self.look()
            let waiting = self.state.withLock { state in
                defer { state.waiting = [] }
                return state.waiting
            }
            for continuation in waiting { continuation.resume() }
            try? await Task.sleep(for: self.interval)
            // Whoever is served waits again by now.
            let isOver = self.state.withLock { state -> Bool in
                guard state.waiting.isEmpty || state.isClosed else { return false }
                state.isRunning = false
                return true
            }
            if isOver { return }
        }
    }

    /// Brings the rows up to date. Called by one thread at a time.
    private func look() {
        let reports = self.hub.sources()
        let now = ContinuousClock.now
        let wall = WallClock.now
        let entries = self.state.withLock { $0.entries }
        let pace = max(self.interval, .seconds(reports.count / Self.figuresPerSecond))
        var changed: [(SourceReport, [UInt8])] = []
        var seen: Set<SourceID> = []
        for report in reports {
            seen.insert(report.id)
            if let known = entries[report.id] {
                let isUrgent = !known.report.hasSameCondition(as: report)
                guard isUrgent || now - known.lookedAt >= pace && !known.report.hasSameFigures(as: report) else {
                    continue
                }
            }
            changed.append((report, SourceRow.text(report, at: wall)))
        }
        let gone = entries.filter { !seen.contains($0.key) }
        self.state.withLock { state in
            state.hasLooked = true
            for (report, text) in changed {
                state.revision += 1
                let row = Row(name: report.name, text: text, revision: state.revision)
                state.entries[report.id] = Entry(row: row, report: report, lookedAt: now)
            }
            for (source, entry) in gone {
                state.entries[source] = nil
                // A name that came back is there again.
                guard !reports.contains(where: { $0.name == entry.row.name }) else { continue }
                state.revision += 1
                state.gone.append(Row(name: entry.row.name, text: nil, revision: state.revision))
            }
            if state.gone.count > Self.maxGone {
                let surplus = state.gone.count - Self.maxGone
                state.oldest = state.gone[surplus - 1].revision
                state.gone.removeFirst(surplus)
            }
        }
    }

    /// Appends the figures as Prometheus text.
    func write(to text: inout [UInt8]) {
        let (followers, refusals) = self.state.withLock { ($0.followers, $0.refusals) }
        text.appendMetric("freshet_row_streams", "gauge", "Streams of /v1/sources.", [("", "\(followers)")])
        text.appendMetric(
            "freshet_row_streams_refused_total",
            "counter",
            "Streams of /v1/sources refused because there were as many as may be.",
            [("", "\(refusals)")]
        )
    }
}

extension SourceReport {
    /// Nothing that a reader waits for is different: state, pace, value, audience.
    fileprivate func hasSameCondition(as other: SourceReport) -> Bool {
        let (old, new) = (self.status, other.status)
        return old.state == new.state && old.stateSince == new.stateSince && self.subscribers == other.subscribers
            && self.version?.cursor == other.version?.cursor && old.interval == new.interval && old.url == new.url
            && old.isPolled == new.isPolled && old.warnings == new.warnings && old.collection == new.collection
            && (old.nextPollAt == nil) == (new.nextPollAt == nil) && old.intervalReason == new.intervalReason
            && old.isInTrouble == new.isInTrouble && old.lastError?.error == new.lastError?.error
    }

    fileprivate func hasSameFigures(as other: SourceReport) -> Bool {
        self.status == other.status && self.requestsSaved == other.requestsSaved
    }
}
