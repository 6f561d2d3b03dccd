// The events that an endpoint is sent now, from the first that is not delivered on, and which of them wait for others.

import DequeModule
package import JSON

/// An event of the log on its way to an endpoint. A value; any thread.
package struct WebhookEvent: Sendable {
    package var cursor: Cursor
    package var source: SourceID
    /// The JSON line of the event without its line feed; `nil` where it does no more than move the cursor.
    package var body: [UInt8]?
    /// The items that it touches; `nil` where that is not known, or order is by source.
    package var items: [ScalarText]?
    /// The log gives these very bytes also in a later process.
    package var isReproducible: Bool

    package init(
        cursor: Cursor,
        source: SourceID,
        body: [UInt8]?,
        items: [ScalarText]? = nil,
        isReproducible: Bool = true
    ) {
        self.cursor = cursor
        self.source = source
        self.body = body
        self.items = items
        self.isReproducible = isReproducible
    }
}

/// Events in the order of the log, each with the number of earlier ones that have to be delivered before it.
///
/// An event waits for the last earlier one of each of its items; one of which the items are not known for all earlier ones
/// of its source; a gap for everything, and everything after a gap for that. Adding and delivering an event costs what it
/// has items, and not how many others there are.
struct WebhookWindow {
    /// The most items of one event that are told apart; with more it waits for its whole source.
    static let maxItemsPerEvent = 64
    /// The most items of all events together that are told apart.
    static let maxItems = 16_384

    struct Entry {
        enum Phase: Equatable {
            /// For others, or for its turn.
            case waiting
            /// Its body is on its way to the disk.
            case keeping
            case inFlight
            case refused(until: MonotonicTime)
            case delivered
        }

        let cursor: Cursor
        /// `nil` for a gap.
        let source: SourceID?
        let gap: GapReason?
        /// Where the endpoint stands before it.
        let base: UInt64
        /// Empty where it is delivered.
        var body: [UInt8]
        /// Goes to the disk before the first try, so that a later process sends the same.
        let mustBeKept: Bool
        var isKept = false
        var phase = Phase.waiting
        var refusals = 0
        fileprivate let items: [ScalarText]?
        fileprivate var blockers = 0
        fileprivate var followers: [UInt64] = []

        var sequence: UInt64 { self.cursor.sequence }
        var isDelivered: Bool { self.phase == .delivered }
        /// Neither delivered, nor under way, nor on its way to the disk.
        var maySend: Bool {
            switch self.phase {
            case .waiting, .refused: self.blockers == 0
            case .keeping, .inFlight, .delivered: false
            }
        }

        init(_ event: WebhookEvent, body: [UInt8], mustBeKept: Bool) {
            self.cursor = event.cursor
            self.source = event.source
            self.gap = nil
            self.base = event.cursor.sequence - min(event.cursor.sequence, 1)
            self.body = body
            self.items = event.items
            self.mustBeKept = mustBeKept
        }

        init(_ gap: WebhookGap, after base: UInt64, isKept: Bool) {
            self.cursor = gap.cursor
            self.source = nil
            self.gap = gap.reason
            self.base = base
            self.body = gap.body
            self.items = nil
            self.mustBeKept = true
            self.isKept = isKept
        }
    }

    /// The last events of one source that are not delivered.
    private struct Tails {
        /// The last that touches the whole source.
        var whole: UInt64?
        /// After that, the last of each item.
        var items: [ScalarText: UInt64] = [:]

        var isEmpty: Bool { self.whole == nil && self.items.isEmpty }
    }

    /// Ascending by sequence; the first is not delivered.
    private(set) var entries = Deque<Entry>()
    private var tails: [SourceID: Tails] = [:]
    /// The last gap that is not delivered.
    private var lastGap: UInt64?
    private var itemCount = 0
    /// Those that were refused and are not delivered.
    private(set) var refused = 0
    /// Bytes of the bodies that are held.
    private(set) var heldBytes = 0

    var isEmpty: Bool { self.entries.isEmpty }
    var count: Int { self.entries.count }

    subscript(sequence: UInt64) -> Entry? {
        self.index(of: sequence).map { self.entries[$0] }
    }

