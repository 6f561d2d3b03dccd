// The way of a change into the stream: in order, fenced by the source's owner record, and sent again only where it
// certainly is not there.

import DequeModule
package import FreshetCore
import JSON

extension ClusterMachine {
    /// The most changes of one source that wait for the broker. Beyond it the oldest are left out, and the next one says all.
    package static let maxPending = 256
    /// The most bytes of values in one batch, beyond its first change.
    static let maxBatchBytes = 4 << 20

    /// A change is to go into the stream.
    package mutating func submitted(_ record: LogRecord, now: MonotonicTime) {
        guard let source = self.sources[record.name], self.isOwner(source) else {
            // It was polled before the poller heard that another node has it.
            self.figures.dropped += 1
            return self.actions.append(.drop([record]))
        }
        let number = ChangeNumber(incarnation: self.settings.incarnation, count: self.nextNumber)
        self.nextNumber += 1
        let isWhole = source.needsWhole || source.lastSequence < self.epochBegins && source.pending.isEmpty
        self.sources[record.name]?.needsWhole = false
        self.sources[record.name]?.learned = record.change.learned
        self.sources[record.name]?.validators = record.change.validators
        self.sources[record.name]?.pending.append(.init(number: number, record: record, isWhole: isWhole))
        self.bound(record.name)
        self.pump(record.name, now: now)
    }

    /// The value of an owned source, whole, as `.republish` asked for.
    package mutating func republished(_ record: LogRecord, now: MonotonicTime) {
        guard let source = self.sources[record.name], source.lastSequence < self.epochBegins, source.pending.isEmpty
        else { return self.actions.append(.drop([record])) }
        self.submitted(record, now: now)
    }

    private func isOwner(_ source: ClusterSource) -> Bool {
        guard source.isPolled else { return false }
        return switch source.role {
        case .owned, .refencing: true
        case .other, .acquiring, .handing: false
        }
    }

    /// Leaves out the oldest changes that were not sent, where too many wait.
    private mutating func bound(_ name: String) {
        guard let source = self.sources[name], source.pending.count > Self.maxPending else { return }
        guard let index = source.pending.firstIndex(where: { $0.state == .waiting }), index + 1 < source.pending.count
        else { return }
        self.figures.dropped += 1
        self.actions.append(.drop([source.pending[index].record]))
        self.sources[name]?.pending.remove(at: index)
        self.sources[name]?.pending[index].isWhole = true
    }

    /// Sends what waits, if it may be sent.
    mutating func pump(_ name: String, now: MonotonicTime) {
        guard self.mayWrite, self.isEntitled, now < self.leaseUntil,
            let source = self.sources[name], case .owned(let fence) = source.role, source.batch == nil
        else { return }
        if source.keeping != nil { return self.refence(name, now: now) }
        var messages: [StreamMessage] = []
        var bytes = 0
        var taken: [Int] = []
        for index in source.pending.indices where source.pending[index].state == .waiting {
            // What is before it is in the stream, or in this batch.
            let pending = source.pending[index]
            let record = self.record(of: pending, at: index, in: source)
            let encoded = record.encoded
            let room = self.settings.maxPayloadBytes
            guard let parts = ChangePart.parts(of: encoded, pending.number, maxPayload: room) else {
                if taken.isEmpty { return self.tooLarge(name, index, bytes: encoded.count, now: now) }
                break
            }
            if !taken.isEmpty {
                guard messages.count + parts.count <= SharedStreamLimits.maxBatch,
                    bytes + encoded.count <= Self.maxBatchBytes
                else { break }
            }
            let subject = self.settings.subjects.subject(of: .change(source: name))
            messages += parts.map { StreamMessage(subject: subject, payload: $0.encoded) }
            bytes += encoded.count
            taken.append(index)
        }
        guard !taken.isEmpty else { return }
        let owner = self.settings.subjects.subject(of: .owner(source: name))
        let id = self.publish(messages, expecting: StreamExpectation(owner, at: fence), for: .batch(name))
        self.sources[name]?.batch = id
        for index in taken { self.sources[name]?.pending[index].state = .sent(id) }
    }

