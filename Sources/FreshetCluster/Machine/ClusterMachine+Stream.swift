// Finding out what the stream is, reading it, and noticing that it is not what it was.

package import FreshetCore

extension ClusterMachine {
    // MARK: Beginning

    /// Connected; nothing is known of the stream any more.
    package mutating func connected(now: MonotonicTime) {
        self.refusal = nil
        self.beginSync()
    }

    package mutating func disconnected(now: MonotonicTime) {
        if self.link == .reading { self.actions.append(.stopReading) }
        self.link = .down
        self.listensSince = nil
        self.timePassed(now: now)
    }

    private mutating func beginSync() {
        if self.link == .reading { self.actions.append(.stopReading) }
        self.link = .syncing
        self.listensSince = nil
        self.isSettled = false
        self.knowsTheGone = false
        self.facts = nil
        self.assembly.clear()
        self.awaited = Set(self.members.keys).subtracting([self.settings.node])
        for name in self.names {
            self.sources[name]?.doubt()
            // Owner records may be gone, where the broker has lost something.
            self.sources[name]?.owner = nil
            self.sources[name]?.isOwnerKnown = false
            self.sources[name]?.isOwnerAsked = false
            self.sources[name]?.instance?.making = nil
        }
        self.actions.append(.readFacts)
    }

    package mutating func factsReceived(_ result: Result<StreamFacts, StreamFailure>, now: MonotonicTime) {
        self.nextFacts = now + Self.factsInterval
        guard case .success(let facts) = result else {
            if self.link == .syncing { self.retry(now: now) }
            return
        }
        self.facts = facts
        switch self.link {
        case .syncing: self.actions.append(.readEpoch)
        case .reading: self.renewOld(now: now)
        case .down, .comparing, .founding, .foreign: break
        }
    }

    package mutating func epochReceived(_ result: Result<StoredMessage?, StreamFailure>, now: MonotonicTime) {
        guard self.link == .syncing, let facts = self.facts else { return }
        guard case .success(let message) = result else { return self.retry(now: now) }
        guard let message, !message.isMarker else {
            return self.found(after: self.head, expecting: message?.sequence ?? 0)
        }
        guard let record = EpochRecord(message.payload) else {
            self.link = .foreign
            return self.note(.foreignFormat)
        }
        // It began with this message, or with an earlier one.
        let begins = record.begins == 0 ? message.sequence : min(record.begins, message.sequence)
        guard record.epoch == self.epoch, self.base == nil || self.base == record.base, self.head >= record.base else {
            return self.enter(record, begins: begins, renewed: message.sequence, facts, now: now)
        }
        self.base = record.base
        self.epochSequence = message.sequence
        self.epochBegins = begins
        for name in self.names { self.numberRestored(name) }
        let last = self.head - record.base
        if last == 0 || self.headDigest == nil {
            if last > 0, last + 1 < facts.first { self.historyLost(facts) }
            return self.read(after: max(last, facts.first &- 1), now: now)
        }
        if facts.last < last { return self.rewound(now: now) }
        if last < facts.first {
            if last + 1 < facts.first { self.historyLost(facts) }
            return self.read(after: facts.first - 1, now: now)
        }
        self.link = .comparing
        self.actions.append(.readMessage(last))
    }

    /// The message at the node's own last position.
    package mutating func messageReceived(_ result: Result<StoredMessage?, StreamFailure>, now: MonotonicTime) {
        guard self.link == .comparing, let base = self.base else { return }
        guard case .success(let message) = result else {
            self.link = .syncing
            return self.retry(now: now)
        }
        guard let message, self.isLast(message) else { return self.rewound(now: now) }
        self.read(after: self.head - base, now: now)
    }

    /// Whether a message is what this node has at its last position.
    private func isLast(_ message: StoredMessage) -> Bool {
        guard let part = ChangePart(message.payload) else { return false }
        if let number = self.headNumber { return part.number == number }
        // The last part of a long change is not the whole of it, and is not compared after a restart.
        guard part.of == 1 else { return true }
        guard var record = ChangeRecord(part.bytes) else { return false }
        if ChangeDigest(record) == self.headDigest { return true }
        // As this node has taken it, where it did not have the value before.
        record.change.becomeWhole()
        return ChangeDigest(record) == self.headDigest
    }

    /// The stream lacks what it had, or has something else in its place.
    private mutating func rewound(now: MonotonicTime) {
        self.figures.rewinds += 1
        self.note(.rewound)
        let last = max(self.head, (self.base ?? 0) + max(self.facts?.last ?? 0, self.readThrough))
        self.found(after: last, expecting: self.epochSequence)
    }

    /// Begins a numbering above all positions up to `last`, unless another node does.
    private mutating func found(after last: UInt64, expecting sequence: UInt64) {
        guard last <= EpochRecord.maxBase - EpochRecord.slack else { return }
        let base = last == 0 ? 0 : last + EpochRecord.slack
        let record = EpochRecord(epoch: Epoch.random(using: &self.generator), base: base)
        let subject = self.settings.subjects.subject(of: .epoch)
        let id = self.publish(
            [StreamMessage(subject: subject, payload: record.encoded)],
            expecting: StreamExpectation(subject, at: sequence),
            for: .epoch
        )
        self.link = .founding(id)
    }

