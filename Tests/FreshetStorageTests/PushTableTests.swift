// Subscriptions of Web Push in the log's file.

import Foundation
import FreshetCore
import GRDB
import Testing

@testable import FreshetStorage

@Suite("Push subscriptions on the disk")
struct PushTableTests {
    private let folder: LogFolder

    init() throws {
        self.folder = try LogFolder()
    }

    private static func row(_ key: String, _ state: String) -> PushRow {
        PushRow(key: Array(key.utf8), state: Array(state.utf8))
    }

    private func keep(_ store: SQLiteChangeStore, _ rows: [PushRow]) {
        let outcomes = Outcomes()
        store.keep(rows, done: outcomes.closure(1))
        #expect(outcomes.wait(1))
        #expect(outcomes.committed == [1])
    }

    @Test("what was committed is there after a kill, the last state of each row, beside the changes")
    func kill() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        store.record([History.change("a", 1, isWhole: true)])
        self.keep(store, [Self.row("one", "1"), Self.row("two", "2"), Self.row("", "mark")])
        self.keep(store, [Self.row("two", "3")])
        store.forget([Array("one".utf8), Array("none".utf8)])
        store.record([History.change("a", 2)])
        let image = try CrashImage(self.folder)
        store.close()
        try image.restore(to: self.folder)
        let (again, contents) = try SQLiteChangeStore.open(self.folder.settings(), seed: 2)
        #expect(contents.newEpochReason == nil && contents.head == 2)
        #expect(Set(contents.push) == [Self.row("two", "3"), Self.row("", "mark")])
        again.close()
    }

    @Test("a log that begins a new epoch keeps subscriptions")
    func doubt() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        store.record([History.change("a", 1, isWhole: true)])
        self.keep(store, [Self.row("one", "1")])
        store.close()
        #expect(unlink(self.folder.log + ".mark") == 0)
        let (again, contents) = try SQLiteChangeStore.open(self.folder.settings(), seed: 2)
        #expect(contents.newEpochReason != nil)
        #expect(contents.push == [Self.row("one", "1")])
        again.close()
    }

    @Test("a damaged row is noticed, and a store that is closed takes none")
    func damage() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        self.keep(store, [Self.row("one", "1")])
        store.close()
        let outcomes = Outcomes()
        store.keep([Self.row("two", "2")], done: outcomes.closure(1))
        #expect(outcomes.wait(1))
        #expect(outcomes.committed.isEmpty)
        let queue = try self.folder.openBeside()
        try queue.write { try $0.execute(sql: "UPDATE push SET state = x'00'") }
        try queue.close()
        let (again, contents) = try SQLiteChangeStore.open(self.folder.settings(), seed: 2)
        #expect(contents.newEpochReason != nil && contents.push.isEmpty)
        again.close()
    }

    @Test("R04 a file of format 3, without the table, gets it, and keeps what it has")
    func migration() throws {
        let before = Schema(steps: Array(Schema.current.steps.prefix(Int(PushTable.firstFormat) - 1)))
        var generator = SystemRandomNumberGenerator()
        let (old, _) = try SQLiteChangeStore.open(self.folder.settings(), schema: before, using: &generator)
        old.record([History.change("a", 1, isWhole: true)])
        old.close()
        let (store, contents) = try SQLiteChangeStore.open(self.folder.settings())
        #expect(contents.newEpochReason == nil && contents.head == 1 && contents.push.isEmpty)
        self.keep(store, [Self.row("one", "1")])
        store.close()
    }
}
