// Readers of a part of a value: how they begin, and what they get of the log.

package import JSON

extension Hub {
    /// The most events of the log that one reading for a view goes through: some hundreds of milliseconds of work.
    private static let maxScannedEvents = 16_384
    private static let eventsPerScan = 256

    /// What tells the items of a source apart; `nil` where that is not known, or it has none.
    package func itemRule(of source: SourceID) -> ItemRule? {
        self.state.withLock { state in
            state.version(of: source)?.rule ?? state[source]?.status.collection?.rule
        }
    }

    /// Why a view of these sources cannot be read.
    package enum ViewRefusal: Error, Hashable, Sendable {
        /// A source has a value, and nothing is known that would tell its items apart.
        case noItems(source: String)
        /// Filters look at as many different members of its items as they may.
        case full(source: String)
    }

    package func check(_ view: View, of sources: [SourceID]) throws(ViewRefusal) {
        guard view.needsItems else { return }
        let refusal = self.state.withLock { state -> ViewRefusal? in
            for source in sources {
                guard let entry = state[source] else { continue }
                if let version = entry.version, version.rule == nil, entry.status.collection == nil {
                    return .noItems(source: entry.name)
                }
                if entry.views?.hasRoom(for: view) == false { return .full(source: entry.name) }
            }
            return nil
        }
        if let refusal { throw refusal }
    }

    /// The events of these sources after a cursor in a view, from memory or the store, for one request.
    package func changes(
        of sources: [SourceID],
        in view: View,
        after cursor: Cursor,
        mode: StreamMode,
        limit: Int,
        for client: ReadClient = .local
    ) async throws(ReadRefusal) -> ViewReading {
        if let gap = self.state.withLock({ $0.gap(after: cursor, of: sources) }) {
            self.count(gap)
            return .gap(gap)
        }
        let reading = try await self.reads.value(.page, for: client) { [weak self] cancellation -> ViewReading? in
            guard let self else { return .gap(.evicted) }
            let reading = self.scan(sources, view, mode, after: cursor.sequence, limit: limit, cancellation)
            return cancellation.isCancelled ? nil : reading
        }
        if case .gap(let reason) = reading { self.count(reason) }
        return reading
    }

    /// As ``changes(of:before:mode:limit:for:)`` in a view; `limit` counts events of the log.
    package func changes(
        of sources: [SourceID],
        in view: View,
        before sequence: UInt64,
        mode: StreamMode,
        limit: Int,
        for client: ReadClient = .local
    ) async throws(ReadRefusal) -> (events: [ViewedEvent], oldest: UInt64?, end: PastEvents.End) {
        // What the view needs of the log is the patches.
        let past = try await self.changes(of: sources, before: sequence, mode: .patch, limit: limit, for: client)
        let (viewed, lost) = try await self.reads.value(.page, for: client) { [weak self] _ in
            self?.view(past.events.reversed(), view, mode) ?? ([], nil)
        }
        let events = viewed.reversed().filter { !$0.isCheckpoint }
        if let lost { return (events, viewed.first?.sequence, .evicted(through: lost)) }
        return (events, past.events.last?.sequence, past.end)
    }

    // MARK: On the reader's thread

    /// The next part of the log in the subscription's view.
    func viewFeed(_ subscription: Subscription, after sequence: UInt64, limit: Int) -> StreamFeed {
        let (view, wire) = (subscription.view, subscription.format.wire)
        switch self.scan(subscription.sources, view, subscription.format.mode, after: sequence, limit: limit, nil) {
        case .gap: return self.gap(for: subscription)
        case .events(let events, let through, let last, _):
            var frames = events.map { SequencedFrame(sequence: $0.sequence, frame: $0.frame(wire: wire)) }
            if let last {
                let frame = last.frame(wire: wire)
                frames.append(SequencedFrame(sequence: last.sequence, frame: frame, isCheckpoint: true))
            }
            return .frames(frames, through: through, isComplete: false)
        }
    }