    mutating func epochPublished(_ id: PublishID, _ outcome: PublishOutcome, now: MonotonicTime) {
        guard self.link == .founding(id) else { return }
        self.link = .syncing
        switch outcome {
        case .stored, .refused(.fenced): self.actions.append(.readFacts)
        case .refused, .unknown: self.retry(now: now)
        }
    }

    /// Goes on in another numbering than that of the log.
    private mutating func enter(
        _ record: EpochRecord,
        begins: UInt64,
        renewed: UInt64,
        _ facts: StreamFacts,
        now: MonotonicTime
    ) {
        let isFresh = self.head == 0
        let after = isFresh ? facts.first &- 1 : max(begins, facts.first &- 1)
        let (position, overflow) = record.base.addingReportingOverflow(after)
        guard !overflow, position >= self.head else {
            // A node that knew of no earlier position made it.
            return self.found(after: self.head, expecting: renewed)
        }
        if after > self.readThrough { self.dropUnowned() }
        self.renumber(record, begins: begins, renewed: renewed, head: position)
        self.read(after: after, now: now)
    }

    private mutating func renumber(_ record: EpochRecord, begins: UInt64, renewed: UInt64, head: UInt64) {
        self.figures.epochs += 1
        self.epoch = record.epoch
        self.base = record.base
        self.epochSequence = renewed
        self.epochBegins = begins
        self.head = head
        self.headDigest = nil
        self.headNumber = nil
        self.actions.append(.renumber(self.cursor))
        self.note(.epochBegan(record.epoch))
        for name in self.names {
            self.sources[name]?.lastSequence = 0
            self.sources[name]?.restoredPosition = 0
            self.sources[name]?.lastPosition = 0
            self.sources[name]?.lastNumber = nil
            self.sources[name]?.resend()
            self.sources[name]?.beginWhole()
            // Owner records may be gone with the rest.
            self.sources[name]?.owner = nil
            self.sources[name]?.isOwnerKnown = false
            if case .owned = self.sources[name]?.role { self.sources[name]?.role = .refencing(nil) }
        }
    }

    /// The broker has pruned what this node has not read.
    private mutating func historyLost(_ facts: StreamFacts) {
        guard let base = self.base else { return }
        self.note(.historyLost(through: facts.first - 1))
        self.dropUnowned()
        self.head = base + facts.first - 1
        self.headDigest = nil
        self.headNumber = nil
        self.actions.append(.renumber(self.cursor))
        for name in self.names {
            self.sources[name]?.lastNumber = nil
            self.sources[name]?.lastPosition = 0
        }
    }

    /// Part of the stream is passed over, in which another node may have changed what this one has not owned all the while.
    private mutating func dropUnowned() {
        for name in self.names where self.sources[name]?.isPolled == false { self.dropPending(of: name) }
    }

    private mutating func read(after sequence: UInt64, now: MonotonicTime) {
        self.readThrough = sequence
        self.syncedLast = max(sequence, self.facts?.last ?? 0)
        self.link = .reading
        self.listensSince = now
        if self.isCaughtUp { self.settleDoubts() }
        self.actions.append(.read(from: sequence + 1))
        // At the first opportunity: the others are to know.
        self.nextHeartbeat = now
        self.timePassed(now: now)
    }

    package mutating func readingEnded(now: MonotonicTime) {
        guard self.link == .reading else { return }
        self.link = .syncing
        self.listensSince = nil
        self.retry(now: now)
    }

    // MARK: Reading

    package mutating func delivered(_ messages: [StoredMessage], now: MonotonicTime) {
        let wasCaughtUp = self.isCaughtUp
        for message in messages {
            guard self.link == .reading, message.sequence > self.readThrough else { continue }
            self.readThrough = message.sequence
            switch self.settings.subjects.topic(of: message.subject) {
            case .change where message.isMarker: break
            case .change(let source): self.changeRead(message, of: source, now: now)
            case .owner(let source): self.ownerRead(message, of: source, now: now)
            case .key: self.keyRead(message)
            case .node(let node): self.nodeRead(message, of: node, now: now)
            case .epoch: self.epochRead(message, now: now)
            case .ticketResumed(let ticket): self.ticketRead(message, .resumed(ticket))
            case .ticketRevoked(let ticket): self.ticketRead(message, .revoked(ticket))
            // The first of its subject counts, which the broker decides.
            case .ticketUsed, .ticketKey, .pushKey, nil: break
            case .push(let id): self.actions.append(.subscription(id, message.payload, sequence: message.sequence))
            }
        }
        if self.isCaughtUp, !wasCaughtUp { self.settleDoubts() }
        self.reviewEntitlement(now: now)
        if self.isCaughtUp, !wasCaughtUp { self.proceed(now: now) }
    }

