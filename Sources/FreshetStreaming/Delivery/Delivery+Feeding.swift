// Those who are behind: what waits for their socket goes first, then the log, until nothing in it is newer.

import FreshetCore

/// How far a write came.
enum WriteResult {
    /// Everything was taken.
    case done
    /// The connection is full; the transport will tell when it is not.
    case blocked
    /// Enough for one turn; the connection could take more.
    case paused
    /// The next events are on the disk; they come as a message.
    case fetching
    /// The connection is broken.
    case gone
}

extension Delivery {
    /// Feeds some of those who need not wait for their sockets.
    func feedReady() {
        guard !self.ready.isEmpty else { return }
        let count = min(self.ready.count, TurnLimits.feeds)
        let turn = Array(self.ready[..<count])
        self.ready.removeSubrange(..<count)
        for index in turn {
            self.backlogs[index]?.isQueued = false
            self.backlogs[index]?.progressTick = self.clock.tick
            self.feed(index)
        }
    }

    /// Feeds a subscriber in one of the next turns.
    func queue(_ index: Int32) {
        guard self.backlogs[index]?.isQueued == false else { return }
        self.backlogs[index]?.isQueued = true
        self.ready.append(index)
    }

    /// Sends a subscriber that is behind what waits for it and a bounded part of the log.
    ///
    /// `fetched` is what the disk gave for its cursor, to be sent before the log is read again.
    func feed(_ index: Int32, with fetched: StreamFeed? = nil) {
        guard self.table.isUsed(index), var backlog = self.backlogs[index], let group = self.group(of: index) else {
            return
        }
        let result = self.feed(index, &backlog, with: fetched, in: group)
        switch result {
        case .done:
            guard let reason = backlog.closing else {
                self.backlogs[index] = nil
                return self.enterLive(index, in: group)
            }
            guard self.transport.hasWritten(self.table.slot(index).pointee.connection) else {
                return self.backlogs[index] = backlog
            }
            self.release(index, .told(reason))
        case .blocked:
            self.keep(backlog, of: index)
        case .paused:
            self.backlogs[index] = backlog
            self.queue(index)
        case .fetching:
            self.backlogs[index] = backlog
        case .gone:
            self.release(index, .gone)
        }
    }

    /// Keeps what the socket of a subscriber did not take. Where that is much and there is no room for it, the stream
    /// ends: it can go on from its cursor.
    func keep(_ backlog: Backlog, of index: Int32) {
        var backlog = backlog
        if backlog.held == nil, let held = backlog.largeParts {
            let client = self.table.record(index).ticket?.address.readClient ?? .local
            do throws(UnsentRefusal) {
                backlog.held = try self.unsent.hold(held, for: client)
            } catch {
                return self.release(index, .told(.slow))
            }
        }
        self.backlogs[index] = backlog
    }

    /// - Returns: `.done` when the subscriber is live, or when its last bytes are sent.
    private func feed(
        _ index: Int32,
        _ backlog: inout Backlog,
        with fetched: StreamFeed?,
        in group: SubscriberGroup
    ) -> WriteResult {
        var budget = TurnLimits.bytesPerFeed
        var fetched = fetched
        while true {
            let result = self.write(&backlog, to: index, budget: &budget)
            guard result == .done, backlog.closing == nil else { return result }
            guard !backlog.isFetching else { return .fetching }
            guard case .replay(let after) = self.table.slot(index).pointee.machine.writabilityChanged() else {
                return .done
            }
            guard budget > 0 else { return .paused }
            let feed =
                backlog.lacksChanges
                ? self.coded(self.gap(for: group), for: group)
                : fetched.map { self.coded($0, for: group) }
                    ?? self.read(group, after: after, maySkip: backlog.maySkip)
            backlog.lacksChanges = false
            fetched = nil
            if let result = self.send(feed, after: after, to: index, &backlog, in: group, budget: &budget) {
                return result
            }
        }
    }

