// A log that no gateway has open, read by the command line.

package import FreshetCore
import GRDB
import GRDBSQLite
import Glibc
import JSON

/// What a log holds, as far as it was read.
package struct LogReport: Hashable, Sendable {
    package var cursor: FreshetCore.Cursor
    /// The format of the file; an older one is read as if it had been migrated.
    package var format: Int64
    package var sources = 0
    package var changes = 0
    /// Idempotency keys of writes.
    package var writeKeys = 0
    package var bytes = 0
    /// What is wrong, at most ``StoppedLog/maxProblems`` of it.
    package var problems: [String] = []
}

/// Reads the file of a log, or of a backup of one, while it holds the lock of that log. Changes nothing in it, but that
/// SQLite may bring a write-ahead log that a crash left behind into the main file. One thread.
package final class StoppedLog {
    private let path: LogPath
    private let lock: FileLock?
    private let queue: DatabaseQueue
    private let format: Int64
    /// Of an older format: a copy that was migrated.
    private let migrated: LogPath?

    /// After so many problems, no more are looked for.
    package static let maxProblems = 100

    /// Opens the file.
    ///
    /// - Throws: `.locked` where a gateway has it open, `.newerFormat`, `.corrupt` for what is no log of this program, `.io`
    ///   where there is none.
    package convenience init(_ path: String) throws(StoreError) {
        try self.init(path, schema: .current)
    }

    init(_ path: String, schema: Schema) throws(StoreError) {
        self.path = LogPath(path)
        // A gateway makes the file of the lock before it opens the log; beside a backup there is none. Before the file is
        // looked at: closing it would take SQLite's own locks from a log that is open in this process.
        if self.path.exists(self.path.lockFile) {
            self.lock = try FileLock(self.path)
        } else {
            self.lock = nil
        }
        let found = FoundLog(self.path)
        switch found.verdict(schema.format) {
        case .absent: throw StoreError(.io, "\(self.path.file): there is no such log")
        case .open: break
        case .damaged(let what): throw StoreError(.corrupt, "\(self.path.file) is damaged: \(what)")
        case .foreign: throw StoreError(.corrupt, "\(self.path.file) is not a log of this program")
        case .newerFormat(let format):
            throw StoreError(
                .newerFormat,
                "\(self.path.file) has format \(format), this version reads up to \(schema.format); use the newer version"
            )
        }
        self.format = found.header?.format ?? 0
        let queue = try Self.connect(self.path.file)
        guard self.format < schema.format else {
            self.queue = queue
            self.migrated = nil
            return
        }
        defer { try? queue.close() }
        let copy = LogPath(self.path.file + ".older")
        copy.removeFiles()
        guard FileDescriptor(copy.file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW) != nil else {
            throw StoreError(.readOnly, "\(copy.file) cannot be made: \(describe(errno: errno))")
        }
        self.migrated = copy
        self.queue = try Self.migrated(queue, to: copy, from: self.format, by: schema)
    }

    deinit {
        try? self.queue.close()
        self.migrated?.removeFiles()
    }

    private static func connect(_ file: String) throws(StoreError) -> DatabaseQueue {
        _ = SharedIndex.isInHeap
        do {
            let queue = try DatabaseQueue(path: file, configuration: LogFile.configuration())
            try queue.perform(at: file) { database in
                try database.execute(sql: "PRAGMA query_only = ON; PRAGMA trusted_schema = OFF")
                // The gateway takes a write-ahead log that is missing for one that was deleted.
                var persists: CInt = 1
                sqlite3_file_control(database.sqliteConnection, "main", SQLITE_FCNTL_PERSIST_WAL, &persists)
            }
            return queue
        } catch {
            throw StoreError(error, path: file)
        }
    }

    private static func migrated(
        _ queue: DatabaseQueue,
        to copy: LogPath,
        from format: Int64,
        by schema: Schema
    ) throws(StoreError) -> DatabaseQueue {
        _ = try LogFile.copy(queue, to: copy.file)
        let migrated = try Self.connect(copy.file)
        try migrated.perform(at: copy.file) { database in
            try database.execute(sql: "PRAGMA query_only = OFF")
            try database.inTransaction(.immediate) {
                try schema.migrate(database, from: format)
                var head = try LogHead.read(database)
                head.format = schema.format
                try head.write(database)
                return .commit
            }
        }
        return migrated
    }

    // MARK: - Reading

    /// Reads all of it: SQLite's own `integrity_check`, the checksum of every row, the chain of each source's changes, that
    /// every patch applies, and that what comes of them is the latest value.
    package func verify() throws(StoreError) -> LogReport {
        try self.walk { _ in }
    }

    /// Copies the log into a new file at `target`, readable by its owner alone, through SQLite's backup API.
    ///
    /// - Throws: `.readOnly` where there is a file or none can be made; what the disk says. What was copied by then is deleted.
    package func copy(to target: String) throws(StoreError) -> FreshetCore.Cursor {
        let copy = LogPath(target)
        guard FileDescriptor(copy.file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW) != nil else {
            throw StoreError(.readOnly, "\(copy.file) cannot be made: \(describe(errno: errno))")
        }
        do throws(StoreError) {
            let head = try LogFile.copy(self.queue, to: copy.file)
            guard let file = FileDescriptor(copy.file, O_RDWR | O_NOFOLLOW), file.sync(), copy.syncFolder() else {
                throw StoreError(.io, "\(copy.file) cannot be written: \(describe(errno: errno))")
            }
            return FreshetCore.Cursor(epoch: Epoch(stored: head.epoch), sequence: head.head)
        } catch {
            copy.removeFiles()
            throw error
        }
    }

    /// One part of a log, in the order in which they are read.
    enum Part {
        case head(FreshetCore.Cursor)
        case source(SourceRow, SnapshotRow, ValidatorsRow?)
        case change(ChangeRow, source: String)
        case writeKey(WriteKeyRow)
    }

    /// Reads all of it in one transaction, and hands every part on that is not damaged.
    func walk(_ visit: (Part) throws -> Void) throws(StoreError) -> LogReport {
        let file = self.path.file
        var report = try self.queue.perform(at: file) { database in
            var report: LogReport?
            try database.inTransaction(.deferred) {
                var walk = try LogWalk(database, format: self.format)
                report = try walk.read(visit)
                return .commit
            }
            guard let report else { throw StoreError(.io, "\(file): nothing was read") }
            return report
        }
        report.bytes = FileIdentity.of(file)?.size ?? 0
        return report
    }
}

