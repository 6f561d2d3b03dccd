// What was: values, positions and events of the past, from memory as far as it reaches, else from the store.

import JSON
import Synchronization

/// The value of a source as it was.
package struct PastValue: Sendable {
    /// Of the change that made it.
    package var cursor: Cursor
    package var at: WallTime
    package var text: [UInt8]
    /// Whether the text is the upstream's own. One that was rebuilt from patches is equal as JSON; its members may be in
    /// another order.
    package var isVerbatim: Bool
}

/// What can be said of a value of the past.
package enum PastAnswer: Sendable {
    case value(PastValue)
    /// The source had none yet.
    case none
    /// The value is not kept, or the cursor is none of this log.
    case gone(GapReason)
    /// The store could not be read. It may be known another time.
    case unreadable
}

extension Hub {
    /// The most bytes of JSON that are gone through to rebuild one value from patches: some seconds' work.
    private static let maxRebuildBytes = 256 << 20

    // MARK: Values

    /// The value of a source as it was when the log stood at `cursor`.
    package func value(of source: SourceID, at cursor: Cursor) async -> PastAnswer {
        if case .answer(let answer) = self.lookUp(source, at: cursor) { return answer }
        return await withCheckedContinuation { continuation in
            self.reader { [weak self] in
                continuation.resume(returning: self?.readValue(of: source, at: cursor) ?? .unreadable)
            }
        }
    }

    /// What is known at once, or where more can be found.
    private enum LookUp {
        case answer(PastAnswer)
        /// The patches of all but the first lead from the value of the first to the one asked for.
        case rebuild([ChangeEvent])
        case store(name: String)
    }

    private func lookUp(_ source: SourceID, at cursor: Cursor) -> LookUp {
        self.state.withLock { state in
            guard cursor.epoch == state.log.epoch else { return .answer(.gone(.epoch)) }
            guard cursor.sequence <= state.log.head else { return .answer(.gone(.future)) }
            guard state.entries.indices.contains(source.index) else { return .answer(.none) }
            let entry = state.entries[source.index]
            if let version = entry.version, version.cursor.sequence <= cursor.sequence {
                return .answer(.value(PastValue(version)))
            }
            switch state.log.cache.value(of: source, at: cursor.sequence) {
            case .rebuilt(let events):
                if events.count == 1, let value = events.first.flatMap(PastValue.init) { return .answer(.value(value)) }
                return .rebuild(events)
            case .none:
                return .answer(.none)
            case .gone:
                return state.hasStore ? .store(name: entry.name) : .answer(.gone(.evicted))
            }
        }
    }

    /// As ``value(of:at:)``, on the reader's thread.
    private func readValue(of source: SourceID, at cursor: Cursor) -> PastAnswer {
        switch self.lookUp(source, at: cursor) {
        case .answer(let answer): answer
        case .rebuild(let events): Self.rebuilt(events).map(PastAnswer.value) ?? .gone(.evicted)
        case .store(let name): self.storedValue(of: name, at: cursor)
        }
    }

    private static func rebuilt(_ events: [ChangeEvent]) -> PastValue? {
        guard let first = events.first, let last = events.last, let text = first.value else { return nil }
        let (work, overflow) = text.count.multipliedReportingOverflow(by: events.count)
        guard !overflow, work <= self.maxRebuildBytes,
            var document = try? Document(parsing: text, limits: .widest)
        else { return nil }
        for event in events.dropFirst() {
            guard let patch = event.patchDocument,
                let next = try? document.applying(patch: patch, limits: .widest)
            else { return nil }
            document = next
        }
        return PastValue(cursor: last.cursor, at: last.at, text: document.text, isVerbatim: false)
    }

    private func storedValue(of name: String, at cursor: Cursor) -> PastAnswer {
        guard let store = self.store else { return .gone(.evicted) }
        do throws(StoreError) {
            let stored = try store.value(of: name, at: cursor.sequence)
            let floor = try self.floor(of: [name], in: store)
            // Begun anew in between: what was read is another numbering's.
            guard self.cursor.epoch == cursor.epoch else { return .gone(.epoch) }
            let retired = self.state.withLock { $0.end(ofEarlier: name) }
            guard let stored, let text = stored.value, stored.sequence > retired else {
                return floor > 0 ? .gone(.evicted) : .none
            }
            let found = Cursor(epoch: cursor.epoch, sequence: stored.sequence)
            return .value(PastValue(cursor: found, at: stored.at, text: text, isVerbatim: stored.patch == nil))
        } catch {
            return .unreadable
        }
    }

    // MARK: Events, backwards

    /// The events of these sources before a cursor, the newest first, down to where the first of them is missing.
    package func changes(
        of sources: [SourceID],
        before sequence: UInt64,
        mode: StreamMode,
        limit: Int
    ) async -> PastEvents {
        let (part, hasStore) = self.state.withLock { state in
            (state.log.readBack(before: sequence, of: sources, mode: mode, limit: limit), state.hasStore)
        }
        guard case .evicted = part.end, hasStore else { return part }
        return await withCheckedContinuation { continuation in
            self.reader { [weak self] in
                let stored = self?.readStore(of: sources, before: sequence, mode: mode, limit: limit)
                continuation.resume(returning: stored ?? part)
            }
        }
    }

