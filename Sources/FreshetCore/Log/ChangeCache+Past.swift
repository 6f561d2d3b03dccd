// What memory can say of the past: values as they were, positions in time, events backwards.

import DequeModule

extension ChangeCache {
    /// What memory knows of the value that a source had.
    package enum PastValue: Sendable {
        /// It is that of the first event, and the patches of the others lead to the value asked for.
        case rebuilt([ChangeEvent])
        /// The source had none yet.
        case none
        /// It is not in memory any more.
        case gone
    }

    /// The value of a source when the log stood at `sequence`.
    package func value(of source: SourceID, at sequence: UInt64) -> PastValue {
        guard self.shelves.indices.contains(source.index) else { return .none }
        let shelf = self.shelves[source.index]
        let end = shelf.events.firstIndex(after: sequence)
        guard end > 0 else { return shelf.evictedThrough > 0 ? .gone : .none }
        guard let base = (0..<end).last(where: { shelf.events[$0].value != nil }) else { return .gone }
        return .rebuilt(Array(shelf.events[base..<end]))
    }

    /// The sequence of the oldest event after which the values of a source are all known: 0 where it has lost none,
    /// `nil` where memory knows none.
    package func oldestValue(of source: SourceID) -> UInt64? {
        guard self.evictedThrough(source) > 0 else { return 0 }
        return self.shelves[source.index].events.first { $0.value != nil }?.sequence
    }

    /// The last sequence before which no event of these sources is later than `time`; `nil` where events after `time`
    /// were evicted. A source whose clock was set back is read as if it had not been.
    package func position(of sources: [SourceID], at time: WallTime, head: UInt64) -> UInt64? {
        var position = head
        for source in sources where self.shelves.indices.contains(source.index) {
            let shelf = self.shelves[source.index]
            guard shelf.evictedThrough == 0 || shelf.evictedAt.map({ $0 <= time }) ?? false else { return nil }
            let next = shelf.events.boundary { $0.at > time }
            if next < shelf.events.count {
                position = min(position, shelf.events[next].sequence - 1)
            }
        }
        return position
    }

    /// Up to `limit` events of these sources after `floor` and before `sequence`, the newest first.
    package func events(
        of sources: [SourceID],
        before sequence: UInt64,
        after floor: UInt64,
        limit: Int
    ) -> [ChangeEvent] {
        var merge = EventMerge()
        for source in sources where self.shelves.indices.contains(source.index) && sequence > 0 {
            let events = self.shelves[source.index].events
            let start = events.firstIndex(after: floor)
            let end = events.firstIndex(after: sequence - 1)
            guard start < end else { continue }
            merge.add(source.index, start..<end)
        }
        return merge.newest(limit, in: self.shelves)
    }
}

extension Deque<ChangeEvent> {
    /// The index of the first event after `sequence`.
    func firstIndex(after sequence: UInt64) -> Int {
        self.boundary { $0.sequence > sequence }
    }

    /// The index of the first event of which something is true that is true of all later ones, by bisection; the count
    /// where there is none.
    fileprivate func boundary(where isBehind: (ChangeEvent) -> Bool) -> Int {
        var low = 0
        var high = self.count
        while low < high {
            let middle = (low + high) / 2
            if isBehind(self[middle]) {
                high = middle
            } else {
                low = middle + 1
            }
        }
        return low
    }
}
