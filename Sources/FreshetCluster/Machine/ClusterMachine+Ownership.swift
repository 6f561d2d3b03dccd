// Who owns what: heartbeats, leases, owner records, and the order in which sources change hands.

import DequeModule
package import FreshetCore

extension ClusterMachine {
    // MARK: Time

    package mutating func timePassed(now: MonotonicTime) {
        if let last = self.lastTime, now - last > self.settings.heartbeat {
            // This process did not run: what the others said meanwhile is read only now.
            for node in self.members.keys { self.members[node]?.seenAt = now }
        }
        self.lastTime = now
        if self.retryAt <= now {
            self.retryAt = .distantFuture
            self.retry()
            for name in self.names { self.pump(name, now: now) }
            self.reviewAll(now: now)
        }
        if self.nextFacts <= now {
            self.nextFacts = now + Self.factsInterval
            if self.link == .reading { self.actions.append(.readFacts) }
        }
        self.forgetTheGone(now: now)
        self.beat(now: now)
        if let settled = self.settlesAt, settled <= now, !self.isSettled {
            self.isSettled = true
            self.reviewAll(now: now)
        }
        if let listensSince, listensSince + self.settings.lease <= now, !self.knowsTheGone {
            self.knowsTheGone = true
            self.proceed(now: now)
        }
        self.reviewEntitlement(now: now)
    }

    /// Something that was waited for is there.
    mutating func proceed(now: MonotonicTime) {
        self.reviewAll(now: now)
        for name in self.names { self.pump(name, now: now) }
    }

    private mutating func retry() {
        guard self.link == .syncing else { return }
        self.actions.append(.readFacts)
    }

    private mutating func beat(now: MonotonicTime) {
        guard self.link == .reading, self.heartbeat == nil, self.nextHeartbeat <= now, !self.hasLeft else { return }
        let record = NodeRecord(
            incarnation: self.settings.incarnation,
            isLeaving: self.isLeaving,
            sources: self.sourcesHash
        )
        let subject = self.settings.subjects.subject(of: .node(self.settings.node))
        let message = StreamMessage(subject: subject, payload: record.encoded, timeToLive: self.settings.lease)
        let id = self.publish([message], expecting: nil, for: .heartbeat)
        self.heartbeat = (id, now)
        self.nextHeartbeat = now + self.settings.heartbeat
    }

    mutating func heartbeatPublished(_ outcome: PublishOutcome, now: MonotonicTime) {
        guard let sent = self.heartbeat else { return }
        self.heartbeat = nil
        guard case .stored(let sequence, _) = outcome else {
            self.nextHeartbeat = now + Self.retryInterval
            return
        }
        self.figures.heartbeats += 1
        if !self.isEntitled, self.entitledAfter == .max { self.entitledAfter = sequence }
        self.version += 1
        self.leaseUntil = max(self.leaseUntil, sent.sentAt + (self.settings.lease - self.settings.margin))
        self.reviewEntitlement(now: now)
    }

    /// Notices that the lease has ended, or holds again and everything before it was read.
    mutating func reviewEntitlement(now: MonotonicTime) {
        let isEntitled = now < self.leaseUntil && self.readThrough >= self.entitledAfter
        guard isEntitled != self.isEntitled else { return }
        self.isEntitled = isEntitled
        self.version += 1
        if isEntitled {
            self.entitledAfter = 0
            self.note(.regained)
            self.reviewAll(now: now)
            for name in self.names { self.pump(name, now: now) }
        } else {
            self.entitledAfter = .max
            self.figures.lapses += 1
            self.note(.lapsed)
            for name in self.names { self.stopPolling(name) }
        }
    }

    private mutating func forgetTheGone(now: MonotonicTime) {
        let gone = self.members.filter { $0.value.seenAt + self.settings.lease <= now }.keys
        // Without a reading no heartbeat can arrive, and a missing one says nothing.
        guard !gone.isEmpty, self.link == .reading, let listensSince, now - listensSince >= self.settings.lease else {
            return
        }
        for node in gone { self.members[node] = nil }
        self.place(now: now)
    }

    // MARK: Sources

    /// What a poll without a change has taught.
    package mutating func learned(_ validators: Validators, _ learned: [UInt8], of source: String) {
        self.sources[source]?.learned = learned
        self.sources[source]?.validators = validators
    }

    /// The node ends in order.
    package mutating func leave(now: MonotonicTime) {
        guard !self.isLeaving else { return }
        self.isLeaving = true
        self.nextHeartbeat = now
        self.heartbeat = nil
        self.beat(now: now)
        self.place(now: now)
        self.reviewLeft()
    }

    mutating func reviewLeft() {
        guard self.isLeaving, !self.hasLeft else { return }
        let isDone = self.sources.values.allSatisfy { $0.role == .other } || !self.isEntitled
        guard isDone else { return }
        self.hasLeft = true
        self.actions.append(.left)
    }

    mutating func reviewAll(now: MonotonicTime) {
        for name in self.names { self.review(name, now: now) }
        self.reviewLeft()
    }

