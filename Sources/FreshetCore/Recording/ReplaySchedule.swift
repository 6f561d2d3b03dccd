// Which version of a recording is served when.

/// The times of a recording's versions, at a speed of choice.
package struct ReplaySchedule: Hashable, Sendable {
    /// When each version begins, from the start of the replay; rising, the first is zero.
    private let starts: [Duration]

    /// The speeds that make sense: 1 is that of the recording.
    package static let speeds = 0.001...1e9

    /// - Parameters:
    ///   - index: A time that lies before an earlier version's counts as that one's.
    ///   - speed: How many times faster than it was recorded; brought into ``speeds``.
    package init(_ index: RecordingIndex, speed: Double) {
        let speed = min(max(speed, Self.speeds.lowerBound), Self.speeds.upperBound)
        let first = index.versions.first?.at.milliseconds ?? 0
        var latest = 0.0
        self.starts = index.versions.map { version in
            // As doubles, which cannot overflow.
            latest = max(latest, (Double(version.at.milliseconds) - Double(first)) / 1000)
            return Duration(clampingSeconds: latest / speed)
        }
    }

    /// How long it takes until the last version is served.
    package var length: Duration { self.starts.last ?? .zero }

    /// The number, from 0, of the version that is served so long after the start; the last one for ever.
    package func version(after elapsed: Duration) -> Int {
        var (low, high) = (0, self.starts.count)
        while low < high {
            let middle = low + (high - low) / 2
            if self.starts[middle] <= elapsed { low = middle + 1 } else { high = middle }
        }
        return max(0, low - 1)
    }
}
