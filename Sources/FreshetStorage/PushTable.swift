// Subscriptions of Web Push in the log's file.

import Foundation
package import FreshetCore
import GRDB

/// The table `push`.
enum PushTable {
    /// The first format with this table.
    static let firstFormat: Int64 = 4

    private static func checksum(_ row: PushRow) -> Int64 {
        var sum = Checksum(9)
        sum.add(row.key)
        sum.add(row.state)
        return sum.stored
    }

    static func all(_ database: Database) throws -> [PushRow] {
        let rows = try Row.fetchCursor(database, sql: "SELECT key, state, checksum FROM push")
        var found: [PushRow] = []
        while let row = try rows.next() {
            let push = PushRow(key: try row.bytes(0) ?? [], state: try row.bytes(1) ?? [])
            guard try row.integer(2) == self.checksum(push) else {
                throw DamagedRow(what: "the row of a push subscription does not match its checksum")
            }
            found.append(push)
        }
        return found
    }

    fileprivate static func write(_ row: PushRow, _ database: Database) throws {
        let sql = "INSERT OR REPLACE INTO push (key, state, checksum) VALUES (?, ?, ?)"
        try database.cachedStatement(sql: sql).execute(arguments: [
            Data(row.key), Data(row.state), self.checksum(row),
        ])
    }

    fileprivate static func remove(_ key: [UInt8], _ database: Database) throws {
        let sql = "DELETE FROM push WHERE key = ?"
        try database.cachedStatement(sql: sql).execute(arguments: [Data(key)])
    }
}

/// A change of the table, on its way to the disk.
struct PushChange: Sendable {
    enum Step: Sendable {
        case keep([PushRow])
        case forget([[UInt8]])
    }

    var step: Step
    var done: @Sendable (Result<Void, StoreError>) -> Void

    func write(_ database: Database) throws {
        switch self.step {
        case .keep(let rows): for row in rows { try PushTable.write(row, database) }
        case .forget(let keys): for key in keys { try PushTable.remove(key, database) }
        }
    }
}

extension SQLiteChangeStore: PushStore {
    package func keep(_ rows: [PushRow], done: @escaping @Sendable (Result<Void, StoreError>) -> Void) {
        self.put(PushChange(step: .keep(rows), done: done))
    }

    package func forget(_ keys: [[UInt8]]) {
        self.put(PushChange(step: .forget(keys), done: { _ in }))
    }
}
