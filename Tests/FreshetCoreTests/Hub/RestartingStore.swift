import Synchronization

@testable import FreshetCore
@testable import FreshetSimulation

/// A simulated disk with something that happens while it begins anew.
final class RestartingStore: ChangeStore {
    let disk: SimulatedDisk
    /// Called with the number of the call, from 1.
    private let restarting: @Sendable (Int) throws(StoreError) -> Void
    private let restarts = Mutex(0)

    init(_ disk: SimulatedDisk, restarting: @escaping @Sendable (Int) throws(StoreError) -> Void) {
        self.disk = disk
        self.restarting = restarting
    }

    func restart(epoch: Epoch, head: UInt64, sources: [StoredSource]) throws(StoreError) {
        let number = self.restarts.withLock { restarts in
            restarts += 1
            return restarts
        }
        try self.restarting(number)
        try self.disk.restart(epoch: epoch, head: head, sources: sources)
    }

    func append(
        _ change: StoredChange,
        snapshot: StoredSource,
        done: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        self.disk.append(change, snapshot: snapshot, done: done)
    }

    func update(source: String, validators: Validators, learned: [UInt8]) {
        self.disk.update(source: source, validators: validators, learned: learned)
    }

    func remove(source: String) { self.disk.remove(source: source) }

    func changes(
        of sources: [String],
        after sequence: UInt64,
        limit: Int,
        maxBytes: Int
    ) throws(StoreError) -> [StoredChange] {
        try self.disk.changes(of: sources, after: sequence, limit: limit, maxBytes: maxBytes)
    }

    func value(of source: String, at sequence: UInt64) throws(StoreError) -> StoredChange? {
        try self.disk.value(of: source, at: sequence)
    }

    func sequence(at time: WallTime) throws(StoreError) -> UInt64 { try self.disk.sequence(at: time) }

    func prunedThrough() throws(StoreError) -> [String: UInt64] { try self.disk.prunedThrough() }

    func close() { self.disk.close() }
}
