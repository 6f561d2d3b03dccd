// Where the two threads meet: the poller publishes, shards and requests read.

import JSON
import Synchronization

/// What the hub tells its listeners, in the order of the log.
package enum HubNotice: Sendable {
    /// A change, with its frames in the formats that somebody listens in.
    case published(PublishedEvent)
    /// A source's state changed.
    case status(SourceID, SourceState, eventStream: Frame, jsonLine: Frame)
    /// There is a new source. Streams that name it, or names like it, get its changes too.
    case added(SourceID, name: String)
    /// A source is gone; its subscribers get no more of it.
    case removed(SourceID)
}

/// A change as it goes to the shards.
package struct PublishedEvent: Sendable {
    package var sequence: UInt64
    package var source: SourceID
    /// Absent for a format that nobody listened in at that moment: such a reader reads the log.
    package var frames: FrameSet
    /// In the mode `items` the frame is a checkpoint (``ChangeEvent/touchesNoItem``).
    package var touchesNoItem = false
}

/// One who is told of every change: a shard.
package protocol HubListener: AnyObject, Sendable {
    /// Takes a notice into an inbox, and does nothing else: the hub's lock is held. Notices come in log order.
    func enqueue(_ notice: HubNotice)
    /// There is something in the inbox. No lock is held; any thread.
    func wake()
}

/// The change log, the latest value of each source, and who listens to what, behind one lock.
///
/// Publishing is done by one thread at a time, in two steps: numbering and encoding under a lock of its own, then
/// making the event readable and handing it to the shards under the hub's lock, in which nothing long happens.
package final class Hub: Sendable {
    struct Entry: Sendable {
        var name: String
        /// What its value depends on; see ``StoredSource/identity``.
        var identity: String
        var status: SourceStatus
        var version: SourceVersion?
        var demand = FormatDemand()
        /// How often it is waited for: see ``Hub/beginWait(for:)``.
        var waits = 0
        /// Up to here what the store has under this name may be an earlier source's.
        var startsAfter: UInt64 = 0
    }

    struct State: Sendable {
        var log: ChangeLog
        /// Whether what memory has evicted may still be read from the store.
        var hasStore: Bool
        /// Why the store was given up, while it is.
        var storeError: StoreError?
        /// What the store was last read for, shared by those who ask for the same.
        var fetched: [FetchKey: StreamFeed] = [:]
        /// The bytes of the frames in ``fetched``.
        var fetchedBytes = 0
        /// Values of the past that were read or rebuilt.
        var past = PastCache()
        /// Sources that are not removed.
        var entries = SourceTable<Entry>()
        var ids: [String: SourceID] = [:]
        /// Up to here there may have been changes of a source that is added now: those of an earlier process, or of a
        /// source that was removed and had its name.
        var unknownThrough: UInt64
        var retired = RetiredNames()
        var subscriptions: [Subscription.Key: Subscription] = [:]
        var listeners: [any HubListener] = []
        /// Those that are told of changes and removals of sources that are waited for.
        var waitListeners: [any HubListener] = []
        var published: UInt64 = 0
        var gaps: [GapReason: UInt64] = [:]

        /// Up to where what the store has under this name is not of its present source, or the next.
        func end(ofEarlier name: String) -> UInt64 {
            guard let id = self.ids[name], self.entries.indices.contains(id.index) else {
                return self.retired.end(of: name)
            }
            return self.entries[id.index].startsAfter
        }

        /// Enqueues a notice about a source with everybody that it concerns.
        ///
        /// - Returns: Those to be woken.
        func enqueue(_ notice: HubNotice, of source: SourceID) -> [any HubListener] {
            for listener in self.listeners {
                listener.enqueue(notice)
            }
            guard self.entries[source.index].waits > 0 else { return self.listeners }
            for listener in self.waitListeners {
                listener.enqueue(notice)
            }
            return self.listeners + self.waitListeners
        }
    }

    let state: Mutex<State>
    /// Numbers to give out and changes that wait for their commit. Held while a change is numbered and encoded, so that
    /// the order of numbers is the order of publishing. Taken before ``state``, never inside it.
    let numbering: Mutex<Numbering>
    /// Has the store read and values rebuilt, by threads that may block.
    package let reads: ReadDesk

    /// - Parameters:
    ///   - log: empty, or at the head of what `store` holds.
    ///   - store: where changes are committed before anybody sees them; `nil` to keep them in memory alone.
    ///   - storeError: why there is no store although one was asked for.
    ///   - reads: has the store read and values rebuilt.
    package init(
        log: ChangeLog,
        store: (any ChangeStore)? = nil,
        storeError: StoreError? = nil,
        reads: ReadDesk = ReadDesk()
    ) {
        self.reads = reads
        self.numbering = Mutex(Numbering(epoch: log.epoch, last: log.head, store: store))
        self.state = Mutex(
            State(log: log, hasStore: store != nil, storeError: storeError, unknownThrough: log.head)
        )
    }
}

