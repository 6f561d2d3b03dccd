// Lines of an exported log, from a file and into one.

import Foundation
import FreshetStorage
import Glibc

/// Reads a file line by line, a block at a time.
struct LogLines {
    static let blockBytes = 64 << 10
    private let file: FileHandle
    private var block: [UInt8] = []
    private var position = 0

    init(_ file: FileHandle) {
        self.file = file
    }

    /// A file for reading; `-` is standard input.
    static func open(_ path: String) throws -> FileHandle {
        if path == "-" { return .standardInput }
        guard let file = FileHandle(forReadingAtPath: path) else { throw StartFailure("\(path) cannot be read") }
        return file
    }

    /// A new file, readable by its owner alone: it has every value in it.
    static func create(_ path: String) throws(StartFailure) -> FileHandle {
        let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0o600)
        guard descriptor >= 0 else {
            throw StartFailure("\(path) cannot be made: \(String(cString: strerror(errno)))")
        }
        return FileHandle(fileDescriptor: descriptor, closeOnDealloc: true)
    }

    /// The next line without its line feed; `nil` at the end.
    ///
    /// - Throws: ``StartFailure`` for a line that is longer than any of a log, and what reading the file throws.
    mutating func next() throws -> [UInt8]? {
        var line: [UInt8] = []
        while true {
            if self.position == self.block.count {
                self.block = try self.file.read(upToCount: Self.blockBytes).map { Array($0) } ?? []
                self.position = 0
                if self.block.isEmpty { return line.isEmpty ? nil : line }
            }
            let rest = self.block[self.position...]
            let end = rest.firstIndex(of: 0x0A)
            line += rest[..<(end ?? rest.endIndex)]
            guard line.count <= LogImport.maxLineBytes else {
                throw StartFailure("a line is longer than any of a log")
            }
            self.position = end.map { $0 + 1 } ?? self.block.count
            if end != nil { return line }
        }
    }

    /// What root makes in the folder of a service has to belong to the service, which could not open it otherwise.
    static func giveToOwnerOfFolder(_ path: String) {
        guard geteuid() == 0 else { return }
        let folder = URL(filePath: path).deletingLastPathComponent().path
        var status = stat()
        guard stat(folder, &status) == 0 else { return }
        for suffix in ["", "-wal", ".mark", ".lock"] { _ = lchown(path + suffix, status.st_uid, status.st_gid) }
    }
}
