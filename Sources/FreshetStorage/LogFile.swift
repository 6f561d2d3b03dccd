// The log on the disk: its files, its lock, its connections. Who decides what is written stands elsewhere.

import FreshetCore
import GRDB
import GRDBSQLite
import Glibc

/// A log that this process holds. Belongs to the store's thread, but for ``readers``.
///
/// Durability: SQLite in WAL mode with `synchronous = FULL`, by which every commit is synced before it returns (EXTRA
/// adds to it for rollback journals only). Checkpoints are made by ``checkpoint(truncating:)`` and never by SQLite
/// itself, which would swallow their errors: a failed sync must be heard of, and must not be tried again, since the
/// kernel may have dropped what it could not write.
final class LogFile {
    let path: LogPath
    let readers: LogReaders
    let settings: StoreSettings
    let schema: Schema
    private var lock: FileLock?
    private var mark: FileDescriptor?
    private var inode: UInt64 = 0
    /// The files as they were last seen; kept while the log is closed, to tell its own file from another.
    var known: KnownFiles?
    private var connection: DatabaseQueue?

    /// Takes the lock. Opens nothing yet.
    init(_ settings: StoreSettings, schema: Schema) throws(StoreError) {
        self.settings = settings
        self.schema = schema
        self.path = LogPath(settings.path)
        try self.path.check()
        self.lock = try FileLock(self.path)
        self.readers = LogReaders(path: self.path)
        guard SharedIndex.isInHeap else {
            throw StoreError(.io, "log.path: this SQLite cannot keep the index of a log in memory; install another")
        }
    }

    /// Takes the lock again where its file was deleted or replaced: another process could have it.
    func takeLock() throws(StoreError) {
        if let found = FileIdentity.of(self.path.lockFile), found.identity == self.lock?.identity { return }
        self.lock = try FileLock(self.path)
    }

    /// A write-ahead log that has grown beyond this is cut to it once its changes are in the main file.
    static let walLimitBytes = 16 << 20

    /// How every connection is set up.
    static func configuration() -> Configuration {
        var configuration = Configuration()
        configuration.label = "freshet.log"
        configuration.foreignKeysEnabled = false
        configuration.busyMode = .timeout(2)
        configuration.prepareDatabase { try $0.execute(sql: "PRAGMA mmap_size = 0") }
        // A transaction that could not even be rolled back is a failed disk, not a programmer's error.
        configuration.allowsUnsafeTransactions = true
        return configuration
    }

    /// Runs `body` on the writing connection.
    func perform<Value>(_ body: (Database) throws -> Value) throws(StoreError) -> Value {
        guard let connection = self.connection else {
            throw StoreError(.closed, "\(self.path.file) is closed")
        }
        return try connection.perform(at: self.path.file, body)
    }

    /// Runs `body` in a transaction, on the disk when this returns.
    func commit(_ body: (Database) throws -> Void) throws(StoreError) {
        try self.perform { database in
            try database.inTransaction(.immediate) {
                try body(database)
                Failpoint.hit("before-commit")
                return .commit
            }
        }
        Failpoint.hit("after-commit")
    }

    // MARK: - Opening

    /// Makes an empty file, readable by its owner only, and its tables.
    func create(_ head: LogHead, sources: [StoredSource]) throws(StoreError) {
        guard FileDescriptor(self.path.file, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW) != nil else {
            let code = errno
            let kind: StoreError.Kind = code == ENOSPC || code == EDQUOT ? .full : .readOnly
            throw StoreError(kind, "\(self.path.file) cannot be made: \(describe(errno: code))")
        }
        // The mark first: what a power cut leaves of a file that is being made is then known to be ours.
        try self.claim(head)
        try self.connect()
        try self.perform { database in
            try database.execute(sql: "PRAGMA page_size = \(self.settings.pageBytes); PRAGMA auto_vacuum = INCREMENTAL")
        }
        try self.begin()
        try self.perform { database in
            try database.inTransaction(.immediate) {
                try self.schema.create(database)
                var head = head
                for (index, source) in sources.enumerated() {
                    head.sources &+= try Self.write(source, id: Int64(index + 1), database)
                }
                try head.write(database)
                return .commit
            }
        }
        try self.settle(head)
    }

    /// - Returns: The checksum of the row of `source`.
    private static func write(_ source: StoredSource, id: Int64, _ database: Database) throws -> Int64 {
        let sequence = Int64(clamping: source.sequence)
        let row = SourceRow(
            id: id,
            name: source.name,
            identity: source.identity,
            last: sequence,
            prunedThrough: sequence
        )
        try row.write(database)
        try SnapshotRow(row, source).write(database)
        try ValidatorsRow(row, ValidatorsUpdate(source)).write(database)
        return row.checksum
    }

    /// Connects without changing anything in the file.
    func connect() throws(StoreError) {
        do {
            self.connection = try DatabaseQueue(path: self.path.file, configuration: Self.configuration())
        } catch {
            throw StoreError(error, path: self.path.file)
        }
    }

