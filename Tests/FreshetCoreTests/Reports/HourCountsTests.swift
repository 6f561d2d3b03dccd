import Testing

@testable import FreshetCore

@Suite("Counts of the last day")
struct HourCountsTests {
    private static let hour: Int64 = 3_600_000
    /// The 500,000th hour since 1970.
    private static let start = WallTime(milliseconds: 500_000 * HourCountsTests.hour)

    private static func time(hours: Int64, minutes: Int64 = 0) -> WallTime {
        WallTime(milliseconds: self.start.milliseconds + hours * self.hour + minutes * 60_000)
    }

    @Test("nothing counted is 24 zeros")
    func empty() {
        #expect(HourCounts().values(at: Self.start) == Array(repeating: 0, count: 24))
    }

    @Test("each hour has its own count, the present one last")
    func hours() {
        var counts = HourCounts()
        for _ in 0..<3 { counts.add(at: Self.time(hours: 0, minutes: 59)) }
        counts.add(at: Self.time(hours: 1))
        counts.add(at: Self.time(hours: 3, minutes: 30))
        #expect(counts.values(at: Self.time(hours: 3)).suffix(5) == [0, 3, 1, 0, 1])
        #expect(counts.values(at: Self.time(hours: 5)).suffix(6) == [3, 1, 0, 1, 0, 0])
    }

    @Test("what is older than a day is not counted", arguments: [24, 25, 47, 48, 1000] as [Int64])
    func old(later: Int64) {
        var counts = HourCounts()
        counts.add(at: Self.start)
        #expect(counts.values(at: Self.time(hours: later)) == Array(repeating: 0, count: 24))
        counts.add(at: Self.time(hours: later))
        #expect(counts.values(at: Self.time(hours: later)).reduce(0, +) == 1)
        #expect(counts.values(at: Self.time(hours: later)).last == 1)
    }

    @Test("a clock that is set back, or before 1970, counts to the latest hour")
    func back() {
        var counts = HourCounts()
        counts.add(at: Self.time(hours: 2))
        counts.add(at: Self.start)
        counts.add(at: WallTime(milliseconds: -5))
        #expect(counts.values(at: Self.start).last == 3)
    }

    @Test("the sums are those of an oracle that keeps every moment")
    func oracle() {
        var state: UInt64 = 7
        var counts = HourCounts()
        var hours: [Int64] = []
        var now: Int64 = 0
        for _ in 0..<2000 {
            state = state &* 6_364_136_223_846_793_005 &+ 1_442_695_040_888_963_407
            now += Int64(state >> 60) < 14 ? 0 : Int64(state >> 33 & 7)
            counts.add(at: Self.time(hours: now))
            hours.append(now)
            let expected = (0..<24).map { index in UInt32(hours.count { $0 == now - 23 + index }) }
            #expect(counts.values(at: Self.time(hours: now)) == expected)
        }
    }
}