// MARK: - Sources

extension Hub {
    /// Adds a source; its name is free unless it exists already and was not removed. Whoever reads on from before this
    /// process, or from before the end of another of this name, reads the store or has a gap.
    ///
    /// - Returns: `nil` where the name is taken.
    package func addSource(_ name: String, identity: String = "", status: SourceStatus) -> SourceID? {
        let (id, listeners) = self.state.withLock { state -> (SourceID?, [any HubListener]) in
            guard state.ids[name] == nil else { return (nil, []) }
            var entry = Entry(name: name, identity: identity, status: status)
            entry.startsAfter = state.retired.end(of: name)
            let id = SourceID(index: state.entries.append(entry))
            state.ids[name] = id
            // Who resumes from before must not take silence for nothing.
            state.log.startAfter(state.unknownThrough, for: id)
            for listener in state.listeners {
                listener.enqueue(.added(id, name: name))
            }
            return (id, state.listeners)
        }
        for listener in listeners {
            listener.wake()
        }
        return id
    }

    /// What the value of a source depends on is this from now on; see ``StoredSource/identity``. Called by whoever
    /// publishes its changes, between the last by the old configuration and the first by the new one.
    package func identify(_ id: SourceID, as identity: String) {
        self.state.withLock { state in
            guard state.entries.indices.contains(id.index) else { return }
            state.entries[id.index].identity = identity
        }
    }

    /// Forgets a source: its value, its changes, its name, in memory and in the store. Its number is never given out
    /// again, and what is still published of it is dropped.
    package func removeSource(_ id: SourceID) {
        // No change may be numbered meanwhile: behind the removal in the store, it would be of the next source of
        // this name.
        let listeners = self.numbering.withLock { numbering in
            if let name = self.name(of: id), self.isPresent(id) {
                numbering.store?.remove(source: name)
            }
            return self.forget(id)
        }
        for listener in listeners {
            listener.wake()
        }
    }

    /// Forgets what an earlier process left in the store of a source that is none of ours: it is not configured any
    /// more, or its value is another's now. Before that source is added, if it is.
    package func disown(_ name: String) {
        self.numbering.withLock { numbering in
            numbering.store?.remove(source: name)
            self.state.withLock { state in
                state.retired.retire(name, at: state.log.head)
                guard let id = state.ids[name], state.entries.indices.contains(id.index) else { return }
                state.entries[id.index].startsAfter = state.log.head
            }
        }
    }

    /// Whether a source was added and not removed.
    func isPresent(_ id: SourceID) -> Bool {
        self.state.withLock { state in
            state.entries.indices.contains(id.index)
        }
    }

    /// - Returns: Those who were told, to be woken.
    private func forget(_ id: SourceID) -> [any HubListener] {
        self.state.withLock { state -> [any HubListener] in
            guard state.entries.indices.contains(id.index) else { return [] }
            let name = state.entries[id.index].name
            let listeners = state.enqueue(.removed(id), of: id)
            state.ids[name] = nil
            state.entries.remove(id.index)
            state.log.remove(id)
            state.unknownThrough = state.log.head
            state.fetched = [:]
            state.fetchedBytes = 0
            state.past.removeAll()
            state.retired.retire(name, at: state.log.head)
            return listeners
        }
    }

