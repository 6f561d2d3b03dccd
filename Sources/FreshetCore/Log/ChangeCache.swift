// The part of the change log that is in memory: bounded by bytes, least recently used sources evicted first.

import DequeModule
import HeapModule

/// Change events by source, within a bound.
///
/// When the bound is passed, the source that was least recently used (published to, or read from) loses first the
/// values of its events, then the events themselves, oldest first; then the next source does. What was evicted is
/// remembered as one number a source, so that a reader behind it learns of the gap.
package struct ChangeCache: Sendable {
    /// The bound on ``bytes``. The default is 64 MiB.
    package let maxBytes: Int
    /// Bytes held, by ``ChangeEvent/cost``.
    package private(set) var bytes = 0
    /// Events held.
    package private(set) var count = 0
    /// Events evicted so far.
    package private(set) var evictions: UInt64 = 0

    private(set) var shelves = SourceTable<Shelf>()
    /// A source that was removed has no events after this: the head at the last removal.
    private var removedThrough: UInt64 = 0
    private var recency = RecencyList()

    /// The events of one source.
    struct Shelf: Sendable {
        var events = Deque<ChangeEvent>()
        /// The sequence of the last event that was evicted; 0 for none.
        var evictedThrough: UInt64 = 0
        /// When that event was, where that is known.
        var evictedAt: WallTime?
        /// How many of the oldest events were asked to drop their value.
        var valuesDropped = 0
        /// The sequence of the last event that can no longer be sent in a mode, since its value is gone.
        var lostThrough: [StreamMode: UInt64] = [:]
    }

    package init(maxBytes: Int = 64 << 20) {
        self.maxBytes = max(0, maxBytes)
    }

    /// Appends the newest event and evicts what no longer fits, this event too if need be.
    package mutating func append(_ event: ChangeEvent) {
        self.makeShelf(for: event.source)
        guard self.shelves.indices.contains(event.source.index) else { return }
        self.shelves[event.source.index].events.append(event)
        self.bytes += event.cost
        self.count += 1
        self.recency.touch(event.source.index)
        self.shrink(to: self.maxBytes)
    }

    /// Forgets a source and all of its events; a reader of it has a gap from now on.
    package mutating func remove(_ source: SourceID, through sequence: UInt64) {
        self.makeShelf(for: source)
        guard self.shelves.indices.contains(source.index) else { return }
        while self.evictFirst(of: source.index) {}
        self.recency.remove(source.index)
        self.shelves.remove(source.index)
        self.removedThrough = max(self.removedThrough, sequence)
    }

    /// The sequence of the last evicted event of this source; 0 when nothing was.
    package func evictedThrough(_ source: SourceID) -> UInt64 {
        guard self.shelves.indices.contains(source.index) else {
            return self.shelves.wasRemoved(source.index) ? self.removedThrough : 0
        }
        return self.shelves[source.index].evictedThrough
    }

    /// The sequence of the last event of this source that cannot be sent in this mode any more: evicted, or without
    /// the value that the mode needs.
    package func unreadableThrough(_ source: SourceID, in mode: StreamMode) -> UInt64 {
        guard self.shelves.indices.contains(source.index) else { return self.evictedThrough(source) }
        let shelf = self.shelves[source.index]
        return max(shelf.evictedThrough, shelf.lostThrough[mode] ?? 0)
    }

    /// Declares that events through `sequence` existed and are not here, as after a restart.
    package mutating func startAfter(_ sequence: UInt64, for source: SourceID) {
        self.makeShelf(for: source)
        guard self.shelves.indices.contains(source.index), self.shelves[source.index].evictedThrough < sequence else {
            return
        }
        self.shelves[source.index].evictedThrough = sequence
        self.shelves[source.index].evictedAt = nil
    }

    /// Up to `limit` events of these sources after `sequence`, in order. The caller has made sure that none of them
    /// was evicted. Counts as a use of the sources.
    package mutating func events(of sources: [SourceID], after sequence: UInt64, limit: Int) -> [ChangeEvent] {
        var merge = EventMerge()
        for source in sources where self.shelves.indices.contains(source.index) {
            let events = self.shelves[source.index].events
            guard let last = events.last, last.sequence > sequence else { continue }
            self.recency.touch(source.index)
            merge.add(source.index, events.firstIndex(after: sequence)..<events.count)
        }
        return merge.oldest(limit, in: self.shelves)
    }

    /// The cost of the events of these sources after `sequence`, counted up to `limit` and no further.
    package func backlog(of sources: [SourceID], after sequence: UInt64, limit: Int) -> Int {
        var total = 0
        for source in sources where self.shelves.indices.contains(source.index) {
            let events = self.shelves[source.index].events
            for index in events.firstIndex(after: sequence)..<events.count {
                total += events[index].cost - (events[index].value?.count ?? 0)
                if total > limit { return total }
            }
        }
        return total
    }

    /// How many events of these sources come after `sequence`.
    package func count(of sources: [SourceID], after sequence: UInt64) -> Int {
        sources.reduce(0) { total, source in
            guard self.shelves.indices.contains(source.index) else { return total }
            let events = self.shelves[source.index].events
            return total + events.count - events.firstIndex(after: sequence)
        }
    }

    /// Drops events that are older than `time`, whole.
    package mutating func prune(before time: WallTime) {
        for index in self.shelves.sortedIndices {
            while let first = self.shelves[index].events.first, first.at < time, self.evictFirst(of: index) {}
        }
    }

    /// Evicts until no more than so many bytes are held; ``maxBytes`` stays the bound.
    package mutating func shrink(to bytes: Int) {
        while self.bytes > bytes, let oldest = self.recency.leastRecent {
            self.shrink(shelf: oldest, to: bytes)
        }
    }

    private mutating func makeShelf(for source: SourceID) {
        while self.shelves.end <= source.index {
            self.shelves.append(Shelf())
        }
    }

    /// Frees values or events of one source until the bound holds or nothing is left there.
    private mutating func shrink(shelf index: Int, to bound: Int) {
        while self.bytes > bound, self.shelves[index].valuesDropped < self.shelves[index].events.count {
            let position = self.shelves[index].valuesDropped
            let (bytes, lost) = self.shelves[index].events[position].dropValue()
            self.bytes -= bytes
            for mode in lost {
                self.shelves[index].lostThrough[mode] = self.shelves[index].events[position].sequence
            }
            self.shelves[index].valuesDropped += 1
        }
        while self.bytes > bound, self.evictFirst(of: index) {}
        if self.shelves[index].events.isEmpty {
            self.recency.remove(index)
        }
    }

    private mutating func evictFirst(of index: Int) -> Bool {
        guard let event = self.shelves[index].events.popFirst() else { return false }
        self.bytes -= event.cost
        self.count -= 1
        self.evictions += 1
        self.shelves[index].evictedThrough = event.sequence
        self.shelves[index].evictedAt = event.at
        self.shelves[index].valuesDropped = max(0, self.shelves[index].valuesDropped - 1)
        return true
    }
}

