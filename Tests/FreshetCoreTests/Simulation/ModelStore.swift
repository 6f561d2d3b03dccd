import FreshetCore
import Synchronization

/// A disk that commits when the script says so, loses what it has not committed, and fails when told to.
final class ModelStore: ChangeStore {
    private struct Entry: Sendable {
        var change: StoredChange
        var snapshot: StoredSource
        var done: @Sendable (Result<Void, StoreError>) -> Void
    }

    private struct State: Sendable {
        var epoch: Epoch
        var head: UInt64 = 0
        var changes: [StoredChange] = []
        var sources: [String: StoredSource] = [:]
        var pruned: [String: UInt64] = [:]
        var queue: [Entry] = []
        var isBroken = false
    }

    private let state: Mutex<State>

    init(epoch: Epoch) {
        self.state = Mutex(State(epoch: epoch))
    }

    var contents: StoreContents {
        self.state.withLock { state in
            StoreContents(
                epoch: state.epoch,
                head: state.head,
                sources: Array(state.sources.values),
                prunedThrough: state.pruned
            )
        }
    }

    var backlog: Int { self.state.withLock { $0.queue.count } }

    /// Commits the first `count` of the queue.
    func commit(_ count: Int) {
        let committed = self.state.withLock { state -> [Entry] in
            let entries = Array(state.queue.prefix(count))
            state.queue.removeFirst(entries.count)
            for entry in entries {
                state.head = entry.change.sequence
                state.changes.append(entry.change)
                state.sources[entry.snapshot.name] = entry.snapshot
            }
            return entries
        }
        for entry in committed {
            entry.done(.success(()))
        }
    }

    /// Fails everything in the queue, and all that comes until `restart`.
    func fail() {
        let failed = self.state.withLock { state -> [Entry] in
            state.isBroken = true
            defer { state.queue = [] }
            return state.queue
        }
        for entry in failed {
            entry.done(.failure(StoreError(.io, "as scripted")))
        }
    }

    /// Loses what is not committed, as kill -9 does.
    func crash() {
        self.state.withLock { state in
            state.queue = []
            state.isBroken = false
        }
    }

    /// Drops the oldest half of what is kept.
    func prune() {
        self.state.withLock { state in
            for change in state.changes.prefix(state.changes.count / 2) {
                state.pruned[change.source] = change.sequence
            }
            state.changes.removeFirst(state.changes.count / 2)
        }
    }

    func append(
        _ change: StoredChange,
        snapshot: StoredSource,
        done: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        self.state.withLock { $0.queue.append(Entry(change: change, snapshot: snapshot, done: done)) }
    }

    func update(source: String, validators: Validators, learned: [UInt8]) {}

    func remove(source: String) {
        self.state.withLock { $0.sources[source] = nil }
    }

    func changes(
        of sources: [String],
        after sequence: UInt64,
        limit: Int,
        maxBytes: Int
    ) throws(StoreError) -> [StoredChange] {
        self.state.withLock { state in
            Array(state.changes.filter { $0.sequence > sequence && sources.contains($0.source) }.prefix(limit))
        }
    }

    func value(of source: String, at sequence: UInt64) throws(StoreError) -> StoredChange? {
        self.state.withLock { $0.changes.last { $0.source == source && $0.sequence <= sequence } }
    }

    func sequence(at time: WallTime) throws(StoreError) -> UInt64 {
        self.state.withLock { $0.changes.last { $0.at <= time }?.sequence ?? 0 }
    }

    func prunedThrough() throws(StoreError) -> [String: UInt64] {
        self.state.withLock { $0.pruned }
    }

    func restart(epoch: Epoch, head: UInt64, sources: [StoredSource]) throws(StoreError) {
        self.state.withLock { state in
            state.epoch = epoch
            state.head = head
            state.changes = []
            state.pruned = Dictionary(sources.map { ($0.name, head) }) { first, _ in first }
            state.sources = Dictionary(sources.map { ($0.name, $0) }) { first, _ in first }
            state.isBroken = false
        }
    }

    func close() {}
}