    /// Takes what was read from the disk for a subscriber, if it still stands where it did.
    func takeFetched(
        _ feed: StreamFeed,
        of subscription: Subscription,
        after sequence: UInt64,
        for key: SlotKey
    ) {
        let index = key.index
        guard self.table.holds(key), self.backlogs[index]?.isFetching == true else { return }
        self.backlogs[index]?.fetch = nil
        self.backlogs[index]?.progressTick = self.clock.tick
        if let group = self.group(of: index) { _ = self.growToPattern(group) }
        let isInPlace =
            self.table.slot(index).pointee.machine.sequence == sequence
            && self.group(of: index)?.subscription === subscription
        self.feed(index, with: isInPlace ? feed : nil)
    }

    /// Has the disk read; the answer comes through the inbox, so that the shard never waits for it.
    private func fetch(_ index: Int32, after sequence: UInt64, in group: SubscriberGroup) -> ReadTicket? {
        let (inbox, subscription) = (self.inbox, group.subscription)
        let key = self.table.key(of: index)
        let limit = max(1, self.settings.replayBatchEvents)
        let client = self.table.record(index).ticket?.address.readClient ?? .local
        return self.hub.fetch(subscription, after: sequence, limit: limit, for: client) { feed in
            _ = inbox.post(.fetched(feed, of: subscription, after: sequence, for: key))
        }
    }

    /// - Returns: `nil` to go on.
    private func send(
        _ feed: StreamFeed,
        after sequence: UInt64,
        to index: Int32,
        _ backlog: inout Backlog,
        in group: SubscriberGroup,
        budget: inout Int
    ) -> WriteResult? {
        switch feed {
        case .stored:
            backlog.fetch = self.fetch(index, after: sequence, in: group)
            return .fetching
        case .frames(let frames, let through, let isComplete):
            return self.feed(
                frames,
                through: through,
                isComplete: isComplete,
                to: index,
                &backlog,
                in: group,
                budget: &budget
            )
        case .snapshots(let snapshots, let through):
            self.append(snapshots, to: &backlog, of: index, in: group)
            self.table.slot(index).pointee.machine.snapshotsSent(through: through)
        case .gap(let reason, let snapshots, let through):
            let gap = self.coded(ControlFrame.gap(reason, wire: group.wire), for: group)
            backlog.append(gap, framing: group.framing, mark: nil)
            self.append(snapshots, to: &backlog, of: index, in: group)
            self.table.slot(index).pointee.machine.snapshotsSent(through: through)
        }
        return nil
    }

    private func append(_ frames: [Frame], to backlog: inout Backlog, of index: Int32, in group: SubscriberGroup) {
        let mark = self.mark(of: index, in: group)
        for frame in frames {
            backlog.append(frame, framing: group.framing, mark: mark)
        }
        self.tally.delivered += UInt64(frames.count)
    }

    /// Reads the log, once for all who ask for the same in one turn.
    private func read(_ group: SubscriberGroup, after sequence: UInt64, maySkip: Bool) -> StreamFeed {
        let position = SubscriberGroup.ReadPosition(after: sequence, maySkip: maySkip)
        if let shared = group.sharedReads[position] { return shared }
        if group.isViewed, let recent = group.recent.feed(after: sequence, seen: self.lastNotice) {
            return self.coded(recent, for: group)
        }
        self.tally.logReads += 1
        var feed: StreamFeed
        repeat {
            feed = self.hub.read(
                group.subscription,
                after: sequence,
                limit: max(1, self.settings.replayBatchEvents),
                maxBytes: self.settings.replayBatchBytes,
                maySkip: maySkip
            )
        } while self.growToPattern(group)
        feed = self.coded(feed, for: group)
        switch feed {
        case .frames, .snapshots:
            guard group.sharedReads.count < SubscriberGroup.maxSharedReads else { break }
            if group.sharedReads.isEmpty { self.sharing.append(group) }
            group.sharedReads[position] = feed
        case .gap, .stored:
            // Each gap is counted, and each reading of the disk is answered to one subscriber.
            break
        }
        return feed
    }

