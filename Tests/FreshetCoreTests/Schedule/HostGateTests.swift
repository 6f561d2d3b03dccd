import System
import Testing

@testable import FreshetCore

@Suite("Circuit breaker")
struct CircuitBreakerTests {
    @Test("opens after five failures, lets one probe through, doubles, closes")
    func life() {
        var generator = SplitMix64(seed: 2)
        var breaker = CircuitBreaker()
        for _ in 0..<5 {
            #expect(breaker.admit(now: 0) == .proceed)
            breaker.failed(now: 0, using: &generator)
        }
        guard case .wait(let until) = breaker.admit(now: 1) else {
            Issue.record("not open")
            return
        }
        #expect(until >= 15 && until <= 45)
        #expect(breaker.admit(now: 100) == .probe)
        #expect(breaker.admit(now: 100) == .waitForProbe)
        breaker.failed(now: 100, using: &generator)
        #expect(breaker.cooling == 120)
        #expect(breaker.admit(now: 300) == .probe)
        breaker.succeeded()
        #expect(breaker.admit(now: 300) == .proceed)
        #expect(breaker.cooling == 30)
        #expect(breaker.failures == 0)
    }

    @Test("four failures and a success, for ever, do not open it")
    func neverFive() {
        var generator = SplitMix64(seed: 2)
        var breaker = CircuitBreaker()
        for _ in 0..<50 {
            for _ in 0..<4 { breaker.failed(now: 0, using: &generator) }
            breaker.succeeded()
        }
        #expect(breaker.state == .closed)
    }

    @Test("the pause grows to a quarter of an hour and no further")
    func longest() {
        var generator = SplitMix64(seed: 2)
        var breaker = CircuitBreaker()
        var now = 0.0
        for _ in 0..<30 {
            if case .wait(let until) = breaker.admit(now: now) { now = until }
            breaker.failed(now: now, using: &generator)
        }
        #expect(breaker.cooling == 900)
        if case .open(let until) = breaker.state { #expect(until - now <= 1350) }
    }

    @Test("failures of requests that were under way do not prolong the pause")
    func stragglers() {
        var generator = SplitMix64(seed: 2)
        var breaker = CircuitBreaker()
        for _ in 0..<5 { breaker.failed(now: 0, using: &generator) }
        let opened = breaker.state
        for _ in 0..<5 { breaker.failed(now: 10, using: &generator) }
        #expect(breaker.state == opened)
        #expect(breaker.cooling == 60)
    }

    @Test("a probe that is given up makes way for another")
    func abandoned() {
        var generator = SplitMix64(seed: 2)
        var breaker = CircuitBreaker()
        for _ in 0..<5 { breaker.failed(now: 0, using: &generator) }
        #expect(breaker.admit(now: 100) == .probe)
        breaker.probeAbandoned(now: 101)
        #expect(breaker.admit(now: 101) == .probe)
        #expect(breaker.admit(now: 101) == .waitForProbe)
    }
}

@Suite("Host gate")
struct HostGateTests {
    @Test("F20 five hundred sources on a dead host never have more than the allowed requests out")
    func deadHost() {
        var generator = SplitMix64(seed: 20)
        var gate = HostGate(gap: 0, concurrency: 2)
        var requests = 0
        var now = 0.0
        while now < 3600 {
            var admitted = 0
            for _ in 0..<500 {
                if case .proceed = gate.admit(now: now) { admitted += 1 }
            }
            #expect(admitted <= 2)
            #expect(gate.active <= 2)
            requests += admitted
            now += 5
            for _ in 0..<admitted { gate.finished(.failed, now: now, using: &generator) }
        }
        // Six until it opens, then one probe for each pause, which double from 30 s.
        #expect(requests >= 8 && requests <= 20)
    }

