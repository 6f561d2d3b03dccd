// Idempotency keys in the log's file: what is said to be on the disk is there after a kill.

import Foundation
import FreshetCore
import GRDB
import Testing

@testable import FreshetStorage

@Suite("Idempotency keys on the disk")
struct WriteKeyTests {
    private let folder: LogFolder

    init() throws {
        self.folder = try LogFolder()
    }

    private static func scope(_ key: String) -> IdempotencyScope {
        IdempotencyScope(account: Principal.Account(kind: .jwt, issuer: "https://id.example", id: "u1"), key: key)
    }

    private static func record(_ state: IdempotencyRecord.State) -> IdempotencyRecord {
        IdempotencyRecord(fingerprint: [1, 2, 3], madeAt: WallTime(milliseconds: 77), state: state)
    }

    private static let answered: IdempotencyRecord.State = {
        var answer = WriteAnswer(status: 201)
        answer.value = Array(#"{"id":1}"#.utf8)
        answer.location = "/v1/items/orders/1"
        return .answered(answer)
    }()

    private func keep(_ store: SQLiteChangeStore, _ key: String, _ state: IdempotencyRecord.State) throws {
        let outcomes = Outcomes()
        store.keep(Self.scope(key), Self.record(state), done: outcomes.closure(1))
        #expect(outcomes.wait(1))
        #expect(outcomes.committed == [1])
    }

    @Test("what was committed is there after a kill, the last state of each key, beside the changes")
    func kill() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        store.record([History.change("a", 1, isWhole: true)])
        try self.keep(store, "k1", .begun)
        var exchange = WriteExchange(.put, .item("1"))
        exchange.ifMatch = Array("\"v1\"".utf8)
        let attempt = WriteAttempt(exchange: exchange, intended: Array("{}".utf8), creates: false)
        try self.keep(store, "k1", .attempted(attempt))
        try self.keep(store, "k2", Self.answered)
        try self.keep(store, "k3", .begun)
        store.forget([Self.scope("k3")])
        store.record([History.change("a", 2)])
        let image = try CrashImage(self.folder)
        store.close()
        try image.restore(to: self.folder)
        let (again, contents) = try SQLiteChangeStore.open(self.folder.settings(), seed: 2)
        #expect(contents.newEpochReason == nil && contents.head == 2)
        let keys = Dictionary(contents.writeKeys.map { ($0.0.key, $0.1) }, uniquingKeysWith: { $1 })
        #expect(keys == ["k1": Self.record(.attempted(attempt)), "k2": Self.record(Self.answered)])
        #expect(contents.writeKeys.allSatisfy { $0.0.account == Self.scope("k1").account })
        again.close()
    }

    @Test(
        "a log that begins a new epoch keeps what was answered and what may have been sent, and not what had only begun"
    )
    func doubt() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        store.record([History.change("a", 1, isWhole: true)])
        try self.keep(store, "k1", .begun)
        try self.keep(store, "k2", Self.answered)
        store.close()
        #expect(unlink(self.folder.log + ".mark") == 0)
        let (again, contents) = try SQLiteChangeStore.open(self.folder.settings(), seed: 2)
        #expect(contents.newEpochReason != nil)
        #expect(contents.writeKeys.map(\.0.key) == ["k2"])
        again.close()
    }

    @Test("a damaged row is noticed, and a store that is closed takes no key")
    func damage() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        try self.keep(store, "k1", Self.answered)
        store.close()
        let outcomes = Outcomes()
        store.keep(Self.scope("k2"), Self.record(.begun), done: outcomes.closure(1))
        #expect(outcomes.wait(1))
        #expect(outcomes.committed.isEmpty)
        let queue = try self.folder.openBeside()
        try queue.write { try $0.execute(sql: "UPDATE write_key SET at = at + 1") }
        try queue.close()
        let (again, contents) = try SQLiteChangeStore.open(self.folder.settings(), seed: 2)
        #expect(contents.newEpochReason != nil && contents.writeKeys.isEmpty)
        again.close()
    }
}
