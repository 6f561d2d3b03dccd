// What an operator may set about held streams, with the defaults that the measurements support.

import FreshetCore

/// How streams are carried: threads, time limits, and bounds on subscribers and memory.
package struct StreamSettings: Sendable {
    /// Threads that write to subscribers. Default: the number of cores.
    package var shards: Int
    /// The longest silence on a stream; then a heartbeat is sent. Default: 15 s.
    package var heartbeat: Duration = Defaults.heartbeat
    /// The reconnection delay that a client is sent, ±25 % drawn per subscriber. Default: 2 s.
    package var retry: Duration = Defaults.retry
    /// How long a subscriber may take none of the bytes that wait for it; then it is closed as `slow`. Default: 30 s.
    package var writeTimeout: Duration = Defaults.Limits.writeTimeout
    /// How long sent bytes may stay unacknowledged (TCP_USER_TIMEOUT, RFC 5482), which also bounds the silence of a
    /// peer that is gone without a word. Default: 60 s.
    package var userTimeout: Duration = .seconds(60)
    /// Bytes that the kernel may hold for one subscriber (SO_SNDBUF). Default: `nil`, the kernel decides.
    package var sendBufferBytes: Int?
    /// Bytes that the kernel may hold for one subscriber beyond those on their way (TCP_NOTSENT_LOWAT), to a segment's
    /// precision. By itself it would take megabytes for one that does not read, each copied in the time of those who
    /// do, and all of them stale when it reads again. Default: 128 KiB.
    package var unsentBytes = 128 << 10
    /// Subscribers at one time. Default: `nil`, the soft limit of open files less ``descriptorReserve(below:)``.
    package var maxSubscribers: Int?
    /// Subscribers at one time of one IPv4 address or one IPv6 /64; 0 for no bound. Loopback and unix sockets are never
    /// bounded: behind them is a proxy. Default: `nil`, a tenth of all subscribers, from 100 to 1,000 (A08).
    package var maxSubscribersPerAddress: Int?
    /// Different sets of sources that the subscribers of one such address may name; 0 for no bound. Streams of the same
    /// set share what is kept for it, so that a set costs more than a stream. Default: 256 (A08).
    package var maxSourceSetsPerAddress = Defaults.Limits.maxSourceSetsPerAddress
    /// Runs of compressed events at one time, each with a compressor of some 256 KiB, whoever reads it; above it events are
    /// compressed each by itself.
    package var maxCompressionRuns = Defaults.Limits.maxCompressionRuns
    /// Different views in all streams; 0 for no bound.
    package var maxViews = Defaults.Views.maxViews
    /// Different views in the streams of one address; 0 for no bound.
    package var maxViewsPerAddress = Defaults.Views.maxViewsPerAddress
    /// Subscribers at one time with the credential of one caller, from whatever addresses; 0 for no bound. Default: `nil`,
    /// half of all subscribers.
    package var maxSubscribersPerCaller: Int?
    /// The most events that a subscriber that is behind is given at once. Default: 64.
    package var replayBatchEvents = 64
    /// The most bytes of events that are given at once, but for a single event that is larger. Default: 256 KiB.
    package var replayBatchBytes = 256 << 10
    /// Changes that may wait for a shard. Past it the shard's subscribers read the log. Default: 4096.
    package var maxInboxDepth = 4096

    /// - Parameter shards: `nil` for one per core; at least 1, at most 256.
    package init(shards: Int? = nil) {
        self.shards = min(max(1, shards ?? SystemLimits.cores), 256)
    }

    /// Descriptors that are kept for everything but subscribers: polls, requests, files. A twentieth, 64 to 1000.
    package static func descriptorReserve(below limit: Int) -> Int {
        min(max(64, limit / 20), 1000)
    }

    /// The bound on the subscribers of one address that is in force; 0 for none.
    var effectiveMaxSubscribersPerAddress: Int {
        self.maxSubscribersPerAddress ?? min(max(100, self.effectiveMaxSubscribers / 10), 1000)
    }

    /// The bound on the subscribers of one caller that is in force; 0 for none.
    var effectiveMaxSubscribersPerCaller: Int {
        self.maxSubscribersPerCaller ?? max(1, self.effectiveMaxSubscribers / 2)
    }

    /// The bound on subscribers that is in force.
    var effectiveMaxSubscribers: Int {
        if let maxSubscribers { return max(0, maxSubscribers) }
        let limit = SystemLimits.openFiles
        return max(1, limit - Self.descriptorReserve(below: limit))
    }
}
