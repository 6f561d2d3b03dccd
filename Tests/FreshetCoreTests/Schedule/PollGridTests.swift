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

    @Test("a process that begins after another goes on with its points")
    func resumed() {
        let schedule = Self.schedule(.seconds(10))
        let zero = MonotonicTime(nanoseconds: 0)
        #expect(schedule.resumed(now: zero + .seconds(23))?.at == zero + .seconds(30))
        #expect(schedule.resumed(now: zero + .seconds(30))?.at == zero + .seconds(40))
    }
}
