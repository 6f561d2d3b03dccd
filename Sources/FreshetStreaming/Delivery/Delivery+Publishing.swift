// The hot path: what the hub published goes to each live subscriber, with one send for all of it.

import FreshetCore

/// A member that did not take all that it was sent.
struct Stall {
    /// Its slot.
    var index: Int32
    /// Its sequence before the run.
    var sequence: UInt64
    /// Bytes taken, negative where the connection is broken, or ``mustRead``.
    var sent: Int

    /// Nothing was sent: a part of the run went out before, so that the log has to tell what is missing.
    static let mustRead = Int.min
    /// Nothing was sent: it had all of the run before.
    static let ignored = Int.min + 1
}

extension Delivery {
    /// Takes the hub's notices, in order.
    func publish(_ notices: [HubNotice], hasOverflowed: Bool) {
        for notice in notices {
            switch notice {
            case .published(let event):
                self.gather(event)
            case .status(let source, let state, let eventStream, let jsonLine):
                // In the order of the log: what came before goes out before.
                self.deliverGathered()
                self.statusChanged(of: source, to: state, eventStream, jsonLine)
            case .added(let source, let name):
                self.deliverGathered()
                self.add(source, name)
            case .removed(let source):
                self.deliverGathered()
                self.remove(source, isSeenWhole: !hasOverflowed)
            case .interrupted:
                self.deliverGathered()
                self.sendEverybodyToTheLog()
            }
        }
        self.deliverGathered()
        if hasOverflowed { self.sendEverybodyToTheLog() }
    }

    private func gather(_ event: PublishedEvent) {
        self.lastNotice = event.sequence
        for number in self.wholeIndex.members(of: event.source) {
            guard let group = self.groups[Int(self.wholeGroups[Int(number)])] else { continue }
            self.gather(event, event.frames[group.subscription.format], for: group)
        }
        for part in event.parts {
            for number in self.viewGroups[part.view] ?? [] {
                guard let group = self.groups[Int(number)], self.groupIndex.holds(number, event.source) else {
                    continue
                }
                self.gather(event, part.frames[group.subscription.format], for: group)
            }
        }
        self.rota.passed(event)
    }

    private func gather(_ event: PublishedEvent, _ frame: Frame?, for group: SubscriberGroup) {
        if !group.isGathered {
            group.isGathered = true
            self.gathered.append(group)
        }
        group.runEnd = event.sequence
        // Any event moves the cursor: a checkpoint is one only as the last.
        group.checkpoint = nil
        if let frame {
            let frame = SequencedFrame(sequence: event.sequence, frame: frame)
            if event.touchesNoItem, group.subscription.format.mode == .items, !group.isViewed {
                group.checkpoint = (event.source, frame)
            } else {
                group.run.append(frame)
                if group.coding != nil { group.runSources.append(event.source) }
            }
        } else {
            group.mustRead = true
        }
    }

    private func deliverGathered() {
        defer { self.deliverCheckpoints() }
        guard !self.gathered.isEmpty else { return }
        for group in self.gathered {
            if group.mustRead {
                group.recent.restart(after: group.runEnd)
                self.sendToTheLog(group, unlessAt: group.runEnd, maySkip: false)
            } else if group.isViewed {
                self.deliver(group)
                if group.live.count == group.memberCount {
                    group.recent.taken(through: group.runEnd)
                } else {
                    group.recent.missed(group.run)
                }
            } else {
                self.deliver(group)
            }
            if let checkpoint = group.checkpoint, !group.mustRead {
                self.deliver(checkpoint.frame, of: checkpoint.source, to: group)
            }
            group.checkpoint = nil
            group.run.removeAll(keepingCapacity: group.run.count < 256)
            group.runSources.removeAll(keepingCapacity: group.runSources.count < 256)
            group.mustRead = false
            group.isGathered = false
        }
        self.gathered.removeAll(keepingCapacity: true)
    }

    /// Sends a group's run, in one piece unless it is very long.
    private func deliver(_ group: SubscriberGroup) {
        if let coding = group.coding { return self.deliver(group, in: coding) }
        var rest = group.run[...]
        while !rest.isEmpty, !group.live.isEmpty {
            let limit = self.scratch.count
            let count = FrameRun.prefixCount(of: rest, framing: group.framing, limit: limit)
            let frames = rest.prefix(count)
            rest = rest.dropFirst(count)
            guard group.isMarked else {
                FrameRun.withBytes(of: frames, framing: group.framing, scratch: self.scratch) { bytes in
                    _ = self.deliver(frames, as: bytes, to: group)
                }
                continue
            }
            if let first = frames.first, first.frame.range(in: group.framing).count > limit {
                self.deliver(first, toEachOf: group)
            } else {
                let run = MarkableRun(of: frames, framing: group.framing, scratch: self.scratch)
                self.deliver(frames, as: UnsafeRawBufferPointer(run.bytes), marking: run, to: group)
            }
        }
    }

