// A disk that does what the script says: commits late, fails, loses what was not committed.

import FreshetCore
import Synchronization

/// The change store of a simulation. What is queued is lost by a crash, what is committed is not.
final class SimulatedDisk: ChangeStore {
    private enum Item: Sendable {
        case append(StoredChange, StoredSource, done: @Sendable (Result<Void, StoreError>) -> Void)
        case validators(String, Validators)
        case remove(String)
    }

    private struct State: Sendable {
        var contents: StoreContents
        var changes: [StoredChange] = []
        /// Sources that are new begin with it: others of their names may have been there before.
        var removedThrough: UInt64 = 0
        var queue: [Item] = []
        /// Of the queue: how many were told to be committed and are not. Only a planted bug makes it more than 0.
        var toldEarly = 0
        var isBroken = false
        var failsReads = false
    }

    private let state: Mutex<State>
    private let bug: PlantedBug?

    init(epoch: Epoch, bug: PlantedBug?) {
        self.state = Mutex(State(contents: StoreContents(epoch: epoch)))
        self.bug = bug
    }

    /// What the next process finds.
    var contents: StoreContents { self.state.withLock { $0.contents } }

    /// What is committed and kept.
    var changes: [StoredChange] { self.state.withLock { $0.changes } }

    /// Whether the removal of a source is queued and not carried out.
    func isToRemove(_ name: String) -> Bool {
        self.state.withLock { state in
            state.queue.contains { item in
                if case .remove(let removed) = item { removed == name } else { false }
            }
        }
    }

    var head: Cursor {
        self.state.withLock { Cursor(epoch: $0.contents.epoch, sequence: $0.contents.head) }
    }
}

// MARK: - What the script does to it

extension SimulatedDisk {
    /// Carries out the first `count` of the queue, and tells of it unless the process is about to die.
    func commit(_ count: Int, tells: Bool = true) {
        if self.state.withLock({ $0.isBroken }) { return self.fail() }
        if self.bug == .sendBeforeCommit, tells, self.tellEarly() { return }
        let done = self.state.withLock { state -> [@Sendable (Result<Void, StoreError>) -> Void] in
            let items = Array(state.queue.prefix(count))
            state.queue.removeFirst(items.count)
            let told = min(state.toldEarly, items.count)
            state.toldEarly -= told
            return items.enumerated().compactMap { index, item in
                let done = Self.carryOut(item, &state)
                return index < told ? nil : done
            }
        }
        guard tells else { return }
        for call in done {
            call(.success(()))
        }
    }

    private static func carryOut(
        _ item: Item,
        _ state: inout State
    ) -> (@Sendable (Result<Void, StoreError>) -> Void)? {
        switch item {
        case .append(let change, let snapshot, let done):
            if !state.contents.sources.contains(where: { $0.name == snapshot.name }), state.removedThrough > 0 {
                state.contents.prunedThrough[snapshot.name] = state.removedThrough
            }
            state.contents.head = change.sequence
            state.changes.append(change)
            state.contents.sources.removeAll { $0.name == snapshot.name }
            state.contents.sources.append(snapshot)
            return done
        case .validators(let name, let validators):
            guard let index = state.contents.sources.firstIndex(where: { $0.name == name }) else { return nil }
            state.contents.sources[index].validators = validators
        case .remove(let name):
            guard state.contents.sources.contains(where: { $0.name == name }) else { return nil }
            state.contents.sources.removeAll { $0.name == name }
            state.contents.prunedThrough[name] = nil
            state.changes.removeAll { $0.source == name }
            state.removedThrough = state.contents.head
        }
        return nil
    }

    /// The planted bug: everything in the queue counts as committed.
    private func tellEarly() -> Bool {
        let done = self.state.withLock { state -> [@Sendable (Result<Void, StoreError>) -> Void] in
            let untold = state.queue[state.toldEarly...]
            state.toldEarly = state.queue.count
            return untold.compactMap { if case .append(_, _, let done) = $0 { done } else { nil } }
        }
        for call in done {
            call(.success(()))
        }
        return !done.isEmpty
    }