    /// The sources that a selector names and a grant covers, ascending; or the first name that does not exist or is not
    /// covered. A prefix may match nothing.
    package func resolve(
        _ selector: SourceSelector,
        within grant: SourcePattern = .all
    ) -> Result<[SourceID], UnknownSource> {
        self.state.withLock { state in
            var found: Set<SourceID> = []
            for term in selector.terms {
                switch term {
                case .exact(let name):
                    // Both are looked at in any case: how long it takes says nothing about what is there (FAULTS F52).
                    let id = state.ids[name]
                    guard grant.matches(name), let id else { return .failure(UnknownSource(name: name)) }
                    found.insert(id)
                case .prefix(let prefix):
                    for (name, id) in state.ids where name.hasPrefix(prefix) && grant.matches(name) {
                        found.insert(id)
                    }
                }
            }
            return .success(found.sorted())
        }
    }

    /// The sources that a pattern names now, ascending.
    package func sources(matching pattern: SourcePattern) -> [SourceID] {
        self.state.withLock { state in
            var found: [SourceID] = []
            for term in pattern.terms {
                switch term {
                case .exact(let name):
                    if let id = state.ids[name] { found.append(id) }
                case .prefix(let prefix):
                    for (name, id) in state.ids where name.hasPrefix(prefix) {
                        found.append(id)
                    }
                }
            }
            // No source twice: no term of a pattern covers another.
            return found.sorted()
        }
    }

    /// Those of the sources that were removed.
    package func removed(among sources: [SourceID]) -> Set<SourceID> {
        self.state.withLock { state in
            Set(
                sources.filter { source in
                    !state.entries.indices.contains(source.index)
                }
            )
        }
    }

    /// A name that no source has.
    package struct UnknownSource: Error, Hashable, Sendable {
        package var name: String
    }

    package func source(named name: String) -> SourceID? {
        self.state.withLock { $0.ids[name] }
    }

    /// Every source that is not removed, in the order in which they were added. Who publishes waits for a few hundred of
    /// them at most: they are read in slices, so that those at the end may be newer than those at the beginning.
    package func sources() -> [SourceReport] {
        let indices = self.state.withLock { $0.entries.sortedIndices }
        var reports: [SourceReport] = []
        var next = 0
        while next < indices.count {
            let end = min(next + Self.reportsPerSlice, indices.count)
            self.state.withLock { state in
                reports += indices[next..<end].compactMap { Self.report(of: SourceID(index: $0), in: state) }
            }
            next = end
        }
        return reports
    }

    private static let reportsPerSlice = 256

    /// How many subscribers listen to this source now.
    package func subscriberCount(of source: SourceID) -> Int {
        self.state.withLock { state in
            guard state.entries.indices.contains(source.index) else { return 0 }
            return state.entries[source.index].demand.subscribers
        }
    }

    /// Whether somebody listens to this source now, or waits for its next change.
    package func isListenedTo(_ source: SourceID) -> Bool {
        self.state.withLock { state in
            guard state.entries.indices.contains(source.index) else { return false }
            let entry = state.entries[source.index]
            return entry.waits > 0 || !entry.demand.isEmpty
        }
    }

    package func report(of source: SourceID) -> SourceReport? {
        self.state.withLock { Self.report(of: source, in: $0) }
    }

    private static func report(of source: SourceID, in state: State) -> SourceReport? {
        guard state.entries.indices.contains(source.index) else { return nil }
        let entry = state.entries[source.index]
        return SourceReport(
            id: source,
            name: entry.name,
            status: entry.status,
            version: entry.version,
            subscribers: entry.demand.subscribers
        )
    }
}

/// A source as it stands at one moment.
package struct SourceReport: Sendable {
    package var id: SourceID
    package var name: String
    package var status: SourceStatus
    /// The current value; `nil` before the first.
    package var version: SourceVersion?
    package var subscribers: Int
}

// MARK: - Streams

extension Hub {
    /// Adds one who is told of every change from now on.
    package func attach(_ listener: any HubListener) {
        self.state.withLock { $0.listeners.append(listener) }
    }

    package func detach(_ listener: any HubListener) {
        self.state.withLock { $0.listeners.removeAll { $0 === listener } }
    }

