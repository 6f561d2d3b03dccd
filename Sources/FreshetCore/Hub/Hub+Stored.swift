// What memory has evicted, read from the store: on a thread that may block, for shards and requests that may not.

import JSON

extension Hub {
    /// One read of the store. Many subscribers that come back at the same cursor ask for the same.
    ///
    /// By what is asked for and not by the subscription's identity: that of one which is gone may come again.
    struct FetchKey: Hashable, Sendable {
        var subscription: Subscription.Key
        var sequence: UInt64
    }

    /// The most bytes of frames from the store that are kept to be shared.
    private static let maxSharedBytes = 16 << 20
    /// About the most bytes of text that one read of the store gives.
    static let maxFetchBytes = 1 << 20

    /// The next part of the log from the store, after ``read(_:after:limit:maySkip:)`` answered `.stored`.
    ///
    /// `then` is called once with anything but `.stored`, on the reader's thread; not at all where the ticket went
    /// before. A read of a stream is never refused, so `nil` does not come.
    package func fetch(
        _ subscription: Subscription,
        after sequence: UInt64,
        limit: Int,
        for client: ReadClient = .local,
        then: @escaping @Sendable (StreamFeed) -> Void
    ) -> ReadTicket? {
        try? self.reads.submit(.stream, for: client) { [weak self] in
            guard let self else { return }
            let key = FetchKey(subscription: subscription.key, sequence: sequence)
            if let shared = self.state.withLock({ $0.fetched[key] }) { return then(shared) }
            let feed =
                subscription.view.isWhole
                ? self.feedFromStore(subscription, after: sequence, limit: limit)
                : self.viewFeed(subscription, after: sequence, limit: limit)
            if case .frames(let frames, let through, _) = feed, through > sequence {
                self.share(feed, of: frames.reduce(0) { $0 + $1.frame.bytes.count }, as: key)
            }
            then(feed)
        }
    }

    private func share(_ feed: StreamFeed, of bytes: Int, as key: FetchKey) {
        self.state.withLock { state in
            guard state.hasStore || !key.subscription.view.isWhole else { return }
            if state.fetchedBytes + bytes > Self.maxSharedBytes { state.forgetFetched() }
            state.fetched[key] = feed
            state.fetchedBytes += bytes
        }
    }

    /// The events of these sources after a cursor, from memory or the store, for one request.
    package func changes(
        of sources: [SourceID],
        after cursor: Cursor,
        mode: StreamMode,
        limit: Int,
        for client: ReadClient = .local
    ) async throws(ReadRefusal) -> ChangeLog.Reading {
        var reading = self.changesInMemory(of: sources, after: cursor, mode: mode, limit: limit)
        if case .gap(.evicted) = reading, self.state.withLock({ $0.hasStore }) {
            reading = try await self.reads.value(.page, for: client) { [weak self] _ in
                self?.readStore(of: sources, after: cursor.sequence, mode: mode, limit: limit) ?? .gap(.evicted)
            }
        }
        if case .gap(let reason) = reading { self.count(reason) }
        return reading
    }

    // MARK: On the reader's thread

    private func feedFromStore(_ subscription: Subscription, after sequence: UInt64, limit: Int) -> StreamFeed {
        let mode = subscription.format.mode
        switch self.readStore(of: subscription.sources, after: sequence, mode: mode, limit: limit) {
        case .events(let events, let through, let isComplete):
            let frames = SequencedFrame.frames(of: events, in: subscription.format, isComplete: isComplete)
            return .frames(frames, through: through, isComplete: false)
        case .gap:
            return self.gap(for: subscription)
        }
    }

    func readStore(
        of sources: [SourceID],
        after sequence: UInt64,
        mode: StreamMode,
        limit: Int
    ) -> ChangeLog.Reading {
        guard let store = self.store else { return .gap(.evicted) }
        let log = self.cursor
        let ids = self.idsByName(sources)
        do throws(StoreError) {
            let stored = try store.changes(
                of: Array(ids.keys),
                after: sequence,
                limit: limit,
                maxBytes: Self.maxFetchBytes
            )
            guard try self.floor(of: sources, named: ids.keys, in: store) <= sequence else { return .gap(.evicted) }
            // What is committed and not readable yet comes a moment later.
            let readable = stored.filter { $0.sequence <= log.sequence }
            let events = try self.events(of: readable, by: ids, epoch: log.epoch, mode: mode, store)
            // Begun anew in between: what was read is another numbering's.
            guard self.cursor.epoch == log.epoch else { return .gap(.epoch) }
            guard let last = events.last else {
                return .events([], through: log.sequence, isComplete: true)
            }
            return .events(events, through: last.sequence, isComplete: last.sequence >= log.sequence)
        } catch {
            return .gap(.evicted)
        }
    }

    /// Up to where the store may lack changes of one of these sources. It has none of a source that was removed.
    func floor(
        of sources: [SourceID],
        named names: some Sequence<String>,
        in store: any ChangeStore
    ) throws(StoreError) -> UInt64 {
        let removed = self.state.withLock { state in
            sources.filter { state[$0] == nil }.reduce(0) { max($0, state.log.cache.evictedThrough($1)) }
        }
        return max(removed, try self.floor(of: names, in: store))
    }

    /// Up to where the store may lack changes of one of the sources with these names.
    func floor(
        of names: some Sequence<String>,
        in store: any ChangeStore
    ) throws(StoreError) -> UInt64 {
        try self.floors(of: names, in: store).values.max() ?? 0
    }

    /// By name, up to where the store may lack changes of a source: they are pruned, or what it still has is of an
    /// earlier source of the name. One read of the store, however many names there are.
    func floors(
        of names: some Sequence<String>,
        in store: any ChangeStore
    ) throws(StoreError) -> [String: UInt64] {
        let pruned = try store.prunedThrough()
        let others = pruned[StoreContents.others] ?? 0
        let floors = self.state.withLock { state in
            names.map { ($0, max(pruned[$0] ?? others, state.end(ofEarlier: $0), state.movedThrough)) }
        }
        return Dictionary(floors) { first, _ in first }
    }

    /// The changes as events that can be sent in this mode: with the whole value, rebuilt from the patches, where the
    /// form that the mode needs was not kept. The first of them where their values are many bytes together.
    func events(
        of changes: [StoredChange],
        by ids: [String: SourceID],
        epoch: Epoch,
        mode: StreamMode,
        _ store: any ChangeStore
    ) throws(StoreError) -> [ChangeEvent] {
        var events: [ChangeEvent] = []
        events.reserveCapacity(changes.count)
        var restoredBytes = 0
        for change in changes {
            guard let id = ids[change.source] else { continue }
            guard restoredBytes < Self.maxFetchBytes else { return events }
            var event = ChangeEvent(change, epoch: epoch, source: id)
            if !event.isReadable(in: mode) {
                guard let value = try store.value(of: change.source, at: change.sequence)?.value else {
                    throw StoreError(.corrupt, "change \(change.sequence) has no value")
                }
                restoredBytes += value.count
                event.restore(value: value)
            }
            events.append(event)
        }
        return events
    }

    func idsByName(_ sources: [SourceID]) -> [String: SourceID] {
        Dictionary(sources.compactMap { id in self.name(of: id).map { ($0, id) } }) { first, _ in first }
    }

    /// That changes of these sources are missing, and their values.
    package func gap(for subscription: Subscription) -> StreamFeed {
        let (cursor, planned) = self.values(of: subscription.sources, in: subscription.view, because: .evicted)
        let frames = planned.map { $0.frame(wire: subscription.format.wire) }
        return .gap(.evicted, snapshots: frames, through: cursor.sequence)
    }
}
