// How often the store is asked for the past of many sources: never more for more of them.

import FreshetCore
import Synchronization
import Testing

@testable import FreshetStorage

/// A store that counts how often it is read.
private final class CountedStore: ChangeStore {
    private let store: SQLiteChangeStore
    private let count = Mutex(0)

    init(_ store: SQLiteChangeStore) {
        self.store = store
    }

    var reads: Int { self.count.withLock { $0 } }

    private func note() {
        self.count.withLock { $0 += 1 }
    }

    func append(
        _ change: StoredChange,
        snapshot: StoredSource,
        done: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        self.store.append(change, snapshot: snapshot, done: done)
    }

    func update(source: String, validators: Validators, learned: [UInt8]) {
        self.store.update(source: source, validators: validators, learned: learned)
    }

    func remove(source: String) {
        self.store.remove(source: source)
    }

    func changes(
        of sources: [String],
        after sequence: UInt64,
        limit: Int,
        maxBytes: Int
    ) throws(StoreError) -> [StoredChange] {
        self.note()
        return try self.store.changes(of: sources, after: sequence, limit: limit, maxBytes: maxBytes)
    }

    func changes(
        of sources: [String],
        before sequence: UInt64,
        limit: Int,
        maxBytes: Int
    ) throws(StoreError) -> [StoredChange] {
        self.note()
        return try self.store.changes(of: sources, before: sequence, limit: limit, maxBytes: maxBytes)
    }

    func value(of source: String, at sequence: UInt64) throws(StoreError) -> StoredChange? {
        self.note()
        return try self.store.value(of: source, at: sequence)
    }

    func eachValue(of sources: [String], at sequence: UInt64, _ body: (StoredChange) -> Bool) throws(StoreError) {
        self.note()
        try self.store.eachValue(of: sources, at: sequence, body)
    }

    func firstChanges(after sequences: [String: UInt64]) throws(StoreError) -> [String: UInt64] {
        self.note()
        return try self.store.firstChanges(after: sequences)
    }

    func sequence(at time: WallTime) throws(StoreError) -> UInt64 {
        self.note()
        return try self.store.sequence(at: time)
    }

    func prunedThrough() throws(StoreError) -> [String: UInt64] {
        self.note()
        return try self.store.prunedThrough()
    }

    func restart(epoch: Epoch, head: UInt64, sources: [StoredSource]) throws(StoreError) {
        try self.store.restart(epoch: epoch, head: head, sources: sources)
    }

    func close() {
        self.store.close()
    }
}

@Suite("Reading the past of many sources")
struct PastReadTests {
    private static let changes: UInt64 = 2000

    /// A log of so many sources, of which the oldest changes are pruned, and the number of reads that `body` takes.
    private func reads(sources count: Int, _ body: (Hub, [SourceID]) async throws -> Void) async throws -> Int {
        let folder = try LogFolder()
        let (full, _) = try SQLiteChangeStore.open(folder.settings { $0.maxBytes = 100_000 })
        for start in stride(from: UInt64(1), to: Self.changes, by: 100) {
            let changes = (start..<(start + 100)).map { number in
                History.change(
                    "s\(number % UInt64(count))",
                    number,
                    isWhole: number <= UInt64(count),
                    padding: 60
                )
            }
            full.record(changes, padding: 60)
        }
        full.close()
        // Opened with room, so that nothing is pruned while it is read.
        let (store, contents) = try SQLiteChangeStore.open(folder.settings { $0.maxBytes = 1 << 30 })
        defer { store.close() }
        let pruned = try store.prunedThrough()
        #expect(pruned.values.contains { $0 > 0 }, "else this shows nothing")
        let counted = CountedStore(store)
        let log = ChangeLog(epoch: contents.epoch, head: Self.changes, cache: ChangeCache(maxBytes: 0))
        let hub = Hub(log: log, store: counted)
        let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "test")
        let ids = (0..<count).compactMap { hub.addSource("s\($0)", status: status) }
        try #require(ids.count == count)
        try await body(hub, ids)
        return counted.reads
    }

    @Test(
        "A06 floors, first changes and values are read at once for all sources",
        arguments: [nil, 1, 1_995_000] as [Int64?],
        [PastNeed.texts, .events(.eventStream), .position]
    )
    func positions(milliseconds: Int64?, needs: PastNeed) async throws {
        let position = milliseconds.map { StreamPosition.time(WallTime(milliseconds: $0)) } ?? .earliest
        var counts: [Int] = []
        for sources in [20, 200] {
            counts.append(
                try await self.reads(sources: sources) { hub, ids in
                    switch try await hub.locate(position, of: ids, needs: needs) {
                    case .past(let start):
                        #expect(needs == .position || start.values.count == sources)
                        #expect(milliseconds == nil ? start.gap == nil : true)
                    case .after(let cursor):
                        #expect(cursor.sequence == 1995)
                    case let other:
                        Issue.record("\(other)")
                    }
                }
            )
        }
        // One that has to begin later than asked, since more is pruned, reads a little more; none reads source by source.
        #expect(counts.allSatisfy { (1...6).contains($0) }, "\(counts)")
    }

    @Test("A06 what is read at once is what is read source by source")
    func agrees() async throws {
        _ = try await self.reads(sources: 40) { hub, ids in
            guard case .past(let start) = try await hub.locate(.earliest, of: ids, needs: .texts) else {
                Issue.record("no start")
                return
            }
            #expect(start.cursor.sequence > 0 && start.values.count == 40)
            for (id, name) in zip(ids, (0..<40).map { "s\($0)" }) {
                guard case .value(let value) = try await hub.value(of: id, at: start.cursor) else {
                    Issue.record("no value of \(name)")
                    continue
                }
                let found = try #require(start.values.first { $0.name == name })
                #expect(found.value.text == value.text && found.value.cursor == value.cursor)
            }
            #expect(start.values.map(\.value.cursor.sequence) == start.values.map(\.value.cursor.sequence).sorted())
        }
    }
}
