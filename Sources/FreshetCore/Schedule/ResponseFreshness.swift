// RFC 9111 for a client that polls: for how long an answer cannot have changed, and what else its fields ask of the
// next poll.

package import HTTPFields

/// What the fields of one answer say about time. A pure value, made when the answer arrives; every field may be
/// hostile.
///
/// A poll goes to the upstream itself or to a shared cache before it, and cannot be purged as that cache can. So
/// `s-maxage` speaks to that cache alone, and counts only where the source says `respect_cache: shared`; otherwise the
/// rules are read as a shared cache reads them. There is no heuristic freshness: an answer that does not state a
/// lifetime has none.
package struct ResponseFreshness: Hashable, Sendable {
    /// How long the answer is fresh, counted from its making (§4.2.1); nil when it does not say.
    package let lifetime: Duration?
    /// How old it was on arrival (§4.2.3).
    package let age: Duration
    /// The answer had a readable `Age`: a cache stands between.
    package let cameFromCache: Bool
    /// It may not be used, nor hold back a poll, without asking: `no-cache`, `no-store`, `Vary: *`.
    package let needsValidation: Bool
    /// `no-store`, unless `must-understand` lifts it.
    package let forbidsStoring: Bool
    /// It is meant for one user (`private`). Its lifetime still says when asking again is useful.
    package let isPrivate: Bool
    /// It must not be shown once stale: `must-revalidate`, `proxy-revalidate`, `no-cache` (§4.2.4), and `s-maxage` where
    /// that counts.
    package let mustNotBeServedStale: Bool
    /// After the lifetime, for how long a cache may answer with it while it fetches a new one (RFC 5861 §3).
    package let staleWhileRevalidate: Duration?
    /// After the lifetime, for how long the value counts as good while the upstream fails (RFC 5861 §4).
    package let staleIfError: Duration?
    /// `Retry-After`, from now; at most `longestRetryAfter`.
    package let retryAfter: Duration?
    /// `Retry-After` asks for more than `longestRetryAfter`.
    package let isRetryAfterCut: Bool
    /// `X-Poll-Interval`: the least time between polls; at most a day.
    package let pollInterval: Duration?
    /// Until the upstream's rate limit has room; given when it has none now and says so; at most a day.
    package let quotaResetsIn: Duration?
    /// The upstream's rate limit has no room now.
    package let isQuotaUsedUp: Bool
    /// The least time between requests at which what is left of the upstream's rate limit lasts until it is renewed; `nil`
    /// where that is not said, or nothing is left.
    package let quotaInterval: Duration?
    /// `Last-Modified`, if it is close to a date, in unix seconds; possibly in the future.
    package let lastModified: Int?
    /// `Date`, if it is a date, in unix seconds.
    package let date: Int?
    /// As `lifetime`, for a shared cache between the upstream and here.
    private let sharedLifetime: Duration?

    /// A server that wants to be left alone for longer than a day is asked again after one.
    package static let longestRetryAfter = Duration.seconds(86_400)

    /// - Parameters:
    ///   - fields: The header section as received, in order; names in any case, values without whitespace around them
    ///     or with.
    ///   - status: The final status; matters to `must-understand` only.
    ///   - wallNow: When the answer arrived, in unix seconds.
    ///   - countsShared: Whether `s-maxage` counts.
    package init(fields: [HeaderField], status: Int = 200, wallNow: Int, countsShared: Bool = false) {
        let wallNow = HTTPDate(unixSeconds: wallNow).unixSeconds
        var reading = FieldReading(wallNow: wallNow)
        for field in fields {
            reading.read(name: field.name, value: field.value[...].trimmed)
        }
        let control = reading.control
        let isStorable = Self.isStorable(control, status: status)
        let stored = isStorable && !reading.variesOnEverything
        self.forbidsStoring = !isStorable
        self.sharedLifetime = reading.lifetimeSeconds(countsShared: true).map(Self.duration)
        self.lifetime =
            countsShared ? self.sharedLifetime : reading.lifetimeSeconds(countsShared: false).map(Self.duration)
        self.age = Self.duration(reading.ageOnArrival)
        self.cameFromCache = reading.age != nil
        self.needsValidation = control.noCache || !stored
        self.isPrivate = control.isPrivate
        self.mustNotBeServedStale =
            control.mustRevalidate || control.proxyRevalidate || control.noCache
            || (countsShared && control.sharedMaxAge != nil)
        self.staleWhileRevalidate = control.staleWhileRevalidate.map(Self.duration)
        self.staleIfError = control.staleIfError.map(Self.duration)
        self.retryAfter = reading.retryAfter.map { min(Self.longestRetryAfter, Self.duration($0)) }
        self.isRetryAfterCut = reading.retryAfter.map { Self.duration($0) > Self.longestRetryAfter } ?? false
        self.pollInterval = reading.pollInterval.map(Self.duration)
        self.quotaResetsIn = reading.quota.exhaustedFor.map(Self.duration)
        self.isQuotaUsedUp = reading.quota.isUsedUp
        self.quotaInterval = reading.quota.leastInterval.map { Duration(clampingSeconds: $0) }
        self.lastModified = reading.lastModified
        self.date = reading.date
    }

    /// How long the answer stays fresh from its arrival; nil when it never was, or does not say, or needs validation.
    package var freshFor: Duration? {
        guard let lifetime, !needsValidation, lifetime > age else { return nil }
        return lifetime - age
    }

    /// The least wait before the next poll that the answer asks for: freshness, `X-Poll-Interval` and a used-up rate
    /// limit.
    ///
    /// `Retry-After` is not in it: it wins over the user's bounds, and the floor does not.
    package var pollFloor: Duration {
        max(freshFor ?? .zero, max(pollInterval ?? .zero, quotaResetsIn ?? .zero))
    }

    /// Whether a cache answered with a stale copy and is fetching a new one (RFC 5861 §3).
    package var isBeingRevalidated: Bool {
        guard let staleWhileRevalidate, let sharedLifetime, cameFromCache, !needsValidation else { return false }
        return age > sharedLifetime && age <= sharedLifetime + staleWhileRevalidate
    }

    /// Whether a shared cache could answer with it, `elapsed` after its arrival, without asking the upstream (§4).
    package func mayBeReused(after elapsed: Duration) -> Bool {
        guard let freshFor, !isPrivate else { return false }
        return freshFor > elapsed
    }

    /// Whether the value may be shown without the stale mark, `elapsed` after its arrival, though the upstream fails
    /// (§4.2.4).
    package func mayBeServedOnError(after elapsed: Duration) -> Bool {
        if mayBeReused(after: elapsed) { return true }
        return servedOnErrorFor.map { elapsed <= $0 } ?? false
    }

    /// For how long from its arrival it counts as good while the upstream fails; nil where nothing was said, or the
    /// upstream wants to be asked first (RFC 5861 §4, RFC 9111 §4.2.4).
    package var servedOnErrorFor: Duration? {
        guard let lifetime, let staleIfError, !mustNotBeServedStale, !needsValidation,
            lifetime + staleIfError >= age
        else { return nil }
        return lifetime + staleIfError - age
    }

    /// Whether `Last-Modified` is there and tells versions apart: the answer is at least two seconds younger (RFC 9110
    /// §8.8.2.2).
    ///
    /// Otherwise the content may have changed again within the second that it names, and an upstream that compares
    /// dates would deny that change for ever: poll without a condition.
    package func lastModifiedIsValidator(wallNow: Int) -> Bool {
        guard let lastModified else { return false }
        return lastModified <= (date ?? wallNow) - 2
    }

    /// The same for the schedule.
    package var hints: PollHints {
        PollHints(
            freshFor: freshFor?.inSeconds,
            cameFromCache: cameFromCache,
            isBeingRevalidated: isBeingRevalidated,
            pollInterval: pollInterval?.inSeconds,
            quotaResetsIn: quotaResetsIn?.inSeconds,
            retryAfter: retryAfter?.inSeconds,
            isRetryAfterCut: isRetryAfterCut
        )
    }

    /// `no-store` forbids keeping it, unless the status is one whose rules we know and `must-understand` says so
    /// (§5.2.2.3).
    private static func isStorable(_ control: CacheControl, status: Int) -> Bool {
        let isUnderstood = [200, 203, 204, 300, 301, 304, 308, 404, 405, 410, 414, 501].contains(status)
        if control.mustUnderstand { return isUnderstood }
        return !control.noStore
    }

    private static func duration(_ seconds: Int) -> Duration { .seconds(seconds) }
}

