// What is done with the files that are found at start: continued, begun anew, set aside or left alone.

import FreshetCore
import GRDB
import Glibc

/// What can be said of the files before SQLite touches them.
struct FoundLog: Hashable {
    /// `nil` where there is no file.
    var header: LogHeader?
    /// `nil` if none is complete.
    var mark: IssuedMark?
    var inode: UInt64?
    var hasWAL: Bool
    /// When the file was last written.
    var writtenAt: WallTime?

    /// What to do.
    enum Verdict: Hashable {
        /// There is no log: begin one.
        case absent
        /// SQLite can say more.
        case open
        /// Ours, and so damaged that SQLite need not be asked.
        case damaged(String)
        /// Somebody else's file.
        case foreign
        case newerFormat(Int64)
    }

    init(_ path: LogPath) {
        let (bytes, inode) = Self.head(of: path.file, LogHeader.byteCount)
        self.header = bytes.isEmpty ? nil : LogHeader(bytes)
        self.inode = inode
        self.mark = IssuedMark(Self.head(of: path.markFile, IssuedMark.byteCount).bytes)
        self.hasWAL = path.exists(path.walFile)
        var status = stat()
        if stat(path.file, &status) == 0 {
            let time = status.st_mtim
            self.writtenAt = WallTime(milliseconds: Int64(time.tv_sec) &* 1000 &+ Int64(time.tv_nsec) / 1_000_000)
        }
    }

    private static func head(of file: String, _ count: Int) -> (bytes: [UInt8], inode: UInt64?) {
        guard let file = FileDescriptor(file, O_RDONLY | O_NOFOLLOW) else { return ([], nil) }
        return (file.head(count), file.identity?.inode)
    }

    /// Whether the mark says that this very file is a log of ours, whatever its bytes say.
    private var isMarked: Bool { self.mark != nil && self.mark?.inode == self.inode }

    func verdict(_ format: Int64) -> Verdict {
        guard let header = self.header else { return .absent }
        guard header.isSQLite else { return self.isMarked ? .damaged("it is not an SQLite file") : .foreign }
        guard header.applicationID == Schema.applicationID else {
            if self.isMarked { return .damaged("its application_id is wrong") }
            return header.applicationID == 0 ? .open : .foreign
        }
        guard header.hasKnownVersions else { return .damaged("its file format versions are unknown") }
        guard header.format > format else { return .open }
        // A mark of the same file with a lower format: no newer version wrote here, the header is damaged.
        if self.isMarked, let marked = self.mark?.format, marked <= format { return .damaged("its format is wrong") }
        return .newerFormat(header.format)
    }

    /// Why numbers that were given out may be missing from the log; `nil` where none are.
    func doubt(_ head: LogHead, _ path: LogPath) -> String? {
        if !head.isClosed, !self.hasWAL {
            return "the write-ahead log \(path.walFile) was deleted"
        }
        guard let mark = self.mark else {
            return head.head == 0 ? nil : "\(path.markFile) is missing or damaged"
        }
        if mark.epoch != head.epoch { return "\(path.file) was replaced by another log" }
        if mark.inode != self.inode { return "\(path.file) is a copy, perhaps an old one" }
        if mark.head > head.head {
            return "changes \(head.head + 1) to \(mark.head) were sent and are missing from \(path.file)"
        }
        return nil
    }
}

/// The fields of an SQLite file's first hundred bytes that tell whose it is (SQLite file format §1.3).
struct LogHeader: Hashable {
    static let byteCount = 100
    var isSQLite: Bool
    var applicationID: Int64 = 0
    var format: Int64 = 0
    /// Versions of SQLite's own format that are neither 1 nor 2 would make it refuse to write, or to read.
    var hasKnownVersions = false

    init(_ bytes: [UInt8]) {
        self.isSQLite = bytes.count == Self.byteCount && bytes.starts(with: Array("SQLite format 3\0".utf8))
        guard self.isSQLite else { return }
        func number(_ offset: Int) -> Int64 {
            bytes[offset..<(offset + 4)].reduce(0) { $0 << 8 | Int64($1) }
        }
        self.format = number(60)
        self.hasKnownVersions = bytes[18...19].allSatisfy { $0 == 1 || $0 == 2 }
        self.applicationID = number(68)
    }
}

