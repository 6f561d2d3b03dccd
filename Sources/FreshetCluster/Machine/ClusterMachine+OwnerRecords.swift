// What the owner records say, and what follows where one is not there, or another one than was expected.

import DequeModule
package import FreshetCore

extension ClusterMachine {
    mutating func askOwner(_ name: String) {
        guard self.sources[name]?.isOwnerAsked == false else { return }
        self.sources[name]?.isOwnerAsked = true
        self.sources[name]?.instance?.isReadSinceAsked = false
        self.actions.append(.readOwner(name))
    }

    /// The answer to `.readOwner`.
    package mutating func ownerReceived(
        _ name: String,
        _ result: Result<StoredMessage?, StreamFailure>,
        now: MonotonicTime
    ) {
        guard let source = self.sources[name] else { return }
        self.sources[name]?.isOwnerAsked = false
        guard case .success(let message) = result else { return self.retry(now: now) }
        if source.instance != nil, self.instanceReceived(message, of: name, now: now) { return }
        self.sources[name]?.isOwnerKnown = true
        // Less than there was: the broker has lost it.
        self.sources[name]?.lastFence = min(source.lastFence, message?.sequence ?? 0)
        guard let message else {
            self.ownerIsMissing(name)
            switch source.role {
            case .owned, .refencing(nil):
                // The others, who have read the record, wait for this node to give the source up or to be gone.
                self.stopPolling(name)
                return self.rewriteOwner(name, now: now)
            case .other, .acquiring, .handing, .refencing(.some): break
            }
            return self.review(name, now: now)
        }
        let record = self.ownerRecord(in: message, of: name)
        guard record.node == self.settings.node, record.incarnation == self.settings.incarnation else {
            // What is not read yet counts when it is.
            if message.sequence > self.readThrough { return }
            return self.take(record, at: message.sequence, of: name, now: now)
        }
        switch source.role {
        case .owned(message.sequence):
            self.sources[name]?.owner = (record, message.sequence)
            self.review(name, now: now)
        case .acquiring, .handing, .refencing(.some): break
        case .owned, .other, .refencing(nil):
            // What was sent under it may be stored yet: not after another one.
            guard message.sequence <= self.readThrough else { return }
            guard self.mayWrite else {
                self.sources[name]?.isOwnerKnown = false
                return
            }
            self.sources[name]?.owner = (record, message.sequence)
            if message.sequence > source.lastFence, self.stateFound(record.learned, of: name) {
                self.sources[name]?.learned = record.learned
            }
            self.refence(name, now: now)
        }
    }

    /// An owner record of this node that is gone is written again, unless another node is faster.
    private mutating func rewriteOwner(_ name: String, now: MonotonicTime) {
        guard self.mayWrite else {
            self.sources[name]?.role = .refencing(nil)
            self.sources[name]?.isOwnerKnown = false
            return
        }
        self.refence(name, now: now)
    }

    /// There is no owner record. Where there was one, or may have been, since the broker has removed messages, a node that does
    /// not know it yet may act as the owner for a lease.
    private mutating func ownerIsMissing(_ name: String) {
        if self.sources[name]?.hadOwner == true || self.facts.map({ $0.first > 1 }) ?? true {
            self.sources[name]?.isForgotten = true
        }
        self.sources[name]?.owner = nil
    }

    /// The record in a message of the subject of a source. One that cannot be read names no owner: the next one begins with what
    /// this node knows of the source, and writes its record behind that message.
    func ownerRecord(in message: StoredMessage, of name: String) -> OwnerRecord {
        OwnerRecord(message.payload) ?? self.recordWithoutOwner(of: name)
    }

    private func recordWithoutOwner(of name: String) -> OwnerRecord {
        let source = self.sources[name]
        return OwnerRecord(
            node: "",
            incarnation: Incarnation(rawValue: 0),
            learned: source?.keeping?.state ?? source?.learned ?? [],
            validators: source?.validators ?? Validators(),
            instance: source?.instance?.record
        )
    }

    mutating func ownerRead(_ message: StoredMessage, of name: String, now: MonotonicTime) {
        let read = OwnerRecord(message.payload)
        let record = read ?? self.recordWithoutOwner(of: name)
        // The broker's marker of a record that it has removed is no record of a gateway.
        if read == nil, !message.isMarker {
            self.figures.unreadable += 1
            self.note(.unreadable(source: name, sequence: message.sequence))
        }
        // Whoever owned it before may not have read that yet: the next owner waits for a lease.
        defer { if read == nil { self.sources[name]?.isForgotten = true } }
        guard !self.instanceRead(record, at: message.sequence, of: name), let source = self.sources[name] else {
            return
        }
        let isOwn = record.node == self.settings.node && record.incarnation == self.settings.incarnation
        if isOwn, message.sequence <= source.lastFence {
            // Read again after a connection was lost; or another one in the place of what the broker has lost, which it is
            // asked about.
            self.sources[name]?.isOwnerKnown = false
            return self.review(name, now: now)
        }
        self.sources[name]?.isOwnerKnown = true
        self.take(record, at: message.sequence, of: name, now: now)
    }

    private mutating func take(_ record: OwnerRecord, at sequence: UInt64, of name: String, now: MonotonicTime) {
        guard let source = self.sources[name] else { return }
        // Read again after a connection was lost.
        if let owner = source.owner, owner.sequence > sequence { return }
        self.sources[name]?.owner = (record, sequence)
        self.sources[name]?.hadOwner = true
        // A unit's state is written often; there is nothing else to tell about it.
        if source.owner?.record.node != record.node { self.version += 1 }
        self.sources[name]?.learned = record.learned
        self.sources[name]?.validators = record.validators
        self.sources[name]?.isForgotten = false
        if record.node == self.settings.node, record.incarnation == self.settings.incarnation {
            // By then whoever had it before has read this record, or its lease has ended.
            if source.isForgotten { self.sources[name]?.pollsFrom = now + self.settings.lease }
            if source.role != .owned(fence: sequence) {
                self.sources[name]?.role = .owned(fence: sequence)
                self.sources[name]?.lastFence = sequence
                // All that is in the stream from before this record was read.
                self.sources[name]?.resend()
                self.republishIfNeeded(name)
            }
            self.stateFound(record.learned, of: name)
            self.stateRead(record.learned, of: name)
            self.pump(name, now: now)
        } else {
            self.sources[name]?.role = .other
            self.stopPolling(name)
            self.dropPending(of: name)
            self.forgetState(of: name)
            self.sources[name]?.isStateOld = source.isPolled || source.isReleasing
            self.reviewLeft()
        }
        self.review(name, now: now)
    }

    /// The node no longer owns the source, and no other owner is known.
    mutating func lose(_ name: String) {
        self.sources[name]?.role = .other
        self.stopPolling(name)
        self.reviewLeft()
    }

    /// Others may have owned a source since its changes were submitted here, and this node has not read all that they wrote: what
    /// waits would bring old values back, and its patches begin with others.
    mutating func dropOld(of name: String) {
        self.stopPolling(name)
        self.dropPending(of: name)
    }

    mutating func dropPending(of name: String) {
        guard let source = self.sources[name], !source.pending.isEmpty else { return }
        self.figures.dropped += UInt64(source.pending.count)
        self.actions.append(.drop(source.pending.map(\.record)))
        self.sources[name]?.pending = []
        self.sources[name]?.batch = nil
    }
}