    @Test("requests keep the gap")
    func gap() {
        var generator = SplitMix64(seed: 1)
        var gate = HostGate(gap: 2)
        #expect(gate.admit(now: 10) == .proceed(isProbe: false))
        #expect(gate.admit(now: 10.5) == .waitForOthers)
        gate.finished(.answered, now: 11, using: &generator)
        #expect(gate.admit(now: 11) == .wait(until: 12))
        #expect(gate.admit(now: 12) == .proceed(isProbe: false))
    }

    @Test("other limits hold for the request after the last one, and keep what a 429 has made of the gap")
    func otherLimits() {
        var generator = SplitMix64(seed: 1)
        var gate = HostGate(gap: 2)
        _ = gate.admit(now: 10)
        gate.limit(gap: 6, concurrency: 2)
        #expect(gate.admit(now: 12) == .wait(until: 16))
        gate.limit(gap: 1, concurrency: 2)
        #expect(gate.admit(now: 12) == .proceed(isProbe: false))
        #expect(gate.admit(now: 20) == .waitForOthers)
        gate.finished(.throttled(retryAfter: nil), now: 20, using: &generator)
        #expect(gate.gap == 2)
        gate.limit(gap: 3, concurrency: 1)
        #expect(gate.gap == 6 && gate.ownGap == 3)
        #expect(gate.admit(now: 100) == .waitForOthers)
        // Longer than what a 429 makes of one.
        #expect(HostGate(gap: 3600).gap == 3600)
    }

    @Test("F28 Retry-After holds every source of the host, to the moment")
    func retryAfter() {
        var generator = SplitMix64(seed: 1)
        for outcome in [HostGate.Outcome.throttled(retryAfter: 120), .unavailable(retryAfter: 120)] {
            var gate = HostGate(gap: 0, concurrency: 4)
            _ = gate.admit(now: 0)
            gate.finished(outcome, now: 1, using: &generator)
            #expect(gate.admit(now: 1) == .wait(until: 121))
            #expect(gate.admit(now: 120.9) == .wait(until: 121))
            #expect(gate.admit(now: 121) == .proceed(isProbe: false))
        }
    }

    @Test("a 429 doubles the gap, and hundreds of answers bring it back")
    func throttled() {
        var generator = SplitMix64(seed: 1)
        var gate = HostGate(gap: 1)
        for _ in 0..<2 {
            gate.finished(.throttled(retryAfter: nil), now: 0, using: &generator)
        }
        #expect(gate.gap == 4)
        for _ in 0..<99 { gate.finished(.answered, now: 0, using: &generator) }
        #expect(gate.gap == 4)
        gate.finished(.answered, now: 0, using: &generator)
        #expect(abs(gate.gap - 3.6) < 1e-9)
        for _ in 0..<2000 { gate.finished(.answered, now: 0, using: &generator) }
        #expect(gate.gap == 1)
        for _ in 0..<60 { gate.finished(.throttled(retryAfter: nil), now: 0, using: &generator) }
        #expect(gate.gap == 900)
    }

    @Test("F28: a host without a gap that says how long to wait gets no gap by it, and loses any that it got")
    func noGap() {
        var generator = SplitMix64(seed: 1)
        var gate = HostGate(gap: 0)
        gate.finished(.throttled(retryAfter: 3), now: 0, using: &generator)
        #expect(gate.gap == 0)
        #expect(gate.earliest == 3)
        gate.finished(.throttled(retryAfter: nil), now: 0, using: &generator)
        #expect(gate.gap == 1)
        for _ in 0..<3000 { gate.finished(.answered, now: 0, using: &generator) }
        #expect(gate.gap == 0)
    }

    @Test("a request that is given up frees its place, and its probe")
    func abandoned() {
        var generator = SplitMix64(seed: 1)
        var gate = HostGate(gap: 0)
        for _ in 0..<5 {
            _ = gate.admit(now: 0)
            gate.finished(.failed, now: 0, using: &generator)
        }
        #expect(gate.admit(now: 100) == .proceed(isProbe: true))
        #expect(gate.admit(now: 100) == .waitForOthers)
        gate.abandoned(now: 100, isProbe: true)
        #expect(gate.admit(now: 100) == .proceed(isProbe: true))
    }
}
