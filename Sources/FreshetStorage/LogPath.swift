// Where the log lies, and whether it can lie there.

import FreshetCore
import Glibc

/// The files of one log.
struct LogPath: Hashable, Sendable {
    /// Absolute, so that neither a later change of the working directory matters, nor SQLite reads it as a URI.
    let file: String

    var walFile: String { self.file + "-wal" }
    var sharedIndexFile: String { self.file + "-shm" }
    var markFile: String { self.file + ".mark" }
    var lockFile: String { self.file + ".lock" }
    /// A copy that is being made, to take the place of the log.
    var copyFile: String { self.file + ".copy" }
    var folder: String { self.split.folder }
    var name: String { self.split.name }

    private var split: (folder: String, name: String) {
        guard let slash = self.file.lastIndex(of: "/") else { return (".", self.file) }
        let folder = String(self.file[..<slash])
        return (folder.isEmpty ? "/" : folder, String(self.file[self.file.index(after: slash)...]))
    }

    init(_ path: String) {
        guard !path.utf8.starts(with: "/".utf8) else {
            self.file = path
            return
        }
        let working = getcwd(nil, 0)
        defer { free(working) }
        self.file = (working.map { String(cString: $0) } ?? "") + "/" + path
    }

    /// - Throws: `.readOnly`, with the path and the fix, where a log cannot be kept there.
    func check() throws(StoreError) {
        if let error = self.facts().objection(at: self) { throw error }
    }

    /// Makes renames, new and deleted files in the folder last. Whether that worked.
    @discardableResult
    func syncFolder() -> Bool {
        guard let folder = FileDescriptor(self.folder, O_RDONLY | O_DIRECTORY) else { return false }
        return folder.sync()
    }

    func exists(_ file: String) -> Bool {
        var status = stat()
        return lstat(file, &status) == 0
    }
}

/// What the file system says about a path.
struct PathFacts: Hashable {
    enum Kind: Hashable {
        case missing
        case file
        case folder
        case symbolicLink
        /// A device, a socket, a pipe.
        case other
        /// Something on the way to it is in the way; the error number.
        case unreachable(CInt)
    }

    var folder = Kind.folder
    var folderOwner: UInt32 = 0
    /// 0, or why files cannot be made and removed there.
    var folderErrno: CInt = 0
    var file = Kind.missing
    var fileOwner: UInt32 = 0
    /// 0, or why the file cannot be read and written.
    var fileErrno: CInt = 0
    /// Who this process is.
    var user: UInt32 = 0

    /// What speaks against keeping a log there; `nil` where nothing does.
    func objection(at path: LogPath) -> StoreError? {
        switch self.folder {
        case .missing:
            return Self.refusal("the folder \(path.folder) does not exist; create it (mkdir -p \(path.folder))")
        case .unreachable(let code):
            return Self.refusal(
                "the folder \(path.folder) cannot be reached by uid \(self.user) (\(describe(errno: code)))"
            )
        case .file, .other, .symbolicLink:
            return Self.refusal("\(path.folder) is not a folder; name a file in a folder")
        case .folder:
            break
        }
        guard self.folderErrno == 0 else {
            return Self.refusal(
                "the folder \(path.folder) (owner uid \(self.folderOwner)) cannot be written by uid \(self.user) "
                    + "(\(describe(errno: self.folderErrno))); \(Self.fix(self.folderErrno, path.folder, self.user))"
            )
        }
        return self.fileObjection(at: path)
    }

    private func fileObjection(at path: LogPath) -> StoreError? {
        switch self.file {
        case .missing, .file:
            break
        case .symbolicLink:
            return Self.refusal("\(path.file) is a symbolic link; set log.path to the file that it points to")
        case .folder:
            return Self.refusal("\(path.file) is a folder; name a file in it, such as \(path.file)/freshet.db")
        case .other, .unreachable:
            return Self.refusal("\(path.file) is not a regular file; name another one")
        }
        guard self.fileErrno != 0 else { return nil }
        return Self.refusal(
            "\(path.file) (owner uid \(self.fileOwner)) cannot be written by uid \(self.user) "
                + "(\(describe(errno: self.fileErrno))); \(Self.fix(self.fileErrno, path.file, self.user))"
        )
    }

    private static func fix(_ errno: CInt, _ path: String, _ user: UInt32) -> String {
        errno == EROFS ? "the file system is mounted read-only; set another log.path" : "run: chown \(user) \(path)"
    }

    private static func refusal(_ text: String) -> StoreError {
        StoreError(.readOnly, "log.path: \(text)")
    }
}

extension LogPath {
    /// Asks the file system. What is true now may be false later: this serves the message, not safety.
    func facts() -> PathFacts {
        var facts = PathFacts()
        facts.user = geteuid()
        var status = stat()
        facts.folder = Self.kind(stat(self.folder, &status), status)
        facts.folderOwner = status.st_uid
        if facts.folder == .folder, access(self.folder, W_OK | X_OK) != 0 {
            facts.folderErrno = errno
        }
        status = stat()
        facts.file = self.name.isEmpty ? .folder : Self.kind(lstat(self.file, &status), status)
        facts.fileOwner = status.st_uid
        if facts.file == .file, access(self.file, R_OK | W_OK) != 0 {
            facts.fileErrno = errno
        }
        return facts
    }

    private static func kind(_ result: CInt, _ status: stat) -> PathFacts.Kind {
        guard result == 0 else { return errno == ENOENT ? .missing : .unreachable(errno) }
        switch status.st_mode & S_IFMT {
        case S_IFREG: return .file
        case S_IFDIR: return .folder
        case S_IFLNK: return .symbolicLink
        case _: return .other
        }
    }
}
