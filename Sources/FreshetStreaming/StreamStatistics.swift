// Figures of the streaming room: for metrics, and for the list of subscribers that an administrator sees.

package import FreshetCore
import Synchronization
package import System

/// Why a stream ended.
package enum StreamEnd: Hashable, Sendable {
    /// By the server; where the socket could take it, `bye` said why.
    case told(CloseReason)
    /// By the client, or by the network.
    case gone
    /// The client kept sending on a connection that only carries a stream.
    case talkative
    /// The kernel refused to watch the connection.
    case failed

    /// A name for metrics.
    package var name: String {
        switch self {
        case .told(let reason): reason.rawValue
        case .gone: "gone"
        case .talkative: "talkative"
        case .failed: "failed"
        }
    }

    static let all: [StreamEnd] = CloseReason.allCases.map(StreamEnd.told) + [.gone, .talkative, .failed]

    /// The place in ``all``.
    var index: Int {
        switch self {
        case .told(let reason): CloseReason.allCases.firstIndex(of: reason) ?? 0
        case .gone: CloseReason.allCases.count
        case .talkative: CloseReason.allCases.count + 1
        case .failed: CloseReason.allCases.count + 2
        }
    }
}

/// Totals over all shards since the start; ``subscribers``, ``blocked`` and ``inboxDepth`` are of this moment.
package struct StreamStatistics: Sendable {
    package var subscribers = 0
    /// Subscribers that are behind: waiting for their socket, or being fed from the log.
    package var blocked = 0
    /// Changes and snapshots that were handed to the kernel, counted per subscriber.
    package var eventsDelivered: UInt64 = 0
    package var bytesSent: UInt64 = 0
    /// Calls of `send`.
    package var sends: UInt64 = 0
    /// Events that left together with one before them, so that they cost no `send` of their own.
    package var framesCoalesced: UInt64 = 0
    /// From a change being readable to its bytes being with the kernel, for all subscribers who were caught up; counted
    /// per subscriber and event. Those who are behind are not in it: they take as long as their sockets do.
    package var deliveryLatency = StreamStatistics.emptyLatency
    /// Times that the log was read for subscribers that are behind; those who stand at one place share a reading.
    package var logReads: UInt64 = 0
    /// Bytes of compressed streams, the events of each reader, before and after. What several are sent from the log in one
    /// turn is counted once.
    package var plainBytes: UInt64 = 0
    package var codedBytes: UInt64 = 0
    /// Runs of compressed events, of this moment: see ``RunLedger``.
    package var compressionRuns = 0
    /// Times that there was no room for a run.
    package var compressionRunsRefused: UInt64 = 0
    /// Times that a run began anew.
    package var compressionJoinPoints: UInt64 = 0
    /// Readers that a run took in when it began anew.
    package var compressionJoins: UInt64 = 0
    /// Pieces that readers were sent by themselves because their run had not begun anew yet.
    package var compressionWaits: UInt64 = 0
    /// Notices that wait for their shard.
    package var inboxDepth = 0
    /// Times that a shard's inbox was full, so that its subscribers read the log instead.
    package var inboxOverflows: UInt64 = 0
    /// Ended streams by ``StreamEnd/name``, every name present.
    package var closes: [String: UInt64] = [:]
    /// Refused subscribers by reason.
    package var refusals: [RefusalReason: UInt64] = [:]

    package init() {}

    static let emptyLatency = DurationHistogram(
        bounds: [0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10]
    )
}

/// One subscriber as an administrator sees it.
package struct SubscriberReport: Sendable {
    package enum State: String, Sendable {
        /// Caught up.
        case live
        /// Its socket is full, or it is being fed from the log.
        case behind
        /// Told `bye`, and not yet gone.
        case closing
    }

    package var id: SubscriberID
    package var peer: PeerAddress
    /// The caller's id; `nil` for anonymous ones.
    package var subject: String?
    package var sources: [SourceID]
    package var format: StreamFormat
    /// The sequence of the last event that was handed to the kernel, perhaps in part.
    package var sequence: UInt64
    package var state: State
    /// Events that wait for its connection, perhaps with the head of the answer and what ends the stream: a beginning,
    /// snapshots, or the rest of one. Never events of the log.
    package var unsentFrames: Int
    /// When the stream was taken over.
    package var since: WallTime
}

/// Names one subscriber as long as it is connected, and none after.
package struct SubscriberID: Hashable, Sendable, LosslessStringConvertible {
    let rawValue: UInt64

    /// Of the key's generation the low 24 bits count.
    init(shard: Int, key: SlotKey) {
        let low = UInt64(UInt32(bitPattern: key.index))
        self.rawValue = UInt64(UInt8(truncatingIfNeeded: shard)) << 56 | UInt64(key.generation & 0xFF_FFFF) << 32 | low
    }

    var shard: Int { Int(self.rawValue >> 56) }
    var generation: UInt32 { UInt32(truncatingIfNeeded: self.rawValue >> 32) & 0xFF_FFFF }
    var slot: Int32 { Int32(truncatingIfNeeded: self.rawValue) }

    /// Base 36, at most 13 characters of `[0-9a-z]`.
    package var description: String { String(self.rawValue, radix: 36) }

    /// `nil` for what ``description`` never writes, such as a sign.
    package init?(_ description: String) {
        guard let value = UInt64(description, radix: 36), String(value, radix: 36) == description else { return nil }
        self.rawValue = value
    }
}

