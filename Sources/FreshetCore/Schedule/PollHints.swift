// What one response asks of the next poll, as the schedule wants it: seconds from the response, nothing else. HTTP's
// rules are `ResponseFreshness`; this is their sum.

/// What an upstream's answer says about when to ask again. All in seconds from the answer, all optional.
package struct PollHints: Hashable, Sendable {
    /// Until the answer becomes stale: lifetime less age. Before that a cache can only return the same bytes.
    package var freshFor: Double?
    /// The answer came from a shared cache (it had an `Age`): half a second more, for the cache to notice that it is
    /// stale.
    package var cameFromCache: Bool
    /// A cache served a stale answer and is fetching a new one now (`stale-while-revalidate`): ask once more, soon.
    package var isBeingRevalidated: Bool
    /// The least time between polls that the upstream asks for (`X-Poll-Interval`).
    package var pollInterval: Double?
    /// Until the upstream's rate limit has room again; given only when it is used up.
    package var quotaResetsIn: Double?
    /// `Retry-After`: wins over everything, the user's longest interval included.
    package var retryAfter: Double?
    /// `Retry-After` asked for more than ``retryAfter``, which is the longest that is granted.
    package var isRetryAfterCut: Bool

    package init(
        freshFor: Double? = nil,
        cameFromCache: Bool = false,
        isBeingRevalidated: Bool = false,
        pollInterval: Double? = nil,
        quotaResetsIn: Double? = nil,
        retryAfter: Double? = nil,
        isRetryAfterCut: Bool = false
    ) {
        self.freshFor = freshFor
        self.cameFromCache = cameFromCache
        self.isBeingRevalidated = isBeingRevalidated
        self.pollInterval = pollInterval
        self.quotaResetsIn = quotaResetsIn
        self.retryAfter = retryAfter
        self.isRetryAfterCut = isRetryAfterCut
    }

    /// The rule that ``retryAfter`` stands for.
    var retryReason: PollDecision.Reason { self.isRetryAfterCut ? .retryAfterCut : .retryAfter }
}
