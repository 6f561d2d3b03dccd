import FreshetCore
import JSON
import Testing

@testable import FreshetStorage

@Suite("SQLiteChangeStore")
struct ChangeStoreTests {
    let folder: LogFolder

    init() throws {
        self.folder = try LogFolder()
    }

    @Test("an empty folder gives an empty log with an epoch and no reason")
    func empty() throws {
        let (store, contents) = try SQLiteChangeStore.open(self.folder.settings())
        defer { store.close() }
        #expect(contents.head == 0)
        #expect(contents.sources.isEmpty && contents.prunedThrough.isEmpty)
        #expect(contents.newEpochReason == nil)
        #expect(try store.everything(of: ["a"]).isEmpty)
        #expect(try store.value(of: "a", at: 5) == nil)
        #expect(try store.sequence(at: WallTime(milliseconds: 5)) == 0)
    }

    @Test("what was committed is there after reopening, in the same epoch: F61, R04")
    func reopen() throws {
        let (store, first) = try SQLiteChangeStore.open(self.folder.settings(), seed: 1)
        let changes = (1...10).map { History.change($0 % 2 == 0 ? "even" : "odd", $0, isWhole: $0 <= 2) }
        #expect(store.record(changes).committed == Array(1...10))
        let later = Validators(etag: Array("\"later\"".utf8), url: "https://example.com/v2?a=\u{E9}")
        store.update(source: "odd", validators: later, learned: [9])
        store.close()

        let (again, contents) = try SQLiteChangeStore.open(self.folder.settings(), seed: 2)
        defer { again.close() }
        #expect(contents.epoch == first.epoch)
        #expect(contents.head == 10 && contents.newEpochReason == nil)
        var odd = History.snapshot("odd", 9)
        odd.validators = later
        odd.learned = [9]
        #expect(contents.sources.sorted { $0.name < $1.name } == [History.snapshot("even", 10), odd])
        #expect(try again.everything(of: ["even", "odd"]) == changes.map(History.kept))
    }

