// Heartbeats of many streams: when each is due, tick by tick.

import FreshetCore
import Testing

@Suite("Heartbeats")
struct HeartbeatScheduleTests {
    /// The ticks of silence after which each of 1,000 streams is due.
    private func dueTicks(interval: UInt32, isBeating: Bool) -> [UInt32] {
        let schedule = HeartbeatSchedule(interval: interval)
        return (0..<1000).map { number in
            (0...).first { schedule.isDue(after: $0, isBeating: isBeating, number: number) } ?? 0
        }
    }

    @Test("of streams that fell silent together are spread over half of the interval", arguments: [64, 100, 6400])
    func spread(interval: UInt32) {
        let ticks = self.dueTicks(interval: interval, isBeating: false)
        let byTick = Dictionary(grouping: ticks) { $0 }
        #expect(byTick.count == 32)
        #expect(byTick.values.allSatisfy { (31...32).contains($0.count) }, "as many in each part")
        #expect(ticks.max() == interval)
        #expect(ticks.min() ?? 0 <= interval / 2 + interval / 32)
        #expect(ticks.allSatisfy { $0 >= HeartbeatSchedule(interval: interval).earliest })
    }

    @Test("stay as far apart as they are: from one to the next it is the whole interval", arguments: [1, 2, 64, 6400])
    func steady(interval: UInt32) {
        #expect(Set(self.dueTicks(interval: interval, isBeating: true)) == [interval])
    }

    @Test("never come later than the interval, however short or long it is", arguments: [0, 1, 2, 3, 31, 33, .max])
    func bounds(interval: UInt32) {
        let schedule = HeartbeatSchedule(interval: interval)
        for number in [0, 1, 31, 32, .max, -1] as [Int32] {
            #expect(schedule.isDue(after: max(1, interval), isBeating: false, number: number))
            #expect(schedule.isDue(after: .max, isBeating: true, number: number))
            #expect(!schedule.isDue(after: 0, isBeating: false, number: number))
        }
        #expect(schedule.earliest >= 1)
    }
}
