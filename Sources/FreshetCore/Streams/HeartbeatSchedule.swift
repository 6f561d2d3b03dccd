// When a silent stream is sent a heartbeat: after an event thousands fall silent together, and must not beat together.

/// Decides in ticks, of whatever length, which streams are due.
///
/// The first heartbeat after an event comes early by up to half of the interval, by the stream's number, and the next
/// ones stay as far apart as that: no stream is ever silent for longer than the interval.
package struct HeartbeatSchedule: Hashable, Sendable {
    /// Ticks that a stream may be silent, at least 1.
    private let interval: UInt32

    /// - Parameter interval: Ticks that a stream may be silent; 0 counts as 1.
    package init(interval: UInt32) {
        self.interval = max(1, interval)
    }

    /// Streams fall into so many parts, each with a time of its own.
    package static let parts: UInt32 = 32

    /// Ticks of silence before which no stream is due.
    package var earliest: UInt32 { self.interval - self.interval / 2 }

    /// Whether a stream is due that was sent nothing for `silence` ticks. `isBeating` says that what it was sent last
    /// was a heartbeat; `number` is the stream's own, such as its slot: neighbours get different times.
    package func isDue(after silence: UInt32, isBeating: Bool, number: Int32) -> Bool {
        guard silence < self.interval else { return true }
        guard !isBeating else { return false }
        let part = UInt64(UInt32(bitPattern: number) % Self.parts)
        let early = UInt64(self.interval / 2) * part / UInt64(Self.parts)
        return UInt64(silence) >= UInt64(self.interval) - early
    }
}
