// A copy of the log, made while the log is written.

package import FreshetCore
import GRDB
import Glibc
import Synchronization

/// A copy that was made of a log.
package struct LogBackup: Hashable, Sendable {
    /// Absolute: `PATH.backup`, beside the log. The next backup replaces it.
    package var path: String
    package var bytes: Int
    /// Where the log stood. The copy has every change up to here.
    package var cursor: FreshetCore.Cursor
}

extension SQLiteChangeStore {
    /// Copies the log to `PATH.backup` through SQLite's backup API, in one read transaction: changes are committed
    /// meanwhile, and are not in the copy. A file of its own with nothing beside it, readable by its owner alone. Blocks for
    /// as long as the disk takes; one at a time.
    ///
    /// - Throws: `.locked` while another backup runs, `.full`, `.io` or `.readOnly` where the copy cannot be written, and
    ///   what reading the log throws. What was copied by then is deleted.
    package func backup() throws(StoreError) -> LogBackup {
        let isFirst = self.isBackingUp.withLock { isRunning in
            defer { isRunning = true }
            return !isRunning
        }
        guard isFirst else { throw StoreError(.locked, "a backup of the log is under way") }
        defer { self.isBackingUp.withLock { $0 = false } }
        return try self.readers.backup()
    }
}

extension LogReaders {
    fileprivate func backup() throws(StoreError) -> LogBackup {
        let (target, part) = (self.path + ".backup", self.path + ".backup.part")
        LogPath(part).removeFiles()
        defer { LogPath(part).removeFiles() }
        guard FileDescriptor(part, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW) != nil else {
            throw StoreError(.readOnly, "\(part) cannot be made: \(describe(errno: errno))")
        }
        let head = try self.copy(to: part)
        guard let file = FileDescriptor(part, O_RDWR | O_NOFOLLOW), file.sync(), rename(part, target) == 0,
            LogPath(target).syncFolder(), let identity = FileIdentity.of(target)
        else { throw StoreError(.io, "\(target) cannot be written: \(describe(errno: errno))") }
        let cursor = FreshetCore.Cursor(epoch: Epoch(stored: head.epoch), sequence: head.head)
        return LogBackup(path: target, bytes: identity.size, cursor: cursor)
    }

    /// A connection of its own: the readers of requests go on.
    private func copy(to part: String) throws(StoreError) -> LogHead {
        // Opening a log that was closed or deleted would begin an empty file in its place.
        try self.read { _ in }
        guard LogPath(self.path).exists(self.path) else { throw StoreError(.io, "\(self.path) is gone") }
        let source = try self.connect()
        defer { try? source.close() }
        return try LogFile.copy(source, to: part)
    }
}

extension LogFile {
    /// Copies a log into an empty file, which then has no write-ahead log.
    static func copy(_ source: DatabaseQueue, to part: String) throws(StoreError) -> LogHead {
        let copy: DatabaseQueue
        do {
            copy = try DatabaseQueue(path: part, configuration: Self.configuration())
        } catch {
            throw StoreError(error, path: part)
        }
        defer { try? copy.close() }
        do {
            try source.backup(to: copy)
        } catch {
            throw StoreError(error, path: part)
        }
        return try copy.perform(at: part) { database in
            try database.execute(sql: "PRAGMA journal_mode = DELETE")
            return try LogHead.read(database)
        }
    }
}
