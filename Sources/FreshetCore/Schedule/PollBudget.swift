// The budget of the process, `polling.requests_per_hour`: a token bucket that no poll passes without a token, and the
// price of a poll, steered so that polls hardly ever wait for one.

/// Limits the polls of the whole process and sets their price, theta. Reads no clock.
///
/// Without a budget there is no such price: each source's staleness target is its price. The poll thread owns it.
package struct PollBudget: Hashable, Sendable {
    /// The price of a poll in seconds of expected age. Sources compute their due time with it when they are next
    /// polled.
    package private(set) var theta: Double
    /// Polls an hour.
    package private(set) var requestsPerHour: Double

    private let configuredRate: Double
    private let configuredBurst: Double
    private var burst: Double
    private let gain: Double
    private let lowestTheta: Double
    private var tokens = 0.0
    private var at: Double

    private static let lowestRate = 0.01
    /// Where the price stops rising: with more, a budget that was starved for a day would not recover in one.
    private static let highestTheta = 1e5

    /// - Parameters:
    ///   - requestsPerHour: At least 0.01.
    ///   - now: Seconds on the monotonic axis. The bucket starts empty, so that a restart is no burst.
    ///   - theta: The price to begin with.
    ///   - lowestTheta: The staleness target that is the lowest useful one, in seconds.
    ///   - burst: The tokens that an idle process saves up.
    ///   - gain: How far one poll moves the logarithm of the price.
    package init(
        requestsPerHour: Double,
        now: Double,
        theta: Double = 60,
        lowestTheta: Double = 5,
        burst: Double = 10,
        gain: Double = 0.01
    ) {
        self.configuredRate = requestsPerHour.isNaN ? Self.lowestRate : max(Self.lowestRate, requestsPerHour)
        self.requestsPerHour = self.configuredRate
        self.theta = theta
        self.lowestTheta = lowestTheta
        self.configuredBurst = max(1, burst)
        self.burst = self.configuredBurst
        self.gain = gain
        self.at = now
    }

    /// Seconds a token takes.
    package var step: Double { 3600 / requestsPerHour }

    /// Goes on with a part of the budget, from 0 to 1, where other processes have the rest.
    package mutating func use(share: Double, now: Double) {
        let filled = min(self.burst, self.tokens + max(0, now - self.at) / self.step)
        let share = min(1, max(0, share))
        self.requestsPerHour = max(Self.lowestRate, self.configuredRate * share)
        self.burst = max(1, self.configuredBurst * share)
        self.tokens = min(self.burst, filled)
        self.at = max(self.at, now)
    }

    /// When the next poll can have a token, not before `now`. Takes nothing.
    package func earliestStart(now: Double) -> Double {
        let time = max(now, at)
        let filled = min(burst, tokens + (time - at) / step)
        return filled < 1 ? time + (1 - filled) * step : time
    }

    /// Takes a token for a poll that is due at `due`, and moves the price. Call in the order of the due times.
    ///
    /// - Returns: When the poll may start: at the later of `now` and `due`, or when its token is there.
    package mutating func take(due: Double, now: Double) -> Double {
        let start = earliestStart(now: max(now, due))
        tokens = max(1, min(burst, tokens + (start - at) / step)) - 1
        at = start
        let direction: Double =
            if start - due > step { 1 } else if tokens > burst / 2 { -1 } else { 0 }
        theta = min(Self.highestTheta, max(lowestTheta, theta * Elementary.exp(gain * direction)))
        return start
    }
}
