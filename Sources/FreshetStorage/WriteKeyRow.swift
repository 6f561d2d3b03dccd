// Idempotency keys of writes in the log's file: what must be known of a write after a crash.

import Foundation
package import FreshetCore
import GRDB

/// One row of `write_key`.
struct WriteKeyRow: Hashable {
    /// ``IdempotencyScope/text``.
    var scope: [UInt8]
    var fingerprint: [UInt8]
    var at: Int64
    /// ``IdempotencyRecord/State/text``.
    var state: [UInt8]

    /// The first format with this table.
    static let firstFormat: Int64 = 3

    private static let columns = "scope, fingerprint, at, state, checksum"
    static let selection = "SELECT \(Self.columns) FROM write_key"

    init(_ scope: IdempotencyScope, _ record: IdempotencyRecord) {
        self.scope = scope.text
        self.fingerprint = record.fingerprint
        self.at = record.madeAt.milliseconds
        self.state = record.state.text
    }

    init(_ row: Row) throws {
        self.scope = try row.bytes(0) ?? []
        self.fingerprint = try row.bytes(1) ?? []
        self.at = try row.integer(2)
        self.state = try row.bytes(3) ?? []
        guard try row.integer(4) == self.checksum else {
            throw DamagedRow(what: "the row of an idempotency key does not match its checksum")
        }
    }

    private var checksum: Int64 {
        var sum = Checksum(8)
        sum.add(self.scope)
        sum.add(self.fingerprint)
        sum.add(self.at)
        sum.add(self.state)
        return sum.stored
    }

    static func all(_ database: Database) throws -> [(IdempotencyScope, IdempotencyRecord)] {
        let rows = try Row.fetchCursor(database, sql: Self.selection)
        var keys: [(IdempotencyScope, IdempotencyRecord)] = []
        while let row = try rows.next() {
            let key = try WriteKeyRow(row)
            guard let scope = IdempotencyScope(text: key.scope), let state = IdempotencyRecord.State(text: key.state)
            else {
                throw DamagedRow(what: "the row of an idempotency key cannot be read")
            }
            let madeAt = WallTime(milliseconds: key.at)
            keys.append((scope, IdempotencyRecord(fingerprint: key.fingerprint, madeAt: madeAt, state: state)))
        }
        return keys
    }

    func write(_ database: Database) throws {
        let sql = "INSERT OR REPLACE INTO write_key (\(Self.columns)) VALUES (?, ?, ?, ?, ?)"
        try database.cachedStatement(sql: sql).execute(arguments: [
            Data(self.scope), Data(self.fingerprint), self.at, Data(self.state), self.checksum,
        ])
    }

    static func remove(_ scope: [UInt8], _ database: Database) throws {
        let sql = "DELETE FROM write_key WHERE scope = ?"
        try database.cachedStatement(sql: sql).execute(arguments: [Data(scope)])
    }
}

/// A change of the keys, on its way to the disk.
struct WriteKeyChange: Sendable {
    enum Step: Sendable {
        case keep(WriteKeyRow)
        case forget([[UInt8]])
    }

    var step: Step
    var done: @Sendable (Result<Void, StoreError>) -> Void

    func write(_ database: Database) throws {
        switch self.step {
        case .keep(let row): try row.write(database)
        case .forget(let scopes): for scope in scopes { try WriteKeyRow.remove(scope, database) }
        }
    }
}

extension SQLiteChangeStore: IdempotencyStore {
    package func keep(
        _ scope: IdempotencyScope,
        _ record: IdempotencyRecord,
        done: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        self.put(WriteKeyChange(step: .keep(WriteKeyRow(scope, record)), done: done))
    }

    package func forget(_ scopes: [IdempotencyScope]) {
        self.put(WriteKeyChange(step: .forget(scopes.map(\.text)), done: { _ in }))
    }
}
