// The three tasks of a sender: one reads the log, one sends, one looks after time, rights and the disk.

import FreshetCore
import FreshetUpstream
import Synchronization

extension PushSender {
    /// Events of one part of the log that are read at once.
    private static let eventsPerRead = 64
    /// How long an alarm sleeps at most.
    private static let longestAlarm = Duration.seconds(30)
    /// How often instances are asked for that could not be had.
    private static let holdInterval = Duration.seconds(30)

    /// Sends until the task is cancelled, and writes what was not sent then. Called once.
    package func run() async {
        self.hub.attach(self)
        defer { self.hub.detach(self) }
        // What came while nobody ran.
        self.changed.withLock { changed in
            for source in self.hub.sources() { changed.insert(source.id) }
        }
        self.reading.ring()
        self.sending.ring()
        await withTaskGroup(of: Void.self) { group in
            group.addTask { await self.readLog() }
            group.addTask { await self.sendMessages() }
            group.addTask { await self.keepHouse() }
        }
        await self.writeRows()
    }

    // MARK: Reading

    private func readLog() async {
        for await _ in self.reading.rings {
            while !Task.isCancelled {
                // Before: a change that is in the log by now is among those that changed.
                let head = self.hub.cursor
                let sources = self.changed.withLock { changed in
                    defer { changed = [] }
                    return changed
                }
                guard !sources.isEmpty else {
                    self.state.withLock { $0.readThrough = head }
                    break
                }
                for source in sources where !Task.isCancelled { await self.read(source) }
            }
            if Task.isCancelled { return }
        }
    }

    /// Reads what came of a source, once for each view of it that is followed.
    private func read(_ source: SourceID) async {
        guard let name = self.hub.name(of: source) else { return }
        let head = self.hub.cursor
        let reads = self.state.withLock { $0.book.reads(of: name, head: head) }
        for (feed, start) in reads {
            var after = start
            while !Task.isCancelled {
                do throws(ReadRefusal) {
                    let part = try await self.part(of: source, feed, after: after)
                    self.state.withLock { $0.book.take(part.events, of: feed, upTo: part.through) }
                    if !part.events.isEmpty { self.sending.ring() }
                    guard !part.isComplete, part.through != after else { break }
                    after = part.through
                } catch {
                    // Too many read the log: once more, a little later.
                    try? await Task.sleep(for: .seconds(1))
                }
            }
        }
    }

    private struct Part {
        var events: [PushEvent]
        var through: Cursor
        var isComplete: Bool
    }

    private func part(of source: SourceID, _ feed: PushFeed, after: Cursor) async throws(ReadRefusal) -> Part {
        let rule = self.hub.itemRule(of: source)
        guard !feed.view.isWhole else {
            let reading = try await self.hub.changes(
                of: [source],
                after: after,
                mode: .items,
                limit: Self.eventsPerRead
            )
            switch reading {
            case .gap: return self.gap(feed, after: after)
            case .events(let events, let through, let isComplete):
                let found = events.map { PushEvent($0, source: feed.source, rule: rule) }
                let end = max(through, events.last?.sequence ?? 0, after.sequence)
                return Part(
                    events: found,
                    through: Cursor(epoch: after.epoch, sequence: end),
                    isComplete: isComplete
                )
            }
        }
        let reading = try await self.hub.changes(
            of: [source],
            in: feed.view,
            after: after,
            mode: .items,
            limit: Self.eventsPerRead
        )
        switch reading {
        case .gap: return self.gap(feed, after: after)
        case .events(let events, let through, _, let isComplete):
            let found = events.map { PushEvent($0, source: feed.source, rule: rule) }
            let end = max(through, after.sequence)
            return Part(events: found, through: Cursor(epoch: after.epoch, sequence: end), isComplete: isComplete)
        }
    }

    /// The log does not reach back: the subscriber fetches what there is.
    private func gap(_ feed: PushFeed, after: Cursor) -> Part {
        let head = self.hub.cursor
        let event = PushEvent(gapOf: feed.source, since: after, cursor: head, at: .now)
        return Part(events: [event], through: head, isComplete: true)
    }

    // MARK: Sending

    private func sendMessages() async {
        await withDiscardingTaskGroup { group in
            var alarm = MonotonicTime.distantFuture
            for await _ in self.sending.rings {
                if Task.isCancelled { return }
                while self.maySend, let send = self.state.withLock({ $0.book.next(now: .now, wall: .now) }) {
                    group.addTask { await self.carryOut(send) }
                }
                guard let wake = self.state.withLock({ $0.book.nextWake }) else { continue }
                if alarm <= .now { alarm = .distantFuture }
                guard wake < alarm else { continue }
                // Bounded, so that alarms that an earlier one has overtaken do not pile up.
                let wait = min(max(.milliseconds(1), wake - .now), Self.longestAlarm)
                alarm = .now + wait
                group.addTask {
                    // Until the next message is due.
                    try? await Task.sleep(for: wait)
                    self.sending.ring()
                }
            }
        }
    }