/// Takes events of several sources in the order of the log. Each costs the logarithm of the number of sources, however
/// many events they have.
struct EventMerge {
    /// The next event of one source.
    private struct Head: Comparable {
        var sequence: UInt64
        var shelf: Int
        var range: Range<Int>

        static func < (one: Head, other: Head) -> Bool { one.sequence < other.sequence }
    }

    private var ranges: [(shelf: Int, range: Range<Int>)] = []

    /// Adds some events of a source.
    mutating func add(_ shelf: Int, _ range: Range<Int>) {
        guard !range.isEmpty else { return }
        self.ranges.append((shelf, range))
    }

    /// The first `limit` events, the oldest first.
    func oldest(_ limit: Int, in shelves: SourceTable<ChangeCache.Shelf>) -> [ChangeEvent] {
        var heap = Heap(
            self.ranges.map { shelf, range in
                Head(sequence: shelves[shelf].events[range.lowerBound].sequence, shelf: shelf, range: range)
            }
        )
        var found: [ChangeEvent] = []
        while found.count < limit, let head = heap.popMin() {
            let events = shelves[head.shelf].events
            found.append(events[head.range.lowerBound])
            let rest = head.range.dropFirst()
            guard let next = rest.first else { continue }
            heap.insert(Head(sequence: events[next].sequence, shelf: head.shelf, range: rest))
        }
        return found
    }

    /// The last `limit` events, the newest first.
    func newest(_ limit: Int, in shelves: SourceTable<ChangeCache.Shelf>) -> [ChangeEvent] {
        var heap = Heap(
            self.ranges.map { shelf, range in
                Head(sequence: shelves[shelf].events[range.upperBound - 1].sequence, shelf: shelf, range: range)
            }
        )
        var found: [ChangeEvent] = []
        while found.count < limit, let head = heap.popMax() {
            let events = shelves[head.shelf].events
            found.append(events[head.range.upperBound - 1])
            let rest = head.range.dropLast()
            guard let next = rest.last else { continue }
            heap.insert(Head(sequence: events[next].sequence, shelf: head.shelf, range: rest))
        }
        return found
    }
}

/// Numbers in the order of their last use: a doubly linked list.
struct RecencyList: Sendable {
    private struct Link {
        var previous: Int
        var next: Int
    }

    private static let none = -1
    private var links: [Int: Link] = [:]
    private var mostRecent = RecencyList.none
    private(set) var leastRecentIndex = RecencyList.none

    var leastRecent: Int? { self.leastRecentIndex == Self.none ? nil : self.leastRecentIndex }

    /// Makes `index` the most recently used.
    mutating func touch(_ index: Int) {
        guard self.mostRecent != index else { return }
        self.remove(index)
        self.links[index] = Link(previous: self.mostRecent, next: Self.none)
        if self.mostRecent != Self.none {
            self.links[self.mostRecent]?.next = index
        } else {
            self.leastRecentIndex = index
        }
        self.mostRecent = index
    }

    /// Takes `index` out; does nothing where it is not in.
    mutating func remove(_ index: Int) {
        guard let link = self.links.removeValue(forKey: index) else { return }
        if link.previous != Self.none {
            self.links[link.previous]?.next = link.next
        } else {
            self.leastRecentIndex = link.next
        }
        if link.next != Self.none {
            self.links[link.next]?.previous = link.previous
        } else {
            self.mostRecent = link.previous
        }
    }
}
