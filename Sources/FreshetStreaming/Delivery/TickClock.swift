// A shard's time: coarse ticks, against which silence and stalls are counted in 32 bits.

import FreshetCore

/// Counts ticks of the monotonic clock: a 64th of the heartbeat, or less where the write time-out is short.
struct TickClock {
    private let start: Int64
    private let tickNanoseconds: Int64
    /// The tick of this turn. Wraps after 2^32 ticks: compare differences only.
    private(set) var tick: UInt32 = 0
    /// Nanoseconds of this turn on the monotonic clock.
    private(set) var now: Int64
    private var lastTick: UInt32 = 0

    /// Ticks of silence after which a heartbeat is due.
    let heartbeatTicks: UInt32
    /// Ticks without progress after which a subscriber is slow.
    let writeTicks: UInt32

    init(settings: StreamSettings, now: Int64) {
        let heartbeat = max(1_000_000, settings.heartbeat.clampedNanoseconds)
        let write = max(1_000_000, settings.writeTimeout.clampedNanoseconds)
        let tick = min(max(1_000_000, min(heartbeat / 64, write / 16)), 1_000_000_000)
        self.tickNanoseconds = tick
        self.heartbeatTicks = UInt32(clamping: max(1, heartbeat / tick))
        self.writeTicks = UInt32(clamping: max(1, write / tick))
        self.start = now
        self.now = now
    }

    /// A turn begins.
    mutating func update(_ now: Int64) {
        self.now = now
        self.tick = UInt32(truncatingIfNeeded: (self.now &- self.start) / self.tickNanoseconds)
    }

    /// Whether a tick began since this was last asked.
    mutating func hasTicked() -> Bool {
        guard self.tick != self.lastTick else { return false }
        self.lastTick = self.tick
        return true
    }

    /// Milliseconds to the next tick, or to the end of `step` nanoseconds where that is sooner; rounded up.
    func milliseconds(from now: Int64, untilNextTickOr step: Int64?) -> Int32 {
        let elapsed = now &- self.start
        let untilTick = self.tickNanoseconds - elapsed % self.tickNanoseconds
        return Int32(clamping: (min(untilTick, step ?? untilTick) + 999_999) / 1_000_000)
    }
}
