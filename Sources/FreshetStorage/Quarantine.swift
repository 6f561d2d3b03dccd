// Setting a damaged log aside, where it is out of the way and can still be inspected.

import FreshetCore
import Glibc

extension LogPath {
    /// So many damaged logs are kept; of more, the oldest are deleted, since a bad disk would fill another.
    static let maxQuarantined = 3

    /// Moves the log and its write-ahead log to `PATH.corrupt-20261123T060000Z`, and deletes the shared index, which
    /// is of no use without them.
    ///
    /// - Returns: Where the log is now.
    /// - Throws: `.io` where it cannot be moved.
    func setAside(at time: WallTime) throws(StoreError) -> String {
        let target = self.freeName("corrupt", at: time)
        guard rename(self.file, target) == 0 else {
            let reason = describe(errno: errno)
            throw StoreError(.io, "\(self.file) is damaged and cannot be moved to \(target) (\(reason)); move it away")
        }
        _ = rename(self.walFile, target + "-wal")
        _ = unlink(self.sharedIndexFile)
        self.dropOldest()
        self.syncFolder()
        return target
    }

    /// Moves a file that somebody has put in the place of the log to `PATH.replaced-20261123T060000Z`; it is never
    /// deleted.
    func moveForeignFile(at time: WallTime) {
        let target = self.freeName("replaced", at: time)
        guard rename(self.file, target) == 0 else { return }
        _ = rename(self.walFile, target + "-wal")
    }

    /// Deletes the log, its write-ahead log and its shared index, so that a new one can be begun.
    func removeFiles() {
        _ = unlink(self.file)
        _ = unlink(self.walFile)
        _ = unlink(self.sharedIndexFile)
        self.syncFolder()
    }

    private func freeName(_ reason: String, at time: WallTime) -> String {
        // 2026-11-23T06:00:00.123Z without what a file name had better not have.
        let stamp = time.rfc3339.prefix(19).filter { $0 != 0x2D && $0 != 0x3A } + [0x5A]
        let name = "\(self.file).\(reason)-\(String(decoding: stamp, as: UTF8.self))"
        guard self.exists(name) else { return name }
        return (2..<1000).lazy.map { "\(name)-\($0)" }.first { !self.exists($0) } ?? "\(name)-1000"
    }

    private func dropOldest() {
        let prefix = self.name + ".corrupt-"
        guard let folder = opendir(self.folder) else { return }
        defer { closedir(folder) }
        var names: [String] = []
        while let entry = readdir(folder) {
            let name = withUnsafeBytes(of: entry.pointee.d_name) { bytes in
                String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
            }
            if name.hasPrefix(prefix), !name.hasSuffix("-wal") {
                names.append(name)
            }
        }
        for name in names.sorted().dropLast(Self.maxQuarantined) {
            _ = unlink("\(self.folder)/\(name)")
            _ = unlink("\(self.folder)/\(name)-wal")
        }
    }
}
