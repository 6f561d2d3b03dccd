// When a source is polled next: a fixed grid or the adaptive policy, within what the upstream asks for.

/// What a poll may cost at the moment, for the adaptive policy.
package struct PollPrice: Hashable, Sendable {
    /// The price that the budget of the process sets, in seconds; 0 without a budget.
    package var theta: Double
    /// How much the source matters: its subscribers, at least 1.
    package var weight: Double

    package init(theta: Double = 0, weight: Double = 1) {
        self.theta = theta
        self.weight = weight
    }
}

/// The times of one source's polls.
///
/// A fixed interval is a grid whose phase is the source's own, so that sources of equal intervals spread and a slow
/// answer moves no later poll (FAULTS F80, F82). An adaptive one is ``AdaptiveInterval``. Both yield to the upstream's
/// hints by ``IntervalBounds``.
struct PollSchedule: Sendable {
    /// When, at what interval, and why, in words.
    struct Plan: Hashable, Sendable {
        var at: MonotonicTime
        var interval: Duration
        var reason: String
    }

    private let configuration: SourceConfiguration
    private let phase: Double
    private let bounds: IntervalBounds
    /// Why, where nothing but the configuration decides: the same text after nearly every poll.
    private let reason: String
    private(set) var adaptive: AdaptiveInterval?
    /// When the poll that is being judged began; at first, when the source was made.
    private(set) var startedAt: MonotonicTime

    /// `phase` is in 0..<1, from a hash of the source's name; `learned` is of an earlier process, as ``learned`` gave it.
    init(configuration: SourceConfiguration, phase: Double, now: MonotonicTime, wall: WallTime, learned: [UInt8] = []) {
        self.configuration = configuration
        self.phase = phase
        self.startedAt = now
        let isFixed = configuration.interval != .adaptive
        self.reason = "every \(configuration.nominalInterval.text), as configured"
        self.bounds = IntervalBounds(
            minimum: (isFixed ? configuration.minInterval ?? .zero : configuration.effectiveMinInterval).inSeconds,
            maximum: configuration.effectiveMaxInterval.inSeconds,
            respectsCache: configuration.respectCache != .none
        )
        guard !isFixed else { return }
        let offset = Double(wall.milliseconds) / 1000 - now.inSeconds
        let model =
            Haze(encoded: learned, now: now.inSeconds, wallOffset: offset)
            ?? Haze(now: now.inSeconds, wallOffset: offset)
        self.adaptive = AdaptiveInterval(model: model, bounds: self.bounds)
    }

    /// What the adaptive policy knows of the source, to be kept over a restart; empty for a fixed interval.
    var learned: [UInt8] { self.adaptive?.model.encoded ?? [] }

    /// The most time over which the first polls of all sources are spread.
    private static let startSpread = Duration.seconds(1)

    func first(now: MonotonicTime) -> Plan {
        let spread = min(self.configuration.nominalInterval, Self.startSpread)
        let at = now + Duration(clampingSeconds: spread.inSeconds * self.phase)
        return Plan(at: at, interval: self.configuration.nominalInterval, reason: "the first poll is due at once")
    }

    /// The next poll of an earlier process on the same machine, whose clock and grid are the same; `nil` without a grid.
    func resumed(now: MonotonicTime) -> Plan? {
        guard self.adaptive == nil else { return nil }
        return Plan(at: self.gridPoint(after: now), interval: self.configuration.nominalInterval, reason: self.reason)
    }

    mutating func started(now: MonotonicTime) {
        self.startedAt = now
    }

    /// After a 200 or a 304. `waiting`: it brought a value that must be seen again, which is not put off for as long
    /// as an adaptive interval may be; a shrunk one is looked at again within seconds, whatever the interval.
    mutating func responseReceived(
        changed: Bool,
        waiting: ChangeGuard.Wait?,
        freshness: ResponseFreshness,
        price: PollPrice,
        now: MonotonicTime,
        using generator: inout some RandomNumberGenerator
    ) -> Plan {
        var hints = freshness.hints
        // A cache in between would confirm its own copy; the upstream itself has a look.
        if waiting == .shrunk, !hints.cameFromCache { hints.freshFor = nil }
        guard self.adaptive != nil else {
            var wish = PollDecision(at: self.gridPoint(after: now).inSeconds, reason: .interval)
            if waiting == .shrunk { wish.lower(to: now.inSeconds + Self.confirmationWait, because: .confirmation) }
            // Bounds count from the poll's start, or a slow answer would push the next poll off the grid; what the
            // upstream forbids counts from its answer.
            let start = self.startedAt.inSeconds
            let latency = max(0, now.inSeconds - start)
            hints.quotaResetsIn = hints.quotaResetsIn.map { $0 + latency }
            hints.retryAfter = hints.retryAfter.map { $0 + latency }
            let decision = self.bounds.decision(wish: wish, now: start, hints: hints, using: &generator)
            return self.plan(decision, from: self.startedAt)
        }
        let target = self.configuration.adaptiveTarget.inSeconds
        self.adaptive?.weight = max(price.weight, 1)
        let decision = self.adaptive?.responseReceived(
            now: now.inSeconds,
            changed: changed,
            theta: max(target, price.theta),
            lastModified: freshness.lastModified.map { Double($0) },
            hints: hints,
            using: &generator
        )
        guard let decision else {
            return self.plan(PollDecision(at: now.inSeconds + target, reason: .interval), from: now)
        }
        guard let waiting else { return self.plan(decision, from: now) }
        let wait = waiting == .shrunk ? min(target, Self.confirmationWait) : target
        guard decision.at - now.inSeconds > wait else { return self.plan(decision, from: now) }
        let soon = PollDecision(at: now.inSeconds + wait, reason: .confirmation)
        let bounded = self.bounds.decision(wish: soon, now: now.inSeconds, hints: hints, using: &generator)
        return self.plan(bounded, from: now)
    }

