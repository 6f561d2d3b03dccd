// What members of a group missed who read a view and did not keep up for a moment.

import FreshetCore

/// The events of a group since a position, while a member is behind. To work out from the log what an event is in a view takes
/// a thread that may block; one who is behind by a few events gets those that the shard has seen.
struct RecentEvents {
    /// All events of the group after this position are in ``events``, as far as the shard has taken notice.
    private(set) var start: UInt64
    private(set) var events: [SequencedFrame] = []
    private var bytes = 0

    /// The most bytes that one group keeps.
    private static let maxBytes = 64 << 10

    init(after start: UInt64) {
        self.start = start
    }

    /// What was sent to a group whose members all took it.
    mutating func taken(through sequence: UInt64) {
        self.restart(after: sequence)
    }

    /// What was sent to a group of which a member is behind.
    mutating func missed(_ run: [SequencedFrame]) {
        for event in run {
            self.events.append(event)
            self.bytes += event.frame.bytes.count
        }
        guard self.bytes > Self.maxBytes, let last = self.events.last else { return }
        self.restart(after: last.sequence)
    }

    /// What came up to a position is not known.
    mutating func restart(after sequence: UInt64) {
        self.start = sequence
        self.events = []
        self.bytes = 0
    }

    /// What comes after a position, `seen` being the last of which the shard has taken notice; `nil` where that is not known.
    func feed(after sequence: UInt64, seen: UInt64) -> StreamFeed? {
        guard sequence >= self.start else { return nil }
        let missed = self.events.filter { $0.sequence > sequence }
        return .frames(missed, through: max(sequence, seen), isComplete: true)
    }
}
