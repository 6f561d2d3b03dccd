// Coming and going: how a connection becomes a subscriber of a group, and how it ends.

import Compression
import FreshetCore

extension Delivery {
    /// Takes over some of the connections that wait.
    func admitArrivals() {
        let end = min(self.nextArrival + TurnLimits.joins, self.arrivals.count)
        while self.nextArrival < end {
            self.join(self.arrivals[self.nextArrival])
            self.nextArrival += 1
        }
        if self.nextArrival == self.arrivals.count, self.nextArrival > 0 {
            self.arrivals.removeAll(keepingCapacity: self.nextArrival < 1024)
            self.nextArrival = 0
        }
    }

    /// Makes a connection a subscriber and sends it the beginning of its stream.
    ///
    /// It is in its group before the hub is asked where the stream stands: what is published in between comes both
    /// ways, and the cursor rule removes the duplicate (FAULTS F57).
    private func join(_ handover: StreamHandover<Carrier.Arrival>) {
        let group = self.enterGroup(
            handover.sources,
            handover.pattern,
            handover.format,
            handover.view,
            handover.framing,
            handover.coding
        )
        guard let index = self.register(handover, in: group) else {
            self.leaveGroup(group)
            self.counters.count(.failed)
            return
        }
        var opening = self.hub.open(group.subscription, at: handover.position)
        while self.growToPattern(group) {
            opening = self.hub.open(group.subscription, at: handover.position)
        }
        self.table.slot(index).pointee.machine = SubscriberStateMachine(after: opening.cursor.sequence)
        self.own(index, handover.owner)
        if !opening.statuses.isEmpty { self.sentAtOpening[index] = opening.statuses }
        self.table.updateRecord(index) { $0.openingStatus = UInt32(clamping: self.statusNumber) }
        var backlog = Backlog(
            parts: self.beginning(of: opening, head: handover.head, mark: handover.owner?.mark, in: group),
            maySkip: false,
            statusMark: self.statusNumber,
            tick: self.clock.tick
        )
        backlog.held = handover.held
        self.tally.delivered += UInt64(opening.snapshots.count)
        if self.open(index, &backlog, isComplete: opening.isComplete, in: group) {
            self.enterLive(index, in: group)
        }
        if self.table.isUsed(index) { self.endAtOnceIfNeeded(index, in: group) }
    }

    /// - Returns: Whether the subscriber is live.
    private func open(_ index: Int32, _ backlog: inout Backlog, isComplete: Bool, in group: SubscriberGroup) -> Bool {
        var budget = Int.max
        switch self.write(&backlog, to: index, budget: &budget) {
        case .done where isComplete:
            let through = self.table.slot(index).pointee.machine.sequence
            _ = self.table.slot(index).pointee.machine.replayed(through: through, isComplete: true)
            return true
        case .done:
            self.backlogs[index] = backlog
            self.feed(index)
        case .blocked:
            self.keep(backlog, of: index)
        case .paused, .fetching:
            self.backlogs[index] = backlog
        case .gone:
            self.release(index, .gone)
        }
        return false
    }

    /// The order of the contract: `retry` and `hello`, gap, snapshots, states of sources that are not well.
    private func beginning(
        of opening: StreamOpening,
        head: [UInt8],
        mark: TicketMark?,
        in group: SubscriberGroup
    ) -> [OutgoingPart] {
        // Cut off before its snapshots, a ticket's stream must begin anew: sequence 0 means "nothing yet".
        let reached = opening.snapshots.isEmpty ? opening.cursor.sequence : 0
        let hello = ControlFrame.hello(
            cursor: opening.cursor,
            id: mark.map { _ in Cursor(epoch: opening.cursor.epoch, sequence: reached) },
            heartbeat: self.settings.heartbeat,
            retry: self.jitteredRetry(),
            wire: group.wire
        )
        let gap = opening.gap.map { ControlFrame.gap($0, wire: group.wire) }
        // The answer to a subscription stands in its place, behind what is replayed.
        let beginning = group.wire.isMessages ? [] : [hello]
        let frames = beginning + (gap.map { [$0] } ?? []) + opening.snapshots + opening.statuses
        let head = head + self.codingOpening(of: group)
        // A part without bytes would never be sent.
        return frames.reduce(into: head.isEmpty ? [] : [OutgoingPart(head)]) { parts, frame in
            parts += OutgoingPart.parts(of: self.coded(frame, for: group), framing: group.framing, mark: mark)
        }
    }