extension LogFile {
    /// What opening leaves: the writer, and what the core receives.
    struct Opened {
        var writer: LogWriter
        var contents: StoreContents
    }

    /// Opens what is there, or begins anew.
    func open(using generator: inout some RandomNumberGenerator) throws(StoreError) -> Opened {
        let found = FoundLog(self.path)
        switch found.verdict(self.schema.format) {
        case .absent:
            self.path.removeFiles()
            let reason = found.mark.map { _ in "\(self.path.file) is gone" }
            return try self.startOver(after: found, [], reason, using: &generator)
        case .foreign:
            throw self.foreign
        case .newerFormat(let format):
            throw StoreError(
                .newerFormat,
                "log.path: \(self.path.file) has format \(format), this version reads up to \(self.schema.format); "
                    + "run the newer version again, or set another log.path"
            )
        case .damaged(let what):
            return try self.quarantine(found, StoreError(.corrupt, what), using: &generator)
        case .open:
            break
        }
        do throws(StoreError) {
            return try self.resume(found, using: &generator)
        } catch {
            guard error.kind == .corrupt, error != self.foreign else {
                self.close(error)
                throw error
            }
            return try self.quarantine(found, error, using: &generator)
        }
    }

    private var foreign: StoreError {
        StoreError(
            .corrupt,
            "log.path: \(self.path.file) is not a log of this program, and is left as it is; set another log.path"
        )
    }

    private func resume(
        _ found: FoundLog,
        using generator: inout some RandomNumberGenerator
    ) throws(StoreError) -> Opened {
        try self.connect()
        guard try self.perform({ try self.identify($0) }) else {
            // A file without tables: its making was cut short.
            self.close(StoreError(.closed, "begun anew"))
            self.path.removeFiles()
            return try self.startOver(after: found, [], nil, using: &generator)
        }
        try self.begin()
        let (writer, contents) = try self.perform { database in
            let problems = try String.fetchAll(database, sql: "PRAGMA quick_check(1)")
            guard problems == ["ok"] else {
                throw DamagedRow(what: "quick_check says: \(problems.first?.prefix(200) ?? "nothing")")
            }
            try self.migrate(database)
            return try self.load(database)
        }
        if let doubt = found.doubt(writer.head, self.path) {
            self.close(StoreError(.closed, "begun anew"))
            self.path.removeFiles()
            var opened = try self.startOver(after: found, contents.sources, doubt, using: &generator)
            // The file may be an old one: what had only begun by then may have been sent since.
            opened.contents.writeKeys = contents.writeKeys.filter { $0.1.state != .begun }
            opened.contents.push = contents.push
            opened.contents.webhooks = contents.webhooks
            return opened
        }
        var resumed = contents
        resumed.closedAt = writer.head.isClosed ? found.writtenAt : nil
        return try self.takeOver(writer, resumed)
    }

    private func takeOver(_ writer: LogWriter, _ contents: StoreContents) throws(StoreError) -> Opened {
        var writer = writer
        let epoch = writer.head.epoch
        try self.perform { database in
            try database.inTransaction(.immediate) {
                try writer.setClosed(false, database)
                return .commit
            }
        }
        try self.settle(writer.head)
        var contents = contents
        contents.epoch = Epoch(stored: epoch)
        return Opened(writer: writer, contents: contents)
    }

    /// Whether the file has tables, which then are ours.
    private func identify(_ database: Database) throws -> Bool {
        let identity = try Row.fetchOne(database, sql: "PRAGMA application_id")?.integer(0)
        if identity == Schema.applicationID { return true }
        let tables = try Row.fetchOne(database, sql: "SELECT count(*) FROM sqlite_master")?.integer(0)
        guard identity == 0, tables == 0 else { throw self.foreign }
        return false
    }