    /// Changes an entry, which must not become delivered by that.
    mutating func update(_ sequence: UInt64, _ body: (inout Entry) -> Void) {
        guard let index = self.index(of: sequence) else { return }
        self.refused -= self.entries[index].refusals > 0 ? 1 : 0
        body(&self.entries[index])
        self.refused += self.entries[index].refusals > 0 ? 1 : 0
    }

    /// Adds an event, or a gap, after all others. One that was delivered by an earlier process is added as such.
    ///
    /// - Returns: Whether it waits for no other.
    @discardableResult
    mutating func append(_ entry: Entry, isDelivered: Bool = false) -> Bool {
        if let last = self.entries.last, last.sequence >= entry.sequence { return false }
        var entry = entry
        guard !isDelivered else {
            guard !self.entries.isEmpty else { return false }
            entry.phase = .delivered
            entry.body = []
            self.entries.append(entry)
            return false
        }
        let predecessors = self.link(entry)
        entry.blockers = predecessors.count
        self.heldBytes += entry.body.count
        self.refused += entry.refusals > 0 ? 1 : 0
        self.entries.append(entry)
        for predecessor in predecessors {
            self.update(predecessor) { $0.followers.append(entry.sequence) }
        }
        return predecessors.isEmpty
    }

    /// Takes note of an event as the last of its lanes.
    ///
    /// - Returns: What has to be delivered before it.
    private mutating func link(_ entry: Entry) -> Set<UInt64> {
        guard let source = entry.source else {
            var all = Set(self.tails.values.flatMap { Array($0.items.values) + ($0.whole.map { [$0] } ?? []) })
            if let lastGap { all.insert(lastGap) }
            self.tails = [:]
            self.itemCount = 0
            self.lastGap = entry.sequence
            return all
        }
        var tails = self.tails[source] ?? Tails()
        defer { self.tails[source] = tails }
        let base = tails.whole ?? self.lastGap
        guard let items = entry.items, items.count <= Self.maxItemsPerEvent, !items.isEmpty,
            self.itemCount + items.count <= Self.maxItems
        else {
            var earlier = Set(tails.items.values)
            if let base { earlier.insert(base) }
            self.itemCount -= tails.items.count
            tails = Tails(whole: entry.sequence)
            return earlier
        }
        var earlier: Set<UInt64> = []
        for item in items {
            let last = tails.items.updateValue(entry.sequence, forKey: item)
            if last == nil { self.itemCount += 1 }
            if last != entry.sequence, let before = last ?? base { earlier.insert(before) }
        }
        return earlier
    }

    /// Takes note that an event is delivered.
    ///
    /// - Returns: The events that wait for nothing any more.
    mutating func delivered(_ sequence: UInt64) -> [UInt64] {
        guard let index = self.index(of: sequence), !self.entries[index].isDelivered else { return [] }
        let entry = self.entries[index]
        self.heldBytes -= entry.body.count
        self.refused -= entry.refusals > 0 ? 1 : 0
        self.entries[index].refusals = 0
        self.entries[index].phase = .delivered
        self.entries[index].body = []
        self.entries[index].followers = []
        self.unlink(entry)
        var free: [UInt64] = []
        for follower in entry.followers {
            guard let index = self.index(of: follower) else { continue }
            self.entries[index].blockers -= 1
            if self.entries[index].blockers == 0 { free.append(follower) }
        }
        while self.entries.first?.isDelivered == true { self.entries.removeFirst() }
        return free
    }

    private mutating func unlink(_ entry: Entry) {
        if self.lastGap == entry.sequence { self.lastGap = nil }
        guard let source = entry.source, var tails = self.tails[source] else { return }
        if tails.whole == entry.sequence { tails.whole = nil }
        for item in entry.items ?? [] where tails.items[item] == entry.sequence {
            tails.items[item] = nil
            self.itemCount -= 1
        }
        self.tails[source] = tails.isEmpty ? nil : tails
    }

    private func index(of sequence: UInt64) -> Int? {
        var (low, high) = (0, self.entries.count)
        while low < high {
            let middle = (low + high) / 2
            if self.entries[middle].sequence < sequence { low = middle + 1 } else { high = middle }
        }
        return low < self.entries.count && self.entries[low].sequence == sequence ? low : nil
    }
}