    private func endAtOnceIfNeeded(_ index: Int32, in group: SubscriberGroup) {
        if group.isOrphaned {
            self.end(index, .removed)
        } else if self.drain != nil {
            self.end(index, .drain)
        }
    }

    /// The reconnection time, ±25 %, so that those who are cut off together do not return together.
    func jitteredRetry() -> Int64 {
        let retry = max(0, self.settings.retry.milliseconds)
        let spread = retry / 4
        return Int64.random(in: (retry - spread)...(retry + spread), using: &self.transport.random)
    }

    /// What `bye` asks a client to wait.
    private func retry(after reason: CloseReason) -> Int64 {
        guard reason == .drain, let drain, drain.hasSuccessor else { return self.jitteredRetry() }
        let retry = max(0, self.settings.retry.milliseconds)
        return drain.wait(at: self.clock.now, retry: retry, using: &self.transport.random)
    }

    /// Gives the connection to the transport, and a slot.
    ///
    /// - Returns: `nil` where one of them cannot take it; it is closed then.
    private func register(_ handover: StreamHandover<Carrier.Arrival>, in group: SubscriberGroup) -> Int32? {
        guard let key = self.table.nextKey else {
            handover.connection.abandon()
            return nil
        }
        guard let connection = self.transport.adopt(handover.connection, as: key) else { return nil }
        let slot = SubscriberSlot(
            machine: SubscriberStateMachine(after: 0),
            connection: connection,
            lastSend: self.clock.tick,
            group: group.index,
            generation: 0
        )
        let record = SubscriberRecord(ticket: handover.ticket, since: self.transport.wall.milliseconds)
        return self.table.allocate(slot, record: record)
    }
}

// MARK: - Groups

extension Delivery {
    func group(of index: Int32) -> SubscriberGroup? {
        self.groups[Int(self.table.slot(index).pointee.group)]
    }

    /// Finds or makes the group of those who get this view of these sources and of what `pattern` names, and counts a
    /// member in.
    func enterGroup(
        _ sources: [SourceID],
        _ pattern: SourcePattern?,
        _ format: StreamFormat,
        _ view: View,
        _ framing: Framing,
        _ coding: ContentCoding?
    ) -> SubscriberGroup {
        let additions = self.hub.additions
        let subscription = self.hub.subscribe(to: self.sources(sources, and: pattern), format: format, view: view)
        let key = SubscriberGroup.Key(
            subscription: ObjectIdentifier(subscription),
            pattern: pattern,
            framing: framing,
            coding: coding
        )
        if let number = self.groupNumbers[key], let group = self.groups[Int(number)] {
            group.memberCount += 1
            return group
        }
        let number = self.groupIndex.insert(subscription.sources)
        let group = SubscriberGroup(
            subscription: subscription,
            pattern: pattern,
            additions: additions,
            framing: framing,
            coding: coding,
            index: number,
            // Later than the subscription: what comes after it is in a notice, and says what it is in the view.
            head: self.hub.cursor.sequence
        )
        group.memberCount = 1
        group.removed = self.hub.removed(among: subscription.sources)
        if Int(number) == self.groups.count {
            self.groups.append(group)
        } else {
            self.groups[Int(number)] = group
        }
        self.groupNumbers[key] = number
        self.enterIndex(group)
        self.applyCompression(to: group)
        return group
    }

    /// Lets changes find a group: each change of its sources, or those that concern its view.
    private func enterIndex(_ group: SubscriberGroup) {
        guard !group.isViewed else {
            self.viewGroups[group.subscription.viewID, default: []].append(group.index)
            return self.addToRota(group, group.subscription.sources)
        }
        let number = self.wholeIndex.insert(group.subscription.sources)
        group.wholeNumber = number
        if Int(number) == self.wholeGroups.count {
            self.wholeGroups.append(group.index)
        } else {
            self.wholeGroups[Int(number)] = group.index
        }
    }

    private func leaveIndex(_ group: SubscriberGroup) {
        if let number = group.wholeNumber { return self.wholeIndex.remove(number) }
        let id = group.subscription.viewID
        self.viewGroups[id]?.removeAll { $0 == group.index }
        if self.viewGroups[id]?.isEmpty == true { self.viewGroups[id] = nil }
    }