    /// Counts a subscriber in, or several. Each needs to be counted out by ``unsubscribe(_:count:)``.
    ///
    /// The sources are in ascending order, each once.
    package func subscribe(to sources: [SourceID], format: StreamFormat, count: Int = 1) -> Subscription {
        self.state.withLock { state in
            let key = Subscription.Key(sources: sources, format: format)
            let subscription = state.subscriptions[key] ?? Subscription(key: key)
            subscription.join(count)
            state.subscriptions[key] = subscription
            for source in sources where state.entries.indices.contains(source.index) {
                state.entries[source.index].demand.add(count, in: format)
            }
            return subscription
        }
    }

    /// Counts subscribers out; the last one takes the subscription with it.
    package func unsubscribe(_ subscription: Subscription, count: Int = 1) {
        self.state.withLock { state in
            for source in subscription.sources where state.entries.indices.contains(source.index) {
                state.entries[source.index].demand.remove(count, in: subscription.format)
            }
            if subscription.leave(count) { state.subscriptions[subscription.key] = nil }
        }
    }

    /// How a stream of this subscription begins.
    ///
    /// Called on the thread that also takes the notices, after ``attach(_:)``: what is published after this moment
    /// reaches the stream as a notice, and the cursor rule removes what is in both.
    package func open(_ subscription: Subscription, at position: StreamPosition) -> StreamOpening {
        var (opening, planned) = self.state.withLock { state -> (StreamOpening, [PlannedSnapshot]) in
            let statuses = Self.troubles(of: subscription, in: state)
            func start(
                _ cursor: Cursor,
                gap: GapReason?,
                snapshots: [Frame],
                isComplete: Bool,
                planned: [PlannedSnapshot] = []
            ) -> (StreamOpening, [PlannedSnapshot]) {
                if let gap { state.gaps[gap, default: 0] += 1 }
                let opening = StreamOpening(
                    cursor: cursor,
                    gap: gap,
                    snapshots: snapshots,
                    statuses: statuses,
                    isComplete: isComplete
                )
                return (opening, planned)
            }
            func snapshots(gap: GapReason?) -> (StreamOpening, [PlannedSnapshot]) {
                let planned = Self.snapshots(of: subscription.sources, replaces: gap != nil, in: state)
                return start(state.log.cursor, gap: gap, snapshots: [], isComplete: true, planned: planned)
            }
            switch position {
            case .snapshot: return snapshots(gap: nil)
            case .malformed: return snapshots(gap: .malformed)
            case .latest: return start(state.log.cursor, gap: nil, snapshots: [], isComplete: true)
            case .earliest:
                let origin = Cursor(epoch: state.log.epoch, sequence: 0)
                if let gap = Self.gap(after: origin, of: subscription, in: state) { return snapshots(gap: gap) }
                return start(origin, gap: nil, snapshots: [], isComplete: false)
            case .time:
                // Nobody looked where that is.
                return snapshots(gap: .evicted)
            case .past(let past):
                if let gap = Self.gap(after: past.cursor, of: subscription, in: state) { return snapshots(gap: gap) }
                return start(past.cursor, gap: past.gap, snapshots: past.snapshots, isComplete: false)
            case .after(let cursor):
                if let gap = Self.gap(after: cursor, of: subscription, in: state) { return snapshots(gap: gap) }
                return start(cursor, gap: nil, snapshots: [], isComplete: false)
            }
        }
        opening.snapshots += planned.map { $0.frame(wire: subscription.format.wire) }
        return opening
    }

    /// The next part of the log for a subscriber that is behind.
    ///
    /// At most `limit` events. With `maySkip` the subscriber did not keep up, so that a snapshot may take the place of a
    /// backlog that is larger; a subscriber that resumes gets every event.
    package func read(
        _ subscription: Subscription,
        after sequence: UInt64,
        limit: Int,
        maySkip: Bool
    ) -> StreamFeed {
        let (feed, planned) = self.state.withLock { state -> (StreamFeed, [PlannedSnapshot]) in
            if let version = Self.onlyChanged(since: sequence, of: subscription, in: state),
                (maySkip || !state.hasStore) && Self.isUnreadable(version, after: sequence, by: subscription, in: state)
                    || maySkip && Self.backlogOutgrows(version, after: sequence, of: subscription, in: state)
            {
                let planned = PlannedSnapshot(version: version, step: .arrive)
                return (.snapshots([], through: state.log.head), [planned])
            }
            let mode = subscription.format.mode
            switch state.log.read(after: sequence, of: subscription.sources, mode: mode, limit: limit) {
            case .gap(.evicted) where state.hasStore:
                return (.stored, [])
            case .gap(let reason):
                state.gaps[reason, default: 0] += 1
                let planned = Self.snapshots(of: subscription.sources, replaces: true, in: state)
                return (.gap(reason, snapshots: [], through: state.log.head), planned)
            case .events(let events, let through, let isComplete):
                let frames = SequencedFrame.frames(of: events, in: subscription.format, isComplete: isComplete)
                return (.frames(frames, through: through, isComplete: isComplete), [])
            }
        }
        return feed.with(planned.map { $0.frame(wire: subscription.format.wire) })
    }