    func scan(
        _ sources: [SourceID],
        _ view: View,
        _ mode: StreamMode,
        after sequence: UInt64,
        limit: Int,
        _ cancellation: ReadCancellation?
    ) -> ViewReading {
        var found: [ViewedEvent] = []
        var last: ViewedEvent?
        var (position, scanned, bytes) = (sequence, 0, 0)
        var replays: [SourceID: ViewReplay] = [:]
        while cancellation?.isCancelled != true {
            let part: ChangeLog.Reading = self.log(of: sources, after: position, limit: Self.eventsPerScan)
            guard case .events(let events, let through, let isComplete) = part else {
                // What was found comes first; the gap is found again after it.
                guard found.isEmpty, last == nil, case .gap(let reason) = part else { break }
                return .gap(reason)
            }
            for event in events {
                switch self.step(event, view, mode, &replays) {
                case .lost:
                    guard found.isEmpty, last == nil else {
                        return .events(found, through: position, last: last, isComplete: false)
                    }
                    return .gap(.evicted)
                case .nothing: last = ViewedEvent(event, nil)
                case .content(let content):
                    found.append(ViewedEvent(event, content))
                    bytes += content.text.count
                    last = nil
                }
                position = event.sequence
                guard found.count < limit, bytes < Self.maxFetchBytes else {
                    return .events(found, through: position, last: last, isComplete: false)
                }
            }
            position = max(position, through)
            scanned += events.count
            if isComplete { return .events(found, through: position, last: last, isComplete: true) }
            guard scanned < Self.maxScannedEvents else { break }
        }
        return .events(found, through: position, last: last, isComplete: false)
    }

    /// Events of several sources in a view, in order, after the last that cannot be told, and the sequence of that.
    private func view(
        _ events: [ChangeEvent],
        _ view: View,
        _ mode: StreamMode
    ) -> (events: [ViewedEvent], lost: UInt64?) {
        var replays: [SourceID: ViewReplay] = [:]
        var viewed: [ViewedEvent] = []
        var lost: UInt64?
        for event in events {
            switch self.step(event, view, mode, &replays) {
            case .lost:
                lost = event.sequence
                viewed = []
            case .nothing: viewed.append(ViewedEvent(event, nil))
            case .content(let content): viewed.append(ViewedEvent(event, content))
            }
        }
        return (viewed, lost)
    }

    private func step(
        _ event: ChangeEvent,
        _ view: View,
        _ mode: StreamMode,
        _ replays: inout [SourceID: ViewReplay]
    ) -> ViewReplay.Step {
        var replay = replays.removeValue(forKey: event.source) ?? self.replay(of: event.source, view, mode)
        defer { replays[event.source] = replay }
        return replay.next(event) { self.value(before: $0) }
    }

    private func replay(of source: SourceID, _ view: View, _ mode: StreamMode) -> ViewReplay {
        let (rule, since) = self.state.withLock { state -> (ItemRule?, UInt64) in
            let entry = state[source]
            return (entry?.version?.rule ?? entry?.status.collection?.rule, entry?.ruleSince ?? 0)
        }
        return ViewReplay(view, in: mode, rule: rule, ruleSince: since)
    }

    /// The events of these sources, from memory or the store, with what views need of them.
    private func log(of sources: [SourceID], after sequence: UInt64, limit: Int) -> ChangeLog.Reading {
        let (inMemory, hasStore) = self.state.withLock { state in
            (state.log.read(after: sequence, of: sources, mode: .patch, limit: limit), state.hasStore)
        }
        guard case .gap(.evicted) = inMemory, hasStore else { return inMemory }
        return self.readStore(of: sources, after: sequence, mode: .patch, limit: limit)
    }

    private func value(before event: ChangeEvent) -> ViewReplay.Before {
        // Of the present epoch: sequences go on where one is lost, and the event may be of the one before.
        let cursor = Cursor(epoch: self.cursor.epoch, sequence: event.sequence - 1)
        guard let answer = self.readValue(of: event.source, at: cursor, ReadCancellation()) else { return .gone }
        switch answer {
        case .value(let value):
            return (try? Document(parsing: value.text, limits: .widest)).map(ViewReplay.Before.value) ?? .gone
        case .none: return .none
        case .gone, .unreadable: return .gone
        }
    }
}

extension HubState {
    /// Why a view cannot be read from a cursor on, as far as that is known without reading.
    fileprivate func gap(after cursor: Cursor, of sources: [SourceID]) -> GapReason? {
        let gap = self.log.gap(after: cursor, of: sources, mode: .patch)
        return gap == .evicted && self.hasStore ? nil : gap
    }

    /// Whether nothing of a subscription is newer.
    func isComplete(after sequence: UInt64, _ subscription: Subscription) -> Bool {
        subscription.sources.allSatisfy { source in
            if let version = self.version(of: source) { return version.cursor.sequence <= sequence }
            return self.log.cache.evictedThrough(source) <= sequence
        }
    }
}
