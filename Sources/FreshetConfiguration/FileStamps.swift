// Files may change while they are read: which ones a configuration was made of, and whether they still are as they were.

import Glibc
import Synchronization

/// Notes the state of each file before it is read, so that a configuration is never half of one and half of another
/// (FAULTS F74).
package final class FileStamps: Sendable {
    /// What changes when a file is written, or another takes its place; `nil` for one that is not there, or is a pipe.
    package struct Stamp: Hashable, Sendable {
        private var device: UInt64
        private var inode: UInt64
        private var bytes: Int64
        private var seconds: Int
        private var nanoseconds: Int

        /// Of a regular file; `nil` for anything else.
        package init?(_ path: String) {
            var status = stat()
            guard stat(path, &status) == 0, status.st_mode & S_IFMT == S_IFREG else { return nil }
            self.device = UInt64(status.st_dev)
            self.inode = UInt64(status.st_ino)
            self.bytes = Int64(status.st_size)
            self.seconds = status.st_mtim.tv_sec
            self.nanoseconds = status.st_mtim.tv_nsec
        }
    }

    private struct State: Sendable {
        var files: [String: Stamp?] = [:]
        var directories: [String: [String]?] = [:]
    }

    private let origin: ConfigurationFiles
    private let state = Mutex(State())

    package init(_ origin: ConfigurationFiles = .system) {
        self.origin = origin
    }

    /// The same files, with a note of each that is read.
    package var files: ConfigurationFiles {
        var files = self.origin
        let origin = self.origin
        files.read = { [self] (path, limit, mayBlock) throws(ConfigurationFiles.Failure) in
            let stamp = Stamp(path)
            self.state.withLock { $0.files[path] = stamp }
            return try origin.read(path, limit, mayBlock)
        }
        files.list = { [self] directory in
            let names = origin.list(directory)
            self.state.withLock { $0.directories[directory] = names }
            return names
        }
        return files
    }

    /// Whether everything that was read is as it was before it was.
    package var areCurrent: Bool {
        let state = self.state.withLock { $0 }
        return state.files.allSatisfy { Stamp($0.key) == $0.value }
            && state.directories.allSatisfy { self.origin.list($0.key) == $0.value }
    }
}