    /// The one source of a subscription that changed after `sequence`; `nil` where it was none or several, or where
    /// another of its name may have changed before it was removed.
    ///
    /// A snapshot may take the place of events only then: of several snapshots only the last could move the cursor,
    /// and a subscriber that was cut off before it would come back for events that it is already past.
    private static func onlyChanged(
        since sequence: UInt64,
        of subscription: Subscription,
        in state: State
    ) -> SourceVersion? {
        var found: SourceVersion?
        for source in subscription.sources {
            let isPresent = state.entries.indices.contains(source.index)
            guard isPresent, let version = state.entries[source.index].version else {
                // Also one that was removed: it may have changed before.
                if state.log.cache.evictedThrough(source) > sequence { return nil }
                continue
            }
            guard version.cursor.sequence > sequence else { continue }
            guard found == nil else { return nil }
            found = version
        }
        return found
    }

    /// Why a stream cannot continue after this cursor. In mode `snapshot` a missing event is no gap where the current
    /// value can stand for all of them.
    private static func gap(after cursor: Cursor, of subscription: Subscription, in state: State) -> GapReason? {
        let mode = subscription.format.mode
        guard let gap = state.log.gap(after: cursor, of: subscription.sources, mode: mode) else { return nil }
        if gap == .evicted, state.hasStore { return nil }
        guard gap == .evicted, mode == .snapshot,
            self.onlyChanged(since: cursor.sequence, of: subscription, in: state) != nil
        else { return gap }
        return nil
    }

    private static func isUnreadable(
        _ version: SourceVersion,
        after sequence: UInt64,
        by subscription: Subscription,
        in state: State
    ) -> Bool {
        guard subscription.format.mode == .snapshot else { return false }
        return state.log.gap(after: sequence, of: subscription.sources, mode: .snapshot) == .evicted
    }

    /// Whether what a subscriber has missed is larger than the value.
    private static func backlogOutgrows(
        _ version: SourceVersion,
        after sequence: UInt64,
        of subscription: Subscription,
        in state: State
    ) -> Bool {
        switch subscription.format.mode {
        case .snapshot:
            return state.log.cache.count(of: subscription.sources, after: sequence) > 1
        case .patch, .merge, .items:
            let size = version.document.text.count
            return state.log.backlog(of: subscription.sources, after: sequence, limit: size) > size
        }
    }

    /// The snapshots of the sources, oldest first. To be encoded without the lock: the values may be large.
    ///
    /// With `replaces` the subscriber has a cursor, which it must not come back with once it has some of them.
    static func snapshots(of sources: [SourceID], replaces: Bool, in state: State) -> [PlannedSnapshot] {
        var versions = sources.compactMap { source -> SourceVersion? in
            guard state.entries.indices.contains(source.index) else { return nil }
            return state.entries[source.index].version
        }
        versions.sort { $0.cursor.sequence < $1.cursor.sequence }
        return versions.enumerated().map { index, version in
            let isLast = index == versions.count - 1
            return PlannedSnapshot(
                version: version,
                step: isLast ? .arrive : (index == 0 && replaces ? .forget : .stay)
            )
        }
    }

    private static func troubles(of subscription: Subscription, in state: State) -> [Frame] {
        subscription.sources.compactMap { source -> Frame? in
            guard state.entries.indices.contains(source.index) else { return nil }
            let entry = state.entries[source.index]
            switch entry.status.state {
            case .starting, .ok: return nil
            case .stale, .backoff, .failing, .paused:
                return ControlFrame.status(entry.status, source: entry.name, wire: subscription.format.wire)
            }
        }
    }
}

