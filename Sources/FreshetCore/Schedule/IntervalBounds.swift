// The limits that a wished-for poll time has to fit: the user's, and what the upstream asks for.

/// The user's bounds for one source, and how they meet the upstream's hints. All in seconds.
package struct IntervalBounds: Hashable, Sendable {
    /// No two polls are closer.
    package var minimum: Double
    /// Nothing but `Retry-After` leaves a source alone for longer.
    package var maximum: Double
    /// A freshness lifetime counts for at most this long.
    package var longestHint: Double
    /// Whether freshness lifetimes hold polls back (`respect_cache`).
    package var respectsCache: Bool

    /// Bounds that hold: a minimum of at least 10 ms, a maximum not below it; not a number counts as the default.
    package init(
        minimum: Double = 10,
        maximum: Double = 86_400,
        longestHint: Double = 86_400,
        respectsCache: Bool = true
    ) {
        self.minimum = minimum.isNaN ? 10 : min(1e9, max(0.01, minimum))
        self.maximum = maximum.isNaN ? 86_400 : min(1e9, max(self.minimum, maximum))
        self.longestHint = longestHint.isNaN ? 86_400 : min(1e9, max(0, longestHint))
        self.respectsCache = respectsCache
    }

    /// Moves `wish` to where the bounds and the hints let it be.
    ///
    /// The floors are the minimum, the freshness lifetime, the upstream's interval and the end of a used-up rate limit,
    /// each at most the maximum; then the maximum; then `Retry-After`, which wins over it.
    ///
    /// - Parameters:
    ///   - wish: When the schedule would poll.
    ///   - now: When the answer came.
    ///   - hints: What the answer asks for.
    ///   - generator: Spreads those who wait for the same quota.
    /// - Returns: The time that satisfies them all, and the rule that set it.
    package func decision(
        wish: PollDecision,
        now: Double,
        hints: PollHints,
        using generator: inout some RandomNumberGenerator
    ) -> PollDecision {
        var decision = wish
        if hints.isBeingRevalidated {
            decision = PollDecision(at: now + max(2, minimum), reason: .revalidation)
        }
        var floor = PollDecision(at: now + minimum, reason: .minimumInterval)
        if respectsCache, let fresh = hints.freshFor, fresh > 0 {
            let lag = hints.cameFromCache ? 0.5 : 0
            floor.raise(to: now + min(fresh, longestHint, maximum) + lag, because: .freshness)
        }
        if let interval = hints.pollInterval {
            floor.raise(to: now + min(interval, maximum), because: .upstreamInterval)
        }
        if let reset = hints.quotaResetsIn {
            floor.raise(to: now + quotaWait(reset, using: &generator), because: .quota)
        }
        decision.raise(to: floor.at, because: floor.reason)
        // A floor may lie a moment past the maximum: half a second of a cache's lag.
        let ceiling = max(floor.at, now + maximum)
        if decision.at > ceiling {
            decision = PollDecision(at: ceiling, reason: .maximumInterval)
        }
        if let retry = hints.retryAfter {
            decision.raise(to: now + retry, because: hints.retryReason)
        }
        return decision
    }

    /// How long a used-up quota is waited for, at most the maximum. Everybody whose quota ends at the same moment must
    /// not return at the same moment.
    func quotaWait(_ reset: Double, using generator: inout some RandomNumberGenerator) -> Double {
        let spread = Double.random(in: 0...1, using: &generator) * min(10, 0.1 * max(0, reset))
        return min(reset + spread, maximum)
    }
}