    private func migrate(_ database: Database) throws {
        let format = try Row.fetchOne(database, sql: "PRAGMA user_version")?.integer(0) ?? 0
        if format == self.schema.format { return }
        guard (1..<self.schema.format).contains(format) else { throw DamagedRow(what: "it has no format \(format)") }
        try database.inTransaction(.immediate) {
            try self.schema.migrate(database, from: format)
            var head = try LogHead.read(database)
            head.format = self.schema.format
            try head.write(database)
            return .commit
        }
    }

    private func load(_ database: Database) throws -> (LogWriter, StoreContents) {
        let head = try LogHead.read(database)
        guard head.format == self.schema.format else { throw DamagedRow(what: "its two formats differ") }
        let rows = try SourceRow.all(database)
        guard rows.reduce(0, { $0 &+ $1.checksum }) == head.sources else {
            throw DamagedRow(what: "its sources are not those of its last transaction")
        }
        let writer = LogWriter(head: head, sources: rows, settings: self.settings)
        var contents = StoreContents(epoch: Epoch(stored: head.epoch), head: head.head)
        if self.schema.format >= WriteKeyRow.firstFormat { contents.writeKeys = try WriteKeyRow.all(database) }
        if self.schema.format >= PushTable.firstFormat { contents.push = try PushTable.all(database) }
        if self.schema.format >= WebhookChange.firstFormat { contents.webhooks = try WebhookChange.all(database) }
        for row in rows {
            guard let name = row.name else { continue }
            guard let snapshot = try SnapshotRow.of(row.id, database), snapshot.sequence == row.last,
                row.last <= Int64(clamping: head.head)
            else { throw DamagedRow(what: "a source has no snapshot of its last change") }
            let validators = try ValidatorsRow.of(row.id, database)
            contents.sources.append(
                StoredSource(
                    name: name,
                    identity: row.identity,
                    sequence: UInt64(bitPattern: row.last),
                    at: WallTime(milliseconds: snapshot.at),
                    value: snapshot.value,
                    validators: validators?.sequence == row.last
                        ? validators?.validators ?? Validators() : Validators(),
                    learned: validators?.learned ?? []
                )
            )
            if row.prunedThrough > 0 {
                contents.prunedThrough[name] = UInt64(bitPattern: row.prunedThrough)
            }
        }
        return (writer, contents)
    }

    private func quarantine(
        _ found: FoundLog,
        _ error: StoreError,
        using generator: inout some RandomNumberGenerator
    ) throws(StoreError) -> Opened {
        guard let target = self.setAside(error) else {
            throw StoreError(.corrupt, "\(error.message); \(self.path.file) cannot be moved away; move it manually")
        }
        let reason = "\(error.message); it was moved to \(target)"
        return try self.startOver(after: found, [], reason, using: &generator)
    }

    /// Begins an empty log in a new epoch. Values that were kept are taken over, each with a number of its own, and
    /// count as pruned up to there, since the changes that led to them cannot be read in this epoch.
    private func startOver(
        after found: FoundLog,
        _ sources: [StoredSource],
        _ reason: String?,
        using generator: inout some RandomNumberGenerator
    ) throws(StoreError) -> Opened {
        var epoch = Epoch.random(using: &generator)
        if let old = found.mark?.epoch, old == epoch.rawValue {
            epoch = Epoch(rawValue: old)
        }
        var numbered = sources.sorted { ($0.sequence, $0.name) < ($1.sequence, $1.name) }
        for index in numbered.indices {
            numbered[index].sequence = UInt64(index + 1)
        }
        let head = UInt64(numbered.count)
        var opened = try self.restart(epoch: epoch, head: head, sources: numbered)
        opened.contents.newEpochReason = reason
        return opened
    }

    /// Begins an empty log. No file is there.
    func restart(epoch: Epoch, head: UInt64, sources: [StoredSource]) throws(StoreError) -> Opened {
        let head = LogHead(format: self.schema.format, epoch: epoch.rawValue, head: head, removedThrough: head)
        do throws(StoreError) {
            try self.create(head, sources: sources)
            let (writer, contents) = try self.perform { try self.load($0) }
            return Opened(writer: writer, contents: contents)
        } catch {
            self.close(error)
            throw error
        }
    }
}
