// Backups, verification, and the way of a log through JSON lines.

import Foundation
import FreshetCore
import GRDB
import JSON
import Synchronization
import System
import Testing

@testable import FreshetStorage

@Suite("Copies of the log")
struct LogCopyTests {
    private let folder: LogFolder

    init() throws {
        self.folder = try LogFolder()
    }

    /// Two sources with changes by turns, and one that had one change.
    private static func changes(_ range: ClosedRange<UInt64>) -> [StoredChange] {
        range.map { History.change($0 == 1 ? "once" : $0 % 2 == 0 ? "a" : "b", $0, isWhole: $0 <= 3) }
    }

    private func closedLog(_ count: UInt64 = 100) throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        store.record(Self.changes(1...count))
        let outcomes = Outcomes()
        let scope = IdempotencyScope(account: Principal.Account(kind: .key, issuer: "", id: "u1"), key: "k")
        let record = IdempotencyRecord(fingerprint: [1, 2, 3], madeAt: WallTime(milliseconds: 77), state: .begun)
        store.keep(scope, record, done: outcomes.closure(1))
        #expect(outcomes.wait(1))
        store.close()
    }

    private func execute(_ sql: String) throws {
        let queue = try self.folder.openBeside()
        try queue.write { try $0.execute(sql: sql) }
        try queue.close()
    }

    private func exported() throws -> [[UInt8]] {
        var lines: [[UInt8]] = []
        _ = try StoppedLog(self.folder.log).export { lines.append($0) }
        return lines
    }

    private func read(_ lines: [[UInt8]], into other: LogFolder) throws -> LogReport {
        var numbers = SplitMix64(seed: 9)
        var rest = lines[...]
        return try LogImport.read(into: other.settings(), using: &numbers) {
            rest.popFirst().map { Array($0.dropLast($0.last == 0x0A ? 1 : 0)) }
        }
    }

    // MARK: - Backups

    @Test("a backup is a whole log as of one commit, made while changes go on")
    func backup() throws {
        let (store, contents) = try SQLiteChangeStore.open(self.folder.settings())
        store.record(Self.changes(1...50))
        let isDone = Mutex(false)
        let written = Mutex<UInt64>(50)
        try SystemThread.detach(name: "writes") {
            while !isDone.withLock({ $0 }) {
                let next = written.withLock { $0 } + 1
                store.record(Self.changes(next...next))
                written.withLock { $0 = next }
            }
            isDone.withLock { $0 = false }
        }
        for _ in 0..<20 {
            let before = written.withLock { $0 }
            let backup = try store.backup()
            #expect(backup.path == self.folder.log + ".backup")
            #expect(backup.cursor.epoch == contents.epoch && backup.cursor.sequence >= before)
            let report = try StoppedLog(backup.path).verify()
            #expect(report.problems == [] && report.cursor == backup.cursor)
            #expect(report.changes == Int(backup.cursor.sequence) && report.sources == 3)
        }
        isDone.withLock { $0 = true }
        while isDone.withLock({ $0 }) { SystemThread.sleep(.milliseconds(1)) }
        let mode = try FileManager.default.attributesOfItem(atPath: self.folder.log + ".backup")[.posixPermissions]
        #expect(mode as? Int == 0o600)
        #expect(!self.folder.names.contains { $0.contains("backup-") || $0.contains("backup.") })
        store.close()
        #expect(try StoppedLog(self.folder.log).verify().changes == Int(written.withLock { $0 }))
    }

    @Test("a closed log, and one whose file is gone, has no backup, and no file is made")
    func noBackup() throws {
        let (store, _) = try SQLiteChangeStore.open(self.folder.settings())
        store.record(Self.changes(1...5))
        store.close()
        #expect(throws: StoreError.self) { try store.backup() }
        #expect(!self.folder.names.contains { $0.contains("backup") })
    }

    @Test("a backup in the place of the log begins a new epoch with the values that it has: F68")
    func restored() throws {
        let (store, first) = try SQLiteChangeStore.open(self.folder.settings())
        store.record(Self.changes(1...10))
        let backup = try store.backup()
        store.close()
        try FileManager.default.removeItem(atPath: self.folder.log)
        try FileManager.default.moveItem(atPath: backup.path, toPath: self.folder.log)
        let (again, contents) = try SQLiteChangeStore.open(self.folder.settings(), seed: 2)
        #expect(contents.epoch != first.epoch && contents.newEpochReason != nil)
        #expect(
            Set(contents.sources.map(\.value))
                == [1, 9, 10].reduce(into: []) {
                    $0.insert(History.value($1 == 1 ? "once" : $1 % 2 == 0 ? "a" : "b", $1))
                }
        )
        again.close()
    }

    // MARK: - Verification

    @Test("a sound log has no problems, and is the same after it was looked at")
    func sound() throws {
        try self.closedLog()
        let before = try CrashImage(self.folder)
        let report = try StoppedLog(self.folder.log).verify()
        #expect(report.problems == [])
        #expect(report.sources == 3 && report.changes == 100 && report.writeKeys == 1)
        #expect(report.cursor.sequence == 100 && report.format == Schema.current.format)
        #expect(try CrashImage(self.folder).files == before.files)
        let (store, contents) = try SQLiteChangeStore.open(self.folder.settings())
        #expect(contents.newEpochReason == nil && contents.head == 100)
        #expect(throws: StoreError.self) { try StoppedLog(self.folder.log) }
        store.close()
    }

    @Test(
        "each kind of damage is a problem",
        arguments: [
            ("UPDATE change SET patch = '[]' WHERE sequence = 50", "checksum"),
            ("DELETE FROM change WHERE sequence = 50", "missing"),
            ("DELETE FROM change WHERE sequence = 100", "newest"),
            ("DELETE FROM snapshot WHERE source = 1", "snapshot"),
            ("UPDATE snapshot SET value = '{}' WHERE source = 2", "checksum"),
            ("UPDATE validators SET etag = 'x' WHERE source = 2", "checksum"),
            ("UPDATE write_key SET at = 1", "idempotency"), ("UPDATE source SET last = 1 WHERE id = 2", "checksum"),
            ("DROP INDEX change_by_source; DELETE FROM source WHERE id = 2", "source"),
        ]
    )
    func damage(sql: String, word: String) throws {
        try self.closedLog()
        try self.execute(sql)
        do throws(StoreError) {
            let report = try StoppedLog(self.folder.log).verify()
            #expect(report.problems.contains { $0.contains(word) }, "\(report.problems)")
        } catch {
            // What everything else hangs from ends the reading.
            #expect(error.kind == .corrupt && error.message.contains(word), "\(error)")
        }
        #expect(throws: StoreError.self) { try self.exported() }
    }

    @Test("what is no log, or is of a newer version, is refused as it is; F68")
    func refused() throws {
        #expect(throws: StoreError.self) { try StoppedLog(self.folder.log) }
        try "root:x:0:0\n".write(toFile: self.folder.log, atomically: false, encoding: .utf8)
        #expect(throws: StoreError.self) { try StoppedLog(self.folder.log) }
        try FileManager.default.removeItem(atPath: self.folder.log)
        let next = Schema(steps: Schema.current.steps + [{ try $0.execute(sql: "ALTER TABLE source ADD note TEXT") }])
        try self.closedLog()
        let before = try CrashImage(self.folder)
        // The same file, read by the version after: migrated in a copy.
        let report = try StoppedLog(self.folder.log, schema: next).verify()
        #expect(report.problems == [] && report.format == Schema.current.format && report.changes == 100)
        #expect(try CrashImage(self.folder).files == before.files)
        var numbers = SplitMix64(seed: 3)
        try SQLiteChangeStore.open(self.folder.settings(), schema: next, using: &numbers).store.close()
        let error = #expect(throws: StoreError.self) { try StoppedLog(self.folder.log) }
        #expect(error?.kind == .newerFormat)
    }

    // MARK: - JSON lines

    @Test("an export is JSON lines, and a log of them has the same values, history, validators and keys")
    func roundTrip() throws {
        try self.closedLog()
        let lines = try self.exported()
        #expect(lines.allSatisfy { $0.last == 0x0A && (try? Document(parsing: Array($0.dropLast()))) != nil })
        #expect(lines.count == 1 + 3 + 100 + 1 + 1)
        let other = try LogFolder()
        let report = try self.read(lines, into: other)
        #expect(report.changes == 100 && report.sources == 3 && report.writeKeys == 1)
        #expect(try StoppedLog(other.log).verify().problems == [])
        let (first, old) = try SQLiteChangeStore.open(self.folder.settings())
        let (second, new) = try SQLiteChangeStore.open(other.settings(), seed: 5)
        #expect(old.epoch != new.epoch && new.newEpochReason == nil && new.head == 100)
        #expect(new.sources.sorted { $0.name < $1.name } == old.sources.sorted { $0.name < $1.name })
        #expect(new.writeKeys.map(\.0) == old.writeKeys.map(\.0) && new.writeKeys.map(\.1) == old.writeKeys.map(\.1))
        for sequence in 1...100 as ClosedRange<UInt64> {
            for source in ["a", "b", "once"] {
                let (was, is_) = try (first.value(of: source, at: sequence), second.value(of: source, at: sequence))
                #expect(was?.value == is_?.value && was?.at == is_?.at)
            }
        }
        #expect(try first.everything(of: ["a", "b"]) == second.everything(of: ["a", "b"]))
        first.close()
        second.close()
        #expect(throws: StoreError.self, "there is a log already") { try self.read(lines, into: other) }
    }

    @Test("an export that lacks a line, or has one that is none, makes no log")
    func cut() throws {
        try self.closedLog(20)
        let lines = try self.exported()
        let other = try LogFolder()
        for missing in lines.indices {
            var rest = lines
            rest.remove(at: missing)
            #expect(throws: StoreError.self, "line \(missing)") { try self.read(rest, into: other) }
        }
        for count in lines.indices {
            #expect(throws: StoreError.self) { try self.read(Array(lines[..<count]), into: other) }
        }
        for bad in [
            "{", "[]", "{}", #"{"change":1}"#, #"{"freshet_log":2}"#, #"{"change":1,"of":"a","at":"x","value":1}"#,
        ] {
            let line = Array(bad.utf8)
            #expect(throws: StoreError.self) { try self.read(Array(lines.dropLast()) + [line], into: other) }
            #expect(throws: StoreError.self) { try self.read([line] + Array(lines.dropFirst()), into: other) }
        }
        #expect(!other.names.contains("freshet.db"))
        let error = #expect(throws: StoreError.self) {
            try self.read([Array(#"{"freshet_log":2,"cursor":"x-1"}"#.utf8)] + Array(lines.dropFirst()), into: other)
        }
        #expect(error?.kind == .newerFormat)
        #expect(try self.read(lines, into: other).changes == 20)
    }

    @Test("what retention took is not in an export, and the rest makes a sound log")
    func pruned() throws {
        let settings = self.folder.settings { $0.maxBytes = 24 << 10 }
        let (store, _) = try SQLiteChangeStore.open(settings)
        for first in stride(from: 1 as UInt64, to: 400, by: 50) {
            store.record(Self.changes(first...(first + 49)))
        }
        store.close()
        let before = try StoppedLog(self.folder.log).verify()
        #expect(before.problems == [] && before.changes < 400)
        let other = try LogFolder()
        let after = try self.read(self.exported(), into: other)
        // A source whose changes are all gone has one again: its value.
        #expect(after.sources == before.sources)
        #expect(try StoppedLog(other.log).verify().problems == [])
    }
}