    private func readStore(
        of sources: [SourceID],
        before sequence: UInt64,
        mode: StreamMode,
        limit: Int
    ) -> PastEvents? {
        guard let store = self.store else { return nil }
        let log = self.cursor
        let ids = self.idsByName(sources)
        do throws(StoreError) {
            let stored = try store.changes(
                of: Array(ids.keys),
                before: min(sequence, log.sequence &+ 1),
                limit: limit,
                maxBytes: Self.maxFetchBytes
            )
            let floor = try self.floor(of: ids.keys, in: store)
            let kept = stored.prefix { $0.sequence > floor }
            let events = try self.events(of: Array(kept), by: ids, epoch: log.epoch, mode: mode, store)
            guard self.cursor.epoch == log.epoch else { return nil }
            // Nothing at all, or less than asked for by bytes: only the former is an end.
            if kept.count == stored.count, !stored.isEmpty { return PastEvents(events: events, end: .limit) }
            return PastEvents(events: events, end: floor > 0 ? .evicted(through: floor) : .beginning)
        } catch {
            return nil
        }
    }
}

extension PastValue {
    init(_ version: SourceVersion) {
        self.init(cursor: version.cursor, at: version.at, text: version.document.text, isVerbatim: true)
    }

    /// `nil` for an event whose value was dropped.
    init?(_ event: ChangeEvent) {
        guard let value = event.value else { return nil }
        self.init(cursor: event.cursor, at: event.at, text: value, isVerbatim: true)
    }
}

// MARK: - Positions

extension Hub {
    /// Finds where a reader begins that names a time, or the oldest change that is kept.
    ///
    /// It begins with the values that held there, so that changes have something to build on. Other positions need no
    /// finding. `then` is called once, with a position that can be opened: inside this call, or on the reader's thread.
    package func locate(
        _ position: StreamPosition,
        of sources: [SourceID],
        format: StreamFormat,
        then: @escaping @Sendable (StreamPosition) -> Void
    ) {
        switch position {
        case .earliest, .time:
            self.reader { [weak self] in
                then(self?.past(position, of: sources, format: format) ?? .snapshot)
            }
        case .snapshot, .latest, .after, .past, .malformed:
            then(position)
        }
    }

    /// As ``locate(_:of:format:then:)``, for one request, which has no use for the values at a time within the log.
    package func locate(_ position: StreamPosition, of sources: [SourceID], format: StreamFormat) async
        -> StreamPosition
    {
        switch position {
        case .earliest, .time:
            await withCheckedContinuation { continuation in
                self.reader { [weak self] in
                    let past = self?.past(position, of: sources, format: format, needsValues: false)
                    continuation.resume(returning: past ?? .snapshot)
                }
            }
        case .snapshot, .latest, .after, .past, .malformed:
            position
        }
    }

    /// On the reader's thread.
    private func past(
        _ position: StreamPosition,
        of sources: [SourceID],
        format: StreamFormat,
        needsValues: Bool = true
    ) -> StreamPosition {
        var cursor = self.cursor
        var gap: GapReason?
        if case .time(let time) = position, let sequence = self.position(of: sources, at: time, head: cursor.sequence) {
            cursor.sequence = sequence
            guard needsValues else { return .after(cursor) }
        } else {
            cursor.sequence = self.oldestPosition(of: sources)
            if case .time = position { gap = .evicted }
        }
        var values: [(name: String, value: PastValue)] = []
        for source in sources where cursor.sequence > 0 {
            switch self.readValue(of: source, at: cursor) {
            case .value(let value): values.append((self.name(of: source) ?? "", value))
            case .none: break
            case .gone, .unreadable:
                // Pruned in this very moment, or damaged: the log will say what is missing.
                return .after(Cursor(epoch: cursor.epoch, sequence: 0))
            }
        }
        values.sort { $0.value.cursor.sequence < $1.value.cursor.sequence }
        let last = values.indices.last
        let snapshots = values.enumerated().map { index, found in
            // Cut off before the last, the reader has no cursor, and begins once more.
            EventEnvelope(source: found.name, at: found.value.at)
                .frame(.snapshot, found.value.text, id: index == last ? found.value.cursor : nil, wire: format.wire)
        }
        return .past(PastStart(cursor: cursor, gap: gap, snapshots: snapshots))
    }

    /// The last position before which nothing of these sources is later than `time`; `nil` where what came after that
    /// is not kept.
    private func position(of sources: [SourceID], at time: WallTime, head: UInt64) -> UInt64? {
        let inMemory = self.state.withLock { $0.log.cache.position(of: sources, at: time, head: head) }
        if let inMemory { return inMemory }
        guard let store = self.store, let sequence = try? store.sequence(at: time),
            let floor = try? self.floor(of: self.idsByName(sources).keys, in: store)
        else { return nil }
        return floor <= sequence ? min(sequence, head) : nil
    }

    /// The oldest position after which every change of these sources is kept, and their values are known.
    private func oldestPosition(of sources: [SourceID]) -> UInt64 {
        if let stored = self.oldestStoredPosition(of: sources) { return stored }
        return self.state.withLock { state in
            sources.map { source in
                state.log.cache.oldestValue(of: source)
                    ?? state.entries[source.index].version?.cursor.sequence ?? 0
            }.max() ?? 0
        }
    }

    private func oldestStoredPosition(of sources: [SourceID]) -> UInt64? {
        guard let store = self.store else { return nil }
        var position: UInt64 = 0
        for name in sources.compactMap({ self.name(of: $0) }) {
            guard let through = try? self.floor(of: [name], in: store) else { return nil }
            guard through > 0 else { continue }
            // The first change that is kept is kept whole.
            guard let first = try? store.changes(of: [name], after: through, limit: 1, maxBytes: 1) else { return nil }
            position = max(position, first.first?.sequence ?? through)
        }
        return position
    }
}