    private func gap(for group: SubscriberGroup) -> StreamFeed {
        var feed: StreamFeed
        repeat {
            feed = self.hub.gap(for: group.subscription)
        } while self.growToPattern(group)
        return feed
    }

    /// Sends events of the log in as few sends as the scratch space allows. What is not taken is read again later.
    private func feed(
        _ frames: [SequencedFrame],
        through: UInt64,
        isComplete: Bool,
        to index: Int32,
        _ backlog: inout Backlog,
        in group: SubscriberGroup,
        budget: inout Int
    ) -> WriteResult? {
        var rest = frames[...]
        if rest.last?.isCheckpoint == true {
            if self.isDueForCheckpoint(index) {
                self.checkpointTicks[index] = self.clock.tick
            } else {
                rest.removeLast()
            }
        }
        let mark = self.mark(of: index, in: group)
        while let first = rest.first {
            guard budget > 0 else { return .paused }
            let count = FrameRun.prefixCount(of: rest, framing: group.framing, limit: self.scratch.count)
            if let mark, first.frame.range(in: group.framing).count > self.scratch.count {
                // Too long for a copy with the stream's own suffix: it goes out in parts, and then the log is read on.
                backlog.append(first.frame, framing: group.framing, mark: mark)
                self.tally.delivered += 1
                _ = self.table.slot(index).pointee.machine.replayed(through: first.sequence, isComplete: false)
                return nil
            }
            let batch = rest.prefix(count)
            rest = rest.dropFirst(count)
            if let stop = self.feed(batch, to: index, &backlog, in: group, mark, budget: &budget) { return stop }
            let last = batch.last?.sequence ?? first.sequence
            _ = self.table.slot(index).pointee.machine.replayed(through: last, isComplete: false)
        }
        if isComplete, self.appendMissedStatuses(to: &backlog, in: group) { return nil }
        _ = self.table.slot(index).pointee.machine.replayed(through: through, isComplete: isComplete)
        return nil
    }

    /// One send of events.
    ///
    /// - Returns: `nil` where all were taken.
    private func feed(
        _ batch: ArraySlice<SequencedFrame>,
        to index: Int32,
        _ backlog: inout Backlog,
        in group: SubscriberGroup,
        _ mark: TicketMark?,
        budget: inout Int
    ) -> WriteResult? {
        let size = FrameRun.size(of: batch, framing: group.framing)
        let sent: Int
        if let mark {
            let run = MarkableRun(of: batch, framing: group.framing, scratch: self.scratch)
            run.put(mark)
            sent = self.send(UnsafeRawBufferPointer(run.bytes), to: index)
        } else {
            sent = FrameRun.withBytes(of: batch, framing: group.framing, scratch: self.scratch) {
                self.send($0, to: index)
            }
        }
        budget -= size
        self.table.record(index).ticket?.caller?.replayed(sent)
        guard sent == size else { return self.stop(batch, sent: sent, index, &backlog, in: group) }
        let events = batch.reduce(0) { $0 + $1.eventCount }
        self.tally.delivered += UInt64(events)
        self.tally.coalesced += UInt64(events - 1)
        backlog.progressTick = self.clock.tick
        return nil
    }

    /// Keeps the rest of the frame in which the socket stopped.
    private func stop(
        _ batch: ArraySlice<SequencedFrame>,
        sent: Int,
        _ index: Int32,
        _ backlog: inout Backlog,
        in group: SubscriberGroup
    ) -> WriteResult {
        guard sent >= 0 else { return .gone }
        let stop = FrameRun.stop(in: batch, framing: group.framing, sent: sent)
        guard stop.count > 0 else { return .blocked }
        let last = batch[batch.startIndex + stop.count - 1]
        if stop.offsetInLast > 0 {
            let mark = self.mark(of: index, in: group)
            backlog.append(last.frame, framing: group.framing, mark: mark, skipping: stop.offsetInLast)
        }
        let events = batch.prefix(stop.count).reduce(0) { $0 + $1.eventCount }
        self.tally.delivered += UInt64(events)
        self.tally.coalesced += UInt64(events - 1)
        backlog.progressTick = self.clock.tick
        self.table.slot(index).pointee.machine.writeStopped(after: last.sequence)
        return .blocked
    }

