// When a host has failed several times in a row, polling it again for every source is useless: the breaker stops all
// but a single probe.

/// The circuit breaker of one host. Reads no clock: times are seconds on the monotonic axis.
package struct CircuitBreaker: Hashable, Sendable {
    package enum State: Hashable, Sendable {
        /// Requests flow. Next: `.open` after `threshold` failures in a row.
        case closed
        /// No request before `until`; the first one after it is the probe. Next: `.probing`.
        case open(until: Double)
        /// One request is out, all others wait for its result. Next: `.closed`, `.open`, or `.open` anew if it was
        /// abandoned.
        case probing
    }

    package enum Admission: Hashable, Sendable {
        case proceed
        /// Proceed; the result decides whether the breaker closes.
        case probe
        /// Ask again at `until`.
        case wait(until: Double)
        /// A probe is out: ask again when it has returned.
        case waitForProbe
    }

    package private(set) var state = State.closed
    /// Failures in a row.
    package private(set) var failures = 0
    /// How long the breaker stays open next time, before jitter.
    package private(set) var cooling: Double

    private let threshold: Int
    private let shortestCooling: Double
    private let longestCooling: Double

    /// - Parameters:
    ///   - threshold: Failures in a row that open the breaker.
    ///   - cooling: Seconds it stays open the first time (times 0.5 to 1.5); doubles from failed probe to failed probe.
    ///   - longestCooling: Seconds; where the doubling ends.
    package init(threshold: Int = 5, cooling: Double = 30, longestCooling: Double = 900) {
        self.threshold = max(1, threshold)
        self.shortestCooling = cooling
        self.longestCooling = max(cooling, longestCooling)
        self.cooling = cooling
    }

    /// Asks whether a request may go to the host now. `.probe` is given once; its result must be reported.
    package mutating func admit(now: Double) -> Admission {
        switch state {
        case .closed:
            return .proceed
        case .open(let until) where now >= until:
            state = .probing
            return .probe
        case .open(let until):
            return .wait(until: until)
        case .probing:
            return .waitForProbe
        }
    }

    /// The host answered: any answer that is not the host's failure, 304 and 404 included.
    package mutating func succeeded() {
        state = .closed
        failures = 0
        cooling = shortestCooling
    }

    /// The host failed: no connection, no complete answer in time, or a 5xx.
    package mutating func failed(now: Double, using generator: inout some RandomNumberGenerator) {
        failures = min(failures + 1, 1_000_000)
        guard failures >= threshold else { return }
        // A request that was under way when the breaker opened says nothing new.
        if case .open = state { return }
        state = .open(until: now + cooling * Double.random(in: 0.5...1.5, using: &generator))
        cooling = min(longestCooling, 2 * cooling)
    }

    /// The probe was given up before it had a result (its source was removed): the next request is the probe.
    package mutating func probeAbandoned(now: Double) {
        if case .probing = state { state = .open(until: now) }
    }
}
