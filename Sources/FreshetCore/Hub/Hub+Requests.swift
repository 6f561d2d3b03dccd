// What requests ask of the hub: values, changes, and notification of the next one.

extension Hub {
    /// The values of these sources for a reader that cannot continue from where it was, which is counted, and the cursor
    /// of the same moment.
    package func values(
        of sources: [SourceID],
        in view: View = .whole,
        because reason: GapReason
    ) -> (Cursor, [PlannedSnapshot]) {
        let (cursor, planned) = self.state.withLock { state in
            state.gaps[reason, default: 0] += 1
            return (state.log.cursor, state.snapshots(of: sources, replaces: true))
        }
        return (cursor, planned.map { $0.shown(in: view) })
    }

    /// The position after the newest change.
    package var cursor: Cursor {
        self.state.withLock { $0.log.cursor }
    }

    /// The current value of a source.
    package func version(of source: SourceID) -> SourceVersion? {
        self.state.withLock { $0.version(of: source) }
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

    /// Adds a listener that is notified of each change and removal of sources that requests wait for. One for
    /// many requests: how many wait makes no difference to who publishes (A13).
    package func attach(waits listener: any HubListener) {
        self.state.withLock { $0.waitListeners.append(listener) }
    }

    package func detach(waits listener: any HubListener) {
        self.state.withLock { $0.waitListeners.removeAll { $0 === listener } }
    }

    /// Takes note that requests wait for a change of these sources, which is then reported to the listeners attached for
    /// it. Until ``endWait(for:)``.
    package func beginWait(for sources: [SourceID]) {
        self.countWait(for: sources, by: 1)
    }

    package func endWait(for sources: [SourceID]) {
        self.countWait(for: sources, by: -1)
    }

    private func countWait(for sources: [SourceID], by difference: Int) {
        self.state.withLock { state in
            for source in sources {
                state.update(source) { $0.waits += difference }
            }
        }
    }

    /// Whether one of these sources has changed after `sequence`, or is gone.
    package func hasChanged(after sequence: UInt64, among sources: [SourceID]) -> Bool {
        self.state.withLock { state in
            sources.contains { source in
                guard let entry = state[source] else { return true }
                return (entry.version?.cursor.sequence ?? 0) > sequence
            }
        }
    }

    /// Drops events older than `time` from memory.
    package func prune(before time: WallTime) {
        self.state.withLock { $0.log.prune(before: time) }
    }

    /// Drops events from memory until no more than so many bytes are held, and all that was read or rebuilt of the past;
    /// the values stay.
    package func shrinkCache(to bytes: Int) {
        self.state.withLock { state in
            state.log.shrink(to: bytes)
            state.past.removeAll()
            state.forgetFetched()
        }
    }

    /// Figures for metrics.
    package struct Statistics: Sendable {
        package var cursor: Cursor
        package var published: UInt64
        package var cacheBytes: Int
        package var cachedEvents: Int
        package var evictions: UInt64
        package var gaps: [GapReason: UInt64]
        /// Different views that are read now.
        package var views: Int
        /// Views that changes concerned, and frames that were encoded for them.
        package var viewsAsked: UInt64
        package var viewFrames: UInt64
    }

    package var statistics: Statistics {
        self.state.withLock { state in
            Statistics(
                cursor: state.log.cursor,
                published: state.published,
                cacheBytes: state.log.cache.bytes,
                cachedEvents: state.log.cache.count,
                evictions: state.log.cache.evictions,
                gaps: state.gaps,
                views: state.views.count,
                viewsAsked: self.viewFigures.asked,
                viewFrames: self.viewFigures.frames
            )
        }
    }
}
