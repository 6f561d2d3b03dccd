// How often the subscribers of a source are sent its state.

/// Decides which changes of one source's state are sent at once: each, as a rule; where the state flaps, one a
/// heartbeat (CONTRACT §4 `status`, R32). Reads no clock.
///
/// The state flaps once it changes a third time within a heartbeat, until it stays as it is for one.
package struct StatusPace: Sendable {
    package enum Action: Equatable, Sendable {
        case send
        /// Send it when ``isDue(at:)`` says so, unless something else is decided before.
        case hold
        /// The state sent before is current again; nothing is held any more. Those who came since do not know it.
        case repeated
    }

    private let heartbeat: Duration
    /// The state sent last.
    private var sent: SourceState?
    private var isHeld = false
    /// When the present stretch of a heartbeat began, and how many were sent in it.
    private var start = MonotonicTime(nanoseconds: 0)
    private var count = 0
    private var lastChange = MonotonicTime(nanoseconds: 0)

    /// How many are sent within a heartbeat before the state counts as flapping: that it fails, and that it recovers.
    private static let burst = 2

    package init(heartbeat: Duration) {
        self.heartbeat = heartbeat
    }

    package mutating func stateChanged(to state: SourceState, now: MonotonicTime) -> Action {
        let isFirst = self.sent == nil
        let isCalm = isFirst || now - self.lastChange >= self.heartbeat
        self.lastChange = now
        if isCalm {
            self.start = now
            self.count = 0
        } else if now - self.start >= self.heartbeat {
            // One that flapped to the end of the last stretch goes on flapping.
            self.count = Self.burst - 1
        }
        guard !self.isHeld || state != self.sent else { return self.repeats() }
        guard self.count < Self.burst else {
            if state == self.sent { return self.repeats() }
            self.isHeld = true
            return .hold
        }
        // That a source has begun to work leaves room for a failure and a recovery.
        if !isFirst || state != .ok { self.count += 1 }
        // The next stretch begins with what is sent in it, not with what is only repeated.
        if now - self.start >= self.heartbeat { self.start = now }
        self.sent = state
        self.isHeld = false
        return .send
    }

    private mutating func repeats() -> Action {
        self.isHeld = false
        return .repeated
    }

    /// Whether a change that was held is due.
    package func isDue(at now: MonotonicTime) -> Bool {
        self.isHeld && now - self.start >= self.heartbeat
    }

    /// The held change, to this state, is sent now.
    package mutating func heldSent(_ state: SourceState, now: MonotonicTime) {
        self.sent = state
        self.isHeld = false
        self.start = now
        self.count = Self.burst
    }
}