    /// Another gateway sends where this one may not.
    private var maySend: Bool { self.configuration.sharing.map { $0.maySend() } ?? true }

    // MARK: House

    private func keepHouse() async {
        let storeInterval = self.configuration.storeInterval
        let interval = min(Duration.seconds(1), self.configuration.heartbeat / 4, storeInterval)
        let reviewInterval = min(Duration.seconds(15), self.configuration.heartbeat / 2)
        var revision: UInt64 = 0
        var (sinceReview, sinceStore) = (reviewInterval, Duration.zero)
        var sinceHold = Self.holdInterval
        while !Task.isCancelled {
            self.end(self.state.withLock { $0.book.expired(now: .now) }, because: .expired)
            let present = self.owners.revision()
            if present != revision || sinceReview >= reviewInterval {
                (revision, sinceReview) = (present, .zero)
                self.review()
            }
            if sinceHold >= Self.holdInterval {
                sinceHold = .zero
                self.holdInstances()
            }
            if sinceStore >= storeInterval {
                sinceStore = .zero
                await self.writeRows()
            }
            // The period of this loop. Cancellation ends the wait.
            try? await Task.sleep(for: interval)
            sinceReview += interval
            sinceStore += interval
            sinceHold += interval
        }
    }

    /// Ends the subscriptions of those who have lost their right.
    private func review() {
        let subscriptions = self.state.withLock { $0.book.subscriptions }
        let revoked = subscriptions.filter { self.owners.standing($0.owner) == nil }
        self.end(revoked.map(\.id), because: .revoked)
    }

    /// Keeps the instances that subscriptions name, where they are not kept yet: after a restart, and where there was no
    /// room.
    private func holdInstances() {
        guard let maker = self.hub.instanceMaker else { return }
        let lacking = self.state.withLock { state in
            state.book.subscriptions.filter { state.holds[$0.id] == nil && $0.sources.utf8.contains(0x2F) }
        }
        for subscription in lacking {
            guard let owner = self.owners.standing(subscription.owner),
                let selector = SourceSelector(subscription.sources)
            else { continue }
            let holds = SourcePattern(selector).instances.compactMap { name in
                InstanceName(name).flatMap { try? maker.hold($0, for: owner, from: nil) }
            }
            guard !holds.isEmpty else { continue }
            self.state.withLock { state in
                if state.book.subscription(subscription.id) != nil { state.holds[subscription.id] = holds }
            }
        }
    }

    /// Writes who is behind, and how far the others are.
    private func writeRows() async {
        if let sharing = self.configuration.sharing { return await self.writeProgress(sharing) }
        guard let store = self.store else { return }
        let epoch = self.hub.cursor.epoch
        let rows = self.state.withLock { state -> [PushRow] in
            guard let head = state.readThrough else { return [] }
            // A log that numbers anew may have begun in a new file, which has no subscription in it.
            let isRenumbered = state.storedEpoch != epoch
            state.storedEpoch = epoch
            let rows = (isRenumbered ? state.book.allRows : []) + state.book.rowsToKeep(head: head)
            guard rows.count > 1 || head != state.stored else { return [] }
            state.stored = head
            return state.book.count == 0 ? [] : rows
        }
        guard !rows.isEmpty else { return }
        await withCheckedContinuation { continuation in
            store.keep(rows) { _ in continuation.resume() }
        }
    }

    /// The same in a cluster, where rows say what subscriptions are about, and one record how far they all are.
    private func writeProgress(_ sharing: Sharing) async {
        let epoch = self.hub.cursor.epoch
        let progress = self.state.withLock { state -> PushProgress? in
            guard let head = state.readThrough else { return nil }
            if state.storedEpoch != epoch {
                state.storedEpoch = epoch
                // A broker that has lost changes may have lost rows. Under the lock: what ends is told to the store after that.
                let rows = state.book.allRows
                if !rows.isEmpty { self.store?.keep(rows) { _ in } }
            }
            let progress = state.book.progress(head: head)
            return progress == state.shared ? nil : progress
        }
        guard let progress, await sharing.keep(progress) else { return }
        self.state.withLock { $0.shared = progress }
    }
}
