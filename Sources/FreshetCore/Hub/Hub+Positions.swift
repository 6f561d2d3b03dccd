// Where a reader begins that names a time, or the oldest change that is kept.
import JSON

/// What a reader needs of the values that held at the position where it begins.
package enum PastNeed: Hashable, Sendable {
    /// Events of a stream, which have something to build on then.
    case events(StreamWire)
    /// Their texts, and those only where the log does not reach back to the position that was asked for.
    case texts
    /// Nothing.
    case position

    fileprivate var urgency: ReadUrgency {
        switch self {
        case .events: .stream
        case .texts: .page
        case .position: .rebuild
        }
    }
}

extension StreamPosition {
    /// Whether the log has to be looked through for the position.
    fileprivate var isToBeLocated: Bool {
        switch self {
        case .earliest, .time: true
        case .snapshot, .latest, .after, .past, .malformed: false
        }
    }
}

extension Hub {
    /// The most bytes of values of the past that one reader of several sources begins with. Beyond, the log counts as not
    /// reaching back: the values of now, which all readers share, take their place.
    package static let maxPastBytes = 64 << 20

    /// How long a reader waits for this node to come as far as the node that gave out its cursor had. Beyond, the cursor counts
    /// as one that was never given out.
    package static let catchUpTime = Duration.seconds(2)

    /// Whether a position is to be located before it can be opened: the disk may have to be read, or this node may have to read
    /// on in a log that it shares.
    package func isToBeLocated(_ position: StreamPosition) -> Bool {
        if case .after(let cursor) = position { return self.isAhead(cursor) }
        return position.isToBeLocated
    }

    /// Returns once this node has read as far as a cursor of a shared log, or that takes longer than ``catchUpTime``. At once for
    /// any other cursor.
    package func catchUp(with cursor: Cursor) async {
        guard self.isAhead(cursor) else { return }
        let log = self.intake.withLock { $0.log }
        _ = await log.hasRead(cursor, within: Self.catchUpTime)
    }

    /// Whether another node may have given out this cursor, of a log that they share, and this one has not read so far.
    private func isAhead(_ cursor: Cursor) -> Bool {
        let head = self.cursor
        return cursor.epoch == head.epoch && cursor.sequence > head.sequence && self.intake.withLock { $0.log.isShared }
    }

    /// A position that can be opened, for one that names a time, the oldest change, or a cursor of a shared log that this node
    /// has not read yet. Others need no finding.
    package func locate(
        _ position: StreamPosition,
        of sources: [SourceID],
        in view: View = .whole,
        needs: PastNeed,
        for client: ReadClient = .local
    ) async throws(ReadRefusal) -> StreamPosition {
        if case .after(let cursor) = position { await self.catchUp(with: cursor) }
        guard position.isToBeLocated else { return position }
        return try await self.reads.value(needs.urgency, for: client) { [weak self] cancellation in
            let past = self?.past(position, of: sources, in: view, needs: needs, cancellation)
            return cancellation.isCancelled ? nil : past
        }
    }

    /// On the reader's thread.
    private func past(
        _ position: StreamPosition,
        of sources: [SourceID],
        in view: View,
        needs: PastNeed,
        _ cancellation: ReadCancellation
    ) -> StreamPosition {
        var cursor = self.cursor
        var gap: GapReason?
        if case .time(let time) = position, let sequence = self.position(of: sources, at: time, head: cursor.sequence) {
            cursor.sequence = sequence
            guard case .events = needs else { return .after(cursor) }
        } else {
            cursor.sequence = self.oldestPosition(of: sources)
            if case .time = position { gap = .evicted }
        }
        guard needs != .position, cursor.sequence > 0 else {
            return .past(PastStart(cursor: cursor, gap: gap, values: []))
        }
        guard let values = self.values(of: sources, at: cursor, cancellation) else {
            // Pruned in this very moment, damaged, or too much: the log will say what is missing.
            return .after(Cursor(epoch: cursor.epoch, sequence: 0))
        }
        var snapshots: [Frame] = []
        if case .events(let wire) = needs {
            // Cut off before the last, the reader has no cursor, and begins once more.
            let last = values.indices.last
            snapshots = values.enumerated().map { self.frame(of: $1, in: view, wire: wire, arrives: $0 == last) }
            return .past(PastStart(cursor: cursor, gap: gap, values: values, snapshots: snapshots))
        }
        return .past(PastStart(cursor: cursor, gap: gap, values: values.map { self.shown($0, in: view) }))
    }

    /// Of the sources that had a value, in the order of their cursors; `nil` where one of them cannot be had, or where
    /// they are too many bytes.
    private func values(
        of sources: [SourceID],
        at cursor: Cursor,
        _ cancellation: ReadCancellation
    ) -> [PastSnapshot]? {
        var found: [PastSnapshot] = []
        var stored: [String: SourceID] = [:]
        var bytes = 0
        func fits(_ value: PastValue) -> Bool {
            bytes += value.text.count
            return sources.count == 1 || bytes <= Self.maxPastBytes
        }
        for source in sources {
            guard !cancellation.isCancelled else { return nil }
            switch self.lookUp(source, at: cursor) {
            case .current(let version):
                found.append(PastSnapshot(name: version.sourceName, source: source, version: version))
            case .answer(.value(let value)):
                guard fits(value) else { return nil }
                found.append(PastSnapshot(name: self.name(of: source) ?? "", source: source, value: value))
            case .answer(.none): break
            case .answer(.gone), .answer(.unreadable): return nil
            case .rebuild(let events):
                guard case .value(let value) = self.rebuilt(events, cancellation), fits(value) else { return nil }
                found.append(PastSnapshot(name: self.name(of: source) ?? "", source: source, value: value))
            case .store(let name): stored[name] = source
            }
        }
        guard
            self.read(
                stored,
                at: cursor,
                { value, name, source in
                    guard !cancellation.isCancelled, fits(value) else { return false }
                    found.append(PastSnapshot(name: name, source: source, value: value))
                    return true
                }
            )
        else { return nil }
        return found.sorted { $0.value.cursor.sequence < $1.value.cursor.sequence }
    }

