// The tables of the log, and how older files become the current format.

import FreshetCore
import GRDB

/// The formats of the log file. A file says its own in `user_version`, and in the row of ``LogHead``.
///
/// | table | one row is |
/// | --- | --- |
/// | `log` | the whole log: epoch, head, whether it was closed in order |
/// | `source` | a source: its name, the sequence of its last change, how far its changes are pruned |
/// | `snapshot` | the latest value of a source |
/// | `validators` | what its next poll is conditional on, and what its schedule has learned |
/// | `write_key` | a write with an idempotency key: whose, of which request, where it stands |
/// | `push` | a subscription of Web Push, or how far the log has been pushed |
/// | `webhook` | where an endpoint of `webhooks` stands |
/// | `change` | a change; `previous` is the one before it of the same source, so that a missing row is noticed |
///
/// Each row has a checksum over its other columns. The row of `log` sums up those of `source`, each of which says which
/// change is its last, each of which says which one came before: so a state in which some pages are newer than others
/// never passes for a log. Sources have no index by name: a damaged one could hide a source.
struct Schema: Sendable {
    /// "Frsh": tells our files from those of others (SQLite's `application_id`).
    static let applicationID: Int64 = 0x4672_7368

    /// `steps[n]` takes a file from format n to n + 1. A step that was released is never changed.
    var steps: [@Sendable (Database) throws -> Void]

    /// The format that this version writes.
    var format: Int64 { Int64(self.steps.count) }

    static let current = Schema(steps: [
        Self.first, Self.validatorsOfRedirects, Self.writeKeys, Self.push, Self.webhooks,
    ])

    private static let first: @Sendable (Database) throws -> Void = { database in
        try database.execute(
            sql: """
                CREATE TABLE log (
                    id INTEGER PRIMARY KEY, format INTEGER NOT NULL, epoch INTEGER NOT NULL, head INTEGER NOT NULL,
                    removed_through INTEGER NOT NULL, sources INTEGER NOT NULL, closed INTEGER NOT NULL,
                    checksum INTEGER NOT NULL);
                CREATE TABLE source (
                    id INTEGER PRIMARY KEY, name TEXT, identity TEXT NOT NULL,
                    last INTEGER NOT NULL, pruned_through INTEGER NOT NULL, checksum INTEGER NOT NULL);
                CREATE TABLE snapshot (
                    source INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, at INTEGER NOT NULL, value BLOB NOT NULL,
                    checksum INTEGER NOT NULL);
                CREATE TABLE validators (
                    source INTEGER PRIMARY KEY, sequence INTEGER NOT NULL, etag BLOB, last_modified BLOB,
                    learned BLOB NOT NULL, checksum INTEGER NOT NULL);
                CREATE TABLE change (
                    sequence INTEGER PRIMARY KEY, source INTEGER NOT NULL, previous INTEGER NOT NULL,
                    at INTEGER NOT NULL, checksum INTEGER NOT NULL, value_checksum INTEGER,
                    patch BLOB, merge BLOB, items BLOB, value BLOB);
                CREATE INDEX change_by_source ON change (source, sequence);
                """
        )
    }

    /// Validators belong to the URL that gave them, which a redirect may have led to.
    private static let validatorsOfRedirects: @Sendable (Database) throws -> Void = { database in
        try database.execute(sql: "ALTER TABLE validators ADD COLUMN url TEXT")
    }

    /// What is known of writes by their idempotency keys.
    private static let writeKeys: @Sendable (Database) throws -> Void = { database in
        try database.execute(
            sql: """
                CREATE TABLE write_key (
                    scope BLOB PRIMARY KEY, fingerprint BLOB NOT NULL, at INTEGER NOT NULL, state BLOB NOT NULL,
                    checksum INTEGER NOT NULL) WITHOUT ROWID
                """
        )
    }

    /// Subscriptions of Web Push.
    private static let push: @Sendable (Database) throws -> Void = { database in
        try database.execute(
            sql: """
                CREATE TABLE push (
                    key BLOB PRIMARY KEY, state BLOB NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID
                """
        )
    }

    /// Where endpoints of webhooks stand.
    private static let webhooks: @Sendable (Database) throws -> Void = { database in
        try database.execute(
            sql: """
                CREATE TABLE webhook (name TEXT PRIMARY KEY, state BLOB NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID
                """
        )
    }

    /// Makes the tables of a new file. In a transaction of the caller's.
    func create(_ database: Database) throws {
        try database.execute(sql: "PRAGMA application_id = \(Self.applicationID)")
        try self.migrate(database, from: 0)
    }

    /// Takes the file from an older format to the current one. In a transaction of the caller's.
    func migrate(_ database: Database, from format: Int64) throws {
        for step in self.steps.dropFirst(Int(format)) {
            try step(database)
        }
        try database.execute(sql: "PRAGMA user_version = \(self.format)")
    }
}

/// The one row of `log`.
struct LogHead: Hashable {
    var format: Int64
    var epoch: UInt64
    /// The last sequence that was committed.
    var head: UInt64
    /// A name that is new to the log may have had changes up to here: the head at the last removal of a source, or
    /// where this file began.
    var removedThrough: UInt64 = 0
    /// The wrapping sum of the checksums of all rows of `source`.
    var sources: Int64 = 0
    /// Closed in order: nothing is in the write-ahead log alone.
    var isClosed = false

    private var checksum: Int64 {
        var sum = Checksum(1)
        sum.add(self.format)
        sum.add(self.epoch)
        sum.add(self.head)
        sum.add(self.removedThrough)
        sum.add(self.sources)
        sum.add(self.isClosed ? 1 : 0 as Int64)
        return sum.stored
    }

    static func read(_ database: Database) throws -> LogHead {
        let sql = "SELECT format, epoch, head, removed_through, sources, closed, checksum FROM log WHERE id = 1"
        guard let row = try Row.fetchOne(database.cachedStatement(sql: sql)) else {
            throw DamagedRow(what: "the row of the log is missing")
        }
        let head = LogHead(
            format: try row.integer(0),
            epoch: try row.sequence(1),
            head: try row.sequence(2),
            removedThrough: try row.sequence(3),
            sources: try row.integer(4),
            isClosed: try row.integer(5) != 0
        )
        guard try row.integer(6) == head.checksum, (1..<Epoch.count).contains(head.epoch),
            head.head < Int64.max, head.removedThrough <= head.head
        else {
            throw DamagedRow(what: "the row of the log does not match its checksum")
        }
        return head
    }

    func write(_ database: Database) throws {
        let sql = """
            INSERT OR REPLACE INTO log (id, format, epoch, head, removed_through, sources, closed, checksum)
            VALUES (1, ?, ?, ?, ?, ?, ?, ?)
            """
        try database.cachedStatement(sql: sql).execute(arguments: [
            self.format, Int64(bitPattern: self.epoch), Int64(bitPattern: self.head),
            Int64(bitPattern: self.removedThrough), self.sources, self.isClosed ? 1 : 0, self.checksum,
        ])
    }
}

extension Epoch {
    /// The epoch with exactly this raw value, which is checked to be one.
    init(stored: UInt64) {
        self.init(rawValue: stored &- 1)
    }
}
