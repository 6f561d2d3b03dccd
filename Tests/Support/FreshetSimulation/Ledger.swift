// What was ever issued: the truth that every client is held against.

import FreshetCore
import Synchronization

/// Every change that became readable, by its cursor, in the order of its epoch.
///
/// The hub tells of each change through `publish(_:of:done:)`, from whichever step commits it.
final class Ledger: Sendable {
    /// One change as it was issued.
    struct Entry: Hashable, Sendable {
        var source: String
        var number: Int
        /// The value before it; `nil` for the first of its source.
        var previous: Int?
    }

    private struct Position: Sendable {
        var sequence: UInt64
        var source: String
        /// How often a source of this name had been removed before.
        var generation: Int
    }

    /// Where an epoch left the one before it, because the disk failed under a gateway that went on.
    private struct Fork: Sendable {
        var parent: Epoch
        var sequence: UInt64
    }

    private struct State: Sendable {
        var issued: [Cursor: Entry] = [:]
        var order: [Epoch: [Position]] = [:]
        var forks: [Epoch: Fork] = [:]
        var latest: [String: Int] = [:]
        /// By name, how often a source was removed.
        var removals: [String: Int] = [:]
        var objections: [String] = []
    }

    private let state = Mutex(State())

    /// A change became readable. `mayRepeat`: to the value that there was, by chance.
    func issued(_ cursor: Cursor, _ source: String, _ number: Int, mayRepeat: Bool) {
        self.state.withLock { state in
            let entry = Entry(source: source, number: number, previous: state.latest[source])
            if let other = state.issued[cursor] {
                state.objections.append("\(cursor) is \(other) and \(entry)")
            }
            if entry.previous == number, !mayRepeat {
                state.objections.append("\(cursor): \(source) changed from \(number) to itself")
            }
            if let last = state.order[cursor.epoch]?.last, last.sequence >= cursor.sequence {
                state.objections.append("\(cursor) was issued after \(last.sequence)")
            }
            state.issued[cursor] = entry
            state.latest[source] = number
            let generation = state.removals[source, default: 0]
            state.order[cursor.epoch, default: []].append(
                Position(sequence: cursor.sequence, source: source, generation: generation)
            )
        }
    }

    /// A process begins with this value, which in a new epoch has a number that was not issued before.
    func restored(_ cursor: Cursor, _ source: String, _ number: Int) {
        self.state.withLock { state in
            let entry = Entry(source: source, number: number, previous: nil)
            guard let other = state.issued[cursor] else { return state.issued[cursor] = entry }
            if other.source != source || other.number != number {
                state.objections.append("\(cursor) is \(other) and was restored as \(entry)")
            }
        }
    }

    /// A process begins with these values.
    func processBegan(with values: [String: Int]) {
        self.state.withLock { $0.latest = values }
    }

    /// A source is gone; what comes under its name is another's.
    func removed(_ source: String) {
        self.state.withLock { state in
            state.latest[source] = nil
            state.removals[source, default: 0] += 1
        }
    }

    /// The numbering went on in another epoch, after this cursor.
    func forked(_ epoch: Epoch, after cursor: Cursor) {
        self.state.withLock { $0.forks[epoch] = Fork(parent: cursor.epoch, sequence: cursor.sequence) }
    }

    /// Whether a cursor comes after everything that was issued in its epoch.
    func isNew(_ cursor: Cursor) -> Bool {
        self.state.withLock { state in
            state.issued[cursor] == nil && state.order[cursor.epoch]?.last?.sequence ?? 0 < cursor.sequence
        }
    }

    func entry(at cursor: Cursor) -> Entry? {
        self.state.withLock { $0.issued[cursor] }
    }

    /// The value that a source has now; `nil` before the first.
    func latest(of source: String) -> Int? {
        self.state.withLock { $0.latest[source] }
    }

    /// The sources of all changes after one cursor and before another, of these names; `nil` where the second does not
    /// follow the first. `isRemovedLeftOut`: without those of sources that were removed since.
    func between(
        _ first: Cursor,
        _ last: Cursor,
        of names: [String],
        isRemovedLeftOut: Bool = false
    ) -> [String]? {
        self.state.withLock { state in
            var found: [Position] = []
            var (epoch, end) = (last.epoch, last.sequence)
            while epoch != first.epoch {
                guard let fork = state.forks[epoch] else { return nil }
                found += Self.positions(in: state.order[epoch], after: fork.sequence, before: end, of: names)
                (epoch, end) = (fork.parent, fork.sequence + 1)
            }
            guard end > first.sequence else { return nil }
            found += Self.positions(in: state.order[epoch], after: first.sequence, before: end, of: names)
            if isRemovedLeftOut {
                found.removeAll { $0.generation < state.removals[$0.source, default: 0] }
            }
            return found.map(\.source)
        }
    }

    private static func positions(
        in order: [Position]?,
        after first: UInt64,
        before last: UInt64,
        of names: [String]
    ) -> [Position] {
        guard let order else { return [] }
        var low = 0
        var high = order.count
        while low < high {
            let middle = (low + high) / 2
            if order[middle].sequence > first { high = middle } else { low = middle + 1 }
        }
        return order[low...].prefix { $0.sequence < last }.filter { names.contains($0.source) }
    }

    func object(_ text: String) {
        self.state.withLock { $0.objections.append(text) }
    }

    var objections: [String] {
        self.state.withLock { $0.objections }
    }

    /// How many changes were issued.
    var count: Int {
        self.state.withLock { $0.issued.count }
    }
}
