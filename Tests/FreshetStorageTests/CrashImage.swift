import Foundation
import Testing

@testable import FreshetStorage

/// The files of a log at one moment, as a crash leaves them, to be put back in place as often as needed.
struct CrashImage {
    /// By what comes after the log's path.
    var files: [String: [UInt8]] = [:]

    /// Reads the files; of an open store only while nothing is written.
    init(_ folder: LogFolder) throws {
        for suffix in ["", "-wal", ".mark"] where FileManager.default.fileExists(atPath: folder.log + suffix) {
            self.files[suffix] = [UInt8](try Data(contentsOf: URL(fileURLWithPath: folder.log + suffix)))
        }
    }

    /// Writes the files as they are here and deletes all others.
    ///
    /// `adopts`: makes the mark belong to the file that is there now, as if it had never been replaced.
    func restore(to folder: LogFolder, adopts: Bool = true) throws {
        for name in folder.names where name.contains(".corrupt-") || name.hasSuffix("-shm") {
            try FileManager.default.removeItem(atPath: folder.path + "/" + name)
        }
        for suffix in ["", "-wal", ".mark"] {
            let path = folder.log + suffix
            guard let bytes = self.files[suffix] else {
                unlink(path)
                continue
            }
            Self.put(bytes, at: path, truncating: true)
        }
        guard adopts, var mark = self.files[".mark"].flatMap({ IssuedMark($0) }) else { return }
        mark.inode = FileDescriptor(folder.log, O_RDONLY)?.identity?.inode ?? 0
        Self.put(mark.bytes, at: folder.log + ".mark", truncating: false)
    }

    /// Writes at the start of a file, which stays the same file.
    static func put(_ bytes: [UInt8], at path: String, truncating: Bool) {
        guard let file = FileDescriptor(path, O_RDWR | O_CREAT | (truncating ? O_TRUNC : 0)),
            file.replaceHead(with: bytes)
        else {
            Issue.record("\(path) cannot be written")
            return
        }
    }
}
