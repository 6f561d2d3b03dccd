// Finds the key of a running gateway, for the verbs that talk to one.

import CLinux
import FreshetConfiguration
import Glibc

enum AdminKeyReader {
    /// What a path holds.
    enum Finding: Hashable {
        case absent
        case record(AdminKeyRecord)
        /// The reason, as what follows "it".
        case refused(String)
    }

    /// Reads a file that belongs to this user, that others may not read, and whose gateway lives.
    static func read(_ path: String) -> Finding {
        let descriptor = open(path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else {
            switch errno {
            case ENOENT, ENOTDIR: return .absent
            case ELOOP: return .refused("is a symbolic link")
            case let code: return .refused("cannot be read: \(String(cString: clinux_error_text(code)))")
            }
        }
        defer { _ = clinux_close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0, status.st_mode & S_IFMT == S_IFREG else {
            return .refused("is not a file")
        }
        guard self.isOwn(status, in: FilePath.directory(of: path)) else { return .refused("belongs to another user") }
        guard status.st_mode & 0o077 == 0 else { return .refused("is open to other users") }
        // Its gateway holds a lock as long as it lives.
        guard flock(descriptor, LOCK_SH | LOCK_NB) != 0 else {
            return .refused("was left behind by a gateway that no longer runs")
        }
        var bytes = [UInt8](repeating: 0, count: AdminKeyRecord.maxBytes)
        let count = Glibc.read(descriptor, &bytes, bytes.count)
        guard count > 0, let record = AdminKeyRecord(String(decoding: bytes[..<count], as: UTF8.self)) else {
            return .refused("holds no key")
        }
        return .record(record)
    }

    /// Whether the file is this user's; for root also a service's own, in the folder that was made for the service.
    private static func isOwn(_ status: stat, in folder: String) -> Bool {
        guard status.st_uid != geteuid() else { return true }
        var parent = stat()
        return geteuid() == 0 && lstat(folder, &parent) == 0 && parent.st_uid == status.st_uid
            && parent.st_mode & 0o022 == 0
    }
}
