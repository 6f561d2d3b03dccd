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
        /// A new value waits to be seen again.
        case confirmation
        /// The upstream's rate limit is used up until then.
        case quota
        /// `Retry-After` (RFC 9110 §10.2.3).
        case retryAfter
        /// `Retry-After` of more than a day.
        case retryAfterCut
        /// That many polls in a row have failed.
        case backoff(failures: Int)
    }

    package init(at: Double, reason: Reason) {
        self.at = at
        self.reason = reason
    }

    mutating func raise(to time: Double, because reason: Reason) {
        if time > self.at { self = PollDecision(at: time, reason: reason) }
    }

    mutating func lower(to time: Double, because reason: Reason) {
        if time < self.at { self = PollDecision(at: time, reason: reason) }
    }
}

extension PollDecision.Reason: CustomStringConvertible {
    package var description: String {
        switch self {
        case .firstPoll: "the first poll, spread over a short time after the start"
        case .interval: "the configured interval"
        case .expectedAge(following: .none): "a change is likely to be unseen for longer than the target by then"
        case .expectedAge(let pattern): "a change is likely by then; its changes follow \(pattern.rawValue)"
        case .minimumInterval: "no poll sooner than min_interval allows"
        case .maximumInterval: "no poll later than max_interval allows"
        case .freshness: "the upstream says that its answer is fresh until then (Cache-Control or Expires)"
        case .revalidation: "a cache before the upstream served a stale answer and is fetching a new one"
        case .upstreamInterval: "the upstream asks for this time between polls (X-Poll-Interval)"
        case .confirmation: "sooner than planned"
        case .quota: "the upstream's rate limit is used up until then, or for longer than max_interval allows"
        case .retryAfter: "the upstream requested a pause until then (Retry-After)"
        case .retryAfterCut: "the upstream requested a pause of more than a day (Retry-After); polled after a day"
        case .backoff(failures: 1): "back-off after a failure"
        case .backoff(let failures): "back-off after \(failures) failures in a row"
        }
    }
}