    /// The sources that are named now. Those that came since the request was read are among them, and those that come
    /// from here on are in a notice that is yet to be taken.
    private func sources(_ sources: [SourceID], and pattern: SourcePattern?) -> [SourceID] {
        guard let pattern else { return sources }
        let named = self.hub.sources(matching: pattern)
        return named == sources ? named : Set(sources).union(named).sorted()
    }

    /// Gives the members of a group one more source.
    func grow(_ group: SubscriberGroup, by source: SourceID) {
        self.resubscribe(group, to: (group.subscription.sources + [source]).sorted())
        self.groupIndex.add(source, to: group.index)
        self.applyCompression(to: group)
        if let number = group.wholeNumber { return self.wholeIndex.add(source, to: number) }
        self.addToRota(group, [source])
        // Changes of the source that came before this were not held against the view.
        let head = self.hub.cursor.sequence
        group.recent.restart(after: head)
        self.sendToTheLog(group, unlessAt: head, maySkip: false)
    }

    /// Takes sources that are gone from a group that a pattern named, so that names which come and go leave nothing
    /// behind (A20). Later, with the next source that goes, where a member is behind, or is about to be told so: it may have
    /// to be sent a gap in them.
    func shrink(_ group: SubscriberGroup) {
        guard group.pattern != nil, !group.isOrphaned, group.live.count == group.memberCount else { return }
        self.resubscribe(group, to: group.subscription.sources.filter { !group.removed.contains($0) })
        for source in group.removed {
            self.groupIndex.remove(source, from: group.index)
            if let number = group.wholeNumber { self.wholeIndex.remove(source, from: number) }
        }
        group.removed = []
    }

    /// `format`: another than it had; `nil` for the same.
    func resubscribe(_ group: SubscriberGroup, to sources: [SourceID], format: StreamFormat? = nil) {
        let old = group.subscription
        if self.groupNumbers[group.key] == group.index { self.groupNumbers[group.key] = nil }
        group.subscription = self.hub.subscribe(
            to: sources,
            format: format ?? old.format,
            view: old.view,
            count: group.memberCount
        )
        self.hub.unsubscribe(old, count: group.memberCount)
        // A newcomer may have made a group of the same kind already; the two go on side by side.
        if self.groupNumbers[group.key] == nil { self.groupNumbers[group.key] = group.index }
        group.sharedReads.removeAll(keepingCapacity: true)
    }

    /// Gives a group the sources that its pattern names by now and whose notices have not been taken.
    ///
    /// Asked after each look into the log, which is ahead of the notices: it may have passed the first change of such a
    /// source, and so the log has to be looked into again.
    ///
    /// - Returns: Whether there were any.
    func growToPattern(_ group: SubscriberGroup) -> Bool {
        guard let pattern = group.pattern else { return false }
        let additions = self.hub.additions
        guard additions != group.additions else { return false }
        group.additions = additions
        let missing = self.hub.sources(matching: pattern).filter { !self.groupIndex.holds(group.index, $0) }
        for source in missing {
            self.grow(group, by: source)
        }
        return !missing.isEmpty
    }

    /// The groups that get the events of a source.
    func groups(of source: SourceID) -> [SubscriberGroup] {
        self.groupIndex.members(of: source).compactMap { self.groups[Int($0)] }
    }

    /// Counts a member out; the last one takes the group with it.
    func leaveGroup(_ group: SubscriberGroup) {
        group.memberCount -= 1
        if group.memberCount == 0 {
            if self.groupNumbers[group.key] == group.index { self.groupNumbers[group.key] = nil }
            self.groups[Int(group.index)] = nil
            self.groupIndex.remove(group.index)
            self.leaveIndex(group)
        }
        self.hub.unsubscribe(group.subscription)
    }

    /// Puts a subscriber that is caught up among those who get events as they come.
    func enterLive(_ index: Int32, in group: SubscriberGroup) {
        self.table.updateRecord(index) { $0.livePosition = Int32(group.live.count) }
        group.live.append(index)
        let slot = self.table.slot(index)
        guard self.transport.awaitsLive(slot.pointee.connection) else { return }
        let cursor = Cursor(epoch: self.hub.cursor.epoch, sequence: slot.pointee.machine.sequence)
        self.transport.becameLive(slot.pointee.connection, at: cursor)
    }

    /// Takes a subscriber out of its live set; never while that is iterated.
    func leaveLive(_ index: Int32, _ backlog: Backlog) {
        self.removeFromLive(index)
        self.keep(backlog, of: index)
    }