    @Test("done is called in the order of appending, also for what fails after closing")
    func order() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings { $0.maxBatchChanges = 3 })
        let outcomes = store.record((1...50).map { History.change("a", $0, isWhole: $0 == 1) })
        #expect(outcomes.order == Array(1...50))
        #expect(outcomes.errors.isEmpty)
        store.close()
        let late = store.record([History.change("a", 51)])
        #expect(late.errors.map(\.kind) == [.closed])
        #expect(throws: StoreError.self) { try store.everything(of: ["a"]) }
        store.close()
    }

    @Test("reading stops at the limit, and at the bytes after at least one change")
    func limits() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        defer { store.close() }
        store.record((1...40).map { History.change("s\($0 % 4)", $0, isWhole: true) })
        func sequences(_ sources: [String], _ after: UInt64, _ limit: Int, _ bytes: Int) throws -> [UInt64] {
            try store.changes(of: sources, after: after, limit: limit, maxBytes: bytes).map(\.sequence)
        }
        #expect(try sequences(["s1"], 0, 3, .max) == [1, 5, 9])
        #expect(try sequences(["s1", "s2"], 5, 4, .max) == [6, 9, 10, 13])
        #expect(try sequences(["s1", "s2"], 5, 4, 1) == [6])
        #expect(try sequences(["s3"], 36, 1, .max) == [39])
        #expect(try sequences(["s3", "nobody"], 39, 10, .max) == [])
        #expect(try sequences(["s3"], .max, 10, .max) == [])
        #expect(try sequences(["s3"], 0, 0, .max) == [])
        #expect(try sequences((0..<100).map { "s\($0)" }, 0, .max, .max) == Array(1...40))
    }

    @Test("backwards comes what comes forwards, in pages of any size", arguments: [1, 3, 1000])
    func backwards(limit: Int) throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        defer { store.close() }
        store.record((1...40).map { History.change("s\($0 % 4)", $0, isWhole: $0 <= 4) })
        for sources in [["s1"], ["s1", "s2"], (0..<100).map { "s\($0)" }, ["nobody"]] {
            for before in [UInt64(0), 1, 17, 40, 41, .max] {
                var seen: [StoredChange] = []
                while case let page = try store.changes(
                    of: sources,
                    before: seen.last?.sequence ?? before,
                    limit: limit,
                    maxBytes: .max
                ), !page.isEmpty {
                    #expect(page.count <= limit)
                    seen += page
                }
                #expect(try seen == store.everything(of: sources).filter { $0.sequence < before }.reversed())
            }
        }
        #expect(try store.changes(of: ["s1", "s2"], before: 20, limit: 9, maxBytes: 1).map(\.sequence) == [18])
    }

    @Test("backwards it ends where changes are pruned, or a source was removed")
    func backwardsToPruned() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings { $0.maxBytes = 30_000 })
        defer { store.close() }
        for start in stride(from: UInt64(1), to: 600, by: 20) {
            store.record((start..<(start + 20)).map { History.change("s\($0 % 2)", $0, isWhole: $0 <= 2) })
        }
        store.remove(source: "s1")
        store.record([History.change("s1", 601, isWhole: true), History.change("s0", 602)])
        let pruned = try store.prunedThrough()
        #expect(pruned["s0"] ?? 0 > 0 && pruned["s1"] == 600)
        let all = try store.changes(of: ["s0", "s1"], before: .max, limit: .max, maxBytes: .max).map(\.sequence)
        #expect(Array(all.prefix(3)) == [602, 601, 600])
        #expect(try all.reversed() == store.everything(of: ["s0", "s1"]).map(\.sequence))
    }

    @Test("the value at every sequence is the upstream's, rebuilt from few patches")
    func values() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings { $0.maxPatchesPerBase = 4 })
        defer { store.close() }
        store.record(
            (1...40).map { History.change($0 % 2 == 0 ? "a" : "b", $0, isWhole: $0 <= 2, padding: 300) },
            padding: 300
        )
        for sequence in UInt64(2)...45 {
            let version = min(sequence, 40) / 2 * 2
            let value = try #require(try store.value(of: "a", at: sequence))
            #expect(value.sequence == version)
            let expected = try Document(parsing: History.value("a", version, padding: 300))
            #expect(try Document(parsing: value.value ?? []) == expected)
        }
        #expect(try store.value(of: "a", at: 1) == nil)
        #expect(try store.value(of: "a", at: .max)?.value == History.value("a", 40, padding: 300))
        #expect(try store.value(of: "nobody", at: 40) == nil)
    }

    @Test(
        "a time names the last change at or before it",
        arguments: [(999, 0), (1000, 1), (4999, 4), (30_000, 30), (99_000, 30)]
    )
    func times(milliseconds: Int64, sequence: UInt64) throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        defer { store.close() }
        store.record((1...30).map { History.change("a", $0, isWhole: true) })
        #expect(try store.sequence(at: WallTime(milliseconds: milliseconds)) == sequence)
    }

    @Test("a removed source is gone at once, its changes soon, and its name starts beyond them")
    func remove() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        store.record((1...20).map { History.change($0 % 2 == 0 ? "a" : "b", $0, isWhole: $0 <= 2) })
        store.remove(source: "a")
        store.record([History.change("b", 21)])
        #expect(try store.everything(of: ["a"]).isEmpty)
        #expect(try store.value(of: "a", at: 21) == nil)
        store.record([History.change("a", 22)])
        #expect(try store.everything(of: ["a", "b"], after: 20).map(\.sequence) == [21, 22])
        #expect(try store.prunedThrough() == ["a": 20, "b": 0, StoreContents.others: 20])
        store.close()
        let (again, contents) = try SQLiteChangeStore.open(self.folder.settings())
        defer { again.close() }
        #expect(contents.prunedThrough == ["a": 20])
        #expect(contents.sources.map(\.name).sorted() == ["a", "b"])
        #expect(try again.value(of: "a", at: 22)?.value == History.value("a", 22))
        #expect(try again.everything(of: ["a"]).map(\.sequence) == [22])
    }

    @Test("a restart begins a new numbering from the given values, and forgets the old one")
    func restart() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        store.record((1...20).map { History.change("a", $0, isWhole: $0 == 1) })
        let epoch = Epoch(rawValue: 4711)
        try store.restart(epoch: epoch, head: 7, sources: [History.snapshot("a", 5), History.snapshot("b", 7)])
        #expect(try store.everything(of: ["a", "b"]).isEmpty)
        #expect(try store.prunedThrough() == ["a": 5, "b": 7, StoreContents.others: 7])
        #expect(try store.value(of: "a", at: 6)?.value == History.value("a", 5))
        #expect(store.record([History.change("a", 8)]).committed == [8])
        store.close()
        let (again, contents) = try SQLiteChangeStore.open(self.folder.settings())
        defer { again.close() }
        #expect(contents.epoch == epoch && contents.head == 8 && contents.newEpochReason == nil)
        #expect(contents.sources == [History.snapshot("a", 8), History.snapshot("b", 7)])
        #expect(try again.everything(of: ["a", "b"]).map(\.sequence) == [8])
        #expect(
            try Document(parsing: again.value(of: "a", at: 8)?.value ?? []) == Document(parsing: History.value("a", 8))
        )
    }

    @Test("a number that was used is refused, and nothing after it is taken")
    func usedNumber() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        defer { store.close() }
        store.record((1...3).map { History.change("a", $0, isWhole: true) })
        #expect(store.record([History.change("b", 3, isWhole: true)]).errors.count == 1)
        #expect(store.record([History.change("a", 4, isWhole: true)]).errors.count == 1)
        #expect(store.statistics().failure != nil)
    }

    @Test("more changes than may wait are refused with all after them, until a restart")
    func overflow() throws {
        let settings = self.folder.settings { $0.maxQueuedChanges = 8 }
        let (store, _) = try SQLiteChangeStore.open(settings)
        defer { store.close() }
        let outcomes = Outcomes()
        // The thread waits for the first change's closure, so that the rest pile up.
        let gate = Outcomes()
        store.append(History.change("a", 1, isWhole: true), snapshot: History.snapshot("a", 1)) { result in
            outcomes.closure(1)(result)
            _ = gate.wait(1)
        }
        #expect(outcomes.wait(1))
        for sequence in UInt64(2)...20 {
            let change = History.change("a", sequence, isWhole: true)
            store.append(change, snapshot: History.snapshot("a", sequence), done: outcomes.closure(sequence))
        }
        gate.closure(0)(.success(()))
        #expect(outcomes.wait(19))
        #expect(outcomes.order == Array(1...20))
        #expect(outcomes.committed == Array(1...9))
        #expect(Set(outcomes.errors.map(\.kind)) == [.full])
        try store.restart(epoch: Epoch(rawValue: 9), head: 20, sources: [])
        #expect(store.record([History.change("a", 21, isWhole: true)]).committed == [21])
    }

    @Test("the figures count what was done")
    func statistics() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        defer { store.close() }
        store.record((1...5).map { History.change("a", $0, isWhole: true) })
        let statistics = store.statistics()
        #expect(statistics.appendedEvents == 5)
        #expect((1...5).contains(statistics.commits))
        #expect(statistics.queuedEvents == 0 && statistics.queuedBytes == 0)
        #expect(statistics.usedBytes > 0 && statistics.lastCommitDuration > .zero)
        #expect(statistics.failure == nil)
    }
}
