// Where a stream begins, what a subscriber that is behind gets next, and where it cannot continue: decided on the state of
// one moment, as plans without frames.

import JSON

extension HubState {
    /// How a stream of this subscription begins. Counts the gap, where there is one.
    mutating func plan(_ subscription: Subscription, at position: StreamPosition) -> PlannedOpening {
        switch position {
        case .snapshot: self.planValues(subscription, because: nil)
        case .malformed: self.planValues(subscription, because: .malformed)
        // The position has not been located yet.
        case .time: self.planValues(subscription, because: .evicted)
        case .latest: PlannedOpening(cursor: self.log.cursor, statuses: self.failures(of: subscription))
        case .earliest: self.planEvents(subscription, after: Cursor(epoch: self.log.epoch, sequence: 0))
        case .after(let cursor): self.planEvents(subscription, after: cursor)
        case .past(let past): self.planEvents(subscription, after: past.cursor, past)
        }
    }

    /// With the values of now.
    private mutating func planValues(_ subscription: Subscription, because gap: GapReason?) -> PlannedOpening {
        if let gap { self.gaps[gap, default: 0] += 1 }
        return PlannedOpening(
            cursor: self.log.cursor,
            gap: gap,
            snapshots: self.snapshots(of: subscription.sources, replaces: gap != nil),
            statuses: self.failures(of: subscription)
        )
    }

    /// With what comes after a cursor, as far as the log reaches back, and with what a located position begins with.
    private mutating func planEvents(
        _ subscription: Subscription,
        after cursor: Cursor,
        _ past: PastStart? = nil
    ) -> PlannedOpening {
        if let gap = self.gap(after: cursor, of: subscription) { return self.planValues(subscription, because: gap) }
        if let gap = past?.gap { self.gaps[gap, default: 0] += 1 }
        return PlannedOpening(
            cursor: cursor,
            gap: past?.gap,
            past: past?.snapshots ?? [],
            statuses: self.failures(of: subscription),
            isComplete: false
        )
    }

    /// The next part of the log for a subscriber that is behind: see ``Hub/read(_:after:limit:maySkip:)``.
    mutating func planRead(
        _ subscription: Subscription,
        after sequence: UInt64,
        limit: Int,
        maySkip: Bool
    ) -> PlannedFeed {
        if let version = self.onlyChanged(since: sequence, of: subscription),
            (maySkip || !self.hasStore) && self.isUnreadable(after: sequence, by: subscription)
                || maySkip && self.backlogOutgrows(version, after: sequence, of: subscription)
        {
            return .snapshot(PlannedSnapshot(version: version, step: .arrive), through: self.log.head)
        }
        let mode = subscription.format.mode
        switch self.log.read(after: sequence, of: subscription.sources, mode: mode, limit: limit) {
        case .gap(.evicted) where self.hasStore:
            return .stored
        case .gap(let reason):
            self.gaps[reason, default: 0] += 1
            let snapshots = self.snapshots(of: subscription.sources, replaces: true)
            return .gap(reason, snapshots: snapshots, through: self.log.head)
        case .events(let events, let through, let isComplete):
            return .events(events, through: through, isComplete: isComplete)
        }
    }

    /// The one source of a subscription that changed after `sequence`; `nil` where it was none or several, or where
    /// another of its name may have changed before it was removed.
    ///
    /// A snapshot may take the place of events only then: of several snapshots only the last could move the cursor,
    /// and a subscriber that was cut off before it would come back for events that it is already past.
    private func onlyChanged(since sequence: UInt64, of subscription: Subscription) -> SourceVersion? {
        var found: SourceVersion?
        for source in subscription.sources {
            guard let version = self.version(of: source) else {
                // Also one that was removed: it may have changed before.
                if self.log.cache.evictedThrough(source) > sequence { return nil }
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
    private func gap(after cursor: Cursor, of subscription: Subscription) -> GapReason? {
        // Of the log a view needs the patches, whatever it makes of them.
        let mode = subscription.view.isWhole ? subscription.format.mode : .patch
        guard let gap = self.log.gap(after: cursor, of: subscription.sources, mode: mode) else { return nil }
        if gap == .evicted, self.hasStore { return nil }
        guard gap == .evicted, mode == .snapshot, self.onlyChanged(since: cursor.sequence, of: subscription) != nil
        else { return gap }
        return nil
    }

    private func isUnreadable(after sequence: UInt64, by subscription: Subscription) -> Bool {
        guard subscription.format.mode == .snapshot else { return false }
        return self.log.gap(after: sequence, of: subscription.sources, mode: .snapshot) == .evicted
    }

    /// Whether what a subscriber has missed is larger than the value.
    private func backlogOutgrows(
        _ version: SourceVersion,
        after sequence: UInt64,
        of subscription: Subscription
    ) -> Bool {
        switch subscription.format.mode {
        case .snapshot:
            return self.log.cache.count(of: subscription.sources, after: sequence) > 1
        case .patch, .merge, .items:
            let size = version.document.text.count
            return self.log.backlog(of: subscription.sources, after: sequence, limit: size) > size
        }
    }

    /// The snapshots of the sources, oldest first.
    ///
    /// With `replaces` the subscriber has a cursor, which it must not come back with once it has some of them.
    func snapshots(of sources: [SourceID], replaces: Bool) -> [PlannedSnapshot] {
        var versions = sources.compactMap { self.version(of: $0) }
        versions.sort { $0.cursor.sequence < $1.cursor.sequence }
        return versions.enumerated().map { index, version in
            let isLast = index == versions.count - 1
            return PlannedSnapshot(
                version: version,
                step: isLast ? .arrive : (index == 0 && replaces ? .forget : .stay)
            )
        }
    }

    /// The sources that are not well.
    private func failures(of subscription: Subscription) -> [PlannedStatus] {
        subscription.sources.compactMap { source in
            guard let entry = self[source] else { return nil }
            switch entry.status.state {
            case .starting, .ok: return nil
            case .stale, .backoff, .failing, .paused: return PlannedStatus(source: entry.name, status: entry.status)
            }
        }
    }
}
