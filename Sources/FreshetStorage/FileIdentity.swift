// Whether the log's files are still those that this process opened.

import FreshetCore
import GRDBSQLite
import Glibc

/// A file by what renaming and writing do not change.
struct FileIdentity: Hashable {
    var device: UInt64
    var inode: UInt64

    /// - Returns: the file at `path` and its length in bytes; `nil` if absent.
    static func of(_ path: String) -> (identity: FileIdentity, size: Int)? {
        var status = stat()
        guard lstat(path, &status) == 0 else { return nil }
        return (FileIdentity(status), Int(status.st_size))
    }

    init(_ status: stat) {
        self.device = UInt64(status.st_dev)
        self.inode = UInt64(status.st_ino)
    }
}

/// The files of an open log, as they were when this process last wrote them.
struct KnownFiles: Hashable {
    struct File: Hashable {
        var path: String
        var identity: FileIdentity
        /// This process has written so many bytes; a file that is shorter was cut by somebody.
        var size: Int
    }

    var database: File
    var wal: File
    var mark: File
    var lock: File

    /// What somebody did to the files of a log that is open.
    enum Harm: Hashable {
        /// A file was deleted, moved or replaced. What this process has open is whole, and is found by no one else.
        case displaced(String)
        /// A file was cut: changes are lost.
        case cut(String)
    }

    /// - Returns: `nil` where one of the files is missing.
    init?(_ path: LogPath) {
        func file(_ path: String) -> File? {
            FileIdentity.of(path).map { File(path: path, identity: $0.identity, size: $0.size) }
        }
        guard let database = file(path.file), let wal = file(path.walFile), let mark = file(path.markFile),
            let lock = file(path.lockFile)
        else { return nil }
        self.database = database
        self.wal = wal
        self.mark = mark
        self.lock = lock
    }

    /// After a checkpoint, which may make the log shorter: takes over the lengths of the files that are still its own.
    mutating func filesResized() {
        for file in [\KnownFiles.database, \KnownFiles.wal] {
            guard let (identity, size) = FileIdentity.of(self[keyPath: file].path),
                identity == self[keyPath: file].identity
            else { continue }
            self[keyPath: file].size = size
        }
    }

    /// Compares with what is there now. Four calls of the system, some microseconds.
    ///
    /// - Returns: what was done to the files; `nil` where they are as they were left, and then as they are now.
    mutating func harm() -> Harm? {
        for file in [self.database, self.wal, self.mark, self.lock] {
            guard let (identity, _) = FileIdentity.of(file.path) else {
                return .displaced("\(file.path) was deleted or moved while the gateway ran")
            }
            guard identity == file.identity else {
                return .displaced("\(file.path) was replaced by another file while the gateway ran")
            }
        }
        return self.cut(\.database, leaving: .max) ?? self.cut(\.wal, leaving: LogFile.walLimitBytes)
    }

    /// Also takes over a file's length, which grows with each commit. SQLite itself may cut a file to `limit` bytes.
    private mutating func cut(_ file: WritableKeyPath<KnownFiles, File>, leaving limit: Int) -> Harm? {
        let known = self[keyPath: file]
        let size = FileIdentity.of(known.path)?.size ?? 0
        guard size >= min(known.size, limit) else {
            return .cut("\(known.path) was cut from \(known.size) to \(size) bytes while the gateway ran")
        }
        self[keyPath: file].size = size
        return nil
    }
}

/// How SQLite shares a log between the connections of this process.
enum SharedIndex {
    /// Makes SQLite keep the index of a write-ahead log in the heap (its file system `unix-excl`) instead of in a mapped
    /// file, `PATH-shm`, by whose truncation anybody could end this process with SIGBUS. Connections of this process
    /// share it as before; other processes find the log locked. For the whole process, once; any thread.
    static let isInHeap: Bool = {
        guard let current = sqlite3_vfs_find(nil) else { return false }
        // Not where a test has put a file system of its own in front.
        guard String(cString: current.pointee.zName) == "unix" else { return true }
        guard let exclusive = sqlite3_vfs_find("unix-excl") else { return false }
        return sqlite3_vfs_register(exclusive, 1) == SQLITE_OK
    }()
}
