// What a client of HTTP/2 may do, and how often (FAULTS S28).

/// Bounds of one connection.
package struct HTTP2Limits: Sendable {
    /// Streams at one time (SETTINGS_MAX_CONCURRENT_STREAMS).
    package var maxStreams = 256
    /// Of the fields of a request, each with 32 bytes more (SETTINGS_MAX_HEADER_LIST_SIZE).
    package var maxFieldBytes = 16 << 10
    package var maxFields = 100
    /// CONTINUATION frames of one header block.
    package var maxContinuations = 8
    /// Of all bodies that are kept.
    package var maxBodyBytes = 16 << 20
    /// Of what follows a body that is too long, or is not wanted.
    package var maxDroppedBytes = 16 << 20
    /// Frames of one kind that may come at once, beside what they are a consequence of, and how many more a second.
    package var burst = 100
    package var perSecond = 20
    /// WINDOW_UPDATEs that may come for each DATA frame that is sent, beside those.
    package var windowUpdatesPerFrame = 2
    /// Bytes that are made ready for the socket before more is asked of streams.
    package var maxOutputBytes = 64 << 10

    package init() {}
}

/// What a client did too often, and by which its connection ended with ENHANCE_YOUR_CALM. A closed list, for metrics.
package enum HTTP2Overrun: String, CaseIterable, Hashable, Sendable {
    /// Streams that were opened and reset, or refused (CVE-2023-44487).
    case resets
    case settings
    case pings
    case priorities
    case windowUpdates = "window_updates"
    /// DATA frames without data.
    case emptyData = "empty_data"
    /// Frames of kinds that are not known.
    case unknown
    /// A header block in more frames than are taken.
    case continuations
    /// Bodies that together are longer than is taken.
    case bodies
}

/// A token bucket for frames of one kind.
struct FrameBudget {
    private var tokens: Double
    private var last: Int64
    private let burst: Double
    private let perNanosecond: Double

    init(_ limits: HTTP2Limits, now: Int64) {
        self.burst = Double(limits.burst)
        self.tokens = self.burst
        self.perNanosecond = Double(limits.perSecond) / 1e9
        self.last = now
    }

    /// Gives some back, for frames that were called for.
    mutating func credit(_ count: Int) {
        self.tokens = min(self.burst * 10, self.tokens + Double(count))
    }

    /// Counts one frame.
    ///
    /// - Returns: Whether it is one too many.
    mutating func overruns(now: Int64) -> Bool {
        if self.tokens < self.burst {
            self.tokens = min(self.burst, self.tokens + Double(max(0, now &- self.last)) * self.perNanosecond)
        }
        self.last = now
        self.tokens -= 1
        return self.tokens < 0
    }
}