/// The fields as they are read, one by one, in whole seconds.
private struct FieldReading {
    let wallNow: Int
    var control = CacheControl()
    var quota = UpstreamQuota()
    /// The first line of each counts (§4.2.1); the nested optional tells "unreadable" from "absent".
    var expires: Int??
    var age: Int?
    var date: Int?
    var lastModified: Int?
    var retryAfter: Int?
    var pollInterval: Int?
    var variesOnEverything = false
    private var hasAgeLine = false

    init(wallNow: Int) {
        self.wallNow = wallNow
    }

    mutating func read(name: [UInt8], value: ArraySlice<UInt8>) {
        if FieldValue.matches(name, "cache-control") {
            control.read(value)
        } else if FieldValue.matches(name, "expires") {
            if expires == nil { expires = .some(moment(value)) }
        } else if FieldValue.matches(name, "age") {
            if !hasAgeLine {
                age = FieldValue.number(FieldValue.elements(of: value).first ?? [], limit: CacheControl.longest)
            }
            hasAgeLine = true
        } else if FieldValue.matches(name, "date") {
            date = date ?? moment(value)
        } else if FieldValue.matches(name, "last-modified") {
            lastModified = lastModified ?? LooseDate(value, wallNow: wallNow)?.unixSeconds
        } else if FieldValue.matches(name, "retry-after") {
            retryAfter = retryAfter ?? RequestedWait.seconds(value, wallNow: wallNow)
        } else if FieldValue.matches(name, "x-poll-interval") {
            pollInterval =
                pollInterval ?? RequestedWait.seconds(value, wallNow: wallNow).map { min(UpstreamQuota.longest, $0) }
        } else if FieldValue.matches(name, "vary") {
            variesOnEverything =
                variesOnEverything || FieldValue.elements(of: value).contains { $0.elementsEqual("*".utf8) }
        } else {
            quota.read(name: name, value: value, wallNow: wallNow)
        }
    }

    /// `s-maxage` where it counts, else `max-age`, else `Expires` less `Date` (§4.2.1). A private answer has no shared
    /// lifetime.
    func lifetimeSeconds(countsShared: Bool) -> Int? {
        if countsShared, let shared = control.sharedMaxAge, !control.isPrivate { return shared }
        if let maxAge = control.maxAge { return maxAge }
        guard let expires else { return nil }
        guard let moment = expires else { return 0 }
        return min(CacheControl.longest, max(0, moment - (date ?? wallNow)))
    }

    /// The larger of what `Age` says and what `Date` shows (§4.2.3).
    var ageOnArrival: Int {
        min(CacheControl.longest, max(age ?? 0, wallNow - (date ?? wallNow)))
    }

    private func moment(_ value: ArraySlice<UInt8>) -> Int? {
        HTTPDate(value, wallNow: wallNow)?.unixSeconds
    }
}