    /// Sends an event that is too long for a copy in which each member's suffix could stand, in parts.
    private func deliver(_ event: SequencedFrame, toEachOf group: SubscriberGroup) {
        let members = group.live
        for index in members {
            let machine = self.table.slot(index)
            guard machine.pointee.machine.eventsPublished(from: event.sequence, through: event.sequence) == .write
            else {
                continue
            }
            self.tally.delivered += 1
            self.sendToLive(index, event.frame, in: group)
        }
    }

    /// `start`: the sequence of the first event, where `frames` is one that holds several; `members`: which of the live ones,
    /// `nil` for all.
    ///
    /// - Returns: How many were sent all of it.
    @discardableResult
    func deliver(
        _ frames: ArraySlice<SequencedFrame>,
        from start: UInt64? = nil,
        as bytes: UnsafeRawBufferPointer,
        marking run: MarkableRun? = nil,
        to group: SubscriberGroup,
        members: Range<Int>? = nil
    ) -> Int {
        guard let first = start ?? frames.first?.sequence, let last = frames.last?.sequence else { return 0 }
        let written = group.live.withUnsafeBufferPointer { live in
            Self.send(
                bytes,
                from: first,
                through: last,
                to: UnsafeBufferPointer(rebasing: live[members ?? 0..<live.count]),
                slots: self.table.slots,
                transport: self.transport,
                tick: self.clock.tick,
                marking: run,
                owners: self.owners,
                notesIgnored: group.inStep > 0,
                stalled: &self.stalled
            )
        }
        let events = frames.count == 1 ? frames.first?.eventCount ?? 1 : frames.count
        let latency = Duration.nanoseconds(self.transport.now - self.oldestNotice)
        self.counters.delivered(UInt64(written.whole * events), after: latency)
        self.tally.sends += UInt64(written.attempts)
        self.tally.delivered += UInt64(written.whole * events)
        self.tally.coalesced += UInt64(written.whole * (events - 1))
        self.tally.bytes += UInt64(written.whole * bytes.count)
        self.settleStalled(frames, in: group)
        return written.whole
    }

    /// The loop that everything else exists for: per subscriber the cursor rule and one send, and nothing else.
    ///
    /// It is the same for every transport, so that none has a cursor rule of its own; compiled for one transport, its send
    /// stands in the loop.
    ///
    /// `live` and `slots` must not change meanwhile: those who do not take it all are noted in `stalled` for later.
    /// With `run`, whose bytes are `bytes`, each is sent them with its own suffix; else `owners` is not looked at.
    @inline(never)
    private static func send(
        _ bytes: UnsafeRawBufferPointer,
        from first: UInt64,
        through last: UInt64,
        to live: UnsafeBufferPointer<Int32>,
        slots: UnsafeMutablePointer<SubscriberSlot<Carrier.Connection>>,
        transport: Carrier,
        tick: UInt32,
        marking run: MarkableRun?,
        owners: [Int32: StreamOwner],
        notesIgnored: Bool,
        stalled: inout [Stall]
    ) -> (attempts: Int, whole: Int) {
        let count = bytes.count
        var attempts = 0
        var whole = 0
        for index in live {
            let slot = slots + Int(index)
            let before = slot.pointee.machine.sequence
            switch slot.pointee.machine.eventsPublished(from: first, through: last) {
            case .write:
                attempts += 1
                if let run, let mark = owners[index]?.mark { run.put(mark) }
                let sent = transport.send(bytes, on: slot.pointee.connection)
                if sent == count {
                    whole += 1
                    slot.pointee.lastSend = tick
                } else {
                    stalled.append(Stall(index: index, sequence: before, sent: sent))
                }
            case .ignore:
                if notesIgnored { stalled.append(Stall(index: index, sequence: before, sent: Stall.ignored)) }
            case .replay:
                stalled.append(Stall(index: index, sequence: before, sent: Stall.mustRead))
            }
        }
        return (attempts, whole)
    }

    /// Takes those who stalled out of the live set, each with the rest of at most one frame.
    private func settleStalled(_ frames: ArraySlice<SequencedFrame>, in group: SubscriberGroup) {
        guard !self.stalled.isEmpty else { return }
        for stall in self.stalled {
            self.settle(stall, frames, in: group)
        }
        self.stalled.removeAll(keepingCapacity: self.stalled.count < 1024)
    }