    /// Status events that came while the subscriber was behind, the last of each source.
    private func appendMissedStatuses(to backlog: inout Backlog, in group: SubscriberGroup) -> Bool {
        guard !group.statuses.isEmpty else { return false }
        let mark = backlog.statusMark
        let missed = group.statuses.values.filter { $0.number > mark }.sorted { $0.number < $1.number }
        backlog.statusMark = self.statusNumber
        for status in missed {
            backlog.append(self.coded(status.frame, for: group), framing: group.framing, mark: nil)
        }
        return !missed.isEmpty
    }
}

// MARK: - Writing

extension Delivery {
    /// Sends what waits, in as few sends as it takes.
    func write(_ backlog: inout Backlog, to index: Int32, budget: inout Int) -> WriteResult {
        while !backlog.isEmpty {
            guard budget > 0 else { return .paused }
            var offered = 0
            let result = backlog.withNextBytes(scratch: self.scratch) { bytes in
                offered = bytes.count
                return self.send(bytes, to: index)
            }
            guard let sent = result, sent >= 0 else { return .gone }
            if sent > 0 {
                backlog.sent(sent)
                backlog.progressTick = self.clock.tick
                budget -= sent
            }
            guard sent == offered else { return .blocked }
        }
        return .done
    }

    /// One send; everything but the hot path comes through here.
    func send(_ bytes: UnsafeRawBufferPointer, to index: Int32) -> Int {
        let slot = self.table.slot(index)
        let sent = self.transport.send(bytes, on: slot.pointee.connection)
        self.tally.sends += 1
        if sent > 0 {
            self.tally.bytes += UInt64(sent)
            slot.pointee.lastSend = self.clock.tick
        }
        return sent
    }

    /// Sends a live subscriber something by itself; what is not taken makes it leave the live set.
    func sendToLive(_ index: Int32, _ frame: Frame, in group: SubscriberGroup) {
        self.sendPiece(self.coded(frame, for: group), to: index, in: group)
        // What only it was sent stands between what others have next to each other.
        self.fallOutOfStep(index, in: group)
    }

    /// As ``sendToLive(_:_:in:)``, of bytes as they go out.
    func sendPiece(_ frame: Frame, to index: Int32, in group: SubscriberGroup) {
        let mark = self.mark(of: index, in: group)
        let parts = OutgoingPart.parts(of: frame, framing: group.framing, mark: mark)
        var backlog = Backlog(parts: parts, maySkip: true, statusMark: self.statusNumber, tick: self.clock.tick)
        var budget = Int.max
        switch self.write(&backlog, to: index, budget: &budget) {
        case .done: break
        case .gone: self.release(index, .gone)
        case .blocked, .paused, .fetching:
            let sequence = self.table.slot(index).pointee.machine.sequence
            self.table.slot(index).pointee.machine.writeStopped(after: sequence)
            self.leaveLive(index, backlog)
        }
    }

    /// Reads and drops what a client sent: nothing is expected on a held stream.
    ///
    /// - Returns: Why the stream has to end, if it has to.
    func discardInput(of index: Int32) -> StreamEnd? {
        let connection = self.table.slot(index).pointee.connection
        while true {
            let count = self.transport.discardInput(of: connection, upTo: TurnLimits.inputBytes)
            if count == 0 { return nil }
            guard count > 0 else { return .gone }
            let total = self.table.updateRecord(index) { record in
                record.received = Int32(clamping: Int(record.received) + count)
                return Int(record.received)
            }
            if total > TurnLimits.inputBytes { return .talkative }
            if count < TurnLimits.inputBytes { return nil }
        }
    }
}
