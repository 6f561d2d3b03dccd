// Streams end with the credential that opened them (CONTRACT §8, FAULTS S9).

package import FreshetCore
import HeapModule

/// Who holds a stream: a credential that can end. Shared by nothing, so that a stream without one costs nothing.
package final class StreamOwner: Sendable {
    package let principal: Principal
    /// What the stream may show; ``StreamHandover/pattern`` is within it.
    package let pattern: SourcePattern
    /// What its ids end with where a ticket opened it; ``StreamHandover/format`` is then marked.
    package let mark: TicketMark?

    package init(principal: Principal, pattern: SourcePattern, mark: TicketMark? = nil) {
        self.principal = principal
        self.pattern = pattern
        self.mark = mark
    }
}

/// What becomes of a stream whose owner was looked at again.
package enum OwnerVerdict: Sendable {
    case goesOn
    /// It goes on with what this names, which is less than before.
    case keeps(SourcePattern)
    case ends(CloseReason)
}

/// When streams expire, the next first. A value; whoever holds it confines it.
struct ExpiryQueue {
    private struct Expiry: Comparable {
        var at: WallTime
        var key: SlotKey

        static func < (left: Self, right: Self) -> Bool { left.at < right.at }
        static func == (left: Self, right: Self) -> Bool { left.at == right.at }
    }

    private var heap = Heap<Expiry>()

    /// Adds a stream's end.
    mutating func add(_ key: SlotKey, at: WallTime) {
        self.heap.insert(Expiry(at: at, key: key))
    }

    /// Drops the ends of streams that ended before, once they are more than those that did not: so that the memory follows
    /// the streams, and not how often clients come back.
    mutating func compact(keeping live: Int, _ isLive: (SlotKey) -> Bool) {
        guard self.heap.count > 2 * live + 64 else { return }
        self.heap = Heap(self.heap.unordered.filter { isLive($0.key) })
    }

    /// Takes streams that end by now, so many at most.
    mutating func take(until now: WallTime, limit: Int, _ body: (SlotKey) -> Void) {
        for _ in 0..<limit {
            guard let first = self.heap.min, first.at <= now else { return }
            body(self.heap.removeMin().key)
        }
    }

    var next: WallTime? { self.heap.min?.at }
}

extension CloseReason {
    /// The reader's right has ended: nothing more is begun for it.
    var endsRight: Bool {
        switch self {
        case .expired, .revoked: true
        case .drain, .slow, .removed, .unsubscribed: false
        }
    }
}

extension Delivery {
    /// Notes whose stream it is. Of a ticket there is one stream at a time: an earlier one ends.
    func own(_ index: Int32, _ owner: StreamOwner?) {
        guard let owner else { return }
        self.owners[index] = owner
        let key = self.table.key(of: index)
        if let mark = owner.mark {
            self.supersede(mark.ticket)
            self.ticketStreams[mark.ticket] = key
        }
        guard let end = owner.principal.validUntil else { return }
        self.expiries.compact(keeping: self.owners.count) { self.table.holds($0) }
        self.expiries.add(key, at: end)
    }

    /// Ends the stream of a ticket of which there is a later one.
    func supersede(_ ticket: Fingerprint) {
        guard let earlier = self.ticketStreams.removeValue(forKey: ticket), self.table.holds(earlier) else { return }
        self.end(earlier.index, .revoked)
        guard self.table.holds(earlier) else { return }
        // Most likely it is not read any more. Its `bye` is on the way, where the socket took it.
        self.transport.flush()
        self.release(earlier.index, .told(.revoked))
    }

    /// Forgets whose stream it was.
    func disown(_ index: Int32) {
        guard let owner = self.owners.removeValue(forKey: index), let mark = owner.mark,
            self.ticketStreams[mark.ticket] == self.table.key(of: index)
        else { return }
        self.ticketStreams[mark.ticket] = nil
    }

    /// What the ids of a subscriber's stream end with; `nil` where they are cursors alone.
    func mark(of index: Int32, in group: SubscriberGroup) -> TicketMark? {
        group.isMarked ? self.owners[index]?.mark : nil
    }

    /// How long it is until a stream has to end, at most; `nil` where none has to.
    var millisecondsToExpiry: Int32? {
        guard let first = self.expiries.next ?? self.lastCalls.next else { return nil }
        let next = min(first, self.lastCalls.next ?? first)
        let (left, overflow) = next.milliseconds.subtractingReportingOverflow(self.transport.wall.milliseconds)
        return overflow ? .max : Int32(clamping: max(0, left))
    }

    /// Ends the streams whose credential is dead by now.
    func endExpired() {
        guard self.millisecondsToExpiry == 0 else { return }
        let now = self.transport.wall
        // What was sent in this turn leaves before its connection is closed.
        if let next = self.lastCalls.next, next <= now { self.transport.flush() }
        self.lastCalls.take(until: now, limit: TurnLimits.ends) { key in
            guard self.table.holds(key), let reason = self.backlogs[key.index]?.closing else { return }
            self.release(key.index, .told(reason))
        }
        // No more than are ended in a turn, so that the others wait for nothing else (A08).
        self.expiries.take(until: now, limit: TurnLimits.ends) { key in
            // One that was renewed since has a later end in the queue.
            guard self.table.holds(key), self.owners[key.index]?.principal.isExpired(at: now) == true else { return }
            self.endLater(key.index, .expired)
        }
    }

