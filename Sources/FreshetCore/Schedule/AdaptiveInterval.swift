// `interval: adaptive` for one source: the learned model, the user's bounds, the upstream's hints and the failures
// joined into one answer, the time of the next poll.

/// Schedules the polls of one source by what it has learned about it. Reads no clock: time and randomness are
/// arguments.
package struct AdaptiveInterval: Hashable, Sendable {
    package internal(set) var model: Haze
    package var bounds: IntervalBounds
    /// How much the source matters: as a rule its number of subscribers. Polls grow with its square root.
    package var weight: Double
    /// Polls failed in a row.
    package private(set) var failures = 0

    /// How far a poll is moved at random, as a share of the wait. Sources that learned the same clock must not stay in
    /// step; but what is known of a clock must not be blurred.
    static let jitterWithPattern = 0.02
    /// While no pattern is known, polls that fall at ever other phases find one sooner.
    static let jitterWithoutPattern = 0.05

    /// - Parameters:
    ///   - model: A new model, or one restored from storage.
    ///   - bounds: The user's; by default 10 s to a day.
    ///   - weight: At least a billionth; 1 by default.
    package init(model: Haze, bounds: IntervalBounds = IntervalBounds(), weight: Double = 1) {
        self.model = model
        self.bounds = bounds
        self.weight = weight
    }

    /// The first poll after a start: at once for a short interval, spread over up to a minute for longer ones.
    package func firstPoll(now: Double, using generator: inout some RandomNumberGenerator) -> PollDecision {
        let spread = min(60, 6 * bounds.minimum)
        return PollDecision(at: now + Double.random(in: 0..<1, using: &generator) * spread, reason: .firstPoll)
    }

    /// A poll was answered: with new content, or with 304 or the same content.
    ///
    /// - Parameters:
    ///   - now: When the answer came, in seconds on the monotonic axis.
    ///   - changed: Whether the content differs by the gateway's own test.
    ///   - theta: The price: the source's staleness target, or `PollBudget.theta` if that is larger. Seconds.
    ///   - lastModified: The answer's `Last-Modified` in unix seconds.
    ///   - hints: What the answer's fields ask of the next poll.
    ///   - generator: Where the jitter comes from.
    /// - Returns: When to poll next, and why then.
    package mutating func responseReceived(
        now: Double,
        changed: Bool,
        theta: Double,
        lastModified: Double? = nil,
        hints: PollHints = PollHints(),
        using generator: inout some RandomNumberGenerator
    ) -> PollDecision {
        failures = 0
        model.observe(now: now, changed: changed, lastModified: lastModified)
        let due = model.due(theta: theta, weight: weight, horizon: bounds.maximum)
        let spread = model.pattern == .none ? Self.jitterWithoutPattern : Self.jitterWithPattern
        let jitter = 1 + spread * (2 * Double.random(in: 0..<1, using: &generator) - 1)
        let reason: PollDecision.Reason =
            due - now >= bounds.maximum ? .maximumInterval : .expectedAge(following: model.pattern)
        let wish = PollDecision(at: now + (due - now) * jitter, reason: reason)
        return bounds.decision(wish: wish, now: now, hints: hints, using: &generator)
    }

    /// A poll failed. The model learns nothing and keeps the time of the last success.
    ///
    /// - Parameters:
    ///   - now: When it failed, in seconds on the monotonic axis.
    ///   - retryAfter: Seconds, from the answer if there was one.
    ///   - longestDelay: The cap on the back-off: an hour, or `max_interval` for 401, 403 and 404.
    ///   - generator: Where the jitter comes from.
    /// - Returns: When to poll next: after the back-off, or `retryAfter` if that is later.
    package mutating func pollFailed(
        now: Double,
        retryAfter: Double? = nil,
        longestDelay: Double = Backoff.longestDelay,
        using generator: inout some RandomNumberGenerator
    ) -> PollDecision {
        failures = min(failures + 1, 1_000_000)
        let delay = Backoff.delay(
            failures: failures,
            minimum: bounds.minimum,
            longest: longestDelay,
            using: &generator
        )
        guard let retryAfter, retryAfter > delay else {
            return PollDecision(at: now + delay, reason: .backoff(failures: failures))
        }
        return PollDecision(at: now + retryAfter, reason: .retryAfter)
    }
}