    private func settle(_ stall: Stall, _ frames: ArraySlice<SequencedFrame>, in group: SubscriberGroup) {
        // It lacks a piece that the next ones refer to.
        if stall.sent == Stall.ignored { return self.fallOutOfStep(stall.index, in: group) }
        if stall.sent == Stall.mustRead {
            self.leaveLive(stall.index, Backlog(maySkip: false, statusMark: self.statusNumber, tick: self.clock.tick))
            return self.queue(stall.index)
        }
        guard stall.sent >= 0 else { return self.release(stall.index, .gone) }
        let stop = FrameRun.stop(in: frames, framing: group.framing, sent: stall.sent)
        var backlog = Backlog(maySkip: true, statusMark: self.statusNumber, tick: self.clock.tick)
        var sequence = stall.sequence
        if stop.count > 0 {
            let last = frames[frames.startIndex + stop.count - 1]
            sequence = last.sequence
            if stop.offsetInLast > 0 {
                let mark = self.mark(of: stall.index, in: group)
                backlog.append(last.frame, framing: group.framing, mark: mark, skipping: stop.offsetInLast)
            }
        }
        self.tally.delivered += UInt64(frames.prefix(stop.count).reduce(0) { $0 + $1.eventCount })
        self.tally.bytes += UInt64(stall.sent)
        self.table.slot(stall.index).pointee.machine.writeStopped(after: sequence)
        self.leaveLive(stall.index, backlog)
    }

    /// Members that are not yet at `sequence` read the log: there is no frame for them, or it was left out.
    func sendToTheLog(_ group: SubscriberGroup, unlessAt sequence: UInt64, maySkip: Bool) {
        let behind = group.live.filter { self.table.slot($0).pointee.machine.sequence < sequence }
        for index in behind {
            let machine = self.table.slot(index).pointee.machine
            self.table.slot(index).pointee.machine.writeStopped(after: machine.sequence)
            self.leaveLive(index, Backlog(maySkip: maySkip, statusMark: self.statusNumber, tick: self.clock.tick))
            self.queue(index)
        }
    }

    private func sendEverybodyToTheLog() {
        let head = self.hub.cursor.sequence
        for case let group? in self.groups {
            // What comes after this is in a notice that is yet to be taken.
            group.recent.restart(after: head)
            self.sendToTheLog(group, unlessAt: .max, maySkip: true)
        }
    }
}

// MARK: - Checkpoints

extension Delivery {
    /// Moves the cursors of live members past a change that says nothing to them: at most once a source and heartbeat
    /// (CONTRACT §4). In between they stay where they are: a resumption finds the same again.
    func deliver(_ checkpoint: SequencedFrame, of source: SourceID, to group: SubscriberGroup) {
        let tick = self.clock.tick
        if let last = group.checkpointTicks[source], tick &- last < self.clock.heartbeatTicks { return }
        group.checkpointTicks[source] = tick
        let members = group.live.filter { index in
            guard self.isDueForCheckpoint(index) else { return false }
            let slot = self.table.slot(index)
            let action = slot.pointee.machine.eventsPublished(from: checkpoint.sequence, through: checkpoint.sequence)
            return action == .write
        }
        self.tally.delivered += UInt64(members.count)
        self.sendToLive(members, checkpoint.frame, in: group)
    }

    /// Whether a subscriber was sent no checkpoint from the log within a heartbeat.
    func isDueForCheckpoint(_ index: Int32) -> Bool {
        self.checkpointTicks[index].map { self.clock.tick &- $0 >= self.clock.heartbeatTicks } ?? true
    }
}

// MARK: - Coming and going of sources

extension Delivery {
    /// Streams that name the new source get it from here on: nothing of it was published before this notice.
    private func add(_ source: SourceID, _ name: String) {
        for case let group? in self.groups where group.pattern?.names(name) == true {
            guard !self.groupIndex.holds(group.index, source) else { continue }
            self.grow(group, by: source)
        }
    }

    /// `isSeenWhole`: no change of the source was left out. Else even those who are live may lack some, and only the log can
    /// tell them, which must then be asked about this source too.
    private func remove(_ source: SourceID, isSeenWhole: Bool) {
        self.statusPaces[source] = nil
        self.heldStatuses[source] = nil
        self.rota.remove(source)
        var hasOrphans = false
        for group in self.groups(of: source) {
            group.removed.insert(source)
            group.statuses[source] = nil
            group.checkpointTicks[source] = nil
            hasOrphans = hasOrphans || group.isOrphaned
            if isSeenWhole { self.shrink(group) }
        }
        guard hasOrphans else { return }
        for index in 0..<self.table.end where self.table.isUsed(index) {
            guard let group = self.group(of: index), group.isOrphaned, group.removed.contains(source) else { continue }
            self.endLater(index, .removed)
        }
    }
}
