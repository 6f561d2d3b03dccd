// Makes `admin.key` when the gateway starts, and removes it when it ends.

import CLinux
import FreshetHTTP
import Glibc
import Synchronization

/// The `admin.key` of this process. A lock is held on it as long as the process lives, so that a file that a killed
/// process left is distinguished from one in use. Any thread.
final class AdminKeyFile: Sendable {
    /// Why there is no key file.
    struct Failure: Error, Hashable, CustomStringConvertible {
        var description: String
    }

    let path: String
    /// Open and locked; -1 once removed.
    private let descriptor: Mutex<Int32>

    private init(path: String, descriptor: Int32) {
        self.path = path
        self.descriptor = Mutex(descriptor)
    }

    deinit { self.remove() }

    /// Makes the file at the first of these paths where it can be made.
    ///
    /// - Throws: ``Failure`` that says of each path why it cannot.
    static func create(_ record: AdminKeyRecord, at paths: [String]) throws(Failure) -> AdminKeyFile {
        guard !paths.isEmpty else {
            throw Failure(
                description: "neither RUNTIME_DIRECTORY nor log.path nor XDG_RUNTIME_DIR names a folder for it"
            )
        }
        var reasons: [String] = []
        for path in paths {
            do throws(Failure) {
                return try self.create(record, at: path)
            } catch {
                reasons.append("\(path): \(error)")
            }
        }
        throw Failure(description: reasons.joined(separator: "; "))
    }

    /// Writes it under another name first, so that half a key is never visible. `link(2)` then fails where the name is taken, and
    /// follows no symbolic link.
    private static func create(_ record: AdminKeyRecord, at path: String) throws(Failure) -> AdminKeyFile {
        let temporary = "\(path).\(getpid()).\(UInt64.random(in: 0...UInt64.max))"
        let descriptor = open(temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else { throw self.failure() }
        defer { unlink(temporary) }
        do throws(Failure) {
            guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else { throw self.failure() }
            let bytes = Array(record.text.utf8)
            guard write(descriptor, bytes, bytes.count) == bytes.count else { throw self.failure() }
            try self.link(temporary, to: path)
        } catch {
            _ = clinux_close(descriptor)
            throw error
        }
        return AdminKeyFile(path: path, descriptor: descriptor)
    }

    private static func link(_ temporary: String, to path: String) throws(Failure) {
        // Once more after a file of a killed process was removed.
        for _ in 0..<2 {
            if Glibc.link(temporary, path) == 0 { return }
            guard errno == EEXIST else { throw self.failure() }
            try self.removeLeftover(path)
        }
        throw Failure(description: "another process is creating it at the same time")
    }

    /// Removes a file that a killed gateway of this user left.
    ///
    /// - Throws: ``Failure`` for everything else that has the name.
    private static func removeLeftover(_ path: String) throws(Failure) {
        let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else {
            throw errno == ELOOP ? Failure(description: "it is a symbolic link; remove it") : self.failure()
        }
        defer { _ = clinux_close(descriptor) }
        let status = try self.status(of: descriptor)
        guard status.st_mode & S_IFMT == S_IFREG, status.st_uid == geteuid() else {
            throw Failure(description: "the name is taken by another user's file; remove it")
        }
        guard flock(descriptor, LOCK_EX | LOCK_NB) == 0 else {
            throw Failure(description: "another gateway uses it; give each a RUNTIME_DIRECTORY of its own")
        }
        guard self.isStill(path, status) else { return }
        unlink(path)
    }

    private static func status(of descriptor: Int32) throws(Failure) -> stat {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw self.failure() }
        return status
    }

    /// Whether the name still stands for this file.
    private static func isStill(_ path: String, _ status: stat) -> Bool {
        var current = stat()
        return lstat(path, &current) == 0 && current.st_dev == status.st_dev && current.st_ino == status.st_ino
    }

    private static func failure() -> Failure {
        Failure(description: String(cString: clinux_error_text(errno)))
    }

    /// Removes the file, unless something else has taken its name. Further calls do nothing.
    func remove() {
        self.descriptor.withLock { descriptor in
            guard descriptor >= 0 else { return }
            if let status = try? Self.status(of: descriptor), Self.isStill(self.path, status) { unlink(self.path) }
            _ = clinux_close(descriptor)
            descriptor = -1
        }
    }
}
