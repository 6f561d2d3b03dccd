import Foundation
import FreshetCore
import GRDB
import System
import Testing

@testable import FreshetStorage

/// Set by `make test-long`, to look at every byte and not at a sample.
private let isExhaustive = ProcessInfo.processInfo.environment["FRESHET_EXHAUSTIVE"] != nil

@Suite("Damaged and exchanged files")
struct DamageTests {
    let folder: LogFolder
    let witness: Witness
    /// As a crash leaves it: part of the changes in the main file, the rest in the write-ahead log.
    let crashed: CrashImage
    /// As an orderly end leaves it: one file.
    let closed: CrashImage

    init() throws {
        self.folder = try LogFolder()
        let (store, contents) = try SQLiteChangeStore.open(self.folder.settings())
        let changes = (1...12).map { History.change($0 % 3 == 0 ? "b" : "a", $0, isWhole: $0 == 1 || $0 == 3) }
        store.record(Array(changes[..<6]))
        store.close()
        let (again, _) = try SQLiteChangeStore.open(self.folder.settings())
        again.record(Array(changes[6...]))
        self.crashed = try CrashImage(self.folder)
        again.close()
        self.closed = try CrashImage(self.folder)
        self.witness = Witness(
            epoch: contents.epoch,
            known: Dictionary(uniqueKeysWithValues: changes.map { ($0.sequence, $0) }),
            issued: Set(1...12),
            sources: ["a", "b", "next"]
        )
    }

    @Test("the untouched images open in their epoch: F61, F69 (a write-ahead log left behind)")
    func untouched() throws {
        #expect(self.crashed.files["-wal"]?.isEmpty == false && self.closed.files["-wal"] == [])
        for (name, image) in [("crashed", self.crashed), ("closed", self.closed)] {
            try image.restore(to: self.folder)
            try self.witness.verify(self.folder, mayLose: false, name)
        }
    }

    @Test(
        "a flipped byte is without effect, or noticed, at every 61st place or at each: F66",
        arguments: ["", "-wal", ".mark"]
    )
    func flips(suffix: String) throws {
        let image = suffix.isEmpty ? self.closed : self.crashed
        let bytes = try #require(image.files[suffix])
        #expect(bytes.count <= 64 << 10)
        var newEpochs = 0
        for offset in stride(from: 0, to: bytes.count, by: isExhaustive || bytes.count < 100 ? 1 : 61) {
            for mask in isExhaustive ? [UInt8(1) << UInt8(offset % 8), 0xFF] : [UInt8(1) << UInt8(offset % 8)] {
                var flipped = image
                flipped.files[suffix]?[offset] ^= mask
                try flipped.restore(to: self.folder)
                if suffix == ".mark" {
                    // Adopting would have repaired it.
                    CrashImage.put(flipped.files[suffix] ?? [], at: self.folder.log + suffix, truncating: false)
                }
                let found = try self.witness.verify(self.folder, mayLose: true, "\(suffix) \(offset) ^ \(mask)")
                newEpochs += found?.epoch == self.witness.epoch ? 0 : 1
            }
        }
        #expect(newEpochs > 0, "no damage was noticed at all")
    }

    @Test(
        "a cut file gives what it gave, or is noticed, at every 97th length or at each: F66",
        arguments: ["", "-wal", ".mark"]
    )
    func truncations(suffix: String) throws {
        let image = suffix.isEmpty ? self.closed : self.crashed
        let count = try #require(image.files[suffix]).count
        var newEpochs = 0
        for length in stride(from: 0, to: count, by: isExhaustive || count < 100 ? 1 : 97) {
            var cut = image
            cut.files[suffix]?.removeLast(count - length)
            try cut.restore(to: self.folder)
            let found = try self.witness.verify(self.folder, mayLose: true, "\(suffix) cut at \(length)")
            if found?.epoch == self.witness.epoch {
                // All that was issued is there, as was verified: the cut is in a part of a page that nothing is kept
                // in, or in the transaction of tidying up that may follow the last change.
                #expect(length > count / 2, "\(suffix) cut at \(length) was not noticed")
            } else {
                newEpochs += 1
            }
        }
        #expect(newEpochs > 0, "no cut was noticed at all")
    }

