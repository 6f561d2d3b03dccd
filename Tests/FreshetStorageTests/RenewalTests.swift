import Foundation
import FreshetCore
import Testing

@testable import FreshetStorage

@Suite("A log whose files are touched goes on in a new one")
struct RenewalTests {
    private let folder: LogFolder

    init() throws {
        self.folder = try LogFolder()
    }

    /// Waits until the store's thread has done all that was asked of it before.
    private func settle(_ store: SQLiteChangeStore, _ sequence: UInt64) {
        store.record([History.change("a", sequence)])
    }

    @Test(
        "A18 all changes, numbers, values and the epoch are in the new file",
        arguments: ["", "-wal", ".mark", ".lock"]
    )
    func renewed(suffix: String) throws {
        let (store, contents) = try SQLiteChangeStore.open(self.folder.settings())
        store.record((1...40).map { History.change("a", $0, isWhole: $0 == 1) })
        let before = try store.everything(of: ["a"])
        #expect(unlink(self.folder.log + suffix) == 0)
        store.inspect()
        self.settle(store, 41)
        #expect(store.statistics().renewals == 1)
        #expect(store.statistics().lastRenewalReason?.contains(self.folder.log + suffix) == true)
        #expect(store.statistics().failure == nil)
        #expect(try store.everything(of: ["a"]).dropLast() == before[...])
        let mode = try FileManager.default.attributesOfItem(atPath: self.folder.log)[.posixPermissions] as? Int
        #expect(mode == 0o600)
        store.close()
        let (again, found) = try SQLiteChangeStore.open(self.folder.settings(), seed: 2)
        #expect(found.epoch == contents.epoch && found.head == 41 && found.newEpochReason == nil)
        #expect(try again.everything(of: ["a"]).count == 41)
        again.close()
        #expect(self.folder.names == ["", "-wal", ".lock", ".mark"].map { "freshet.db" + $0 })
    }

    @Test("A18 a change that was committed to a file without a name is in the new file before anybody is told")
    func told() throws {
        let (store, contents) = try SQLiteChangeStore.open(self.folder.settings())
        store.record([History.change("a", 1, isWhole: true)])
        #expect(unlink(self.folder.log) == 0)
        #expect(store.record([History.change("a", 2)]).committed == [2])
        // As a kill would leave it.
        let image = try CrashImage(self.folder)
        store.close()
        try image.restore(to: self.folder)
        let (again, found) = try SQLiteChangeStore.open(self.folder.settings(), seed: 2)
        #expect(found.epoch == contents.epoch && found.head == 2)
        again.close()
    }

    @Test("A18 where no new file can be made the store fails with the reason, and begins anew once one can")
    func blocked() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        store.record([History.change("a", 1, isWhole: true)])
        // Not even root can make a folder where a file is.
        try FileManager.default.removeItem(atPath: self.folder.path)
        #expect(FileManager.default.createFile(atPath: self.folder.path, contents: nil))
        let outcome = store.record([History.change("a", 2)])
        #expect(outcome.errors.first?.message.contains("was deleted or moved while the gateway ran") == true)
        #expect(outcome.committed.isEmpty)
        #expect(throws: StoreError.self) { try store.restart(epoch: Epoch(rawValue: 9), head: 2, sources: []) }
        try FileManager.default.removeItem(atPath: self.folder.path)
        try store.restart(epoch: Epoch(rawValue: 9), head: 2, sources: [History.snapshot("a", 2)])
        #expect(store.record([History.change("a", 3)]).committed == [3])
        store.close()
    }

    @Test("A18 a lock that another process has taken in the meantime is a failure, and its log is left alone")
    func takenOver() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        store.record([History.change("a", 1, isWhole: true)])
        for suffix in ["", "-wal", ".mark", ".lock"] { #expect(unlink(self.folder.log + suffix) == 0) }
        let (other, contents) = try SQLiteChangeStore.open(self.folder.settings(), seed: 2)
        #expect(store.record([History.change("a", 2)]).errors.first?.kind == .locked)
        other.record([History.change("b", 1, isWhole: true)])
        #expect(store.record([History.change("a", 3)]).errors.first?.kind == .locked)
        store.close()
        other.close()
        let (again, found) = try SQLiteChangeStore.open(self.folder.settings(), seed: 3)
        #expect(found.epoch == contents.epoch && found.sources.map(\.name) == ["b"])
        again.close()
    }

    @Test("A16 connections share the index of the write-ahead log without a file for it")
    func index() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        store.record([History.change("a", 1, isWhole: true)])
        #expect(try store.everything(of: ["a"]).count == 1)
        #expect(!self.folder.names.contains { $0.hasSuffix("-shm") })
        store.close()
    }
}
