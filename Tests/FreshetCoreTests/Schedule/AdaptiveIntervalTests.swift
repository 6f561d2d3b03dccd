import System
import Testing

@testable import FreshetCore

/// The behaviours that the policy's reference states, on a virtual clock that starts at 0.
@Suite("Adaptive interval")
struct AdaptiveIntervalTests {
    private struct Run {
        var polls: [Double] = []
        /// From each change to the poll that saw it.
        var delays: [Double] = []
        var gaps: [Double] { zip(polls.dropFirst(), polls).map { $0 - $1 } }
        var meanDelay: Double { delays.reduce(0, +) / Double(max(1, delays.count)) }
    }

    /// Polls a source that changes at `changes` until `end`.
    private func run(
        changes: [Double],
        until end: Double,
        theta: Double,
        bounds: IntervalBounds = IntervalBounds(),
        weight: Double = 1,
        hints: PollHints = PollHints()
    ) -> Run {
        var generator = SplitMix64(seed: 3)
        var source = AdaptiveInterval(model: Haze(now: 0), bounds: bounds, weight: weight)
        var now = source.firstPoll(now: 0, using: &generator).at
        var seen = 0
        var run = Run()
        while now < end {
            run.polls.append(now)
            let before = seen
            while seen < changes.count, changes[seen] <= now {
                run.delays.append(now - changes[seen])
                seen += 1
            }
            let decision = source.responseReceived(
                now: now,
                changed: seen > before,
                theta: theta,
                hints: hints,
                using: &generator
            )
            now = decision.at
        }
        return run
    }

    private static let day = 86_400.0
    private static let everyFiftySeconds = (0..<2000).map { Double($0) * 50 }

    @Test("a dead source costs few polls and is never left for longer than the maximum")
    func deadSource() {
        let run = run(changes: [], until: 30 * Self.day, theta: 60, bounds: IntervalBounds(maximum: 21_600))
        #expect(run.gaps.allSatisfy { $0 <= 21_600.01 })
        #expect(run.polls.count <= 300)
        // The reference makes 233. Far fewer would mean that a change goes unseen.
        #expect(run.polls.count >= 200)
    }

    @Test("polls are never closer than the minimum, even of a source that changes faster")
    func minimum() {
        let changes = (0..<20_000).map { Double($0) * 5 }
        let run = run(changes: changes, until: Self.day, theta: 1, bounds: IntervalBounds(minimum: 30))
        #expect(run.gaps.allSatisfy { $0 >= 30 })
        #expect(run.gaps.contains { $0 < 40 })
    }

    @Test("a fresh answer holds the next poll back")
    func freshness() {
        let run = run(changes: Self.everyFiftySeconds, until: Self.day, theta: 5, hints: PollHints(freshFor: 300))
        #expect(run.gaps.allSatisfy { $0 >= 300 })
    }

    @Test("an absurd max-age cannot starve a source")
    func absurdFreshness() {
        let run = run(
            changes: Self.everyFiftySeconds,
            until: Self.day,
            theta: 5,
            bounds: IntervalBounds(maximum: 600),
            hints: PollHints(freshFor: 1e9)
        )
        #expect(run.gaps.allSatisfy { $0 <= 600.01 })
        #expect(run.polls.count > 100)
    }

    @Test("Retry-After wins over the maximum")
    func retryAfter() {
        let run = run(
            changes: Self.everyFiftySeconds,
            until: Self.day,
            theta: 5,
            bounds: IntervalBounds(maximum: 600),
            hints: PollHints(retryAfter: 3600)
        )
        #expect(run.polls.count > 10)
        #expect(run.gaps.allSatisfy { $0 >= 3600 })
    }

    @Test("sixteen times the weight is about four times the polls")
    func weight() {
        var generator = SplitMix64(seed: 5)
        var changes: [Double] = []
        var time = 0.0
        while time < 20 * Self.day {
            time -= 3600 * Elementary.log(1 - Double.random(in: 0..<1, using: &generator))
            changes.append(time)
        }
        let light = run(changes: changes, until: 20 * Self.day, theta: 100)
        let heavy = run(changes: changes, until: 20 * Self.day, theta: 100, weight: 16)
        let ratio = Double(heavy.polls.count) / Double(light.polls.count)
        #expect(ratio > 2.5 && ratio < 5)
        #expect(heavy.meanDelay < light.meanDelay / 2)
    }

    @Test("a source that wakes after twenty silent days is soon followed closely")
    func wakeUp() {
        let changes = (0..<500).map { 20 * Self.day + 300 * Double($0) }
        let run = run(changes: changes, until: 22 * Self.day, theta: 60, bounds: IntervalBounds(maximum: 3600))
        let later = run.delays.dropFirst(20)
        #expect(run.delays[0] <= 3600)
        #expect(later.reduce(0, +) / Double(later.count) < 120)
    }

    @Test("failures back off inside their bounds, and a success ends it")
    func failures() {
        var generator = SplitMix64(seed: 1)
        var source = AdaptiveInterval(model: Haze(now: 0))
        var now = 0.0
        for failures in 1..<15 {
            let decision = source.pollFailed(now: now, using: &generator)
            let delay = decision.at - now
            #expect(delay >= 10 && delay <= max(10, min(3600, 10 * Double(1 << failures))))
            #expect(decision.reason == .backoff(failures: failures))
            now = decision.at
        }
        let asked = source.pollFailed(now: now, retryAfter: 5000, using: &generator)
        #expect(asked == PollDecision(at: now + 5000, reason: .retryAfter))
        let refused = source.pollFailed(now: now, longestDelay: 60, using: &generator)
        #expect(refused.at - now <= 60)
        _ = source.responseReceived(now: now + 6000, changed: false, theta: 60, using: &generator)
        #expect(source.failures == 0)
    }

    @Test("the first poll is spread over at most a minute, and six minima")
    func firstPoll() {
        var generator = SplitMix64(seed: 8)
        let slow = AdaptiveInterval(model: Haze(now: 100))
        let quick = AdaptiveInterval(model: Haze(now: 100), bounds: IntervalBounds(minimum: 0.5))
        let slowTimes = (0..<200).map { _ in slow.firstPoll(now: 100, using: &generator).at }
        let quickTimes = (0..<200).map { _ in quick.firstPoll(now: 100, using: &generator).at }
        #expect(slowTimes.allSatisfy { $0 >= 100 && $0 < 160 })
        #expect(Set(slowTimes).count > 190)
        #expect(quickTimes.allSatisfy { $0 >= 100 && $0 < 103 })
    }
}
