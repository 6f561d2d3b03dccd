import System
import Testing

@testable import FreshetCore

@Suite("Interval bounds")
struct IntervalBoundsTests {
    struct Case: CustomTestStringConvertible {
        var name: String
        /// Seconds from the answer at which the schedule would poll.
        var wish = 100.0
        var bounds = IntervalBounds(minimum: 10, maximum: 600)
        var hints = PollHints()
        var expected: Double
        var reason: PollDecision.Reason
        var testDescription: String { name }
    }

    static let cases = [
        Case(name: "a wish inside the bounds stands", expected: 100, reason: .interval),
        Case(name: "too soon", wish: 3, expected: 10, reason: .minimumInterval),
        Case(name: "too late", wish: 1e6, expected: 600, reason: .maximumInterval),
        Case(name: "fresh for longer", hints: PollHints(freshFor: 250), expected: 250, reason: .freshness),
        Case(name: "fresh for less", hints: PollHints(freshFor: 50), expected: 100, reason: .interval),
        Case(name: "a negative freshness is none", hints: PollHints(freshFor: -50), expected: 100, reason: .interval),
        Case(
            name: "half a second for a cache to notice",
            hints: PollHints(freshFor: 250, cameFromCache: true),
            expected: 250.5,
            reason: .freshness
        ),
        Case(name: "freshness up to the maximum", hints: PollHints(freshFor: 1e30), expected: 600, reason: .freshness),
        Case(
            name: "freshness up to the longest hint",
            bounds: IntervalBounds(minimum: 10, maximum: 600, longestHint: 300),
            hints: PollHints(freshFor: 1e30),
            expected: 300,
            reason: .freshness
        ),
        Case(
            name: "freshness ignored on request",
            bounds: IntervalBounds(minimum: 10, maximum: 600, respectsCache: false),
            hints: PollHints(freshFor: 250),
            expected: 100,
            reason: .interval
        ),
        Case(
            name: "a revalidating cache is asked once more",
            hints: PollHints(isBeingRevalidated: true),
            expected: 10,
            reason: .revalidation
        ),
        Case(
            name: "F29 X-Poll-Interval raises the floor",
            wish: 20,
            hints: PollHints(pollInterval: 60),
            expected: 60,
            reason: .upstreamInterval
        ),
        Case(
            name: "F29 X-Poll-Interval stays within the maximum",
            hints: PollHints(pollInterval: 86_400),
            expected: 600,
            reason: .upstreamInterval
        ),
        Case(
            name: "F28 Retry-After wins over the maximum",
            hints: PollHints(freshFor: 250, retryAfter: 7200),
            expected: 7200,
            reason: .retryAfter
        ),
        Case(
            name: "F28 a short Retry-After is no reason to poll sooner",
            hints: PollHints(retryAfter: 5),
            expected: 100,
            reason: .interval
        ),
    ]

    @Test("a wish is moved by the bounds and the hints", arguments: cases)
    func decision(_ test: Case) {
        var generator = SplitMix64(seed: 1)
        let decision = test.bounds.decision(
            wish: PollDecision(at: 1000 + test.wish, reason: .interval),
            now: 1000,
            hints: test.hints,
            using: &generator
        )
        #expect(decision == PollDecision(at: 1000 + test.expected, reason: test.reason))
    }

    @Test("F29 a used-up quota is waited for, and not by all at the same moment")
    func quota() {
        let times = self.times(hints: PollHints(quotaResetsIn: 500))
        #expect(times.allSatisfy { $0.at >= 500 && $0.at <= 510 && $0.reason == .quota })
        #expect(Set(times.map(\.at)).count > 90)
    }

    @Test("R14 a used-up quota holds a source back for no longer than the maximum, Retry-After for as long as it says")
    func quotaWithinMaximum() {
        let times = self.times(hints: PollHints(quotaResetsIn: 1000))
        #expect(times.allSatisfy { $0 == PollDecision(at: 600, reason: .quota) })
        let explicit = self.times(hints: PollHints(quotaResetsIn: 1000, retryAfter: 86_400, isRetryAfterCut: true))
        #expect(explicit.allSatisfy { $0 == PollDecision(at: 86_400, reason: .retryAfterCut) })
    }

    private func times(hints: PollHints) -> [PollDecision] {
        var generator = SplitMix64(seed: 1)
        let bounds = IntervalBounds(minimum: 10, maximum: 600)
        let wish = PollDecision(at: 20, reason: .interval)
        return (0..<100).map { _ in bounds.decision(wish: wish, now: 0, hints: hints, using: &generator) }
    }

    @Test(
        "bounds that cannot hold are made to",
        arguments: [(-5.0, 20.0), (0, 0), (50, 10), (.nan, .nan), (.infinity, -.infinity), (1e30, 1e30)]
    )
    func impossible(minimum: Double, maximum: Double) {
        let bounds = IntervalBounds(minimum: minimum, maximum: maximum)
        #expect(bounds.minimum >= 0.01 && bounds.minimum <= bounds.maximum && bounds.maximum <= 1e9)
    }

    @Test("every reason has words of its own")
    func words() {
        let reasons: [PollDecision.Reason] = [
            .firstPoll, .interval, .expectedAge(following: .none), .expectedAge(following: .hourlyClock),
            .minimumInterval,
            .maximumInterval, .freshness, .revalidation, .upstreamInterval, .confirmation, .quota, .retryAfter,
            .retryAfterCut, .backoff(failures: 1),
            .backoff(failures: 7),
        ]
        #expect(Set(reasons.map(\.description)).count == reasons.count)
        #expect(reasons.allSatisfy { !$0.description.isEmpty })
    }
}
