// Streams end with the credential that opened them (CONTRACT §8, FAULTS S9).

package import FreshetCore
import HeapModule

/// Who holds a stream: a credential that can end. Shared by nothing, so that a stream without one costs nothing.
package final class StreamOwner: Sendable {
    package let principal: Principal
    /// What the stream may show; ``StreamHandover/pattern`` is within it.
    package let pattern: SourcePattern

    package init(principal: Principal, pattern: SourcePattern) {
        self.principal = principal
        self.pattern = pattern
    }
}

/// What becomes of a stream whose owner was looked at again.
package enum OwnerVerdict: Sendable {
    case goesOn
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

    /// Takes the streams that end by now.
    mutating func take(until now: WallTime, _ body: (SlotKey) -> Void) {
        while let first = self.heap.min, first.at <= now {
            body(self.heap.removeMin().key)
        }
    }

    var next: WallTime? { self.heap.min?.at }
}

extension Delivery {
    /// Notes whose stream it is.
    func own(_ index: Int32, _ owner: StreamOwner?) {
        guard let owner else { return }
        self.owners[index] = owner
        guard let end = owner.principal.validUntil else { return }
        self.expiries.compact(keeping: self.owners.count) { self.table.holds($0) }
        self.expiries.add(self.table.key(of: index), at: end)
    }

    /// Ends the streams whose credential is dead by now. Once a tick.
    func endExpired() {
        guard let next = self.expiries.next else { return }
        let now = self.transport.wall
        guard next <= now else { return }
        self.expiries.take(until: now) { key in
            guard self.table.holds(key) else { return }
            self.endLater(key.index, .expired)
        }
    }

    /// Looks at every owner again, after credentials or grants have changed.
    func review(_ decide: (StreamOwner) -> OwnerVerdict) {
        for (index, owner) in self.owners {
            if case .ends(let reason) = decide(owner) { self.endLater(index, reason) }
        }
    }
}
