// A log whose files were deleted, moved or replaced while it is open.

import FreshetCore
import GRDB
import Glibc

extension LogFile {
    /// What somebody did to the files since this process last wrote; `nil` where nothing, and while the log is closed.
    func harm() -> KnownFiles.Harm? {
        self.known?.harm()
    }

    /// Writes all that the open connections hold into a new file at the log's path, and goes on in it.
    ///
    /// Nothing is lost: a file without a name is whole for whoever has it open. Epoch, numbers and history stay. Takes
    /// as long as copying the file. What lies at the path by now is moved to `PATH.replaced-TIME`.
    ///
    /// - Throws: `.full`, `.io` or `.readOnly` where no new file can be made, and `.locked` where another process has
    ///   begun a log there.
    func renew(_ head: LogHead) throws(StoreError) {
        try self.prepareFolder()
        let copy = self.path.copyFile
        _ = unlink(copy)
        try self.perform { try $0.execute(sql: "VACUUM INTO ?", arguments: [copy]) }
        guard let file = FileDescriptor(copy, O_RDWR | O_NOFOLLOW), fchmod(file.raw, 0o600) == 0, file.sync() else {
            let code = errno
            _ = unlink(copy)
            throw StoreError(.io, "\(copy) cannot be written: \(describe(errno: code))")
        }
        self.close(StoreError(.closed, "\(self.path.file) is being renewed"))
        self.clearPath()
        guard rename(copy, self.path.file) == 0 else {
            throw StoreError(.io, "\(copy) cannot be moved to \(self.path.file): \(describe(errno: errno))")
        }
        try self.connect()
        try self.begin()
        try self.settle(head)
    }

    /// Makes the folder of the log where it was removed, and takes the lock again where its file was.
    func prepareFolder() throws(StoreError) {
        if mkdir(self.path.folder, 0o700) != 0, errno != EEXIST {
            let reason = describe(errno: errno)
            throw StoreError(.readOnly, "the folder \(self.path.folder) is gone and cannot be made: \(reason)")
        }
        try self.takeLock()
    }

    /// Deletes the log's own files, and moves away what is not its own.
    func clearPath() {
        if let found = FileIdentity.of(self.path.file), found.identity != self.known?.database.identity {
            self.path.moveForeignFile(at: self.settings.now())
        }
        self.path.removeFiles()
    }
}
