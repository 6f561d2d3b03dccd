import HTTPFields
import JSON
import Testing

@testable import FreshetCore

@Suite("The grid of polls")
struct PollGridTests {
    private static func schedule(_ interval: Duration) -> PollSchedule {
        var configuration = SourceConfiguration(name: "a", url: "http://a.example/")
        configuration.interval = .fixed(interval)
        let now = MonotonicTime(nanoseconds: 0)
        return PollSchedule(configuration: configuration, phase: 0, now: now, wall: WallTime(milliseconds: 0))
    }

    /// In milliseconds.
    private static func next(_ schedule: inout PollSchedule, start: Duration, answer: Duration) -> Int64 {
        var random = SystemRandomNumberGenerator()
        let zero = MonotonicTime(nanoseconds: 0)
        schedule.started(now: zero + start)
        let plan = schedule.responseReceived(
            changed: false,
            waiting: nil,
            freshness: ResponseFreshness(fields: [], wallNow: 0),
            price: PollPrice(),
            now: zero + answer,
            using: &random
        )
        return (plan.at.nanoseconds + 500_000) / 1_000_000
    }

    @Test("a poll that begins a moment too early has made that of its point, however fast the answer is")
    func early() {
        var schedule = Self.schedule(.milliseconds(500))
        let answer = Self.next(&schedule, start: .microseconds(999_100), answer: .microseconds(999_500))
        #expect(answer == 1500)
        // Between two points, the next one counts.
        #expect(Self.next(&schedule, start: .milliseconds(700), answer: .milliseconds(701)) == 1000)
        #expect(Self.next(&schedule, start: .milliseconds(1000), answer: .milliseconds(1800)) == 2000)
        var short = Self.schedule(.milliseconds(10))
        #expect(Self.next(&short, start: .microseconds(19_500), answer: .microseconds(19_700)) == 30)
        #expect(Self.next(&short, start: .microseconds(18_500), answer: .microseconds(18_700)) == 20)
    }

    @Test("a process that begins after another goes on with its points")
    func resumed() {
        let schedule = Self.schedule(.seconds(10))
        let zero = MonotonicTime(nanoseconds: 0)
        #expect(schedule.resumed(now: zero + .seconds(23))?.at == zero + .seconds(30))
        #expect(schedule.resumed(now: zero + .seconds(30))?.at == zero + .seconds(40))
    }
}
