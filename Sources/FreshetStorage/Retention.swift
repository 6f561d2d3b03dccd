// What is pruned, and in what order.

import FreshetCore
import GRDB

/// Prunes the oldest changes, a few at a time.
///
/// Changes leave in groups: a change that is kept whole, its base, and the patches that build on it, so that what is
/// left can always be rebuilt. Groups are short (``LogWriter`` sees to it), and the group with the oldest base goes
/// first. Of removed sources everything goes, before anything else.
struct Retention {
    /// Older changes go; `nil` where age does not count.
    var oldest: Int64?
    var maxBytes: Int

    init(_ settings: StoreSettings) {
        self.maxBytes = settings.maxBytes
        self.oldest = settings.maxAge.map { maxAge in
            let (time, overflow) = settings.now().milliseconds
                .subtractingReportingOverflow(maxAge.clampedNanoseconds / 1_000_000)
            return overflow ? .min : time
        }
    }

    /// What a step did.
    struct Step: Hashable {
        var rows = 0
        /// Nothing is left to prune now.
        var isDone = true
    }

    /// Deletes about `maxRows` changes. In a transaction of the caller's.
    func step(_ writer: inout LogWriter, maxRows: Int, _ database: Database) throws -> Step {
        var step = Step()
        while let id = writer.removed.last {
            guard step.rows < maxRows else { return Step(rows: step.rows, isDone: false) }
            step.rows += try self.deleteRemoved(id, maxRows: maxRows - step.rows, &writer, database)
        }
        while let group = try self.oldestGroup(database), try self.mustGo(group, database) {
            guard step.rows < maxRows else { return Step(rows: step.rows, isDone: false) }
            try database.cachedStatement(sql: "DELETE FROM change WHERE source = ? AND sequence <= ?")
                .execute(arguments: [group.source, group.last])
            guard database.changesCount > 0 else {
                throw DamagedRow(what: "the index of changes lacks one of its table")
            }
            step.rows += database.changesCount
            try writer.prune(group.source, through: group.last, isEmpty: group.isNewest, database)
        }
        return step
    }

    /// Bytes in use: all pages but the free ones.
    static func usedBytes(_ database: Database) throws -> Int {
        let free = try Self.number("PRAGMA freelist_count", database)
        let pages = try Self.number("PRAGMA page_count", database)
        return try (pages - free) * Self.number("PRAGMA page_size", database)
    }

    /// Gives free pages back to the file system, a few at a time, where the file is larger than it may be: after
    /// `log.max_bytes` was lowered. Free pages of a smaller file are used again instead.
    func shrink(_ database: Database) throws {
        let bytes = try Self.number("PRAGMA page_count", database) * Self.number("PRAGMA page_size", database)
        guard bytes > self.maxBytes, try Self.number("PRAGMA freelist_count", database) > 0 else { return }
        try database.execute(sql: "PRAGMA incremental_vacuum(512)")
    }

    private static func number(_ pragma: String, _ database: Database) throws -> Int {
        try Row.fetchOne(database.cachedStatement(sql: pragma)).map { Int(try $0.integer(0)) } ?? 0
    }

    private struct Group {
        var source: Int64
        var last: Int64
        /// When the last change of the group was superseded, or made where it is the newest.
        var at: Int64
        /// No other group of the source follows.
        var isNewest: Bool
    }

    private func mustGo(_ group: Group, _ database: Database) throws -> Bool {
        if let oldest = self.oldest, group.at < oldest { return true }
        return try Self.usedBytes(database) > self.maxBytes
    }

    /// The group of the oldest change of all.
    private func oldestGroup(_ database: Database) throws -> Group? {
        let first = "SELECT sequence, source FROM change ORDER BY sequence LIMIT 1"
        guard let row = try Row.fetchOne(database.cachedStatement(sql: first)) else { return nil }
        let (base, source) = (try row.integer(0), try row.integer(1))
        let next = """
            SELECT sequence, at FROM change WHERE source = ? AND sequence > ? AND value_checksum IS NOT NULL
            ORDER BY sequence LIMIT 1
            """
        if let row = try Row.fetchOne(database.cachedStatement(sql: next), arguments: [source, base]) {
            return Group(source: source, last: try row.integer(0) - 1, at: try row.integer(1), isNewest: false)
        }
        let last = "SELECT sequence, at FROM change WHERE source = ? ORDER BY sequence DESC LIMIT 1"
        guard let row = try Row.fetchOne(database.cachedStatement(sql: last), arguments: [source]) else {
            throw DamagedRow(what: "the index of changes does not match its table")
        }
        return Group(source: source, last: try row.integer(0), at: try row.integer(1), isNewest: true)
    }

    /// Deletes changes of a removed source, and the source after its last one.
    private func deleteRemoved(
        _ id: Int64,
        maxRows: Int,
        _ writer: inout LogWriter,
        _ database: Database
    ) throws -> Int {
        let sql = "DELETE FROM change WHERE sequence IN (SELECT sequence FROM change WHERE source = ? LIMIT ?)"
        try database.cachedStatement(sql: sql).execute(arguments: [id, maxRows])
        let rows = database.changesCount
        if rows < maxRows {
            try writer.forget(id, database)
        }
        return rows
    }
}
