// The cursor rule: what one subscriber is sent next.

/// Decides what one subscriber is sent and when. Performs no I/O and reads no clock.
///
/// Events reach it in the order of the log, in runs. It takes those after its cursor, ignores those at or before it,
/// and reads the log where it cannot tell. Replay and live may overlap in any way: output is once and in order.
/// Sixteen bytes, since a shard holds tens of thousands.
package struct SubscriberStateMachine: Equatable, Sendable {
    private enum State: UInt8, Sendable {
        /// Behind, or its socket is full: fed from the log. Next: `.live` once the log has nothing newer and the
        /// socket took it all, or `.closed`.
        case replaying
        /// Caught up: takes events as they are published. Next: `.replaying` when the socket fills, or `.closed`.
        case live
        /// Final.
        case closed
    }

    private var state = State.replaying
    /// The sequence up to which everything was sent.
    package private(set) var sequence: UInt64

    /// - Parameter sequence: where the stream begins; the subscriber counts as behind until it catches up.
    package init(after sequence: UInt64) {
        self.sequence = sequence
    }

    package var isLive: Bool { self.state == .live }

    package enum PublishAction: Equatable, Sendable {
        /// Send the whole run.
        case write
        /// Sent already, or the log will give it.
        case ignore
        /// A part of the run was sent already. Read the log after the cursor.
        case replay(after: UInt64)
    }

    /// A run of events of this subscriber's sources was published, from `first` to `last`.
    ///
    /// On `.write` the subscriber counts as having them all; where the socket does not take them,
    /// ``writeStopped(after:)`` puts that right.
    package mutating func eventsPublished(from first: UInt64, through last: UInt64) -> PublishAction {
        switch self.state {
        case .live:
            if self.sequence < first {
                self.sequence = last
                return .write
            }
            if self.sequence >= last { return .ignore }
            self.state = .replaying
            return .replay(after: self.sequence)
        case .replaying, .closed:
            return .ignore
        }
    }

    /// The socket took the events through `sequence` (the last of them perhaps in part: its rest is kept beside)
    /// and is full.
    package mutating func writeStopped(after sequence: UInt64) {
        guard self.state != .closed else { return }
        self.state = .replaying
        self.sequence = sequence
    }

    package enum FeedAction: Equatable, Sendable {
        /// Read the log after the cursor and send what it gives.
        case replay(after: UInt64)
        case none
    }

    /// The socket can take bytes again and nothing of an earlier frame is left.
    package func writabilityChanged() -> FeedAction {
        switch self.state {
        case .replaying: .replay(after: self.sequence)
        case .live, .closed: .none
        }
    }

    /// What the log gave was sent: everything through `sequence`. Where the log had nothing newer at that moment the
    /// subscriber is live, since whatever was published after reaches it as a run.
    package mutating func replayed(through sequence: UInt64, isComplete: Bool) -> FeedAction {
        guard self.state == .replaying else { return .none }
        self.sequence = max(self.sequence, sequence)
        guard isComplete else { return .replay(after: self.sequence) }
        self.state = .live
        return .none
    }

    /// Snapshots of every source were sent in place of what came before `sequence`.
    package mutating func snapshotsSent(through sequence: UInt64) {
        guard self.state != .closed else { return }
        self.state = .replaying
        self.sequence = sequence
    }

    package mutating func closed() {
        self.state = .closed
    }
}