    func removeFromLive(_ index: Int32) {
        guard self.table.record(index).livePosition >= 0, let group = self.group(of: index) else { return }
        self.fallOutOfStep(index, in: group)
        let position = Int(self.table.record(index).livePosition)
        guard let last = group.live.popLast() else { return }
        self.table.updateRecord(index) { $0.livePosition = -1 }
        guard last != index else { return }
        group.live[position] = last
        self.table.updateRecord(last) { $0.livePosition = Int32(position) }
    }
}

// MARK: - Ends

/// A subscriber that is to be ended in one of the next turns.
struct PendingEnd {
    /// Where the slot has another by then, the subscriber has gone already.
    var key: SlotKey
    var reason: CloseReason
    /// Its socket takes nothing: it is closed without `bye` if that is still so.
    var isStuck = false
    /// What it may go on with: its stream ends in part. `nil` where it ends as a whole.
    var keeps: SourcePattern?
}

extension Delivery {
    /// Ends a subscriber in one of the next turns, so that events go out between two of many closes (A08).
    func endLater(_ index: Int32, _ reason: CloseReason, isStuck: Bool = false) {
        self.pendingEnds.append(PendingEnd(key: self.table.key(of: index), reason: reason, isStuck: isStuck))
    }

    /// Ends some of the subscribers that wait for their end.
    func continueEnds() {
        let end = min(self.nextEnd + TurnLimits.ends, self.pendingEnds.count)
        while self.nextEnd < end {
            let pending = self.pendingEnds[self.nextEnd]
            self.nextEnd += 1
            guard self.table.holds(pending.key) else { continue }
            if let pattern = pending.keeps {
                self.narrow(pending.key.index, to: pattern)
            } else if !pending.isStuck {
                self.end(pending.key.index, pending.reason)
            } else if let backlog = self.backlogs[pending.key.index], self.isStuck(backlog) {
                self.release(pending.key.index, .told(pending.reason))
            }
        }
        if self.nextEnd == self.pendingEnds.count, self.nextEnd > 0 {
            self.pendingEnds.removeAll(keepingCapacity: self.nextEnd < 1024)
            self.nextEnd = 0
        }
    }

    /// Tells a subscriber `bye` after what waits for it, and closes when that is sent.
    func end(_ index: Int32, _ reason: CloseReason) {
        guard let group = self.group(of: index) else { return }
        var backlog =
            self.backlogs[index]
            ?? Backlog(maySkip: false, statusMark: self.statusNumber, tick: self.clock.tick)
        guard backlog.closing == nil else { return }
        if reason.endsRight { backlog.dropEventsNotBegun() }
        // The end of a subscription is not that of its socket, which says `bye` by itself.
        if !group.wire.isMessages {
            let bye = ControlFrame.bye(reason, retry: self.retry(after: reason), wire: group.wire)
            backlog.append(self.coded(bye, for: group), framing: group.framing, mark: nil)
        }
        backlog.append(OutgoingPart(self.codingEnding(of: group) + group.framing.terminator))
        backlog.closing = reason
        self.table.slot(index).pointee.machine.closed()
        self.removeFromLive(index)
        self.backlogs[index] = backlog
        let key = self.table.key(of: index)
        self.feed(index)
        if reason.endsRight, self.table.holds(key) { self.limitEnd(of: key) }
    }

    /// Closes the connection and gives everything back that the subscriber held. Never while its group is iterated.
    func release(_ index: Int32, _ end: StreamEnd) {
        guard let group = self.group(of: index) else { return }
        let connection = self.table.slot(index).pointee.connection
        self.removeFromLive(index)
        self.backlogs[index] = nil
        self.sentAtOpening[index] = nil
        self.disown(index)
        self.checkpointTicks[index] = nil
        self.transport.close(connection, after: end)
        self.table.release(index)
        self.leaveGroup(group)
        self.counters.count(end)
    }

    /// Ends everything without a word, as the last act of the thread.
    func abandonEverything() {
        let messages = self.inbox.close()
        for index in 0..<self.table.end where self.table.isUsed(index) {
            self.release(index, .told(.drain))
        }
        for handover in self.arrivals[self.nextArrival...] {
            handover.connection.abandon()
        }
        self.arrivals = []
        for message in messages {
            message.abandon()
        }
        self.finishDrain()
        self.publishFigures()
    }
}
