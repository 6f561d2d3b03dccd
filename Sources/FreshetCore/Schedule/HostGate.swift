// One host may serve thousands of sources, and one of them may ask the gateway to slow down for all: the gate is what
// they share.

/// Spaces and limits the requests to one host, and holds them while its breaker is open. Reads no clock.
package struct HostGate: Hashable, Sendable {
    package enum Admission: Hashable, Sendable {
        /// The request is counted as out until `finished` or `abandoned`.
        case proceed(isProbe: Bool)
        /// Ask again at `until`.
        case wait(until: Double)
        /// Ask again when a request to this host has finished.
        case waitForOthers
    }

    /// What a finished request says about the host.
    package enum Outcome: Hashable, Sendable {
        /// An answer that is not the host's failure.
        case answered
        /// 429: the gap doubles, and everybody waits for `retryAfter` seconds if it is given. A host without a gap that
        /// does not say how long to wait gets one.
        case throttled(retryAfter: Double?)
        /// 503 with `Retry-After`: a failure, and everybody waits that long.
        case unavailable(retryAfter: Double)
        /// No connection, no complete answer in time, or a 5xx.
        case failed
    }

    package private(set) var breaker: CircuitBreaker
    /// Seconds between the starts of two requests, as it is now.
    package private(set) var gap: Double
    /// Requests out.
    package private(set) var active = 0

    /// The gap to which the present one returns.
    package private(set) var ownGap: Double
    /// Most requests out at once.
    package private(set) var concurrency: Int

    private var lastStart = -Double.infinity
    private var pausedUntil = -Double.infinity
    private var answersInARow = 0

    /// What 429s widen a gap to at most.
    private static let longestGap = 900.0
    private static let longestOwnGap = 86_400.0
    /// What a 429 makes of no gap.
    private static let firstGap = 1.0
    /// What is left of a widened gap no longer counts.
    private static let leastWidening = 0.05

    package init(gap: Double = 1, concurrency: Int = 1, breaker: CircuitBreaker = CircuitBreaker()) {
        self.ownGap = Self.bounded(gap)
        self.gap = self.ownGap
        self.concurrency = max(1, concurrency)
        self.breaker = breaker
    }

    /// No request starts before.
    package var earliest: Double { max(pausedUntil, lastStart + gap) }

    /// Goes on with another gap and another number of requests. What the host has made of the gap before stays in proportion.
    package mutating func limit(gap: Double, concurrency: Int) {
        let widening = ownGap > 0 ? self.gap / ownGap : 1
        let new = Self.bounded(gap)
        self.gap = new > 0 ? max(new, min(Self.longestGap, new * widening)) : self.gap
        self.ownGap = new
        self.concurrency = max(1, concurrency)
    }

    private static func bounded(_ gap: Double) -> Double { gap.isNaN ? 1 : min(Self.longestOwnGap, max(0, gap)) }

    /// Asks whether a request may start now.
    package mutating func admit(now: Double) -> Admission {
        guard active < concurrency else { return .waitForOthers }
        guard now >= earliest else { return .wait(until: earliest) }
        switch breaker.admit(now: now) {
        case .proceed:
            started(now: now)
            return .proceed(isProbe: false)
        case .probe:
            started(now: now)
            return .proceed(isProbe: true)
        case .wait(let until):
            return .wait(until: until)
        case .waitForProbe:
            return .waitForOthers
        }
    }

    /// A request that was admitted has a result.
    package mutating func finished(
        _ outcome: Outcome,
        now: Double,
        using generator: inout some RandomNumberGenerator
    ) {
        active = max(0, active - 1)
        switch outcome {
        case .answered:
            breaker.succeeded()
            recover()
        case .throttled(let retryAfter):
            // The host is alive and says so: not the breaker's business.
            breaker.succeeded()
            answersInARow = 0
            gap = max(ownGap, min(Self.longestGap, retryAfter == nil ? max(2 * gap, Self.firstGap) : 2 * gap))
            pause(until: now + max(gap, retryAfter ?? 0))
        case .unavailable(let retryAfter):
            breaker.failed(now: now, using: &generator)
            answersInARow = 0
            pause(until: now + retryAfter)
        case .failed:
            breaker.failed(now: now, using: &generator)
            answersInARow = 0
        }
    }

    /// A request that was admitted was given up without a result.
    package mutating func abandoned(now: Double, isProbe: Bool) {
        active = max(0, active - 1)
        if isProbe { breaker.probeAbandoned(now: now) }
    }

    private mutating func started(now: Double) {
        active += 1
        lastStart = max(lastStart, now)
    }

    private mutating func pause(until time: Double) {
        if !time.isNaN { pausedUntil = max(pausedUntil, time) }
    }

    /// A hundred answers in a row take a tenth off a gap that 429s have widened.
    private mutating func recover() {
        guard gap > ownGap else { return }
        answersInARow += 1
        guard answersInARow >= 100 else { return }
        answersInARow = 0
        gap *= 0.9
        if gap < ownGap + Self.leastWidening { gap = ownGap }
    }
}
