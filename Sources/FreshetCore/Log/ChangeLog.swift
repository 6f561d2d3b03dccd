// The change log: one numbering of all changes, and what of it can still be read.

/// Numbers changes and gives readers exactly those after their cursor, or says that it cannot.
///
/// A value type without I/O: the ``Hub`` guards it with its lock, tests drive it directly.
package struct ChangeLog: Sendable {
    package private(set) var epoch: Epoch
    /// The sequence of the newest change that may be read; 0 before the first.
    package private(set) var head: UInt64
    package private(set) var cache: ChangeCache

    package init(epoch: Epoch, head: UInt64 = 0, cache: ChangeCache = ChangeCache()) {
        self.epoch = epoch
        self.head = head
        self.cache = cache
    }

    /// The position after the newest change.
    package var cursor: Cursor { Cursor(epoch: self.epoch, sequence: self.head) }

    /// Makes an event readable.
    ///
    /// - Precondition: its sequence is above ``head``: numbers are given out in order and never twice.
    package mutating func append(_ event: ChangeEvent) {
        precondition(event.sequence > self.head, "append(\(event.sequence)) after \(self.head)")
        self.head = event.sequence
        self.cache.append(event)
    }

    /// What a reader after `sequence` can be given.
    package enum Reading: Sendable {
        /// The next events in order, at most as many as asked for; `through` is how far the reader has come with
        /// them, and `isComplete` says that nothing newer exists now.
        case events([ChangeEvent], through: UInt64, isComplete: Bool)
        case gap(GapReason)
    }

    /// The events of these sources after `sequence`, to be sent in this mode.
    package mutating func read(
        after sequence: UInt64,
        of sources: [SourceID],
        mode: StreamMode,
        limit: Int
    ) -> Reading {
        if let reason = self.gap(after: sequence, of: sources, mode: mode) { return .gap(reason) }
        let events = self.cache.events(of: sources, after: sequence, limit: limit)
        guard events.count >= limit, let last = events.last else {
            return .events(events, through: self.head, isComplete: true)
        }
        return .events(events, through: last.sequence, isComplete: last.sequence == self.head)
    }

    /// Why a reader of these sources cannot continue after `sequence` in this mode; `nil` where it can.
    ///
    /// Judged over everything up to the head, and not for the next few events alone: a subscriber that was cut off
    /// while it was sent snapshots comes back with its old cursor, and must then find the same gap again.
    package func gap(after sequence: UInt64, of sources: [SourceID], mode: StreamMode) -> GapReason? {
        if sequence > self.head { return .future }
        return sources.contains { self.cache.unreadableThrough($0, in: mode) > sequence } ? .evicted : nil
    }

    /// Why a reader with this cursor cannot continue; `nil` where it can.
    package func gap(after cursor: Cursor, of sources: [SourceID], mode: StreamMode) -> GapReason? {
        cursor.epoch == self.epoch ? self.gap(after: cursor.sequence, of: sources, mode: mode) : .epoch
    }

    /// Goes on under a new numbering. Events of the old one stay readable for those who are in the middle of them, not
    /// for cursors of the old epoch, which may name contents that were lost.
    package mutating func epochLost(newEpoch: Epoch) {
        self.epoch = newEpoch
    }

    /// Goes on after `position`, in whatever epoch that is. What was there before is a gap for whoever reads on from it.
    package mutating func moved(to position: Cursor, sources: some Sequence<SourceID>) {
        guard position.sequence >= self.head else { return }
        self.epoch = position.epoch
        self.head = position.sequence
        for source in sources { self.cache.startAfter(position.sequence, for: source) }
    }

    /// Declares that a source's changes through `sequence` are not in memory, as after a restart.
    package mutating func startAfter(_ sequence: UInt64, for source: SourceID) {
        self.cache.startAfter(sequence, for: source)
    }

    /// Forgets a source that was removed.
    package mutating func remove(_ source: SourceID) {
        self.cache.remove(source, through: self.head)
    }

    /// Drops events older than `time`.
    package mutating func prune(before time: WallTime) {
        self.cache.prune(before: time)
    }

    /// Drops events, those of the least recently used sources first, until no more than so many bytes are held.
    package mutating func shrink(to bytes: Int) {
        self.cache.shrink(to: bytes)
    }

    /// The bytes of the events of these sources after `sequence`, counted up to `limit` and no further.
    package func backlog(of sources: [SourceID], after sequence: UInt64, limit: Int) -> Int {
        self.cache.backlog(of: sources, after: sequence, limit: limit)
    }

    /// The events of these sources before `sequence`, the newest first, down to where the first of them is missing.
    package func readBack(before sequence: UInt64, of sources: [SourceID], mode: StreamMode, limit: Int) -> PastEvents {
        let floor = sources.map { self.cache.unreadableThrough($0, in: mode) }.max() ?? 0
        let events = self.cache.events(of: sources, before: sequence, after: floor, limit: limit)
        if events.count >= limit { return PastEvents(events: events, end: .limit) }
        return PastEvents(events: events, end: floor > 0 ? .evicted(through: floor) : .beginning)
    }
}

/// A part of the log, the newest event first.
package struct PastEvents: Sendable {
    /// Why there are no older ones.
    package enum End: Hashable, Sendable {
        /// There may be; so many were asked for.
        case limit
        /// There never were any.
        case beginning
        /// Those through this sequence are not all kept.
        case evicted(through: UInt64)
    }

    package var events: [ChangeEvent]
    package var end: End

    package init(events: [ChangeEvent], end: End) {
        self.events = events
        self.end = end
    }
}
