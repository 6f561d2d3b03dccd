// An open file of the store's own, beside those that SQLite opens.

import Glibc

/// Owns a descriptor and closes it.
///
/// Never one of a file that SQLite has open: POSIX drops all of a process's locks on a file with the first descriptor
/// that is closed.
struct FileDescriptor: ~Copyable, Sendable {
    let raw: CInt

    /// - Returns: `nil` where the system refuses, with the reason in `errno`.
    init?(_ path: String, _ flags: CInt, mode: mode_t = 0o600) {
        let descriptor = open(path, flags | O_CLOEXEC, mode)
        guard descriptor >= 0 else { return nil }
        self.raw = descriptor
    }

    deinit {
        close(self.raw)
    }

    /// At most `count` bytes from the start of the file; fewer where it is shorter or cannot be read.
    func head(_ count: Int) -> [UInt8] {
        [UInt8](unsafeUninitializedCapacity: count) { buffer, filled in
            filled = max(pread(self.raw, buffer.baseAddress, count, 0), 0)
        }
    }

    /// Writes at the start of the file. Whether all was taken.
    func replaceHead(with bytes: [UInt8]) -> Bool {
        pwrite(self.raw, bytes, bytes.count, 0) == bytes.count
    }

    /// Whether the file's contents are on the disk.
    func sync() -> Bool {
        fsync(self.raw) == 0
    }

    var identity: FileIdentity? {
        var status = stat()
        return fstat(self.raw, &status) == 0 ? FileIdentity(status) : nil
    }
}

/// The system's words for an error number.
func describe(errno code: CInt) -> String {
    String(cString: strerror(code))
}