    /// Reads values from the store, all in one transaction.
    ///
    /// - Returns: Whether all were read that are kept, none is missing, and `body` took each.
    private func read(
        _ sources: [String: SourceID],
        at cursor: Cursor,
        _ body: (PastValue, String, SourceID) -> Bool
    ) -> Bool {
        guard !sources.isEmpty else { return true }
        guard let store = self.store else { return false }
        let ends = self.state.withLock { state in
            Dictionary(sources.keys.map { ($0, state.end(ofEarlier: $0)) }) { first, _ in first }
        }
        var absent = Set(sources.keys)
        var isTaken = true
        do throws(StoreError) {
            try store.eachValue(of: Array(sources.keys), at: cursor.sequence) { stored in
                guard let source = sources[stored.source],
                    let value = PastValue(stored, epoch: cursor.epoch, after: ends[stored.source] ?? 0)
                else { return true }
                absent.remove(stored.source)
                isTaken = body(self.share(value, of: source, at: cursor), stored.source, source)
                return isTaken
            }
            guard isTaken, self.cursor.epoch == cursor.epoch else { return false }
            // Read after the values: what is pruned in between is gone, and not missing.
            if absent.isEmpty { return true }
            return try self.floor(of: absent, in: store) == 0
        } catch {
            return false
        }
    }

    /// A value of the past as a `snapshot` event, shared by all streams that begin with it.
    private func frame(of snapshot: PastSnapshot, in view: View, wire: StreamWire, arrives: Bool) -> Frame {
        if let version = snapshot.version {
            return version.shown(in: view).frame(wire: wire, step: arrives ? .arrive : .stay)
        }
        let form = PastCache.Form(wire: wire, hasID: arrives, view: view)
        let cursor = snapshot.value.cursor
        if let frame = self.state.withLock({ $0.past.frame(of: snapshot.source, at: cursor, form) }) { return frame }
        let frame = EventEnvelope(source: snapshot.name, at: snapshot.value.at, cursor: cursor)
            .frame(.snapshot, self.shown(snapshot, in: view).value.text, id: arrives ? cursor : nil, wire: wire)
        return self.state.withLock { $0.past.keep(frame, of: snapshot.source, at: cursor, form) }
    }

    /// What a view shows of a value of the past.
    private func shown(_ snapshot: PastSnapshot, in view: View) -> PastSnapshot {
        guard !view.isWhole else { return snapshot }
        if let version = snapshot.version {
            let (name, source) = (snapshot.name, snapshot.source)
            return PastSnapshot(name: name, source: source, version: version.shown(in: view))
        }
        var shown = snapshot
        shown.value.text = self.text(of: snapshot.value, of: snapshot.source, in: view) ?? Array("null".utf8)
        shown.value.isVerbatim = false
        return shown
    }

    /// What a view shows of a value that a source had; `nil` where that is nothing.
    package func text(of value: PastValue, of source: SourceID, in view: View) -> [UInt8]? {
        guard let document = try? Document(parsing: value.text, limits: .widest) else { return nil }
        return view.document(of: KeyedValue(document, rule: self.itemRule(of: source)))?.text
    }

    /// The last position before which nothing of these sources is later than `time`; `nil` where what came after that
    /// is not kept.
    private func position(of sources: [SourceID], at time: WallTime, head: UInt64) -> UInt64? {
        let inMemory = self.state.withLock { $0.log.cache.position(of: sources, at: time, head: head) }
        if let inMemory { return inMemory }
        guard let store = self.store, let sequence = try? store.sequence(at: time),
            let floor = try? self.floor(of: sources, named: self.idsByName(sources).keys, in: store)
        else { return nil }
        return floor <= sequence ? min(sequence, head) : nil
    }

    /// The oldest position after which every change of these sources is kept, and their values are known.
    private func oldestPosition(of sources: [SourceID]) -> UInt64 {
        if let stored = self.oldestStoredPosition(of: sources) { return stored }
        return self.state.withLock { state in
            sources.map { source in
                state.log.cache.oldestValue(of: source)
                    ?? state.version(of: source)?.cursor.sequence ?? 0
            }.max() ?? 0
        }
    }

    /// Two reads of the store, however many sources there are: how far each is pruned, and the first change of each
    /// after that, which is kept whole.
    private func oldestStoredPosition(of sources: [SourceID]) -> UInt64? {
        guard let store = self.store,
            let floors = try? self.floors(of: self.idsByName(sources).keys, in: store).filter({ $0.value > 0 }),
            let first = try? store.firstChanges(after: floors)
        else { return nil }
        return floors.map { max($0.value, first[$0.key] ?? 0) }.max() ?? 0
    }
}

/// A value of the past and whose it is.
package struct PastSnapshot: Sendable {
    package var name: String
    package var value: PastValue
    let source: SourceID
    /// Where the value is that of now.
    let version: SourceVersion?

    init(name: String, source: SourceID, value: PastValue) {
        self.name = name
        self.source = source
        self.value = value
        self.version = nil
    }

    init(name: String, source: SourceID, version: SourceVersion) {
        self.name = name
        self.source = source
        self.value = PastValue(version)
        self.version = version
    }
}
