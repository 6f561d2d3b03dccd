// Where webhooks stand, in the log's file.

import FreshetCore
import GRDB
import Glibc
import Testing

@testable import FreshetStorage

@Suite("Rows of webhooks on the disk")
struct WebhookRowTests {
    private let folder: LogFolder

    init() throws {
        self.folder = try LogFolder()
    }

    private static func row(_ name: String, _ sequence: UInt64, bodies: Int = 0) -> StoredWebhook {
        let cursor = Cursor(epoch: Epoch(rawValue: 4), sequence: sequence)
        let row = WebhookRow(
            state: .paused,
            since: WallTime(milliseconds: 5),
            cursor: cursor,
            ahead: [sequence + 2],
            bodies: (0..<bodies).map { .init(sequence: sequence + UInt64($0), text: Array("{\"é\":\"\\n\"}".utf8)) }
        )
        return StoredWebhook(name: name, text: row.text)
    }

    private func keep(_ store: SQLiteChangeStore, _ rows: [StoredWebhook], forgetting names: [String] = []) {
        let outcomes = Outcomes()
        store.keep(rows, forgetting: names, done: outcomes.closure(1))
        #expect(outcomes.wait(1))
        #expect(outcomes.committed == [1])
    }

    @Test("what was committed is there after a kill: one row an endpoint, the last one")
    func kill() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        store.record([History.change("a", 1, isWhole: true)])
        self.keep(store, [Self.row("crm", 1), Self.row("old", 1)])
        self.keep(store, [Self.row("crm", 2, bodies: 3)], forgetting: ["old"])
        let image = try CrashImage(self.folder)
        store.close()
        try image.restore(to: self.folder)
        let (again, contents) = try SQLiteChangeStore.open(self.folder.settings(), seed: 2)
        #expect(contents.newEpochReason == nil && contents.webhooks == [Self.row("crm", 2, bodies: 3)])
        #expect(contents.webhooks.first.flatMap { WebhookRow(text: $0.text) }?.bodies.count == 3)
        again.close()
    }

    @Test("a log that begins a new epoch keeps the rows, so that a paused endpoint stays so; a damaged row is noticed")
    func doubt() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        store.record([History.change("a", 1, isWhole: true)])
        self.keep(store, [Self.row("crm", 1)])
        store.close()
        #expect(unlink(self.folder.log + ".mark") == 0)
        let (again, contents) = try SQLiteChangeStore.open(self.folder.settings(), seed: 2)
        #expect(contents.newEpochReason != nil && contents.webhooks == [Self.row("crm", 1)])
        self.keep(again, [Self.row("crm", 1)])
        again.close()
        let queue = try self.folder.openBeside()
        try queue.write { try $0.execute(sql: "UPDATE webhook SET checksum = checksum + 1") }
        try queue.close()
        let (third, damaged) = try SQLiteChangeStore.open(self.folder.settings(), seed: 3)
        #expect(damaged.newEpochReason != nil && damaged.webhooks.isEmpty)
        third.close()
    }

    @Test("a store that is closed keeps nothing, and says so")
    func closed() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        store.close()
        let outcomes = Outcomes()
        store.keep([Self.row("crm", 1)], forgetting: [], done: outcomes.closure(1))
        #expect(outcomes.wait(1))
        #expect(outcomes.committed.isEmpty)
    }
}
