// How many requests one client may make in a time.

import CLinux
import FreshetCore
import FreshetStreaming
import Synchronization
import System

/// A token bucket for each client, kept as the moment in which it will be full again (the generic cell rate algorithm): a
/// client whose bucket is full needs no entry. A value without I/O.
struct RequestBuckets: Sendable {
    /// Nanoseconds by which a request moves that moment.
    private let cost: Int64
    /// How far in the future it may be, in nanoseconds.
    private let depth: Int64
    private let maxClients: Int
    /// On the monotonic clock, in nanoseconds.
    private var fullAgain: [PeerAddress: Int64] = [:]
    private var nextSweep: Int64 = 0

    /// What a client may use at once, in seconds of its rate.
    static let burstSeconds: Int64 = 10
    /// Between two looks for entries that are not needed any more.
    private static let sweepInterval: Int64 = 1_000_000_000

    /// - Parameters:
    ///   - perSecond: Requests of one client, 1 at least.
    ///   - maxClients: The most entries. Where there are as many, clients without one are not counted.
    init(perSecond: Int, maxClients: Int = 65_536) {
        self.cost = max(1, 1_000_000_000 / Int64(max(1, perSecond)))
        self.depth = Self.burstSeconds * 1_000_000_000
        self.maxClients = maxClients
    }

    /// Clients with an entry.
    var count: Int { self.fullAgain.count }

    /// Takes a token for a request of `client` at `now`, in nanoseconds.
    ///
    /// - Returns: Whether there was one.
    mutating func take(_ client: PeerAddress, at now: Int64) -> Bool {
        self.sweep(now)
        let full = max(self.fullAgain[client] ?? now, now) + self.cost
        guard full - now <= self.depth else { return false }
        guard self.fullAgain[client] != nil || self.fullAgain.count < self.maxClients else { return true }
        self.fullAgain[client] = full
        return true
    }

    private mutating func sweep(_ now: Int64) {
        guard now >= self.nextSweep else { return }
        self.nextSweep = now + Self.sweepInterval
        self.fullAgain = self.fullAgain.filter { $0.value > now }
    }
}

/// Counts requests by client, this machine apart. Any thread.
final class RequestPace: Sendable {
    private struct State: Sendable {
        var buckets: RequestBuckets
        var refused: UInt64 = 0
    }

    private let isBounded: Bool
    private let state: Mutex<State>

    /// - Parameter perSecond: See ``HTTPSettings/maxRequestsPerAddress``.
    init(perSecond: Int) {
        self.isBounded = perSecond > 0
        self.state = Mutex(State(buckets: RequestBuckets(perSecond: perSecond)))
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
        let field = AnswerField("Retry-After", "\(Int64.random(in: 1...RequestBuckets.burstSeconds))")
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