    /// Closes one who was told that its right has ended in half a second, whatever it has taken by then: its last byte comes
    /// within a second of the end (CONTRACT §8).
    func limitEnd(of key: SlotKey) {
        self.lastCalls.compact(keeping: self.table.count) { self.table.holds($0) }
        let (end, overflow) = self.transport.wall.milliseconds.addingReportingOverflow(500)
        self.lastCalls.add(key, at: WallTime(milliseconds: overflow ? .max : end))
    }

    /// Looks at every owner again, after credentials or grants have changed.
    func review(_ decide: (StreamOwner) -> OwnerVerdict) {
        for (index, owner) in self.owners {
            switch decide(owner) {
            case .goesOn: break
            case .keeps(let pattern):
                self.pendingEnds.append(
                    PendingEnd(key: self.table.key(of: index), reason: .revoked, keeps: pattern)
                )
            case .ends(let reason): self.endLater(index, reason)
            }
        }
    }

    /// Gives streams a later credential of their subject, or takes them what it does not cover.
    func renew(_ keys: [SlotKey], for principal: Principal) {
        for key in keys where self.table.holds(key) {
            guard let group = self.group(of: key.index), self.backlogs[key.index]?.closing == nil else { continue }
            let pattern = self.owners[key.index]?.pattern ?? group.pattern ?? .all
            let kept = pattern.intersection(principal.grants.read)
            self.own(key.index, StreamOwner(principal: principal, pattern: pattern))
            guard kept != pattern else { continue }
            self.narrow(key.index, to: kept)
        }
    }

    /// Takes a stream sources that its client does not want any more.
    func drop(_ key: SlotKey, keeping pattern: SourcePattern) {
        guard self.table.holds(key), let group = self.group(of: key.index), self.backlogs[key.index]?.closing == nil
        else { return }
        let kept = group.subscription.sources.filter { id in self.hub.name(of: id).map(pattern.matches) ?? false }
        if let owner = self.owners[key.index] {
            self.owners[key.index] = StreamOwner(principal: owner.principal, pattern: pattern, mark: owner.mark)
        }
        self.regroup(key.index, to: kept, named: pattern)
    }

    /// Moves a subscriber to the group of those who get these sources. It stays where it is in the log. Where it has not seen
    /// all of a source that is gone it is told of a gap: the new group does not have that source, whose name would say
    /// whether it belongs there.
    ///
    /// - Returns: The group.
    @discardableResult
    private func regroup(_ index: Int32, to kept: [SourceID], named pattern: SourcePattern) -> SubscriberGroup? {
        guard let group = self.group(of: index) else { return nil }
        let rest = self.enterGroup(
            kept,
            group.pattern.map { _ in pattern },
            group.subscription.format,
            group.subscription.view,
            group.framing,
            group.coding
        )
        let isLive = self.backlogs[index] == nil
        let sequence = self.table.slot(index).pointee.machine.sequence
        let gone = self.hub.removed(among: group.subscription.sources, changedAfter: sequence)
        // Who is live has seen all of those whose removal was told.
        let lacksChanges = isLive ? !gone.isSubset(of: group.removed) : !gone.isEmpty
        self.removeFromLive(index)
        self.table.slot(index).pointee.group = rest.index
        self.leaveGroup(group)
        guard lacksChanges else {
            if isLive { self.enterLive(index, in: rest) }
            return rest
        }
        if isLive {
            self.table.slot(index).pointee.machine.writeStopped(after: sequence)
            self.backlogs[index] = Backlog(maySkip: false, statusMark: self.statusNumber, tick: self.clock.tick)
        }
        self.backlogs[index]?.lacksChanges = true
        self.queue(index)
        return rest
    }

    /// Takes a subscriber's stream the sources that it may no longer read, and tells it of each (CONTRACT §8). Where none is
    /// left, the stream ends.
    ///
    /// It moves to the group of those who get the others, and stays where it is in the log. What was put before its socket by
    /// now still leaves.
    func narrow(_ index: Int32, to pattern: SourcePattern) {
        guard let group = self.group(of: index), let owner = self.owners[index],
            self.backlogs[index]?.closing == nil
        else { return }
        let named = group.subscription.sources.compactMap { id in self.hub.name(of: id).map { (id: id, name: $0) } }
        let kept = named.filter { pattern.names($0.name) }.map(\.id)
        guard !kept.isEmpty else { return self.end(index, .revoked) }
        self.owners[index] = StreamOwner(principal: owner.principal, pattern: pattern, mark: owner.mark)
        guard let rest = self.regroup(index, to: kept, named: pattern) else { return }
        let key = self.table.key(of: index)
        for source in named where !pattern.names(source.name) && self.table.holds(key) {
            let frame = ControlFrame.removal(of: source.name, at: self.transport.wall, wire: rest.wire)
            if self.backlogs[index] == nil {
                self.sendToLive(index, frame, in: rest)
            } else {
                self.backlogs[index]?.append(self.coded(frame, for: rest), framing: rest.framing, mark: nil)
            }
        }
    }
}
