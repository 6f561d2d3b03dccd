// Where endpoints of webhooks stand, in the log's file.

import Foundation
package import FreshetCore
import GRDB

/// A change of rows of `webhook`, on its way to the disk.
struct WebhookChange: Sendable {
    var rows: [StoredWebhook]
    var forgotten: [String]
    var done: @Sendable (Result<Void, StoreError>) -> Void

    /// The first format with this table.
    static let firstFormat: Int64 = 5

    private static func checksum(_ row: StoredWebhook) -> Int64 {
        var sum = Checksum(9)
        sum.add(Array(row.name.utf8))
        sum.add(row.text)
        return sum.stored
    }

    static func all(_ database: Database) throws -> [StoredWebhook] {
        let rows = try Row.fetchCursor(database, sql: "SELECT CAST(name AS BLOB), state, checksum FROM webhook")
        var webhooks: [StoredWebhook] = []
        while let row = try rows.next() {
            guard let name = String(validating: try row.bytes(0) ?? [], as: UTF8.self) else {
                throw DamagedRow(what: "the row of a webhook has no name")
            }
            let webhook = StoredWebhook(name: name, text: try row.bytes(1) ?? [])
            guard try row.integer(2) == self.checksum(webhook) else {
                throw DamagedRow(what: "the row of a webhook does not match its checksum")
            }
            webhooks.append(webhook)
        }
        return webhooks
    }

    func write(_ database: Database) throws {
        for row in self.rows {
            let sql = "INSERT OR REPLACE INTO webhook (name, state, checksum) VALUES (CAST(? AS TEXT), ?, ?)"
            try database.cachedStatement(sql: sql)
                .execute(arguments: [Data(row.name.utf8), Data(row.text), Self.checksum(row)])
        }
        for name in self.forgotten {
            try database.cachedStatement(sql: "DELETE FROM webhook WHERE name = CAST(? AS TEXT)")
                .execute(arguments: [Data(name.utf8)])
        }
    }
}

extension SQLiteChangeStore: WebhookStore {
    package func keep(
        _ rows: [StoredWebhook],
        forgetting names: [String],
        done: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        self.put(WebhookChange(rows: rows, forgotten: names, done: done))
    }
}
