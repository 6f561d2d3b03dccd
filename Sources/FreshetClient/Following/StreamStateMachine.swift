// Where a stream goes on, and when it is opened again.

import JSON

/// Decides how one subscription continues over any number of connections. Performs no I/O and reads no clock.
struct StreamStateMachine: Sendable {
    /// With what a connection begins.
    enum Opening: Hashable, Sendable {
        case snapshot
        /// `latest` or `earliest`.
        case keyword(String)
        /// After the last event that arrived.
        case cursor(FreshetClient.Cursor)
    }

    /// What the head of an answer means.
    enum HeadAction: Hashable, Sendable {
        case read
        /// The gateway has nothing more for this subscription, today and later (204).
        case end
        /// Trying again does not help.
        case refuse
        /// Trying again may help.
        case retry
    }

    /// What to do with an event.
    enum EventAction: Hashable, Sendable {
        case deliver
        /// It was delivered before.
        case ignore
    }

    private enum Place: Sendable {
        /// Nothing that moves the cursor has arrived.
        case start(FreshetClient.Start)
        case cursor(FreshetClient.Cursor)
    }

    private var place: Place
    private let maxDelay: Duration
    private var retry = Self.defaultRetry
    private var heartbeat = Self.defaultHeartbeat
    /// Connections in a row that did not come to their first event.
    private var failures = 0
    /// The gateway's last word on this connection, from its `bye`.
    private var closing: String?
    /// Whether a connection moved the cursor since the client last came back at once.
    private var hasMoved = true
    /// Whether the first event of this connection has arrived.
    private(set) var isLive = false

    /// What the gateway's `retry` is by default.
    static let defaultRetry = Duration.seconds(2)
    /// The longest wait that a gateway can ask for.
    static let maxRequestedDelay = Duration.seconds(300)
    private static let defaultHeartbeat = Duration.seconds(15)

    init(start: FreshetClient.Start, maxDelay: Duration) {
        self.place = .start(start)
        self.maxDelay = maxDelay
    }

    /// The cursor of the last event that moved it.
    var cursor: FreshetClient.Cursor? {
        if case .cursor(let cursor) = self.place { cursor } else { nil }
    }

    /// The silence after which a connection counts as broken: two and a half heartbeats, and five seconds for the network.
    var maxSilence: Duration { self.heartbeat * 5 / 2 + .seconds(5) }

    /// A connection begins.
    mutating func opening() -> Opening {
        self.isLive = false
        self.closing = nil
        switch self.place {
        case .start(.snapshot): return .snapshot
        case .start(.latest): return .keyword("latest")
        case .start(.earliest): return .keyword("earliest")
        case .start(.after(let cursor)), .cursor(let cursor): return .cursor(cursor)
        }
    }

    /// The head of an answer arrived.
    func answered(status: Int) -> HeadAction {
        switch status {
        case 200: .read
        case 204: .end
        // Not a refusal of the request as such: later it may be answered.
        case 408, 425, 429: .retry
        case 300..<500: .refuse
        default: .retry
        }
    }

    /// The gateway says how long to wait before the stream is opened again (WHATWG HTML §9.2.6).
    mutating func retryReceived(_ retry: Duration) {
        self.retry = min(max(retry, .milliseconds(1)), Self.maxRequestedDelay)
    }

    /// An event arrived.
    mutating func received(_ event: StreamInput) -> EventAction {
        self.isLive = true
        self.failures = 0
        switch event.name {
        case "hello":
            let data = event.data.root
            if let seconds = data["heartbeat"]?.double, seconds > 0 {
                self.heartbeat = .milliseconds(Int(min(seconds, 3600) * 1000))
            }
            // Of a stream that begins with the next change, this is the place before it.
            if case .start(.latest) = self.place, let cursor = Self.cursor(data["cursor"]?.string) {
                self.place = .cursor(cursor)
            }
        case "bye": self.closing = event.data.root["reason"]?.string ?? ""
        // What follows is not after the old place.
        case "gap": self.place = .start(.snapshot)
        default: break
        }
        guard let id = event.id else { return .deliver }
        // 0 is "nothing yet".
        if let cursor, id.sequence > 0, cursor.reaches(id) == true { return .ignore }
        self.place = .cursor(id)
        self.hasMoved = true
        return .deliver
    }

    private static func cursor(_ text: String?) -> FreshetClient.Cursor? { text.flatMap { FreshetClient.Cursor($0) } }

    /// What is held cannot be continued, because the consumer lags or a change does not fit: the next connection begins with
    /// snapshots.
    mutating func restart() {
        self.place = .start(.snapshot)
    }

    /// The connection ended, or could not be opened.
    ///
    /// - Parameters:
    ///   - requested: What the answer's `Retry-After` says.
    ///   - chance: Between 0 and 1.
    /// - Returns: How long to wait before the next one.
    mutating func closed(requested: Duration? = nil, chance: Double) -> Duration {
        let wasLive = self.isLive
        self.isLive = false
        switch self.closing {
        // A new credential, or an empty buffer: nothing to wait for, unless that led nowhere.
        case "expired" where wasLive && self.hasMoved, "slow" where wasLive && self.hasMoved:
            self.hasMoved = false
            return .zero
        // The gateway spreads its clients by the `retry` that it sends along.
        case .some where wasLive: return self.retry
        default: break
        }
        let longest = min(self.retry * (1 << min(self.failures, 16)), max(self.maxDelay, self.retry))
        if !wasLive { self.failures += 1 }
        let backOff = longest * chance
        return min(requested ?? .zero, Self.maxRequestedDelay) + backOff
    }

    /// Why the gateway closed the connection, where it said so.
    var closingReason: String? { self.closing }
}