/// What one shard counts for all to read. Written once per turn by its thread, read by any.
package final class ShardCounters: Sendable {
    private let subscribers = Atomic<Int>(0)
    private let blocked = Atomic<Int>(0)
    private let delivered = Atomic<UInt64>(0)
    private let bytes = Atomic<UInt64>(0)
    private let sends = Atomic<UInt64>(0)
    private let coalesced = Atomic<UInt64>(0)
    private let latency = Mutex(StreamStatistics.emptyLatency)
    private let logReads = Atomic<UInt64>(0)
    private let plainBytes = Atomic<UInt64>(0)
    private let codedBytes = Atomic<UInt64>(0)
    private let joinPoints = Atomic<UInt64>(0)
    private let compressionJoins = Atomic<UInt64>(0)
    private let compressionWaits = Atomic<UInt64>(0)
    private let closes = Mutex<[UInt64]>(Array(repeating: 0, count: StreamEnd.all.count))

    package init() {}

    /// Notes how many there are.
    func set(subscribers: Int, blocked: Int) {
        self.subscribers.store(subscribers, ordering: .relaxed)
        self.blocked.store(blocked, ordering: .relaxed)
    }

    /// Notes that a stream ended.
    func count(_ end: StreamEnd) {
        self.closes.withLock { $0[end.index] += 1 }
    }

    /// Notes how long a group's members waited for these events.
    func delivered(_ events: UInt64, after latency: Duration) {
        guard events > 0 else { return }
        self.latency.withLock { $0.observe(latency, times: events) }
    }

    /// Notes what a turn sent.
    func add(_ tally: ShardTally) {
        self.delivered.add(tally.delivered, ordering: .relaxed)
        self.bytes.add(tally.bytes, ordering: .relaxed)
        self.sends.add(tally.sends, ordering: .relaxed)
        self.coalesced.add(tally.coalesced, ordering: .relaxed)
        self.logReads.add(tally.logReads, ordering: .relaxed)
        guard tally.plainBytes > 0 else { return }
        self.plainBytes.add(tally.plainBytes, ordering: .relaxed)
        self.codedBytes.add(tally.codedBytes, ordering: .relaxed)
        self.joinPoints.add(tally.joinPoints, ordering: .relaxed)
        self.compressionJoins.add(tally.compressionJoins, ordering: .relaxed)
        self.compressionWaits.add(tally.compressionWaits, ordering: .relaxed)
    }

    /// Adds this shard's figures.
    func add(to statistics: inout StreamStatistics) {
        statistics.subscribers += self.subscribers.load(ordering: .relaxed)
        statistics.blocked += self.blocked.load(ordering: .relaxed)
        statistics.eventsDelivered += self.delivered.load(ordering: .relaxed)
        statistics.bytesSent += self.bytes.load(ordering: .relaxed)
        statistics.sends += self.sends.load(ordering: .relaxed)
        statistics.framesCoalesced += self.coalesced.load(ordering: .relaxed)
        statistics.deliveryLatency.add(self.latency.withLock { $0 })
        statistics.logReads += self.logReads.load(ordering: .relaxed)
        statistics.plainBytes += self.plainBytes.load(ordering: .relaxed)
        statistics.codedBytes += self.codedBytes.load(ordering: .relaxed)
        statistics.compressionJoinPoints += self.joinPoints.load(ordering: .relaxed)
        statistics.compressionJoins += self.compressionJoins.load(ordering: .relaxed)
        statistics.compressionWaits += self.compressionWaits.load(ordering: .relaxed)
        let closes = self.closes.withLock { $0 }
        for (end, count) in zip(StreamEnd.all, closes) {
            statistics.closes[end.name, default: 0] += count
        }
    }
}

/// What a shard counts for itself during a turn, without atomics.
struct ShardTally {
    var delivered: UInt64 = 0
    var bytes: UInt64 = 0
    var sends: UInt64 = 0
    var coalesced: UInt64 = 0
    var logReads: UInt64 = 0
    /// As ``StreamStatistics/plainBytes``.
    var plainBytes: UInt64 = 0
    var codedBytes: UInt64 = 0
    var joinPoints: UInt64 = 0
    var compressionJoins: UInt64 = 0
    var compressionWaits: UInt64 = 0

    /// Makes the figures visible and starts anew.
    mutating func publish(to counters: ShardCounters) {
        guard self.sends > 0 || self.delivered > 0 || self.logReads > 0 || self.plainBytes > 0 else { return }
        counters.add(self)
        self = ShardTally()
    }
}
