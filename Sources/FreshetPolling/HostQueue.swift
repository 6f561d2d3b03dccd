// What the sources of one host share: its gate, and the line in front of it. One dead host must not hold what others
// need (FAULTS F03, F20).

import FreshetCore

/// The polls of one origin: how many are under way, which wait. Reads no clock.
struct HostQueue {
    /// A host of fewer sources has no circuit breaker: each source's own backoff does as well, and notices sooner that
    /// the host is back.
    static let breakerFloor = 8

    /// Sources that live on this host, polled at the moment or not.
    var sources = 0
    private var gate: HostGate
    /// Due, and not admitted, in the order in which they became due. The head of the array is ``head``.
    private var waiting: [SourceID] = []
    private var head = 0

    init(concurrency: Int, gap: Duration) {
        self.gate = HostGate(
            gap: gap.inSeconds,
            concurrency: concurrency,
            breaker: CircuitBreaker(longestCooling: Self.longestCooling)
        )
    }

    /// Seconds after which a host that was down is asked again at the latest: as long as a source's own backoff.
    private static let longestCooling = 300.0

    /// The breaker holds polls back.
    var isOpen: Bool { self.gate.breaker.state != .closed }

    /// The sources that wait for others.
    var inLine: ArraySlice<SourceID> { self.waiting[self.head...] }

    /// Why polls wait at the moment, in words, where it is not for a moment only.
    var reasonToWait: String {
        switch self.gate.breaker.state {
        case .closed: "the host asks to be left alone until then, or for more time between polls"
        case .open: "the host failed \(self.gate.breaker.failures) times in a row; one source asks it again first"
        case .probing: "the host failed \(self.gate.breaker.failures) times in a row; one source is asking it again"
        }
    }

    /// Asks for a poll of `source` to begin now. Where the answer is to wait for others, it is put in line.
    mutating func admit(_ source: SourceID, now: MonotonicTime) -> HostGate.Admission {
        let admission = self.gate.admit(now: now.axisSeconds)
        if admission == .waitForOthers { self.waiting.append(source) }
        return admission
    }

    /// Takes note of the result of an admitted poll.
    mutating func finished(
        _ outcome: HostGate.Outcome,
        now: MonotonicTime,
        using generator: inout some RandomNumberGenerator
    ) {
        let tripsBreaker = outcome == .failed && self.sources >= Self.breakerFloor
        let counted: HostGate.Outcome = outcome == .failed && !tripsBreaker ? .answered : outcome
        self.gate.finished(counted, now: now.axisSeconds, using: &generator)
    }

    /// Takes note that an admitted poll was given up.
    mutating func abandoned(isProbe: Bool, now: MonotonicTime) {
        self.gate.abandoned(now: now.axisSeconds, isProbe: isProbe)
    }

    /// The sources that may ask again, now that a poll has ended, first come first.
    mutating func released() -> ArraySlice<SourceID> {
        let room = max(1, self.gate.concurrency - self.gate.active)
        let end = min(self.head + room, self.waiting.count)
        let released = self.waiting[self.head..<end]
        self.head = end
        if self.head > 64, self.head * 2 > self.waiting.count {
            self.waiting.removeFirst(self.head)
            self.head = 0
        }
        return released
    }

    /// Takes a source out of the line.
    mutating func forget(_ source: SourceID) {
        self.waiting.removeSubrange(..<self.head)
        self.head = 0
        self.waiting.removeAll { $0 == source }
    }
}

/// A host as the poll thread holds it: one object for all sources of an origin.
final class PolledHost {
    let origin: Origin
    var queue: HostQueue

    init(origin: Origin, queue: HostQueue) {
        self.origin = origin
        self.queue = queue
    }
}

extension HostGate.Outcome {
    /// What a poll's end says about the host. `delay` is until the source's next poll, which heeds a `Retry-After`.
    init(_ result: Result<PollResponse, PollError>, delay: Duration) {
        switch result {
        case .success(let response):
            let asksToWait = response.value(of: "retry-after") != nil
            switch response.status {
            case 429: self = .throttled(retryAfter: asksToWait ? delay.inSeconds : nil)
            case 503 where asksToWait: self = .unavailable(retryAfter: delay.inSeconds)
            case 500...: self = .failed
            case _: self = .answered
            }
        case .failure(let error):
            switch error.kind {
            case .dns, .connect, .tls, .tlsUntrusted, .tlsExpired, .tlsHost, .tlsVersion, .timeout, .transport:
                self = .failed
            case .framing, .headers, .tooLarge, .decode, .encoding, .malformed, .emptyBody, .contentType, .unexpected,
                .auth, .notFound, .throttled, .status, .redirect, .protocol, .policy, .internal:
                self = .answered
            }
        }
    }
}
