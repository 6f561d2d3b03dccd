// What subscribers have in common: the same view of the same sources in the same format. They share frames and positions.

import Synchronization

/// One view of one set of sources in one format, with the number of its subscribers. Interned by the ``Hub``: there is one object
/// for all subscribers that ask for the same.
package final class Subscription: Sendable {
    package struct Key: Hashable, Sendable {
        /// In ascending order, each once.
        package var sources: [SourceID]
        package var format: StreamFormat
        package var view: View
    }

    package let key: Key
    /// The number of the view while it is read.
    package let viewID: ViewID
    private let count = Atomic<Int>(0)

    init(key: Key, viewID: ViewID) {
        self.key = key
        self.viewID = viewID
    }

    package var sources: [SourceID] { self.key.sources }
    package var format: StreamFormat { self.key.format }
    package var view: View { self.key.view }

    func join(_ count: Int) {
        self.count.add(count, ordering: .relaxed)
    }

    /// - Returns: Whether these were the last ones.
    func leave(_ count: Int) -> Bool {
        self.count.subtract(count, ordering: .relaxed).newValue <= 0
    }
}

/// Where a reader is to begin (CONTRACT §4, `since` and `Last-Event-ID`).
package enum StreamPosition: Hashable, Sendable {
    /// With a snapshot of each source.
    case snapshot
    /// After the newest change, without a snapshot.
    case latest
    /// With the oldest change that is kept. To be located first: ``Hub/locate(_:of:needs:for:)``.
    case earliest
    case after(Cursor)
    /// With the values that held at a time. To be located first.
    case time(WallTime)
    /// A position that was located.
    case past(PastStart)
    /// Something was given that is not a cursor: a gap, then as `.snapshot`.
    case malformed

    /// Whether a stream that begins there is given what the log holds, and not only what is new.
    package var readsLog: Bool {
        switch self {
        case .snapshot, .latest, .malformed: false
        case .earliest, .after, .time, .past: true
        }
    }

    /// Reads a cursor in the place of `Last-Event-ID`; an empty one counts as absent, and so does a cursor of
    /// sequence 0.
    package init(_ text: some StringProtocol) {
        switch text {
        case "": self = .snapshot
        case "latest": self = .latest
        case "earliest": self = .earliest
        case _:
            if let cursor = Cursor(text) {
                self = cursor.sequence == 0 ? .snapshot : .after(cursor)
            } else {
                self = .malformed
            }
        }
    }

    /// Reads `since`: a cursor, and a time, as a duration back from now (`10m`) or as a timestamp (RFC 3339).
    ///
    /// Whoever names sequence 0 here wants what came after it, and a gap where the log no longer has that.
    package init(since text: some StringProtocol, now: WallTime) {
        if let cursor = Cursor(text) {
            self = .after(cursor)
            return
        }
        let position = StreamPosition(text)
        guard position == .malformed, let time = WallTime(text, before: now) else {
            self = position
            return
        }
        self = .time(time)
    }
}

extension WallTime {
    /// Reads a time, or a duration back from `now`. `nil` for what is neither.
    package init?(_ text: some StringProtocol, before now: WallTime) {
        if let time = WallTime(rfc3339: text) {
            self = time
            return
        }
        guard let duration = DurationText.duration(text) else { return nil }
        let (time, overflow) = now.milliseconds.subtractingReportingOverflow(duration.milliseconds)
        self.init(milliseconds: overflow ? .min : time)
    }
}

/// A position of the past, located in the log: what held then, and where to go on.
package final class PastStart: Hashable, Sendable {
    /// What comes after it comes next.
    package let cursor: Cursor
    /// Set where the log does not reach back to what was asked for; then ``cursor`` is the oldest position that is kept.
    package let gap: GapReason?
    /// The values at ``cursor`` of the sources that had one, in the order of their cursors.
    package let values: [PastSnapshot]
    /// The same as `snapshot` events; empty for a request.
    package let snapshots: [Frame]

    init(cursor: Cursor, gap: GapReason?, values: [PastSnapshot], snapshots: [Frame] = []) {
        self.cursor = cursor
        self.gap = gap
        self.values = values
        self.snapshots = snapshots
    }

    package static func == (left: PastStart, right: PastStart) -> Bool { left === right }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(ObjectIdentifier(self))
    }
}

/// How a stream begins, as the hub found it at one moment.
package struct StreamOpening: Sendable {
    /// Where the stream stands once ``frames`` are sent; what `hello` tells.
    package var cursor: Cursor
    /// Set where the stream cannot continue from the position asked for.
    package var gap: GapReason?
    /// A snapshot of each source, in the order of their cursors; empty when resuming.
    package var snapshots: [Frame]
    /// Sources that are not `ok`, to be reported at once.
    package var statuses: [Frame]
    /// Everything up to ``cursor`` is covered, so the subscriber is live. Else it reads the log after ``cursor``.
    package var isComplete: Bool
}

/// The next part of the log for one subscriber.
package enum StreamFeed: Sendable {
    /// Frames, each with the sequence that it brings the subscriber to.
    case frames([SequencedFrame], through: UInt64, isComplete: Bool)
    /// Memory no longer reaches back to the cursor, the store may: ask ``Hub/fetch(_:after:limit:then:)``.
    case stored
    /// The current value in place of a backlog that is larger, or of events that can no longer be sent.
    case snapshots([Frame], through: UInt64)
    /// What comes after the cursor is gone: say so, then send the snapshots.
    case gap(GapReason, snapshots: [Frame], through: UInt64)
}

/// A frame and the sequence of its event.
package struct SequencedFrame: Sendable {
    package var sequence: UInt64
    package var frame: Frame
    /// The event does nothing but move the cursor.
    package var isCheckpoint: Bool
    /// How many events the frame holds: several where they were compressed together, ``sequence`` being that of the last.
    package var eventCount: Int

    package init(sequence: UInt64, frame: Frame, isCheckpoint: Bool = false, eventCount: Int = 1) {
        self.sequence = sequence
        self.frame = frame
        self.isCheckpoint = isCheckpoint
        self.eventCount = eventCount
    }

    /// The frames of events in this format, in order.
    ///
    /// A checkpoint is among them only as the last, and only where the log has nothing newer: any other event moves the
    /// cursor as well.
    static func frames(of events: some Collection<ChangeEvent>, in format: StreamFormat, isComplete: Bool)
        -> [SequencedFrame]
    {
        var last: UInt64?
        for event in events { last = event.sequence }
        return events.compactMap { event in
            let isCheckpoint = event.isCheckpoint(in: format.mode)
            guard !isCheckpoint || isComplete && event.sequence == last else { return nil }
            return event.frame(for: format).map {
                SequencedFrame(sequence: event.sequence, frame: $0, isCheckpoint: isCheckpoint)
            }
        }
    }

    /// The first of `events` that are no more than `maxBytes` in this mode together; one at least.
    static func prefix(of events: [ChangeEvent], in mode: StreamMode, maxBytes: Int) -> ArraySlice<ChangeEvent> {
        var bytes = 0
        for (index, event) in events.enumerated() {
            bytes += event.size(in: mode)
            if bytes > maxBytes { return events.prefix(max(1, index)) }
        }
        return events[...]
    }
}
