// A source as rows: where its changes stand, its latest value, its validators.

import Foundation
import FreshetCore
import GRDB

/// One row of `source`.
struct SourceRow: Hashable {
    var id: Int64
    /// `nil` for a source that was removed and whose changes are not all deleted yet.
    var name: String?
    /// As in ``StoredSource``.
    var identity: String
    /// The sequence of its last change; 0 before the first.
    var last: Int64
    /// Its changes up to this sequence are not kept.
    var prunedThrough: Int64

    private static let columns = "id, name, identity, last, pruned_through, checksum"
    // SQLite gives and takes text up to the first zero; bytes have a length.
    private static let selection =
        "SELECT id, CAST(name AS BLOB), CAST(identity AS BLOB), last, pruned_through, checksum FROM source"

    var checksum: Int64 {
        var sum = Checksum(4)
        sum.add(self.id)
        sum.add(self.name)
        sum.add(self.identity)
        sum.add(self.last)
        sum.add(self.prunedThrough)
        return sum.stored
    }

    private static func row(_ row: Row) throws -> SourceRow {
        let source = SourceRow(
            id: try row.integer(0),
            name: try row.bytes(1) == nil ? nil : row.text(1),
            identity: try row.text(2),
            last: try row.integer(3),
            prunedThrough: try row.integer(4)
        )
        guard try row.integer(5) == source.checksum, source.last >= 0, source.prunedThrough >= 0 else {
            throw DamagedRow(what: "the row of a source does not match its checksum")
        }
        return source
    }

    static func all(_ database: Database) throws -> [SourceRow] {
        let rows = try Row.fetchCursor(database.cachedStatement(sql: "\(Self.selection) ORDER BY id"))
        var sources: [SourceRow] = []
        while let row = try rows.next() {
            sources.append(try Self.row(row))
        }
        return sources
    }

    static func named(_ name: String, _ database: Database) throws -> SourceRow? {
        let statement = try database.cachedStatement(sql: "\(Self.selection) WHERE name = CAST(? AS TEXT)")
        return try Row.fetchOne(statement, arguments: [Data(name.utf8)]).map { try Self.row($0) }
    }

    func write(_ database: Database) throws {
        let sql = """
            INSERT OR REPLACE INTO source (\(Self.columns))
            VALUES (?, CAST(? AS TEXT), CAST(? AS TEXT), ?, ?, ?)
            """
        try database.cachedStatement(sql: sql).execute(arguments: [
            self.id, self.name.map { Data($0.utf8) }, Data(self.identity.utf8), self.last, self.prunedThrough,
            self.checksum,
        ])
    }
}

/// One row of `snapshot`.
struct SnapshotRow: Hashable {
    var source: Int64
    var sequence: Int64
    var at: Int64
    var value: [UInt8]

    private static let columns = "source, sequence, at, value, checksum"

    private var checksum: Int64 {
        var sum = Checksum(5)
        sum.add(self.source)
        sum.add(self.sequence)
        sum.add(self.at)
        sum.add(self.value)
        return sum.stored
    }

    static func of(_ source: Int64, _ database: Database) throws -> SnapshotRow? {
        let statement = try database.cachedStatement(sql: "SELECT \(Self.columns) FROM snapshot WHERE source = ?")
        guard let row = try Row.fetchOne(statement, arguments: [source]) else { return nil }
        let snapshot = SnapshotRow(
            source: try row.integer(0),
            sequence: try row.integer(1),
            at: try row.integer(2),
            value: try row.bytes(3) ?? []
        )
        guard try row.integer(4) == snapshot.checksum, snapshot.source == source else {
            throw DamagedRow(what: "the row of a snapshot does not match its checksum")
        }
        return snapshot
    }

    func write(_ database: Database) throws {
        let sql = "INSERT OR REPLACE INTO snapshot (\(Self.columns)) VALUES (?, ?, ?, ?, ?)"
        try database.cachedStatement(sql: sql).execute(arguments: [
            self.source, self.sequence, self.at, Optional(self.value).data, self.checksum,
        ])
    }
}

/// One row of `validators`.
struct ValidatorsRow: Hashable {
    var source: Int64
    /// The change whose value these belong to. With another value they would make a poll answer "not modified" to a
    /// value that no client has.
    var sequence: Int64
    var validators: Validators
    var learned: [UInt8]

    private static let columns = "source, sequence, etag, last_modified, url, learned, checksum"
    private static let selection =
        "SELECT source, sequence, etag, last_modified, CAST(url AS BLOB), learned, checksum FROM validators"

    private var checksum: Int64 {
        var sum = Checksum(6)
        sum.add(self.source)
        sum.add(self.sequence)
        sum.add(self.validators.etag)
        sum.add(self.validators.lastModified)
        // Rows of format 1 have none, and keep the checksum that they were written with.
        if let url = self.validators.url { sum.add(url) }
        sum.add(self.learned)
        return sum.stored
    }

    static func of(_ source: Int64, _ database: Database) throws -> ValidatorsRow? {
        let statement = try database.cachedStatement(sql: "\(Self.selection) WHERE source = ?")
        guard let row = try Row.fetchOne(statement, arguments: [source]) else { return nil }
        let validators = ValidatorsRow(
            source: try row.integer(0),
            sequence: try row.integer(1),
            validators: Validators(
                etag: try row.bytes(2),
                lastModified: try row.bytes(3),
                url: try row.bytes(4) == nil ? nil : row.text(4)
            ),
            learned: try row.bytes(5) ?? []
        )
        guard try row.integer(6) == validators.checksum, validators.source == source else {
            throw DamagedRow(what: "the row of a source's validators does not match its checksum")
        }
        return validators
    }

    func write(_ database: Database) throws {
        let sql = """
            INSERT OR REPLACE INTO validators (\(Self.columns))
            VALUES (?, ?, ?, ?, CAST(? AS TEXT), ?, ?)
            """
        try database.cachedStatement(sql: sql).execute(arguments: [
            self.source, self.sequence, self.validators.etag.data, self.validators.lastModified.data,
            self.validators.url.map { Data($0.utf8) }, Optional(self.learned).data, self.checksum,
        ])
    }
}
