// What happened to a source in the last day, hour by hour.

/// How often something happened in each of the last 24 hours of UTC, the present one among them.
package struct HourCounts: Hashable, Sendable {
    /// How many hours are counted.
    package static let hours = 24

    /// By hour since 1970, modulo ``hours``; empty until something was counted, which for many sources never happens.
    private var counts: [UInt32] = []
    /// The latest hour in ``counts``.
    private var newest: Int64 = 0

    package init() {}

    private static func hour(_ time: WallTime) -> Int64 {
        time.milliseconds >= 0 ? time.milliseconds / 3_600_000 : 0
    }

    private static func slot(_ hour: Int64) -> Int { Int(hour % Int64(Self.hours)) }

    /// Counts one. Where the clock was set back, it counts to the latest hour.
    package mutating func add(at time: WallTime) {
        let hour = Self.hour(time)
        if self.counts.isEmpty {
            self.counts = Array(repeating: 0, count: Self.hours)
            self.newest = hour
        }
        if hour > self.newest {
            for passed in 1...min(hour - self.newest, Int64(Self.hours)) {
                self.counts[Self.slot(self.newest + passed)] = 0
            }
            self.newest = hour
        }
        let slot = Self.slot(self.newest)
        self.counts[slot] = self.counts[slot] == .max ? .max : self.counts[slot] + 1
    }

    /// The counts of 24 hours, the oldest first; the last is of the hour of `time`.
    package func values(at time: WallTime) -> [UInt32] {
        guard !self.counts.isEmpty else { return Array(repeating: 0, count: Self.hours) }
        let last = max(Self.hour(time), self.newest)
        return (0..<Int64(Self.hours)).map { index in
            let hour = last - Int64(Self.hours) + 1 + index
            let isCounted = hour >= 0 && hour <= self.newest && hour > self.newest - Int64(Self.hours)
            return isCounted ? self.counts[Self.slot(hour)] : 0
        }
    }
}