    /// All was read that can have been acknowledged over an earlier connection: what was not among it the broker has lost.
    private mutating func settleDoubts() {
        for name in self.names {
            self.sources[name]?.resendDoubtful()
            switch self.sources[name]?.role {
            case .acquiring(let id) where self.publishes[id] == nil: self.sources[name]?.role = .other
            case .handing(let id) where self.publishes[id] == nil,
                .refencing(.some(let id)) where self.publishes[id] == nil:
                self.sources[name]?.role = .refencing(nil)
            case .other, .acquiring, .owned, .refencing, .handing, nil: continue
            }
            self.sources[name]?.isOwnerKnown = false
        }
    }

    private mutating func epochRead(_ message: StoredMessage, now: MonotonicTime) {
        guard message.sequence > self.epochSequence else { return }
        // The record is gone, and what it said holds: the marker is the last of the subject now.
        guard !message.isMarker else { return self.epochSequence = message.sequence }
        guard let record = EpochRecord(message.payload) else {
            self.actions.append(.stopReading)
            self.link = .foreign
            return self.note(.foreignFormat)
        }
        guard record.epoch != self.epoch || record.base != self.base else {
            self.epochSequence = message.sequence
            return
        }
        let (position, overflow) = record.base.addingReportingOverflow(message.sequence)
        guard !overflow, position >= self.head else {
            self.actions.append(.stopReading)
            return self.found(after: self.head, expecting: message.sequence)
        }
        self.renumber(record, begins: message.sequence, renewed: message.sequence, head: position)
        self.reviewAll(now: now)
    }

    private mutating func changeRead(_ message: StoredMessage, of source: String, now: MonotonicTime) {
        guard let base = self.base else { return }
        guard let part = ChangePart(message.payload) else { return self.unreadable(source, message.sequence) }
        if self.sources[source] == nil { self.suspectInstance(source) }
        let own = self.sources[source]?.pending.first
        if let own, own.number == part.number {
            guard part.index + 1 == part.of else { return }
            self.assembly.clear()
            self.sources[source]?.pending.removeFirst()
            self.advance(source, message.sequence, part.number, ChangeDigest(source, own.change))
            self.figures.published += 1
            self.actions.append(.commit(own.written, position: base + message.sequence))
            self.pump(source, now: now)
            if self.sources[source]?.isPolled == false { self.review(source, now: now) }
            return
        }
        switch self.assembly.take(part) {
        case .more: break
        case .broken: self.unreadable(source, message.sequence)
        case .whole(let bytes):
            guard var record = ChangeRecord(bytes), record.name == source else {
                return self.unreadable(source, message.sequence)
            }
            // Another node owned the source meanwhile, and this node may have read no owner record of it: those of an instance
            // replace each other.
            if part.number.incarnation != self.settings.incarnation { self.dropOld(of: source) }
            let digest = ChangeDigest(record)
            if !self.continues(record) { record.change.becomeWhole() }
            self.advance(source, message.sequence, part.number, digest)
            if self.sources[source] != nil {
                self.sources[source]?.learned = record.change.learned
                self.sources[source]?.validators = record.change.validators
            }
            self.figures.taken += 1
            self.actions.append(.take(record, position: base + message.sequence))
        }
    }

    /// Whether the patches of a change begin with the value that this node has.
    private func continues(_ record: ChangeRecord) -> Bool {
        guard let source = self.sources[record.name] else { return false }
        return switch record.base {
        case .nothing: false
        case .position(let position): source.lastPosition == position && position > 0
        case .change(let number): source.lastNumber == number
        }
    }

    private mutating func advance(
        _ source: String,
        _ sequence: UInt64,
        _ number: ChangeNumber,
        _ digest: ChangeDigest
    ) {
        self.head = (self.base ?? 0) + sequence
        self.headDigest = digest
        self.headNumber = number
        self.sources[source]?.lastSequence = sequence
        self.sources[source]?.lastPosition = self.head
        self.sources[source]?.lastNumber = number
    }

    private mutating func unreadable(_ source: String, _ sequence: UInt64) {
        self.figures.unreadable += 1
        // The next change is taken whole.
        self.sources[source]?.lastNumber = nil
        self.sources[source]?.lastPosition = 0
        self.note(.unreadable(source: source, sequence: sequence))
    }

    // MARK: Keeping what the broker prunes

    /// Writes the epoch and the owner records of this node again before the broker removes them as the oldest messages.
    private mutating func renewOld(now: MonotonicTime) {
        // Short streams prune nothing yet.
        guard let facts = self.facts, self.isEntitled, facts.oldBefore > 0, let base = self.base else { return }
        let old = facts.oldBefore
        if self.epochSequence < old {
            let record = EpochRecord(epoch: self.epoch, base: base, begins: self.epochBegins)
            let subject = self.settings.subjects.subject(of: .epoch)
            _ = self.publish(
                [StreamMessage(subject: subject, payload: record.encoded)],
                expecting: StreamExpectation(subject, at: self.epochSequence),
                for: .epoch
            )
        }
        for name in self.names {
            guard let source = self.sources[name], case .owned(let fence) = source.role, fence < old,
                source.batch == nil
            else { continue }
            self.refence(name, now: now)
        }
    }
}

extension Change {
    /// Leaves the value to stand for the change.
    mutating func becomeWhole() {
        self.patch = nil
        self.merge = nil
        self.items = nil
    }
}