    /// After how many seconds a value that has shrunk is looked at again, where its turn comes later.
    private static let confirmationWait = 2.0

    /// After a failure: full jitter up to a bound that doubles with each failure, and never sooner than the interval.
    ///
    /// With an interval of 10 s: up to 20 s after the first failure, 40 s after the second, 5 min from the fifth on.
    /// With an interval of 100 ms: up to 200 ms, 400 ms, and 5 s from the sixth on. What the answer asks for, if there
    /// was one, may make it later: `Retry-After`, or without that the end of a used-up quota, within `max_interval`.
    mutating func pollFailed(
        _ kind: UpstreamError.Kind,
        failures: Int,
        hints: PollHints,
        now: MonotonicTime,
        using generator: inout some RandomNumberGenerator
    ) -> Plan {
        var delay = self.backoff(kind, failures: failures, using: &generator)
        var reason = "\(PollDecision.Reason.backoff(failures: failures)) (\(kind.rawValue))"
        if kind == .auth {
            delay = max(delay, Self.refusedInterval)
            reason += ", once a minute at most until the credentials are accepted"
        }
        if let retryAfter = hints.retryAfter {
            if retryAfter > delay { (delay, reason) = (retryAfter, hints.retryReason.description) }
        } else if let reset = hints.quotaResetsIn {
            let wait = self.bounds.quotaWait(reset, using: &generator)
            if wait > delay { (delay, reason) = (wait, PollDecision.Reason.quota.description) }
        }
        let wait = Duration(clampingSeconds: delay)
        return Plan(at: now + wait, interval: wait, reason: reason)
    }

    private func backoff(
        _ kind: UpstreamError.Kind,
        failures: Int,
        using generator: inout some RandomNumberGenerator
    ) -> Double {
        guard self.adaptive == nil else {
            let longest = self.configuration.effectiveMaxInterval.inSeconds
            return Backoff.delay(
                failures: failures,
                minimum: self.bounds.minimum,
                longest: kind == .auth || kind == .notFound ? longest : min(Backoff.longestDelay, longest),
                using: &generator
            )
        }
        let interval = self.configuration.nominalInterval.inSeconds
        return Backoff.delay(
            failures: failures,
            minimum: interval,
            base: min(interval, 2),
            longest: min(Self.longestBackoff, max(Self.shortestCeiling, 32 * interval)),
            using: &generator
        )
    }

    /// The longest that failures keep a source waiting, unless its interval is longer. Seconds.
    private static let longestBackoff = 300.0
    /// What a source with a short interval may wait at most, at least. Seconds.
    private static let shortestCeiling = 5.0
    /// How often an upstream is asked that refuses our credentials (FAULTS F30). Seconds.
    private static let refusedInterval = 60.0

    /// When a source polls that slept through its turn: a fixed interval at the next point of its grid, an adaptive one
    /// within its interval, by its phase.
    func afterSleep(now: MonotonicTime, interval: Duration) -> MonotonicTime {
        guard self.adaptive != nil else { return self.gridPoint(after: now) }
        return now + Duration(clampingSeconds: interval.inSeconds * self.phase)
    }

    private func plan(_ decision: PollDecision, from start: MonotonicTime) -> Plan {
        let at = MonotonicTime(seconds: decision.at)
        guard case .interval = decision.reason else {
            return Plan(at: at, interval: max(at - start, .zero), reason: decision.reason.description)
        }
        return Plan(at: at, interval: self.configuration.nominalInterval, reason: self.reason)
    }

    /// The first time after `now` that is a whole number of intervals after the source's phase. Points that passed
    /// while a poll took its time are left out, not caught up with.
    private func gridPoint(after now: MonotonicTime) -> MonotonicTime {
        let interval = max(self.configuration.nominalInterval.clampedNanoseconds, 1)
        let offset = Int64(Double(interval) * self.phase)
        let (since, overflow) = now.nanoseconds.subtractingReportingOverflow(offset)
        guard !overflow else { return now + self.configuration.nominalInterval }
        let remainder = since % interval
        return now + .nanoseconds(interval - (remainder < 0 ? remainder + interval : remainder))
    }
}

extension MonotonicTime {
    /// On the axis of the schedules, in seconds.
    var inSeconds: Double { Double(self.nanoseconds) / 1e9 }

    init(seconds: Double) {
        self.init(nanoseconds: Duration(clampingSeconds: seconds).clampedNanoseconds)
    }
}

extension Duration {
    /// As a configuration file would have it: `500ms`, `10s`, `1m30s`, `1h`.
    package var text: String {
        let milliseconds = self.milliseconds
        guard milliseconds >= 1000 else { return "\(milliseconds)ms" }
        let seconds = milliseconds / 1000
        let parts = [(seconds / 3600, "h"), (seconds / 60 % 60, "m"), (seconds % 60, "s"), (milliseconds % 1000, "ms")]
        return parts.filter { $0.0 != 0 }.map { "\($0.0)\($0.1)" }.joined()
    }
}