    /// Fails everything in the queue, and all that comes until ``restart(epoch:head:sources:)``.
    func fail() {
        let done = self.state.withLock { state in
            state.isBroken = true
            return Self.emptyQueue(&state)
        }
        for call in done {
            call(.failure(StoreError(.io, "as scripted")))
        }
    }

    private static func emptyQueue(_ state: inout State) -> [@Sendable (Result<Void, StoreError>) -> Void] {
        defer {
            state.queue = []
            state.toldEarly = 0
        }
        return state.queue.compactMap { if case .append(_, _, let done) = $0 { done } else { nil } }
    }

    /// Reads fail from now on, or no longer.
    func setFailsReads(_ failsReads: Bool) {
        self.state.withLock { $0.failsReads = failsReads }
    }

    /// Loses what is not committed, as kill -9 does.
    func crash() {
        self.state.withLock { state in
            _ = Self.emptyQueue(&state)
            state.isBroken = false
            state.failsReads = false
        }
    }

    /// Loses what is not committed and some of what is, as a power failure does; the numbering cannot go on.
    func losePower(newEpoch: Epoch, lost: Int) {
        self.crash()
        self.state.withLock { state in
            guard lost > 0 else { return }
            for change in state.changes.suffix(lost) {
                state.contents.sources.removeAll { $0.name == change.source }
            }
            state.contents.epoch = newEpoch
            state.changes = []
            state.contents.prunedThrough = [:]
            state.removedThrough = state.contents.head
            for source in state.contents.sources {
                state.contents.prunedThrough[source.name] = state.contents.head
            }
        }
    }

    /// Drops the oldest half of what is kept.
    func prune() {
        self.state.withLock { state in
            let count = state.changes.count / 2
            for change in state.changes.prefix(count) {
                state.contents.prunedThrough[change.source] = change.sequence
            }
            state.changes.removeFirst(count)
        }
    }
}

// MARK: - ChangeStore

extension SimulatedDisk {
    func append(
        _ change: StoredChange,
        snapshot: StoredSource,
        done: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        self.state.withLock { $0.queue.append(.append(change, snapshot, done: done)) }
    }

    func update(source: String, validators: Validators, learned: [UInt8]) {
        self.state.withLock { $0.queue.append(.validators(source, validators)) }
    }

    func remove(source: String) {
        self.state.withLock { $0.queue.append(.remove(source)) }
    }

    func changes(
        of sources: [String],
        after sequence: UInt64,
        limit: Int,
        maxBytes: Int
    ) throws(StoreError) -> [StoredChange] {
        try self.state.withLock { (state) throws(StoreError) in
            if state.failsReads { throw StoreError(.io, "as scripted") }
            return Array(
                state.changes.lazy.filter { $0.sequence > sequence && sources.contains($0.source) }.prefix(limit)
            )
        }
    }

    func value(of source: String, at sequence: UInt64) throws(StoreError) -> StoredChange? {
        try self.state.withLock { (state) throws(StoreError) in
            if state.failsReads { throw StoreError(.io, "as scripted") }
            return state.changes.last { $0.source == source && $0.sequence <= sequence }
        }
    }

    func sequence(at time: WallTime) throws(StoreError) -> UInt64 {
        self.state.withLock { $0.changes.last { $0.at <= time }?.sequence ?? 0 }
    }

    func prunedThrough() throws(StoreError) -> [String: UInt64] {
        self.state.withLock { state in
            var pruned = state.contents.prunedThrough
            guard state.removedThrough > 0 else { return pruned }
            pruned[StoreContents.others] = state.removedThrough
            for source in state.contents.sources {
                pruned[source.name] = pruned[source.name] ?? 0
            }
            return pruned
        }
    }

    func restart(epoch: Epoch, head: UInt64, sources: [StoredSource]) throws(StoreError) {
        self.state.withLock { state in
            let pruned = Dictionary(sources.map { ($0.name, head) }) { first, _ in first }
            state = State(
                contents: StoreContents(epoch: epoch, head: head, sources: sources, prunedThrough: pruned),
                removedThrough: head
            )
        }
    }

    func close() {
        self.commit(.max, tells: false)
    }
}