/// A snapshot that is yet to be encoded.
package struct PlannedSnapshot: Sendable {
    package var version: SourceVersion
    package var step: SourceVersion.Step

    func frame(wire: StreamWire) -> Frame { self.version.frame(wire: wire, step: self.step) }
}

// MARK: - Requests

extension Hub {
    /// The values of these sources for a reader that cannot continue from where it was, which is counted, and the cursor
    /// of the same moment.
    package func values(of sources: [SourceID], because reason: GapReason) -> (Cursor, [PlannedSnapshot]) {
        self.state.withLock { state in
            state.gaps[reason, default: 0] += 1
            return (state.log.cursor, Self.snapshots(of: sources, replaces: true, in: state))
        }
    }

    /// The position after the newest change.
    package var cursor: Cursor {
        self.state.withLock { $0.log.cursor }
    }

    /// The current value of a source.
    package func version(of source: SourceID) -> SourceVersion? {
        self.state.withLock { state in
            state.entries.indices.contains(source.index) ? state.entries[source.index].version : nil
        }
    }

    /// The events of these sources after a cursor, as far as memory reaches back.
    func changesInMemory(
        of sources: [SourceID],
        after cursor: Cursor,
        mode: StreamMode = .patch,
        limit: Int
    ) -> ChangeLog.Reading {
        self.state.withLock { state in
            if let gap = state.log.gap(after: cursor, of: sources, mode: mode) { return .gap(gap) }
            return state.log.read(after: cursor.sequence, of: sources, mode: mode, limit: limit)
        }
    }

    /// Counts a reader that could not continue.
    func count(_ gap: GapReason) {
        self.state.withLock { $0.gaps[gap, default: 0] += 1 }
    }

    /// Adds one who is told of each change and of the removal of every source that is waited for, from now on. One for
    /// many requests: how many wait makes no difference to who publishes (A13).
    package func attach(waits listener: any HubListener) {
        self.state.withLock { $0.waitListeners.append(listener) }
    }

    package func detach(waits listener: any HubListener) {
        self.state.withLock { $0.waitListeners.removeAll { $0 === listener } }
    }

    /// Takes note that requests wait for a change of these sources, which is then told to those who are attached for
    /// it. Until ``endWait(for:)``.
    package func beginWait(for sources: [SourceID]) {
        self.countWait(for: sources, by: 1)
    }

    package func endWait(for sources: [SourceID]) {
        self.countWait(for: sources, by: -1)
    }

    private func countWait(for sources: [SourceID], by difference: Int) {
        self.state.withLock { state in
            for source in sources where state.entries.indices.contains(source.index) {
                state.entries[source.index].waits += difference
            }
        }
    }

    /// Whether one of these sources has changed after `sequence`, or is gone.
    package func hasChanged(after sequence: UInt64, among sources: [SourceID]) -> Bool {
        self.state.withLock { state in
            sources.contains { source in
                guard state.entries.indices.contains(source.index) else { return true }
                return (state.entries[source.index].version?.cursor.sequence ?? 0) > sequence
            }
        }
    }

    /// Drops events older than `time` from memory.
    package func prune(before time: WallTime) {
        self.state.withLock { $0.log.prune(before: time) }
    }

    /// Drops events from memory until no more than so many bytes are held; the values stay.
    package func shrinkCache(to bytes: Int) {
        self.state.withLock { $0.log.shrink(to: bytes) }
    }

    /// Figures for metrics.
    package struct Statistics: Sendable {
        package var cursor: Cursor
        package var published: UInt64
        package var cacheBytes: Int
        package var cachedEvents: Int
        package var evictions: UInt64
        package var gaps: [GapReason: UInt64]
    }

    package var statistics: Statistics {
        self.state.withLock { state in
            Statistics(
                cursor: state.log.cursor,
                published: state.published,
                cacheBytes: state.log.cache.bytes,
                cachedEvents: state.log.cache.count,
                evictions: state.log.cache.evictions,
                gaps: state.gaps
            )
        }
    }
}
