// Texts with a zero in them, and patches that do not apply: neither makes a log one that is damaged.

import FreshetCore
import JSON
import Testing

@testable import FreshetStorage

@Suite("What a stream may have brought into the log")
struct ZeroTests {
    private let folder: LogFolder

    init() throws {
        self.folder = try LogFolder()
    }

    @Test("a name, an identity, an address and the name of a webhook with a zero in them are kept as they are")
    func zeros() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        let outcomes = Outcomes()
        for (sequence, name) in [(1, "a\0b"), (2, "a"), (3, "a\0b")] as [(UInt64, String)] {
            var snapshot = History.snapshot(name, sequence)
            snapshot.identity = "http://x\0\(name)"
            snapshot.validators.url = "http://y\0z"
            snapshot.validators.etag = Array("\"\0\"".utf8)
            store.append(
                History.change(name, sequence, isWhole: sequence < 3),
                snapshot: snapshot,
                done: outcomes.closure(sequence)
            )
        }
        #expect(outcomes.wait(3) && outcomes.committed == [1, 2, 3])
        let row = StoredWebhook(name: "w\0", text: Array("{}".utf8))
        store.keep([row, StoredWebhook(name: "w", text: row.text)], forgetting: ["w"], done: outcomes.closure(4))
        #expect(outcomes.wait(1))
        #expect(try store.everything(of: ["a\0b"]).map(\.sequence) == [1, 3])
        #expect(try store.value(of: "a\0b", at: 2)?.sequence == 1)
        store.close()
        let (again, contents) = try SQLiteChangeStore.open(self.folder.settings(), seed: 2)
        #expect(contents.newEpochReason == nil && self.folder.quarantined.isEmpty)
        #expect(contents.sources.map(\.name).sorted() == ["a", "a\0b"] && contents.webhooks == [row])
        #expect(contents.sources.allSatisfy { $0.identity == "http://x\0\($0.name)" })
        #expect(contents.sources.allSatisfy { $0.validators.url == "http://y\0z" })
        again.close()
    }

    @Test("a patch that does not apply makes one value unknown, and no file damaged")
    func patches() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        store.record([History.change("a", 1, isWhole: true)])
        for (sequence, patch) in [(2, #"[{"op":"remove","path":"/zz"}]"#), (3, "x")] as [(UInt64, String)] {
            var change = History.change("a", sequence)
            change.patch = Array(patch.utf8)
            store.record([change])
        }
        store.record([History.change("a", 4)])
        for sequence in [2, 3] as [UInt64] {
            let error = #expect(throws: StoreError.self) { try store.value(of: "a", at: sequence) }
            #expect(error?.kind == .unusable)
        }
        #expect(store.record([History.change("a", 5)]).committed == [5])
        #expect(try store.value(of: "a", at: 5)?.value == History.value("a", 5))
        #expect(self.folder.quarantined.isEmpty && store.statistics().failure == nil)
        store.close()
        let (again, contents) = try SQLiteChangeStore.open(self.folder.settings(), seed: 2)
        #expect(contents.newEpochReason == nil)
        again.close()
    }
}