    private func record(of pending: ClusterSource.Pending, at index: Int, in source: ClusterSource) -> ChangeRecord {
        var base = ChangeBase.nothing
        if !pending.isWhole {
            if index > 0 {
                base = .change(source.pending[index - 1].number)
            } else {
                // A node that was started since knows where the last change is, and not its number.
                base = .position(source.lastPosition)
            }
        }
        return ChangeRecord(
            name: pending.record.name,
            identity: pending.record.identity,
            base: base,
            change: pending.change
        )
    }

    private mutating func tooLarge(_ name: String, _ index: Int, bytes: Int, now: MonotonicTime) {
        guard let record = self.sources[name]?.pending.remove(at: index).record else { return }
        self.figures.dropped += 1
        self.note(.tooLarge(source: name, bytes: bytes))
        self.actions.append(.drop([record]))
        if self.sources[name]?.pending.indices.contains(index) == true {
            self.sources[name]?.pending[index].isWhole = true
        } else {
            self.sources[name]?.needsWhole = true
        }
        self.pump(name, now: now)
    }

    mutating func batchPublished(_ id: PublishID, _ outcome: PublishOutcome, of name: String, now: MonotonicTime) {
        if outcome == .refused(.fenced) {
            self.figures.fenced += 1
            self.note(.fenced(source: name))
        }
        guard let source = self.sources[name], source.batch == id else { return }
        self.sources[name]?.batch = nil
        switch outcome {
        case .stored:
            self.sources[name]?.mark(id, .stored)
            self.pump(name, now: now)
            // The change may have been read before: then a hand-over has waited for this answer alone.
            if self.sources[name]?.isPolled == false { self.review(name, now: now) }
        case .refused(.fenced):
            guard case .owned = source.role else { return }
            // Another node's owner record will arrive, or the record was removed.
            self.sources[name]?.mark(id, .waiting)
            self.sources[name]?.role = .refencing(nil)
            self.stopPolling(name)
            self.sources[name]?.isOwnerKnown = false
            self.sources[name]?.isOwnerAsked = true
            self.actions.append(.readOwner(name))
        case .refused(.tooLarge):
            self.sources[name]?.mark(id, .waiting)
            guard let index = source.pending.firstIndex(where: { $0.state == .sent(id) }) else { return }
            self.tooLarge(name, index, bytes: source.pending[index].change.document.text.count, now: now)
        case .refused(let reason):
            if reason == .full { self.note(.full) }
            self.sources[name]?.mark(id, .waiting)
            self.retry(now: now)
        case .unknown:
            guard case .owned = source.role else { return }
            self.sources[name]?.role = .refencing(nil)
            self.retry(now: now)
        }
    }
}

extension ClusterSource {
    mutating func mark(_ id: ClusterMachine.PublishID, _ state: Pending.State) {
        for index in self.pending.indices where self.pending[index].state == .sent(id) {
            self.pending[index].state = state
        }
    }

    /// The connection was lost.
    mutating func doubt() {
        for index in self.pending.indices where self.pending[index].state == .stored {
            self.pending[index].state = .doubtful
        }
    }

    /// All was read that can have been acknowledged before.
    mutating func resendDoubtful() {
        for index in self.pending.indices where self.pending[index].state == .doubtful {
            self.pending[index].state = .waiting
        }
    }

    /// The first change that waits says all.
    mutating func beginWhole() {
        if !self.pending.isEmpty { self.pending[self.pending.startIndex].isWhole = true }
    }

    /// What was not read is not in the stream.
    mutating func resend() {
        self.batch = nil
        for index in self.pending.indices { self.pending[index].state = .waiting }
    }
}

extension ClusterSource.Pending {
    /// The change as it goes into the stream.
    var change: Change {
        guard self.isWhole else { return self.record.change }
        var change = self.record.change
        change.becomeWhole()
        return change
    }

    /// The record as the log of this node gets it: the same as the stream has.
    var written: LogRecord {
        guard self.isWhole, self.record.change.patch != nil else { return self.record }
        return LogRecord(
            name: self.record.name,
            identity: self.record.identity,
            change: self.change,
            source: self.record.source,
            done: self.record.done
        )
    }
}