    @Test("a damaged log is moved aside whole, and of many only the newest are kept: F66")
    func quarantine() throws {
        var damaged = self.closed
        damaged.files[""]?[0] ^= 1
        try damaged.restore(to: self.folder)
        let contents = try #require(try self.witness.verify(self.folder, mayLose: true, "magic"))
        let name = "freshet.db.corrupt-19700101T001640Z"
        #expect(self.folder.quarantined == [name])
        #expect(contents.newEpochReason?.contains(name) == true)
        #expect(try [UInt8](Data(contentsOf: URL(fileURLWithPath: self.folder.path + "/" + name))) == damaged.files[""])
        for _ in 0..<5 {
            CrashImage.put([0], at: self.folder.log, truncating: false)
            try self.witness.verify(self.folder, mayLose: true, "again")
        }
        #expect(self.folder.quarantined.count == LogPath.maxQuarantined)
    }

    @Test(
        "a log that may lack issued numbers gets a new epoch and keeps its values: F63, F69",
        arguments: ["no -wal", "no .mark", "no file", "an older file", "a copy", "another log"]
    )
    func doubt(case name: String) throws {
        var image = self.crashed
        var adopts = true
        switch name {
        case "no -wal": image.files["-wal"] = nil
        case "no .mark": image.files[".mark"] = nil
        case "no file": image.files[""] = nil
        case "an older file": image = self.older()
        case "a copy": adopts = false
        case _: image.files[".mark"] = IssuedMark(format: Schema.current.format, inode: 0, epoch: 5, head: 1).bytes
        }
        if name == "a copy" || name == "no file" {
            unlink(self.folder.log)
        }
        if name == "a copy" {
            // A new file while the old one is there, or it might get the old one's inode.
            #expect(FileManager.default.createFile(atPath: self.folder.log + ".other", contents: nil))
        }
        if name == "no file" {
            try image.restore(to: self.folder, adopts: false)
        } else {
            try image.restore(to: self.folder, adopts: adopts)
        }
        let contents = try #require(try self.witness.verify(self.folder, mayLose: true, name))
        #expect(contents.epoch != self.witness.epoch)
        #expect(contents.sources.count == (name == "no file" ? 0 : 2))
        #expect(contents.sources.map(\.sequence) == (0..<contents.sources.count).map { UInt64($0 + 1) })
        for source in contents.sources {
            #expect(contents.prunedThrough[source.name] == source.sequence, "a patch without a base could be replayed")
        }
        #expect(self.folder.quarantined.isEmpty)
    }

    /// The state after six changes, in order, beside the mark of all twelve.
    private func older() -> CrashImage {
        var image = self.crashed
        image.files["-wal"] = []
        return image
    }

    @Test("damage that a reader meets ends the log, and a restart begins a new one: F66, F69")
    func damageWhileOpen() throws {
        try self.closed.restore(to: self.folder)
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        defer { store.close() }
        let queue = try self.folder.openBeside()
        try queue.write { try $0.execute(sql: "UPDATE change SET patch = x'5B5D' WHERE sequence = 7") }
        try queue.close()
        #expect(try store.changes(of: ["a"], after: 7, limit: 10, maxBytes: .max).map(\.sequence) == [8, 10, 11])
        let error = #expect(throws: StoreError.self) { try store.everything(of: ["a"]) }
        #expect(error?.kind == .corrupt)
        #expect(store.record([History.change("a", 13)]).errors.map(\.kind) == [.corrupt])
        #expect(self.folder.quarantined.count == 1)
        try store.restart(epoch: Epoch(rawValue: 7), head: 13, sources: [History.snapshot("a", 13)])
        #expect(store.record([History.change("a", 14)]).committed == [14])
        #expect(store.statistics().failure == nil)
    }

    @Test("a missing row is noticed: F66", arguments: [5, 12] as [Int64])
    func missingRow(sequence: Int64) throws {
        try self.closed.restore(to: self.folder)
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        defer { store.close() }
        let queue = try self.folder.openBeside()
        try queue.write { try $0.execute(sql: "DELETE FROM change WHERE sequence = ?", arguments: [sequence]) }
        try queue.close()
        #expect(throws: StoreError.self) { try store.everything(of: ["a", "b"]) }
    }

    @Test(
        "a missing row is noticed backwards too, by whole pages and by small ones: F66",
        arguments: [1, 5, 12] as [Int64]
    )
    func missingRowBackwards(sequence: Int64) throws {
        for limit in [2, 100] {
            try self.closed.restore(to: self.folder)
            let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
            defer { store.close() }
            let queue = try self.folder.openBeside()
            try queue.write { try $0.execute(sql: "DELETE FROM change WHERE sequence = ?", arguments: [sequence]) }
            try queue.close()
            #expect(throws: StoreError.self) {
                var before = UInt64.max
                while case let page = try store.changes(of: ["a", "b"], before: before, limit: limit, maxBytes: .max),
                    let last = page.last
                {
                    before = last.sequence
                }
            }
        }
    }
}

