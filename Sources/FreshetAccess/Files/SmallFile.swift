// Files that the configuration names: read whole, with a bound, and never waited for.

import Glibc

/// Reads regular files of bounded size. Any thread; it blocks for as long as the disk takes.
package enum SmallFile {
    /// Why a file was not read. The content is not in it.
    package struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
        package let path: String
        package let text: String

        package var description: String { "\(self.path): \(self.text)" }
    }

    /// What changes whenever somebody writes or replaces a file.
    package struct Stamp: Hashable, Sendable {
        let device: UInt64
        let inode: UInt64
        let size: Int64
        let seconds: Int64
        let nanoseconds: Int64
        /// Of the change of the inode, which no tool can set.
        let changeSeconds: Int64
        let changeNanoseconds: Int64

        init(_ status: stat) {
            self.device = UInt64(status.st_dev)
            self.inode = UInt64(status.st_ino)
            self.size = Int64(status.st_size)
            self.seconds = Int64(status.st_mtim.tv_sec)
            self.nanoseconds = Int64(status.st_mtim.tv_nsec)
            self.changeSeconds = Int64(status.st_ctim.tv_sec)
            self.changeNanoseconds = Int64(status.st_ctim.tv_nsec)
        }
    }

    package static func read(_ path: String, maxBytes: Int) -> Result<[UInt8], Problem> {
        self.readStamped(path, maxBytes: maxBytes).map(\.bytes)
    }

    /// The stamp of what a path leads to; `nil` where it leads nowhere.
    package static func stamp(_ path: String) -> Stamp? {
        var status = stat()
        return stat(path, &status) == 0 ? Stamp(status) : nil
    }

    /// The content, with the stamp that the file had before it was read.
    static func readStamped(_ path: String, maxBytes: Int) -> Result<(bytes: [UInt8], stamp: Stamp), Problem> {
        func fail(_ text: String) -> Result<(bytes: [UInt8], stamp: Stamp), Problem> {
            .failure(Problem(path: path, text: text))
        }
        // A pipe in the place of the file must not hold the thread.
        let descriptor = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC)
        guard descriptor >= 0 else { return fail(String(cString: strerror(errno))) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return fail(String(cString: strerror(errno))) }
        guard status.st_mode & S_IFMT == S_IFREG else { return fail("not a regular file") }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            if count < 0, errno == EINTR { continue }
            guard count >= 0 else { return fail(String(cString: strerror(errno))) }
            guard count > 0 else { return .success((bytes, Stamp(status))) }
            guard bytes.count + count <= maxBytes else { return fail("longer than \(maxBytes) bytes") }
            bytes += chunk[..<count]
        }
    }
}
