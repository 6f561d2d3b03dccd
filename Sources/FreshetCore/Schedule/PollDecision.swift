// When the next poll is, and the reason in words: the same value drives the timer and `/v1/sources`.

/// The outcome of a scheduling decision.
package struct PollDecision: Hashable, Sendable {
    /// When to poll, in seconds on the monotonic axis.
    package var at: Double
    /// What set that time: the last rule that moved it.
    package var reason: Reason

    package enum Reason: Hashable, Sendable {
        /// The first poll of a source, spread so that a start-up is no burst.
        case firstPoll
        /// The configured interval.
        case interval
        /// The expected age of the oldest unseen change reaches the price then; the pattern says what that rests on.
        case expectedAge(following: Haze.Pattern)
        /// `min_interval`.
        case minimumInterval
        /// `max_interval`.
        case maximumInterval
        /// The answer is fresh until then (RFC 9111 §4.2).
        case freshness
        /// A cache in between is fetching a new answer (RFC 5861 §3).
        case revalidation
        /// `X-Poll-Interval`.
        case upstreamInterval
        /// The upstream's rate limit is used up until then.
        case quota
        /// `Retry-After` (RFC 9110 §10.2.3).
        case retryAfter
        /// That many polls in a row have failed.
        case backoff(failures: Int)
    }

    package init(at: Double, reason: Reason) {
        self.at = at
        self.reason = reason
    }
}

extension PollDecision.Reason: CustomStringConvertible {
    package var description: String {
        switch self {
        case .firstPoll: "first poll"
        case .interval: "configured interval"
        case .expectedAge(following: .none): "a change is likely to be unseen for longer than the target by then"
        case .expectedAge(let pattern): "a change is likely by then; its changes follow \(pattern.rawValue)"
        case .minimumInterval: "min_interval"
        case .maximumInterval: "max_interval"
        case .freshness: "the upstream says that its answer is fresh until then"
        case .revalidation: "a cache before the upstream is fetching a new answer"
        case .upstreamInterval: "the upstream's X-Poll-Interval"
        case .quota: "the upstream's rate limit is used up until then"
        case .retryAfter: "the upstream's Retry-After"
        case .backoff(failures: 1): "back-off after a failure"
        case .backoff(let failures): "back-off after \(failures) failures in a row"
        }
    }
}
