// What is given up when memory runs short, in the order of what it costs others.

import CLinux
import FreshetCore
import FreshetHTTP
import FreshetStreaming
import Logging
import Synchronization

/// Acts on the memory pressure: ends answers that are not read, refuses new streams, drops events from memory, and
/// then the streams of those who are behind (FAULTS F77). Polling goes on in any case.
final class MemoryRelief: Sendable {
    private let watch: MemoryWatch
    private let hub: Hub
    private let streams: StreamServer
    private let unread: UnreadAnswers
    private let logger: Logger
    private let state = Mutex(State())

    struct State: Sendable {
        var pressure = MemoryPressure.none
        var reading = MemoryWatch.Reading(used: 0, limit: 0)
        /// Streams ended for it.
        var ended: UInt64 = 0
    }

    /// The most streams that are ended at one time; one of 20 of those that are behind, and one at least.
    private static let maxEnded = 1000
    private static let share = 20

    init(watch: MemoryWatch, hub: Hub, streams: StreamServer, unread: UnreadAnswers, logger: Logger) {
        self.watch = watch
        self.hub = hub
        self.streams = streams
        self.unread = unread
        self.logger = logger
    }

    /// As of the last ``relieve()``.
    var figures: State { self.state.withLock { $0 } }

    /// Measures, and gives up what is to be given up. Called every second or so, by one task.
    func relieve() async {
        let reading = self.watch.reading
        let (before, pressure) = self.state.withLock { state in
            let before = state.pressure
            state.pressure = before.next(used: reading.used, limit: reading.limit)
            state.reading = reading
            return (before, state.pressure)
        }
        if before != pressure { self.log(pressure, reading) }
        self.streams.setMemoryPressure(pressure)
        if pressure == .elevated, self.unread.endStalled() > 0 { clinux_trim_heap() }
        if pressure >= .high {
            self.hub.shrinkCache(to: self.hub.statistics.cacheBytes / 2)
            // An answer can be had again, a stream goes on: so answers end first, and streams only where no answer did.
            let ended = pressure >= .critical ? self.unread.endAll() : self.unread.endStalled()
            if ended == 0, pressure >= .critical { await self.endSlowest() }
            // What was freed in small pieces goes back to the system only when asked for.
            clinux_trim_heap()
        }
    }

    private func log(_ pressure: MemoryPressure, _ reading: MemoryWatch.Reading) {
        let metadata: Logger.Metadata = ["used": "\(reading.used)", "limit": "\(reading.limit)"]
        switch pressure {
        case .none: self.logger.notice("memory has recovered: accepting new streams", metadata: metadata)
        case .elevated:
            self.logger.warning(
                "memory is low: aborting unread answers, and admitting one stream per address",
                metadata: metadata
            )
        case .high:
            self.logger.warning(
                "memory is low: refusing new streams and dropping events from memory",
                metadata: metadata
            )
        case .critical:
            self.logger.error(
                "memory is low: aborting unread answers, then streams that lag behind",
                metadata: metadata
            )
        }
    }

    /// Those that have read least.
    private func endSlowest() async {
        let behind = await self.streams.subscribers(limit: .max).filter { $0.state == .behind }
        let slowest = behind.sorted { $0.sequence < $1.sequence }
            .prefix(min(Self.maxEnded, max(1, behind.count / Self.share)))
        for subscriber in slowest where await self.streams.close(subscriber.id, reason: .slow) {
            self.state.withLock { $0.ended += 1 }
        }
    }
}
