// What can be said about a source at any moment: `/v1/sources`, status events, metrics.

package import JSON

/// The condition of a source (CONTRACT §3).
package enum SourceState: String, CaseIterable, Sendable {
    /// Not one good response yet, and no failure either.
    case starting
    case ok
    /// The last good value is older than `staleness`, whether polls fail or are held back.
    case stale
    /// The upstream asked to be left alone (`Retry-After`); the last good value is served.
    case backoff
    /// The last poll failed; the last good value is served, and not yet older than `staleness`.
    case failing
    /// By an administrator.
    case paused
}

/// A failure as it is reported.
package struct ReportedError: Hashable, Sendable {
    package var error: UpstreamError
    package var at: WallTime

    package init(error: UpstreamError, at: WallTime) {
        self.error = error
        self.at = at
    }
}

/// The collection of a source and what tells its items apart.
package struct SourceCollection: Hashable, Sendable {
    package var rule: ItemRule
    /// By the gateway, from the value; else by the configuration.
    package var isGuessed: Bool

    package init(rule: ItemRule, isGuessed: Bool) {
        self.rule = rule
        self.isGuessed = isGuessed
    }
}

/// Everything that `/v1/sources` says of a source, but for subscribers, which the hub counts.
package struct SourceStatus: Hashable, Sendable {
    package var state: SourceState = .starting
    package var stateSince: WallTime
    package var lastError: ReportedError?
    /// The time between polls that is in force. Means nothing where ``isPolled`` is false.
    package var interval: Duration
    /// Whether there is an upstream to poll; else values are pushed.
    package var isPolled = true
    /// Why the next poll is when it is, in words.
    package var intervalReason: String
    package var nextPollAt: WallTime?
    /// The last response that confirmed or brought the value.
    package var lastSuccessAt: WallTime?
    package var validators = Validators()
    package var polls: UInt64 = 0
    package var notModified: UInt64 = 0
    package var unchanged: UInt64 = 0
    package var changes: UInt64 = 0
    package var failures: UInt64 = 0
    /// Polls that failed since the last that did not.
    package var failuresInARow = 0
    /// How often the value returned to the one before it.
    package var flaps: UInt64 = 0
    /// Body bytes received, before decoding.
    package var bytes: UInt64 = 0
    /// The upstream, without secrets; empty where values are pushed alone.
    package var url = ""
    /// Changes, the first value aside, and failed polls of the last day.
    package var changesPerHour = HourCounts()
    package var failuresPerHour = HourCounts()
    /// The last poll that ended.
    package var lastPoll: PollRecord?

    /// Where the keyed items stand, once that is known.
    package var collection: SourceCollection?
    /// What the last good answer allows the caches after us; `nil` before the first.
    package var caching: CachePolicy?
    /// The configured schema.
    package var schema: SourceSchema?
    /// How the source is written; `nil` where it is not.
    package var write: WritePolicy?
    /// Polls that asked without a condition because 304 had been said for too long, and found nothing.
    package var validatorChecks: UInt64 = 0
    /// When a validator was last found to stand for two values.
    package var validatorCaughtAt: WallTime?
    /// What the owner should know, one of a kind.
    package internal(set) var warnings: [SourceWarning] = []

    /// Answers that brought or confirmed a value, or failed to.
    var answers: UInt64 { self.notModified + self.unchanged + self.changes + self.failures }

    /// Whether ``lastError`` is why the source is in its state.
    package var isInTrouble: Bool {
        switch self.state {
        case .failing, .backoff: true
        case .stale: self.failuresInARow > 0
        case .starting, .ok, .paused: false
        }
    }

    package init(stateSince: WallTime, interval: Duration, intervalReason: String) {
        self.stateSince = stateSince
        self.interval = interval
        self.intervalReason = intervalReason
    }
}

/// What an administrator may ask of a source. Implemented by the poller; every call may come from any thread.
package protocol SourceControl: AnyObject, Sendable {
    /// Polls at once, unless a poll is under way; returns when that poll has ended.
    func poll(_ source: SourceID) async throws(UpstreamError) -> PollOutcome
    /// Stops polling until ``resume(_:)``; the last good value stays served.
    func pause(_ source: SourceID) async
    func resume(_ source: SourceID) async
    /// Calls `done` once the next answer of a source is there for one who begins to read it: at once where it has a value
    /// that is no older than its interval allows, or where no poll is to come soon. For as long as a poll may take; any
    /// thread.
    func settle(_ source: SourceID, done: @escaping @Sendable () -> Void)
    /// Polls soon: the upstream said that something changed. Calls that come together are one poll.
    func hookReceived(_ source: SourceID)
    /// Takes `body` as if a poll had returned it with status 200, and answers with the cursor of the value that
    /// then holds: a new one, or the current one where nothing changed.
    ///
    /// - Throws: ``UpstreamError`` where the body is refused by the checks that a poll's body has to pass.
    func push(_ source: SourceID, body: [UInt8], contentType: [UInt8]?) async throws(UpstreamError) -> Cursor
}

extension SourceControl {
    package func settle(_ source: SourceID, done: @escaping @Sendable () -> Void) { done() }
}
