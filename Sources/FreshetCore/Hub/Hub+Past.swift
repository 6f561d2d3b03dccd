// What was: values and events of the past, from memory as far as it reaches, else from the store.

import JSON

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
    /// The value is not kept, or the cursor is of another log.
    case gone(GapReason)
    /// The store could not be read. It may be known another time.
    case unreadable
}

extension Hub {
    /// The most bytes of JSON that are gone through to rebuild one value from patches: some seconds' work.
    private static let maxRebuildBytes = 256 << 20

    // MARK: Values

    /// The value of a source as it was when the log stood at `cursor`.
    package func value(
        of source: SourceID,
        at cursor: Cursor,
        for client: ReadClient = .local
    ) async throws(ReadRefusal) -> PastAnswer {
        await self.catchUp(with: cursor)
        switch self.lookUp(source, at: cursor) {
        case .answer(let answer): return answer
        case .current(let version): return .value(PastValue(version))
        case .rebuild, .store: break
        }
        return try await self.reads.value(.rebuild, for: client) { [weak self] cancellation in
            self?.readValue(of: source, at: cursor, cancellation)
        }
    }

    /// What is known at once, or where more can be found.
    enum LookUp {
        case answer(PastAnswer)
        /// The value has not changed since.
        case current(SourceVersion)
        /// The patches of all but the first lead from the value of the first to the one asked for.
        case rebuild([ChangeEvent])
        case store(name: String)
    }

    func lookUp(_ source: SourceID, at cursor: Cursor) -> LookUp {
        self.state.withLock { state in
            guard cursor.epoch == state.log.epoch else { return .answer(.gone(.epoch)) }
            guard cursor.sequence <= state.log.head else { return .answer(.gone(.future)) }
            guard let entry = state[source] else { return .answer(.none) }
            if let version = entry.version, version.cursor.sequence <= cursor.sequence { return .current(version) }
            switch state.log.cache.value(of: source, at: cursor.sequence) {
            case .rebuilt(let events):
                if events.count == 1, let value = events.first.flatMap(PastValue.init) { return .answer(.value(value)) }
                if let last = events.last, let value = state.past.value(of: source, at: last.cursor) {
                    return .answer(.value(value))
                }
                return .rebuild(events)
            case .none:
                return .answer(.none)
            case .gone:
                guard state.hasStore else { return .answer(.gone(.evicted)) }
                if let value = state.past.value(of: source, at: cursor) { return .answer(.value(value)) }
                return .store(name: entry.name)
            }
        }
    }

    /// As ``value(of:at:for:)``, on the reader's thread. `nil` where it was cancelled.
    func readValue(of source: SourceID, at cursor: Cursor, _ cancellation: ReadCancellation) -> PastAnswer? {
        switch self.lookUp(source, at: cursor) {
        case .answer(let answer): answer
        case .current(let version): .value(PastValue(version))
        case .rebuild(let events):
            switch self.rebuilt(events, cancellation) {
            case .value(let value): .value(value)
            case .impossible: .gone(.evicted)
            case .cancelled: nil
            }
        case .store(let name): self.storedValue(of: name, source, at: cursor)
        }
    }

    enum Rebuilt {
        case value(PastValue)
        /// A patch does not apply, or it would be too much work.
        case impossible
        case cancelled
    }

    /// On the reader's thread.
    func rebuilt(_ events: [ChangeEvent], _ cancellation: ReadCancellation) -> Rebuilt {
        guard let first = events.first, let last = events.last, let text = first.value else { return .impossible }
        let (work, overflow) = text.count.multipliedReportingOverflow(by: events.count)
        guard !overflow, work <= Self.maxRebuildBytes,
            var document = try? Document(parsing: text, limits: .widest)
        else { return .impossible }
        for event in events.dropFirst() {
            guard !cancellation.isCancelled else { return .cancelled }
            guard let patch = event.patchDocument,
                let next = try? document.applying(patch: patch, limits: .widest)
            else { return .impossible }
            document = next
        }
        let value = PastValue(cursor: last.cursor, at: last.at, text: document.text, isVerbatim: false)
        return .value(self.share(value, of: last.source, at: last.cursor))
    }

    /// Keeps a value that was read or rebuilt for those who ask for the same.
    ///
    /// - Returns: The value to use: one that is kept already, so that there is one copy of it.
    func share(_ value: PastValue, of source: SourceID, at cursor: Cursor) -> PastValue {
        self.state.withLock { state in
            guard cursor.epoch == state.log.epoch else { return value }
            return state.past.keep(value, of: source, at: cursor)
        }
    }

    private func storedValue(of name: String, _ source: SourceID, at cursor: Cursor) -> PastAnswer {
        guard let store = self.store else { return .gone(.evicted) }
        do throws(StoreError) {
            let stored = try store.value(of: name, at: cursor.sequence)
            guard self.cursor.epoch == cursor.epoch else { return .gone(.epoch) }
            let retired = self.state.withLock { $0.end(ofEarlier: name) }
            if let value = PastValue(stored, epoch: cursor.epoch, after: retired) {
                return .value(self.share(value, of: source, at: cursor))
            }
            // Read after the value: what is pruned in between is gone, and not missing.
            return try self.floor(of: [name], in: store) > 0 ? .gone(.evicted) : .none
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
        limit: Int,
        for client: ReadClient = .local
    ) async throws(ReadRefusal) -> PastEvents {
        let (part, hasStore) = self.state.withLock { state in
            (state.log.readBack(before: sequence, of: sources, mode: mode, limit: limit), state.hasStore)
        }
        guard case .evicted = part.end, hasStore else { return part }
        return try await self.reads.value(.page, for: client) { [weak self] _ in
            self?.readStore(of: sources, before: sequence, mode: mode, limit: limit) ?? part
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
            let floor = try self.floor(of: sources, named: ids.keys, in: store)
            let kept = stored.prefix { $0.sequence > floor }
            let events = try self.events(of: Array(kept), by: ids, epoch: log.epoch, mode: mode, store)
            guard self.cursor.epoch == log.epoch else { return nil }
            // Nothing at all, or less than asked for by bytes: only the former is an end.
            if events.count < kept.count || kept.count == stored.count && !stored.isEmpty {
                return PastEvents(events: events, end: .limit)
            }
            return PastEvents(events: events, end: floor > 0 ? .evicted(through: floor) : .beginning)
        } catch {
            return nil
        }
    }
}

extension PastValue {
    /// `nil` for a change that is not kept, or that is an earlier source's of the name, which ended at `sequence`.
    init?(_ stored: StoredChange?, epoch: Epoch, after sequence: UInt64) {
        guard let stored, let text = stored.value, stored.sequence > sequence else { return nil }
        self.init(
            cursor: Cursor(epoch: epoch, sequence: stored.sequence),
            at: stored.at,
            text: text,
            isVerbatim: stored.patch == nil
        )
    }

    init(_ version: SourceVersion) {
        self.init(cursor: version.cursor, at: version.at, text: version.document.text, isVerbatim: true)
    }

    /// `nil` for an event whose value was dropped.
    init?(_ event: ChangeEvent) {
        guard let value = event.value else { return nil }
        self.init(cursor: event.cursor, at: event.at, text: value, isVerbatim: true)
    }
}
