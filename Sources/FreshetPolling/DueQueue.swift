// Which source is next: the poll thread sleeps until the head of this queue.

import FreshetCore

/// Sources by the time at which they are due; equal times in the order of their numbers. Every operation but a look at
/// the head costs O(log n), so that ten thousand sources cost fourteen comparisons.
struct DueQueue {
    struct Entry: Comparable {
        var due: MonotonicTime
        var source: SourceID

        static func < (left: Self, right: Self) -> Bool {
            left.due == right.due ? left.source < right.source : left.due < right.due
        }
    }

    /// A binary heap: no entry is before the one at half of its index.
    private var heap: [Entry] = []
    /// Where each source stands in ``heap``.
    private var positions = SourceMap<Int>()

    /// The source that is due first.
    var first: Entry? { self.heap.first }

    var count: Int { self.heap.count }

    /// Puts a source in, or moves it to another time; ``MonotonicTime/distantFuture`` takes it out.
    mutating func set(_ source: SourceID, due: MonotonicTime) {
        guard due != .distantFuture else { return self.remove(source) }
        let entry = Entry(due: due, source: source)
        if let position = self.positions[source] {
            let isSooner = entry < self.heap[position]
            self.heap[position] = entry
            if isSooner { self.rise(from: position) } else { self.sink(from: position) }
        } else {
            self.heap.append(entry)
            self.positions[source] = self.heap.count - 1
            self.rise(from: self.heap.count - 1)
        }
    }

    mutating func remove(_ source: SourceID) {
        guard let position = self.positions.removeValue(forKey: source), let last = self.heap.popLast() else { return }
        guard position < self.heap.count else { return }
        self.heap[position] = last
        self.positions[last.source] = position
        self.rise(from: position)
        self.sink(from: position)
    }

    private mutating func rise(from start: Int) {
        var position = start
        while position > 0 {
            let parent = (position - 1) / 2
            guard self.heap[position] < self.heap[parent] else { return }
            self.exchange(position, parent)
            position = parent
        }
    }

    private mutating func sink(from start: Int) {
        var position = start
        while true {
            let left = 2 * position + 1
            guard left < self.heap.count else { return }
            let right = left + 1
            let child = right < self.heap.count && self.heap[right] < self.heap[left] ? right : left
            guard self.heap[child] < self.heap[position] else { return }
            self.exchange(position, child)
            position = child
        }
    }

    private mutating func exchange(_ one: Int, _ other: Int) {
        self.heap.swapAt(one, other)
        self.positions[self.heap[one].source] = one
        self.positions[self.heap[other].source] = other
    }
}