@Suite("Formats: F68")
struct FormatTests {
    let folder: LogFolder

    init() throws {
        self.folder = try LogFolder()
    }

    private func execute(_ sql: String) throws {
        let queue = try self.folder.openBeside()
        try queue.writeWithoutTransaction { try $0.execute(sql: sql) }
        try queue.close()
    }

    private func error() -> StoreError? {
        do {
            _ = try SQLiteChangeStore.open(self.folder.settings())
            return nil
        } catch {
            return error as? StoreError
        }
    }

    /// The present format, and a step that a later version could bring.
    private var next: Schema {
        Schema(steps: Schema.current.steps + [{ try $0.execute(sql: "ALTER TABLE source ADD COLUMN note TEXT") }])
    }

    private func open(_ schema: Schema) throws -> (SQLiteChangeStore, StoreContents) {
        var numbers = SplitMix64(seed: 3)
        let (store, contents) = try SQLiteChangeStore.open(self.folder.settings(), schema: schema, using: &numbers)
        return (store, contents)
    }

    @Test("an older file is migrated and goes on in its epoch: F68")
    func older() throws {
        let (old, first) = try SQLiteChangeStore.open(self.folder.settings())
        old.record((1...5).map { History.change("a", $0, isWhole: $0 == 1) })
        old.close()
        let (store, contents) = try self.open(self.next)
        #expect(contents.epoch == first.epoch && contents.head == 5)
        #expect(try store.everything(of: ["a"]).count == 5)
        store.close()
        let queue = try self.folder.openBeside()
        #expect(try queue.read { try Int.fetchOne($0, sql: "SELECT count(note) FROM source") } == 0)
        #expect(try queue.read { try Int.fetchOne($0, sql: "PRAGMA user_version") } == Int(self.next.format))
        try queue.close()
    }

    @Test("R04 a file of format 1 keeps its validators, which are those of the source's own URL: F68")
    func withoutURLs() throws {
        let (old, first) = try SQLiteChangeStore.open(self.folder.settings())
        old.record((1...3).map { History.change("a", $0, isWhole: $0 == 1) })
        old.close()
        let queue = try self.folder.openBeside()
        try queue.write { database in
            try database.execute(
                sql: """
                    ALTER TABLE validators DROP COLUMN url; DROP TABLE write_key; DROP TABLE push;
                    DROP TABLE webhook;
                    PRAGMA user_version = 1
                    """
            )
            var head = try LogHead.read(database)
            head.format = 1
            try head.write(database)
        }
        try queue.close()
        let (store, contents) = try SQLiteChangeStore.open(self.folder.settings())
        #expect(contents.epoch == first.epoch && contents.head == 3 && contents.newEpochReason == nil)
        #expect(contents.sources == [History.snapshot("a", 3)])
        store.close()
        #expect(self.folder.quarantined.isEmpty)
    }

    @Test("a newer file is refused with the fix, and neither changed nor deleted: F68", arguments: [true, false])
    func newer(hasMark: Bool) throws {
        let (store, _) = try self.open(self.next)
        store.record([History.change("a", 1, isWhole: true)])
        store.close()
        if !hasMark { unlink(self.folder.log + ".mark") }
        let before = try CrashImage(self.folder)
        let error = try #require(self.error())
        #expect(error.kind == .newerFormat)
        #expect(error.message.contains(self.folder.log) && error.message.contains("format \(self.next.format)"))
        #expect(try CrashImage(self.folder).files == before.files)
        #expect(self.folder.quarantined.isEmpty)
    }

    @Test("a file of somebody else is refused and left alone: F68", arguments: ["text", "sqlite", "application"])
    func foreign(kind: String) throws {
        switch kind {
        case "text": try "root:x:0:0\n".write(toFile: self.folder.log, atomically: false, encoding: .utf8)
        case "sqlite": try self.execute("CREATE TABLE users (name TEXT)")
        case _: try self.execute("PRAGMA application_id = 77")
        }
        let before = try CrashImage(self.folder)
        let error = try #require(self.error())
        #expect(error.kind == .corrupt && error.message.contains("left as it is"))
        #expect(try CrashImage(self.folder).files == before.files)
        #expect(self.folder.quarantined.isEmpty)
    }

    @Test("an empty file is taken as a place for a log")
    func empty() throws {
        #expect(FileManager.default.createFile(atPath: self.folder.log, contents: nil))
        #expect(self.error() == nil)
    }
}
