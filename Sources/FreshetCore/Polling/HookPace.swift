// When a source polls that its upstream called: soon, and once for a burst of calls.

/// Calls of an upstream that wait for a poll.
///
/// The poll is due once the calls have been quiet for a moment: whoever changes ten things calls ten times. It does not
/// wait for quiet for ever, and it is no sooner than the source's `min_interval` after the last.
struct HookPace: Sendable {
    /// After a call, how long the poll waits for another one.
    static let quiet = Duration.milliseconds(50)
    /// After the first call, how long the poll waits at most.
    static let longest = Duration.seconds(1)

    private var first: MonotonicTime?

    /// When the poll for the calls is due; `nil` where there was none since the last poll began.
    private(set) var due: MonotonicTime?

    /// A call came. `lastPoll`: when the last poll began.
    mutating func called(now: MonotonicTime, lastPoll: MonotonicTime, minInterval: Duration) {
        let first = self.first ?? now
        self.first = first
        self.due = max(min(now + Self.quiet, first + Self.longest), lastPoll + minInterval)
    }

    /// A poll begins, whose answer says what the calls were about.
    mutating func pollStarted() {
        self.first = nil
        self.due = nil
    }
}
