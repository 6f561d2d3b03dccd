// When a message that was refused is sent again (Standard Webhooks 1.0, "Delivery").

/// The schedule of retries. Performs no I/O and reads no clock.
package enum WebhookRetry {
    /// The wait after the first refusal of a message, after the second, and so on; after the last it stays the same: a
    /// message is given up by nothing but a gap.
    package static let table: [Duration] = [
        .seconds(5), .seconds(5 * 60), .seconds(30 * 60), .seconds(2 * 3600), .seconds(5 * 3600), .seconds(10 * 3600),
        .seconds(14 * 3600), .seconds(20 * 3600), .seconds(24 * 3600),
    ]
    /// A message that was refused more often counts as refused so often.
    static let maxRefusals = 1_000_000
    /// What jitter adds to a wait, at most, as a share of it.
    package static let maxJitter = 0.1
    /// A longer `Retry-After` counts as this long.
    package static let maxRequested: Duration = .seconds(24 * 3600)
    /// How long an endpoint that is unavailable as a whole gets nothing, after the first failure in a row; twice that after
    /// the second, and so on.
    static let firstRest: Duration = .seconds(5)
    static let longestRest: Duration = .seconds(5 * 60)

    /// The wait after a refusal. `refusals`: how often the message was refused so far, this time included. `jitter`: drawn
    /// evenly from 0..<1; what is outside counts as the nearest bound. `requested`: `Retry-After` of the answer; one that is
    /// shorter than the table's wait does not count.
    package static func delay(refusals: Int, jitter: Double, requested: Duration? = nil) -> Duration {
        let base = self.table[min(max(refusals, 1), self.table.count) - 1]
        let share = jitter.isNaN ? 0 : min(max(jitter, 0), 1)
        let wait = base + Duration(clampingSeconds: base.inSeconds * self.maxJitter * share)
        return max(wait, min(requested ?? .zero, self.maxRequested))
    }

    /// How long an endpoint rests that was unavailable so often in a row.
    static func rest(failures: Int, requested: Duration?) -> Duration {
        let rest = min(self.firstRest * (1 << min(max(failures, 1) - 1, 10)), self.longestRest)
        return max(rest, min(requested ?? .zero, self.maxRequested))
    }
}

/// How one try to deliver a message ended.
package struct WebhookOutcome: Hashable, Sendable {
    package enum Verdict: String, CaseIterable, Hashable, Sendable {
        /// 2xx.
        case delivered
        /// Any other answer but those below: this message may be the reason.
        case refused
        /// 429, 502, 503, 504, or no answer: the endpoint as a whole is to be left alone for a while.
        case unavailable
        /// 410: the endpoint wants nothing any more.
        case gone
    }

    package var verdict: Verdict
    /// `nil` where there was no answer.
    package var status: Int?
    /// What went wrong where there was no answer. Never holds a body or a secret.
    package var error: String?
    /// `Retry-After`.
    package var requested: Duration?

    /// An answer of this status; `retryAfter` is the value of the field, in seconds or as a date.
    package init(status: Int, retryAfter: [UInt8]? = nil, now: WallTime) {
        self.status = status
        switch status {
        case 200..<300: self.verdict = .delivered
        case 410: self.verdict = .gone
        case 429, 502, 503, 504: self.verdict = .unavailable
        case _: self.verdict = .refused
        }
        guard self.verdict != .delivered, let retryAfter else { return }
        self.requested = RequestedWait.seconds(retryAfter[...], wallNow: Int(clamping: now.seconds))
            .map { .seconds(min($0, Int(WebhookRetry.maxRequested.components.seconds))) }
    }

    package init(_ verdict: Verdict) {
        self.verdict = verdict
    }

    /// There was no answer.
    package init(_ error: UpstreamError) {
        self.verdict = .unavailable
        self.error = "\(error.kind.rawValue): \(error.message)"
    }
}
