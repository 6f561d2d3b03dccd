// What memory has evicted, read from the store: on a thread that may block, for shards and requests that may not.

import JSON
import Synchronization

extension Hub {
    /// One read of the store. Many subscribers that come back at the same cursor ask for the same.
    struct FetchKey: Hashable, Sendable {
        var subscription: ObjectIdentifier
        var sequence: UInt64
    }

    /// The most reads of the store that are kept to be shared.
    private static let maxShared = 64
    /// About the most bytes of text that one read of the store gives.
    private static let maxFetchBytes = 1 << 20

    /// The next part of the log from the store, after ``read(_:after:limit:maySkip:)`` answered `.stored`.
    ///
    /// `then` is called once with anything but `.stored`, on the reader's thread.
    package func fetch(
        _ subscription: Subscription,
        after sequence: UInt64,
        limit: Int,
        then: @escaping @Sendable (StreamFeed) -> Void
    ) {
        self.reader { [weak self] in
            guard let self else { return }
            let key = FetchKey(subscription: ObjectIdentifier(subscription), sequence: sequence)
            if let shared = self.state.withLock({ $0.fetched[key] }) { return then(shared) }
            let feed = self.feedFromStore(subscription, after: sequence, limit: limit)
            self.state.withLock { state in
                if state.fetched.count >= Self.maxShared { state.fetched = [:] }
                if case .frames(_, let through, _) = feed, through > sequence { state.fetched[key] = feed }
            }
            then(feed)
        }
    }

    /// The events of these sources after a cursor, from memory or the store, for one request.
    package func changes(
        of sources: [SourceID],
        after cursor: Cursor,
        mode: StreamMode,
        limit: Int
    ) async -> ChangeLog.Reading {
        let reading = self.changesInMemory(of: sources, after: cursor, mode: mode, limit: limit)
        guard case .gap(.evicted) = reading, self.state.withLock({ $0.hasStore }) else { return reading }
        return await withCheckedContinuation { continuation in
            self.reader { [weak self] in
                let stored = self?.readStore(of: sources, after: cursor.sequence, limit: limit)
                continuation.resume(returning: stored ?? .gap(.evicted))
            }
        }
    }

    /// The value of a source as it was when the log stood at `cursor`; `nil` where it is not kept.
    package func value(of source: SourceID, at cursor: Cursor) async -> (value: [UInt8], cursor: Cursor, at: WallTime)?
    {
        let (log, version) = self.state.withLock { state in
            (state.log.cursor, state.entries.indices.contains(source.index) ? state.entries[source.index].version : nil)
        }
        guard cursor.epoch == log.epoch, cursor.sequence <= log.sequence else { return nil }
        if let version, version.cursor.sequence <= cursor.sequence {
            return (version.document.text, version.cursor, version.at)
        }
        guard let store = self.store, let name = self.name(of: source) else { return nil }
        return await withCheckedContinuation { continuation in
            self.reader {
                let stored = try? store.value(of: name, at: cursor.sequence)
                let found = stored?.value.map { value in
                    (
                        value, Cursor(epoch: log.epoch, sequence: stored?.sequence ?? 0),
                        stored?.at ?? WallTime(milliseconds: 0)
                    )
                }
                continuation.resume(returning: found)
            }
        }
    }

    /// The cursor of the log at `time`; `nil` without a store, or where it cannot be read.
    package func cursor(at time: WallTime) async -> Cursor? {
        guard let store = self.store else { return nil }
        let epoch = self.cursor.epoch
        return await withCheckedContinuation { continuation in
            self.reader {
                let sequence = try? store.sequence(at: time)
                continuation.resume(returning: sequence.map { Cursor(epoch: epoch, sequence: $0) })
            }
        }
    }

    // MARK: On the reader's thread

    private func feedFromStore(_ subscription: Subscription, after sequence: UInt64, limit: Int) -> StreamFeed {
        switch self.readStore(of: subscription.sources, after: sequence, limit: limit) {
        case .events(let events, let through, _):
            var frames: [SequencedFrame] = []
            for event in events {
                guard
                    let frame = event.frame(for: subscription.format)
                        ?? self.snapshotFrame(of: event, for: subscription)
                else { return self.gap(for: subscription) }
                frames.append(SequencedFrame(sequence: event.sequence, frame: frame))
            }
            return .frames(frames, through: through, isComplete: false)
        case .gap:
            return self.gap(for: subscription)
        }
    }

    private func readStore(of sources: [SourceID], after sequence: UInt64, limit: Int) -> ChangeLog.Reading {
        guard let store = self.store else { return .gap(.evicted) }
        let log = self.state.withLock { $0.log.cursor }
        let ids = Dictionary(sources.compactMap { id in self.name(of: id).map { ($0, id) } }) { first, _ in first }
        do throws(StoreError) {
            let stored = try store.changes(
                of: Array(ids.keys),
                after: sequence,
                limit: limit,
                maxBytes: Self.maxFetchBytes
            )
            let pruned = try store.prunedThrough()
            guard ids.keys.allSatisfy({ (pruned[$0] ?? 0) <= sequence }) else { return .gap(.evicted) }
            let events = stored.compactMap { change in
                ids[change.source].map { ChangeEvent(change, epoch: log.epoch, source: $0) }
            }
            guard let last = events.last else {
                return .events([], through: log.sequence, isComplete: true)
            }
            return .events(events, through: last.sequence, isComplete: last.sequence >= log.sequence)
        } catch {
            return .gap(.evicted)
        }
    }

    /// The whole value after an event whose form in this mode was not kept, rebuilt from the patches.
    private func snapshotFrame(of event: ChangeEvent, for subscription: Subscription) -> Frame? {
        guard let store = self.store, let name = self.name(of: event.source),
            let value = (try? store.value(of: name, at: event.sequence))?.value
        else { return nil }
        return EventEnvelope(source: name, at: event.at)
            .frame(.snapshot, value, id: event.cursor, wire: subscription.format.wire)
    }

    private func gap(for subscription: Subscription) -> StreamFeed {
        self.state.withLock { state in
            state.gaps[.evicted, default: 0] += 1
            let frames = Self.snapshots(of: subscription, replaces: true, in: state)
            return .gap(.evicted, snapshots: frames, through: state.log.head)
        }
    }
}
