// How many lines of the log one thing may have.

import FreshetCore

/// Counts lines by what they are about: up to ten a minute, the last of which says that the rest is left out. A value without I/O.
struct LinePace: Sendable {
    enum Verdict: Hashable, Sendable {
        case log
        /// Say that nothing more is said of it in this minute.
        case last
        case silent
    }

    /// Lines at `info` or above about one thing in one minute.
    static let maxLinesPerMinute = 10
    /// The most things that are told apart in one minute: their names may be anybody's. All others are one.
    private let maxNames: Int
    private var lines: [String: Int] = [:]
    private var minute: Int64 = 0

    init(maxNames: Int = 10_000) {
        self.maxNames = maxNames
    }

    /// A line about `name` is to be written.
    mutating func count(_ name: String, now: MonotonicTime) -> Verdict {
        let minute = now.nanoseconds / 60_000_000_000
        if self.minute != minute {
            self.minute = minute
            self.lines = [:]
        }
        let isKnown = self.lines[name] != nil || self.lines.count < self.maxNames
        let count = (self.lines[isKnown ? name : ""] ?? 0) + 1
        self.lines[isKnown ? name : ""] = min(count, Self.maxLinesPerMinute + 1)
        return count < Self.maxLinesPerMinute ? .log : count == Self.maxLinesPerMinute ? .last : .silent
    }
}