/// One reading of all tables.
private struct LogWalk {
    /// Where the changes of a source have led so far.
    private struct Trail {
        var row: SourceRow
        var snapshot: SnapshotRow?
        var last: Int64
        /// `nil` before the first change that is kept.
        var value: Document?
        /// A change is missing or damaged: nothing can be said of what follows.
        var isBroken = false
    }

    private let database: Database
    private var report: LogReport
    private var trails: [Int64: Trail] = [:]

    init(_ database: Database, format: Int64) throws {
        self.database = database
        let head = try LogHead.read(database)
        self.report = LogReport(
            cursor: FreshetCore.Cursor(epoch: Epoch(stored: head.epoch), sequence: head.head),
            format: format
        )
        let problems = try String.fetchAll(database, sql: "PRAGMA integrity_check(\(StoppedLog.maxProblems))")
        if problems != ["ok"] { self.report.problems = problems.map { "integrity_check: \($0.prefix(200))" } }
        let rows = try SourceRow.all(database)
        if rows.reduce(0, { $0 &+ $1.checksum }) != head.sources {
            self.note("the sources are not those of the last transaction")
        }
        for row in rows { self.trails[row.id] = Trail(row: row, last: row.prunedThrough) }
    }

    private mutating func note(_ problem: String) {
        if self.report.problems.count < StoppedLog.maxProblems { self.report.problems.append(problem) }
    }

