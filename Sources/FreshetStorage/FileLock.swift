// One process, one log.

import FreshetCore
import Glibc

/// Holds a log for this process until it ends or lets go.
///
/// A lock on a file of its own, `PATH.lock`, that is never deleted: the kernel drops it with the process, however that
/// ends. It names the process that holds it, which SQLite's own lock does not.
struct FileLock: ~Copyable, Sendable {
    private let descriptor: FileDescriptor

    /// Of the file that is locked, which may no longer be the one at its path.
    var identity: FileIdentity? { self.descriptor.identity }

    /// - Throws: `.locked`, naming the process that holds it; `.readOnly` where the file cannot be made.
    init(_ path: LogPath) throws(StoreError) {
        guard let descriptor = FileDescriptor(path.lockFile, O_RDWR | O_CREAT | O_NOFOLLOW) else {
            let reason = describe(errno: errno)
            throw StoreError(.readOnly, "log.path: \(path.lockFile) cannot be opened (\(reason)); check owner and mode")
        }
        guard flock(descriptor.raw, LOCK_EX | LOCK_NB) == 0 else {
            let holder = String(decoding: descriptor.head(20).prefix { (0x30...0x39).contains($0) }, as: UTF8.self)
            throw StoreError(
                .locked,
                "log.path: \(path.file) is in use by process \(holder.isEmpty ? "unknown" : holder); "
                    + "stop it, or give each gateway a log.path of its own"
            )
        }
        _ = ftruncate(descriptor.raw, 0)
        _ = descriptor.replaceHead(with: Array("\(getpid())\n".utf8))
        self.descriptor = descriptor
    }
}