    /// Sets the writing connection up.
    func begin() throws(StoreError) {
        try self.perform { database in
            let mode = try String.fetchOne(database, sql: "PRAGMA journal_mode = WAL")
            guard mode == "wal" else {
                throw StoreError(
                    .io,
                    "\(self.path.file): the file system does not allow a write-ahead log; use a local disk"
                )
            }
            try database.execute(
                sql: """
                    PRAGMA synchronous = FULL;
                    PRAGMA wal_autocheckpoint = 0;
                    PRAGMA journal_size_limit = \(Self.walLimitBytes);
                    PRAGMA cache_size = -16384;
                    PRAGMA cell_size_check = ON;
                    PRAGMA secure_delete = OFF;
                    PRAGMA temp_store = MEMORY;
                    PRAGMA trusted_schema = OFF;
                    """
            )
            // Closing leaves the write-ahead log where it is, empty: one that is missing was deleted by somebody.
            var persists: CInt = 1
            sqlite3_file_control(database.sqliteConnection, "main", SQLITE_FCNTL_PERSIST_WAL, &persists)
        }
    }

    /// The last steps of opening: all into the main file, the names of new files onto the disk, the mark, readers.
    ///
    /// From here on a missing write-ahead log means that one was deleted.
    func settle(_ head: LogHead) throws(StoreError) {
        try self.checkpoint(truncating: true)
        try self.claim(head)
        try self.readers.open()
        _ = unlink(self.path.sharedIndexFile)
        self.known = KnownFiles(self.path)
        guard self.known != nil else {
            throw StoreError(.io, "\(self.path.file): a file of the log vanished while it was opened")
        }
    }

    /// Writes the mark and syncs it, with the names of both files.
    private func claim(_ head: LogHead) throws(StoreError) {
        var status = stat()
        guard stat(self.path.file, &status) == 0 else {
            throw StoreError(.io, "\(self.path.file) is gone: \(describe(errno: errno))")
        }
        self.inode = UInt64(status.st_ino)
        self.mark = FileDescriptor(self.path.markFile, O_RDWR | O_CREAT | O_NOFOLLOW)
        guard self.writeMark(epoch: head.epoch, head: head.head), self.mark?.sync() == true, self.path.syncFolder()
        else {
            let code = errno
            let kind: StoreError.Kind = code == ENOSPC || code == EDQUOT ? .full : .io
            throw StoreError(kind, "\(self.path.markFile) cannot be written: \(describe(errno: code))")
        }
    }

    // MARK: - Keeping

    /// Notes that numbers up to `head` may be given out; see ``IssuedMark``. Whether it could be noted.
    @discardableResult
    func writeMark(epoch: UInt64, head: UInt64) -> Bool {
        let mark = IssuedMark(format: self.schema.format, inode: self.inode, epoch: epoch, head: head)
        return self.mark?.replaceHead(with: mark.bytes) ?? false
    }

    /// Brings committed changes from the write-ahead log into the main file.
    ///
    /// `truncating`: waits for readers and empties the write-ahead log; otherwise only as far as no reader is
    ///   in the way.
    /// Returns how many bytes the write-ahead log has left, roughly.
    @discardableResult
    func checkpoint(truncating: Bool) throws(StoreError) -> Int {
        Failpoint.hit("before-checkpoint")
        let frames = try self.perform { database in
            let sql = "PRAGMA wal_checkpoint(\(truncating ? "TRUNCATE" : "PASSIVE"))"
            guard let row = try Row.fetchOne(database, sql: sql) else { return 0 }
            return try max(Int(row.integer(1)), 0)
        }
        // Pruning makes the file shorter, and emptying the write-ahead log that.
        self.known?.filesResized()
        Failpoint.hit("after-checkpoint")
        return frames.multipliedReportingOverflow(by: self.settings.pageBytes).partialValue
    }

    // MARK: - Closing

    /// Closes the connections. The write-ahead log goes into the main file if the disk allows; if not, it stays.
    func close(_ reason: StoreError) {
        self.readers.close(reason)
        try? self.connection?.close()
        self.connection = nil
        self.mark = nil
    }

    /// Lets another process have the log.
    func unlock() {
        self.lock = nil
    }

    /// Moves the files away and closes the connections.
    ///
    /// In this order: SQLite makes no checkpoint of a file that was moved, and another sync of one that failed to sync
    /// could succeed and be a lie.
    ///
    /// - Returns: Where the log is now; `nil` where it could not be moved. Then the connections stay open for good.
    @discardableResult
    func setAside(_ reason: StoreError) -> String? {
        do throws(StoreError) {
            let target = try self.path.setAside(at: self.settings.now())
            self.close(reason)
            return target
        } catch {
            self.readers.close(reason)
            if let connection = self.connection {
                _ = Unmanaged.passRetained(connection)
            }
            self.connection = nil
            self.mark = nil
            return nil
        }
    }
}