    /// Brings what the node is to a source in step with what it should be.
    mutating func review(_ name: String, now: MonotonicTime) {
        // A process that did not run may not have noticed yet that its lease has ended.
        guard self.isEntitled, now < self.leaseUntil, self.isCaughtUp, let source = self.sources[name] else { return }
        switch source.role {
        case .acquiring, .handing, .refencing(.some): break
        case .refencing(nil): self.askOwner(name)
        case .owned(let fence):
            guard source.isOwnerKnown else { return self.askOwner(name) }
            if source.instance?.isEnding == true, self.mayWrite { return self.end(name, now: now) }
            guard let target = self.target(of: name), target != self.settings.node, self.mayWrite else {
                if self.isLeaving, self.mayWrite { return self.hand(name, to: nil, fence: fence, now: now) }
                return self.startPolling(name, now: now)
            }
            self.hand(name, to: target, fence: fence, now: now)
        case .other:
            guard source.isOwnerKnown else { return self.askOwner(name) }
            guard self.isSettled, self.mayWrite, self.isVacant(source) else {
                // Its owner ends it, or nobody yet.
                self.sources[name]?.instance?.isEnding = false
                return
            }
            if source.instance?.isEnding == true { return self.endVacant(name) }
            let target = self.target(of: name)
            guard target == self.settings.node else { return self.makeElsewhere(name, target: target) }
            self.figures.takeovers += 1
            let id = self.writeOwner(name, self.ownRecord(of: source))
            self.sources[name]?.role = .acquiring(id)
        }
    }

    /// Nobody owns it, or one who is gone does.
    private func isVacant(_ source: ClusterSource) -> Bool {
        guard let owner = source.owner?.record, !owner.node.isEmpty else { return true }
        if let member = self.members[owner.node] { return member.record.incarnation != owner.incarnation }
        return owner.node == self.settings.node || self.knowsTheGone
    }

    private func ownRecord(of source: ClusterSource) -> OwnerRecord {
        OwnerRecord(
            node: self.settings.node,
            incarnation: self.settings.incarnation,
            learned: source.keeping?.state ?? source.learned,
            validators: source.validators,
            instance: source.instance?.record
        )
    }

    mutating func writeOwner(_ name: String, _ record: OwnerRecord) -> PublishID {
        let subject = self.settings.subjects.subject(of: .owner(source: name))
        self.stateWritten(record, of: name)
        // A state is written often, and of an instance only the last counts: one that is gone leaves nothing.
        let message = StreamMessage(
            subject: subject,
            payload: record.encoded,
            timeToLive: record.instance?.isGone == true ? InstanceRecord.goneTime : nil,
            replacesEarlier: ClusterUnit.keepsState(name) || record.instance != nil
        )
        return self.publish(
            [message],
            expecting: StreamExpectation(subject, at: self.sources[name]?.owner?.sequence ?? 0),
            for: .owner(name)
        )
    }

    /// Gives a source away, once all that it has in hand is in the stream.
    private mutating func hand(_ name: String, to target: String?, fence: UInt64, now: MonotonicTime) {
        self.stopPolling(name)
        guard let source = self.sources[name], source.pending.isEmpty, source.batch == nil else {
            return self.pump(name, now: now)
        }
        // The record carries the final state, which is known once the unit has been released.
        if source.isReleasing, ClusterUnit.keepsState(name) { return }
        let incarnation = target.flatMap { self.members[$0]?.record.incarnation }
        let record = OwnerRecord(
            node: incarnation == nil ? "" : target ?? "",
            incarnation: incarnation ?? Incarnation(rawValue: 0),
            learned: source.keeping?.state ?? source.learned,
            validators: source.validators,
            instance: source.instance?.record
        )
        self.figures.handovers += 1
        let id = self.writeOwner(name, record)
        self.sources[name]?.role = .handing(id)
    }

    private mutating func startPolling(_ name: String, now: MonotonicTime) {
        // What is on its way into the log is not in the hub yet: the poller would find it a second time.
        guard let source = self.sources[name], !source.isPolled, !source.isReleasing, source.pending.isEmpty,
            let owner = source.owner, !self.isLeaving
        else { return }
        guard source.pollsFrom <= now else {
            self.retryAt = min(self.retryAt, source.pollsFrom)
            return
        }
        self.sources[name]?.isPolled = true
        self.version += 1
        var record = owner.record
        if let keeping = source.keeping { record.learned = keeping.state }
        self.actions.append(.own(name, record))
        self.republishIfNeeded(name)
    }

    mutating func stopPolling(_ name: String) {
        guard self.sources[name]?.isPolled == true else { return }
        self.sources[name]?.isPolled = false
        self.sources[name]?.isReleasing = true
        self.version += 1
        self.actions.append(.release(name))
    }

    /// The poller has let go of a source, and publishes no more of it.
    package mutating func released(_ name: String, now: MonotonicTime) {
        self.sources[name]?.isReleasing = false
        self.sources[name]?.isStateOld = false
        self.review(name, now: now)
    }

    /// In a new numbering every source begins with its value.
    mutating func republishIfNeeded(_ name: String) {
        guard let source = self.sources[name], source.isPolled, source.lastSequence < self.epochBegins,
            source.pending.isEmpty, !ClusterUnit.keepsState(name)
        else { return }
        self.actions.append(.republish(name))
    }

    /// A publish of this source may or may not be stored: an owner record after which it cannot be any more.
    mutating func refence(_ name: String, now: MonotonicTime) {
        guard let source = self.sources[name] else { return }
        let id = self.writeOwner(name, self.ownRecord(of: source))
        self.sources[name]?.role = .refencing(id)
    }
}
