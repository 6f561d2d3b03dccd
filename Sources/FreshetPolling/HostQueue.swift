// What the sources of one host share: its gate, and the line in front of it. One dead host must not hold what others
// need (FAULTS F03, F20).

import FreshetCore
import FreshetUpstream

/// The polls of one origin: how many are under way, which wait. Reads no clock.
struct HostQueue {
    /// A host of fewer sources has no circuit breaker: each source's own backoff does as well, and notices sooner that
    /// the host is back.
    static let breakerFloor = 8

    struct Limits: Hashable {
        /// Polls at a time.
        var concurrency: Int
        /// Between the starts of two.
        var gap: Duration
    }

    /// Sources that live on this host, polled at the moment or not.
    var sources = 0
    private var gate: HostGate
    /// Due, and not admitted, in the order in which they became due. The head of the array is ``head``.
    private var waiting: [SourceID] = []
    private var head = 0
    /// How many from ``head`` on were released: they may ask for admission, all others go behind them.
    private var called = 0

    init(_ limits: Limits) {
        self.gate = HostGate(
            gap: limits.gap.inSeconds,
            concurrency: limits.concurrency,
            breaker: CircuitBreaker(longestCooling: Self.longestCooling)
        )
    }

    /// Goes on with other limits. Whoever calls this sees to it that the next in line is released.
    mutating func limit(_ limits: Limits) {
        self.gate.limit(gap: limits.gap.inSeconds, concurrency: limits.concurrency)
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
        case .closed: "the host requested a pause until then, or more time between polls"
        case .open: "the host failed \(self.gate.breaker.failures) times in a row; one source probes it first"
        case .probing: "the host failed \(self.gate.breaker.failures) times in a row; one source is probing it"
        }
    }

    /// How long the gap or the host's own wish still keeps every poll waiting; negative where neither does.
    func wait(now: MonotonicTime) -> Duration {
        Duration(clampingSeconds: self.gate.earliest - now.axisSeconds)
    }

    /// Every poll waits, for the gap, the host's own wish or the breaker, and not only for others to end.
    func isHeldBack(now: MonotonicTime) -> Bool { self.isOpen || self.wait(now: now) > .zero }

    /// Asks for a poll of `source` to begin now.
    ///
    /// First come, first served: who comes while others wait is put in line behind them, or a source whose times fall
    /// well would keep the others from ever being polled. Where the answer is to wait until a time, the source keeps
    /// its place at the head of the line, and asks again then.
    mutating func admit(_ source: SourceID, now: MonotonicTime) -> HostGate.Admission {
        guard let place = self.calledPlace(of: source) else {
            guard self.head == self.waiting.count else {
                self.waiting.append(source)
                return .waitForOthers
            }
            let admission = self.gate.admit(now: now.axisSeconds)
            if case .proceed = admission { return admission }
            self.waiting.append(source)
            if case .wait = admission { self.called = 1 }
            return admission
        }
        let admission = self.gate.admit(now: now.axisSeconds)
        switch admission {
        case .proceed:
            self.leave(place)
        case .waitForOthers:
            self.called -= 1
            self.waiting.swapAt(place, self.head + self.called)
        case .wait:
            break
        }
        return admission
    }

    /// Where the source stands among those that were released.
    private func calledPlace(of source: SourceID) -> Int? {
        self.waiting[self.head..<self.head + self.called].firstIndex(of: source)
    }

    /// Takes out one that was released, at the cost of those before it.
    private mutating func leave(_ place: Int) {
        for place in stride(from: place, to: self.head, by: -1) { self.waiting.swapAt(place, place - 1) }
        self.head += 1
        self.called -= 1
        if self.head == self.waiting.count || self.head > 64 && self.head * 2 > self.waiting.count {
            self.waiting.removeFirst(self.head)
            self.head = 0
        }
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

    /// The sources that may ask, now that there may be room for them, first come first. Those that were released before
    /// and have not asked yet are not among them.
    mutating func released() -> ArraySlice<SourceID> {
        // With a gap one after another asks: of several that ask at the same time the same one could always be first.
        let room = self.gate.gap > 0 ? 1 : max(1, self.gate.concurrency - self.gate.active)
        let first = self.head + self.called
        self.called = max(self.called, min(room, self.waiting.count - self.head))
        return self.waiting[first..<self.head + self.called]
    }

    /// Takes a source out of the line. Whoever calls this sees to it that the next is released.
    mutating func forget(_ source: SourceID) {
        guard let place = self.waiting[self.head...].firstIndex(of: source) else { return }
        if place < self.head + self.called { return self.leave(place) }
        self.waiting.remove(at: place)
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

extension HostQueue.Limits {
    /// The part of these limits that a share has for a host.
    func part(_ share: PollShare, of origin: Origin) -> HostQueue.Limits {
        let host =
            share.hosts[origin.description]
            ?? PollShare.Host(
                concurrency: Int((Double(self.concurrency) * share.ofOtherHosts).rounded(.down)),
                rate: share.ofOtherHosts
            )
        let gap = host.rate > 0 ? self.gap.inSeconds / host.rate : self.gap.inSeconds
        return HostQueue.Limits(
            concurrency: min(self.concurrency, max(1, host.concurrency)),
            gap: Duration(clampingSeconds: gap)
        )
    }
}
