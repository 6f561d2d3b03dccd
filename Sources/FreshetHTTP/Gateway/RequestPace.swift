// How many requests one client may make in a time.

import CLinux
import FreshetCore
import FreshetStreaming
import Synchronization
import System

/// Counts requests by client, this machine apart. Any thread.
final class RequestPace: Sendable {
    private struct State: Sendable {
        var buckets: RateBuckets<PeerAddress>
        var refused: UInt64 = 0
    }

    private let isBounded: Bool
    private let state: Mutex<State>

    /// - Parameter perSecond: See ``HTTPSettings/maxRequestsPerAddress``.
    init(perSecond: Int) {
        self.isBounded = perSecond > 0
        self.state = Mutex(State(buckets: RateBuckets(perSecond: perSecond)))
    }

    /// Counts a request in.
    ///
    /// - Returns: Whether its client has made no more than it may.
    func take(_ client: PeerAddress) -> Bool {
        guard self.isBounded, let network = client.countedNetwork else { return true }
        let now = clinux_monotonic_ns()
        return self.state.withLock { state in
            guard !state.buckets.take(network, at: now) else { return true }
            state.refused += 1
            return false
        }
    }

    /// 429, and when to try again: drawn anew each time, so that the refused do not come back together.
    static var problem: Problem {
        let detail = "This address exceeds limits.max_requests_per_address; slow down."
        let field = AnswerField("Retry-After", "\(Int64.random(in: 1...RateBuckets<PeerAddress>.burstSeconds))")
        return Problem(429, "too_many_requests_from_address", detail, fields: [field])
    }

    /// Appends the figures as Prometheus text.
    func write(to text: inout [UInt8]) {
        let refused = self.state.withLock { $0.refused }
        text.appendMetric(
            "freshet_http_requests_over_rate_total",
            "counter",
            "Requests above the rate of their address: probes were answered, others refused with 429.",
            [("", "\(refused)")]
        )
    }
}
