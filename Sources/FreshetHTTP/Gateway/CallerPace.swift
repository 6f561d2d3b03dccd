// How much one caller may ask for in a time, from whatever addresses it comes (CONTRACT §8).

import CLinux
import FreshetCore
import FreshetStreaming
import Synchronization

/// Counts requests, and bytes of the log, by caller. Callers without a credential are counted by their address alone, and
/// administrators of the process not at all. Any thread.
final class CallerPace: Sendable {
    /// What is bounded; the raw values are labels of metrics.
    enum Bound: String, CaseIterable, Sendable {
        case requests
        case replay
    }

    private struct State: Sendable {
        var requests: RateBuckets<Principal.Account>
        var replay: RateBuckets<Principal.Account>
        var refused: [Bound: UInt64] = [:]
    }

    private let boundsRequests: Bool
    private let boundsReplay: Bool
    private let state: Mutex<State>

    init(settings: HTTPSettings) {
        self.boundsRequests = settings.maxRequestsPerCaller > 0
        self.boundsReplay = settings.maxReplayBytesPerCaller > 0
        self.state = Mutex(
            State(
                requests: RateBuckets(perSecond: settings.maxRequestsPerCaller),
                replay: RateBuckets(perSecond: settings.maxReplayBytesPerCaller)
            )
        )
    }

    /// Whether callers of a kind are counted.
    static func counts(_ principal: Principal) -> Bool {
        switch principal.kind {
        case .key, .jwt, .certificate: true
        case .anonymous, .administrator: false
        }
    }

    /// Counts a request in.
    ///
    /// - Returns: The refusal where its caller makes more than it may.
    func request(by principal: Principal) -> Problem? {
        guard self.boundsRequests, Self.counts(principal) else { return nil }
        let now = clinux_monotonic_ns()
        let isTaken = self.state.withLock { state in
            guard !state.requests.take(principal.account, at: now) else { return true }
            state.refused[.requests, default: 0] += 1
            return false
        }
        guard !isTaken else { return nil }
        return .overRate(
            "too_many_requests_from_caller",
            "This caller makes more requests than limits.max_requests_per_caller allows; ask less often.",
            retryAfter: Int64.random(in: 1...RateBuckets<Principal.Account>.burstSeconds)
        )
    }

    /// Looks whether a caller may read the log: what it has read is only known afterwards, and counted then.
    ///
    /// - Throws: The refusal where it has read more than it may.
    func checkReplay(by principal: Principal) throws(Problem) {
        guard self.boundsReplay, Self.counts(principal) else { return }
        let now = clinux_monotonic_ns()
        let wait = self.state.withLock { state in
            let wait = state.replay.wait(of: principal.account, at: now)
            if wait != nil { state.refused[.replay, default: 0] += 1 }
            return wait
        }
        guard let wait else { return }
        throw .overRate(
            "too_much_replay_for_caller",
            "This caller has read more of the log than limits.max_replay_bytes_per_caller allows; continue later.",
            retryAfter: wait + Int64.random(in: 0...5)
        )
    }

    /// What the streams of a caller are counted by; `nil` where it is not counted.
    func streamCaller(of principal: Principal) -> StreamCaller? {
        guard Self.counts(principal) else { return nil }
        return StreamCaller(account: principal.account) { [self] in self.replayed($0, to: principal) }
    }

    /// Counts bytes of the log that a caller was given.
    func replayed(_ bytes: Int, to principal: Principal) {
        guard self.boundsReplay, bytes > 0, Self.counts(principal) else { return }
        let now = clinux_monotonic_ns()
        self.state.withLock { $0.replay.charge(principal.account, bytes, at: now) }
    }

    /// Appends the figures as Prometheus text.
    func write(to text: inout [UInt8]) {
        let refused = self.state.withLock { $0.refused }
        text.appendMetric(
            "freshet_caller_requests_refused_total",
            "counter",
            "Requests above a bound of their caller, answered 429, by reason.",
            Bound.allCases.map { (#"{reason="\#($0.rawValue)"}"#, "\(refused[$0] ?? 0)") }
        )
    }
}

extension Problem {
    /// 429. `seconds` is what the client is asked to wait.
    static func overRate(_ code: String, _ detail: String, retryAfter seconds: Int64) -> Problem {
        Problem(429, code, detail, fields: [AnswerField("Retry-After", "\(max(1, seconds))")])
    }
}
