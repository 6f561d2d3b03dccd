// What administrators see of endpoints, and do with them.

/// How an endpoint stands at one moment.
package struct WebhookStanding: Hashable, Sendable {
    package var state: WebhookStateMachine.State
    /// Active, and something was refused and is not delivered since.
    package var isFailing = false
    /// When the state was entered.
    package var since: WallTime
    package var cursor: Cursor
    /// By how many positions the cursor is behind the log, of whatever sources they are.
    package var lag: UInt64 = 0
    package var inFlight = 0
    package var refused = 0
    package var ahead = 0
    /// Messages that were delivered, and gaps, since the start of the process.
    package var delivered: UInt64 = 0
    package var gaps: UInt64 = 0
    /// When the next message is sent that was refused.
    package var nextRetry: WallTime?
    /// The last ones, the oldest first.
    package var tries: [WebhookTryReport] = []

    package init(state: WebhookStateMachine.State, since: WallTime, cursor: Cursor) {
        self.state = state
        self.since = since
        self.cursor = cursor
    }

    /// That of an endpoint while the log stands at `head`.
    package init(_ machine: WebhookStateMachine, head: Cursor, nextRetry: WallTime?) {
        self.init(state: machine.state, since: machine.stateSince, cursor: machine.cursor)
        self.isFailing = machine.state == .active && machine.isFailing
        self.lag = head.sequence - min(head.sequence, machine.cursor.sequence)
        self.inFlight = machine.inFlightCount
        self.refused = machine.refusedCount
        self.ahead = machine.aheadCount
        self.delivered = machine.figures.tries[.delivered] ?? 0
        self.gaps = machine.figures.gaps
        self.nextRetry = nextRetry
        self.tries = machine.tries
    }

    /// That of an endpoint of which only the row is known.
    package init(_ row: WebhookRow, head: Cursor) {
        self.init(state: row.state, since: row.since, cursor: row.cursor)
        self.isFailing = row.state == .active && !row.refused.isEmpty
        self.lag = head.sequence - min(head.sequence, row.cursor.sequence)
        self.refused = row.refused.count
        self.ahead = row.ahead.count
        self.nextRetry = row.refused.map(\.due).min { $0.milliseconds < $1.milliseconds }
    }

    /// `active`, `failing`, `paused`, `disabled`.
    package var text: String { self.isFailing ? "failing" : self.state.rawValue }
}

/// An endpoint, for administrators.
package struct WebhookReport: Sendable {
    package var configuration: WebhookConfiguration
    package var standing: WebhookStanding
    /// The gateway of a cluster that sends to it; `nil` for a gateway that is alone, and where there is none.
    package var owner: String?

    package init(_ configuration: WebhookConfiguration, _ standing: WebhookStanding, owner: String? = nil) {
        self.configuration = configuration
        self.standing = standing
        self.owner = owner
    }
}

/// What administrators do with endpoints. Any thread; `nil` where there is no endpoint of the name.
///
/// - Throws: ``UpstreamError`` where another gateway is to do it, and none can be asked.
package protocol WebhookControl: AnyObject, Sendable {
    /// Every endpoint, in the order of the configuration.
    func reports() async -> [WebhookReport]
    func pause(_ name: String) async throws(UpstreamError) -> WebhookReport?
    /// Sends at once what waits for its next try, too.
    func resume(_ name: String) async throws(UpstreamError) -> WebhookReport?
    /// Sends a message of the kind `test` once, whatever the state of the endpoint, and returns how that ended.
    func test(_ name: String) async throws(UpstreamError) -> WebhookTryReport?
}
