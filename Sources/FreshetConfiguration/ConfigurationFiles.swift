// The file system as the configuration sees it: bounded reads, sorted listings. Tests put files of their own in.

import Foundation
import Glibc

/// Where configuration files and secrets come from.
package struct ConfigurationFiles: Sendable {
    /// Why a file could not be read, in words that follow "PATH: ".
    package struct Failure: Error, Hashable, Sendable {
        package var what: String
        package var fix: String
    }

    /// The bytes of a file of at most `limit` bytes.
    ///
    /// `mayBlock` allows what is not a regular file, such as a pipe, which only the user's own `--config` may be.
    package var read: @Sendable (_ path: String, _ limit: Int, _ mayBlock: Bool) throws(Failure) -> [UInt8]
    /// The names in a directory, sorted; `nil` where it cannot be listed.
    package var list: @Sendable (_ directory: String) -> [String]?
    /// Whether there certainly is nothing at a path: a folder that may not be looked into may have it.
    package var isAbsent: @Sendable (_ path: String) -> Bool = { _ in false }
    /// A text that is equal for two paths to the same file.
    package var identity: @Sendable (_ path: String) -> String

    /// The real ones.
    package static let system = ConfigurationFiles(
        read: { (path, limit, mayBlock) throws(Failure) in
            try Self.readFile(path, limit: limit, mayBlock: mayBlock)
        },
        list: { directory in try? FileManager.default.contentsOfDirectory(atPath: directory).sorted() },
        isAbsent: { path in
            var status = stat()
            return stat(path, &status) != 0 && errno == ENOENT
        },
        identity: { URL(fileURLWithPath: $0).resolvingSymlinksInPath().path }
    )

    private static func readFile(_ path: String, limit: Int, mayBlock: Bool) throws(Failure) -> [UInt8] {
        // Without O_NONBLOCK, opening a pipe without a writer would block the start forever.
        let descriptor = open(path, O_RDONLY | O_CLOEXEC | (mayBlock ? 0 : O_NONBLOCK))
        let openError = errno
        guard descriptor >= 0 else { throw self.failure(openError) }
        defer { close(descriptor) }
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { throw self.failure(errno) }
        let kind = status.st_mode & S_IFMT
        guard kind != S_IFDIR else { throw Failure(what: "is a directory", fix: "name a file") }
        guard mayBlock || kind == S_IFREG else {
            throw Failure(what: "is not a regular file", fix: "name a regular file")
        }
        var bytes: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 64 << 10)
        while true {
            let count = Glibc.read(descriptor, &chunk, chunk.count)
            let readError = errno
            if count < 0, readError == EINTR { continue }
            guard count >= 0 else { throw self.failure(readError) }
            guard count > 0 else { return bytes }
            bytes.append(contentsOf: chunk[..<count])
            guard bytes.count <= limit else {
                throw Failure(
                    what: "is larger than \(SizeText.describe(limit))",
                    fix: "split it, or name the right file"
                )
            }
        }
    }

    private static func failure(_ code: Int32) -> Failure {
        switch code {
        case ENOENT: Failure(what: "does not exist", fix: "check the path")
        case EACCES, EPERM:
            Failure(what: "may not be read by user \(geteuid())", fix: "change its owner or mode")
        default: Failure(what: "cannot be read: \(String(cString: strerror(code)))", fix: "check the file")
        }
    }
}

/// Paths as texts, without looking at any disk.
package enum FilePath {
    /// The directory of a path, without a slash at the end; "." for a bare name.
    package static func directory(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }

    /// `path` as seen from `directory`; an absolute one is itself.
    package static func resolve(_ path: String, from directory: String) -> String {
        if path.hasPrefix("/") || directory == "." { return path }
        return directory.hasSuffix("/") ? directory + path : "\(directory)/\(path)"
    }

    /// Whether a name matches a pattern with `*` (any characters) and `?` (one). A later star forgets the one before
    /// it, so that the work is at most the product of both lengths.
    static func matches(_ name: String, pattern: String) -> Bool {
        let name = Array(name.unicodeScalars)
        let pattern = Array(pattern.unicodeScalars)
        var (index, token) = (0, 0)
        var star: (token: Int, index: Int)?
        while index < name.count {
            if token < pattern.count, pattern[token] == "*" {
                star = (token, index)
                token += 1
            } else if token < pattern.count, pattern[token] == "?" || pattern[token] == name[index] {
                index += 1
                token += 1
            } else if let last = star {
                star = (last.token, last.index + 1)
                index = last.index + 1
                token = last.token + 1
            } else {
                return false
            }
        }
        return pattern[token...].allSatisfy { $0 == "*" }
    }
}