    mutating func read(_ visit: (StoppedLog.Part) throws -> Void) throws -> LogReport {
        try visit(.head(self.report.cursor))
        for trail in self.trails.values.sorted(by: { $0.row.id < $1.row.id }) where trail.row.name != nil {
            try self.readSource(trail.row, visit)
        }
        try self.readChanges(visit)
        for trail in self.trails.values.sorted(by: { $0.row.id < $1.row.id }) { self.checkEnd(of: trail) }
        let keys = try Row.fetchCursor(self.database, sql: WriteKeyRow.selection)
        while let row = try keys.next() {
            do {
                try visit(.writeKey(try WriteKeyRow(row)))
                self.report.writeKeys += 1
            } catch let error as DamagedRow {
                self.note(error.what)
            }
        }
        return self.report
    }

    private mutating func readSource(_ row: SourceRow, _ visit: (StoppedLog.Part) throws -> Void) throws {
        let name = row.name ?? ""
        self.report.sources += 1
        do {
            guard let snapshot = try SnapshotRow.of(row.id, self.database), snapshot.sequence == row.last,
                row.last <= Int64(clamping: self.report.cursor.sequence)
            else { throw DamagedRow(what: "\(name) has no snapshot of its last change") }
            self.trails[row.id]?.snapshot = snapshot
            try visit(.source(row, snapshot, try ValidatorsRow.of(row.id, self.database)))
        } catch let error as DamagedRow {
            self.note(error.what)
        }
    }

    private mutating func readChanges(_ visit: (StoppedLog.Part) throws -> Void) throws {
        let sql = "SELECT \(ChangeRow.columns), value FROM change ORDER BY sequence"
        let rows = try Row.fetchCursor(self.database, sql: sql)
        while let row = try rows.next() {
            do {
                let change = try ChangeRow(row, withValue: true)
                guard var trail = self.trails[change.source] else {
                    throw DamagedRow(what: "change \(change.sequence) is of no source")
                }
                // Of a source that was removed, what is left goes bit by bit.
                guard let name = trail.row.name else { continue }
                self.report.changes += 1
                self.follow(change, &trail, name)
                self.trails[change.source] = trail
                if !trail.isBroken { try visit(.change(change, source: name)) }
            } catch let error as DamagedRow {
                self.note(error.what)
            }
        }
    }

    private mutating func follow(_ change: ChangeRow, _ trail: inout Trail, _ name: String) {
        let isNext = trail.value == nil ? change.previous <= trail.last : change.previous == trail.last
        if !isNext || change.sequence <= trail.last {
            self.note("\(name): a change before \(change.sequence) is missing")
            trail.isBroken = true
        }
        trail.last = change.sequence
        let patched = trail.value.flatMap { value in
            change.patch.flatMap { try? value.applying(patch: Document(parsing: $0, limits: .widest), limits: .widest) }
        }
        if let text = change.value {
            guard let value = try? Document(parsing: text, limits: .widest) else {
                self.note("\(name): the value of change \(change.sequence) is not JSON")
                return
            }
            if let patched, patched != value, !trail.isBroken {
                self.note("\(name): the patch of change \(change.sequence) does not lead to its value")
            }
            (trail.value, trail.isBroken) = (value, false)
        } else if let patched {
            trail.value = patched
        } else if !trail.isBroken {
            self.note("\(name): the patch of change \(change.sequence) does not apply")
            trail.isBroken = true
        }
    }

    private mutating func checkEnd(of trail: Trail) {
        guard let name = trail.row.name, let snapshot = trail.snapshot else { return }
        guard trail.last >= trail.row.last else {
            return self.note("\(name): the newest change, \(trail.row.last), is missing")
        }
        guard let latest = try? Document(parsing: snapshot.value, limits: .widest) else {
            return self.note("\(name): the latest value is not JSON")
        }
        if let value = trail.value, !trail.isBroken, value != latest {
            self.note("\(name): the changes do not lead to the latest value")
        }
    }
}
