import Foundation
import FreshetCore
import GRDB
import Testing

@testable import FreshetStorage

@Suite("Where a log can lie: F67")
struct LogPathTests {
    private static let user: UInt32 = 1000

    private static func facts(_ change: (inout PathFacts) -> Void) -> PathFacts {
        var facts = PathFacts()
        facts.user = self.user
        change(&facts)
        return facts
    }

    @Test(
        "each obstacle is named with the path, who is in the way, and the fix: F67",
        arguments: [
            (Self.facts { $0.folder = .missing }, ["/srv/log", "does not exist", "mkdir -p /srv/log"]),
            (Self.facts { $0.folder = .file }, ["/srv/log is not a folder"]),
            (Self.facts { $0.folder = .unreachable(EACCES) }, ["/srv/log", "uid 1000", "Permission denied"]),
            (
                Self.facts {
                    $0.folderErrno = EACCES
                    $0.folderOwner = 0
                }, ["/srv/log", "owner uid 0", "uid 1000", "chown 1000 /srv/log"]
            ),
            (Self.facts { $0.folderErrno = EROFS }, ["/srv/log", "Read-only", "set another log.path"]),
            (Self.facts { $0.file = .symbolicLink }, ["/srv/log/a.db is a symbolic link", "set log.path"]),
            (Self.facts { $0.file = .folder }, ["/srv/log/a.db is a folder"]),
            (Self.facts { $0.file = .other }, ["/srv/log/a.db is not a regular file"]),
            (
                Self.facts {
                    $0.file = .file
                    $0.fileErrno = EACCES
                    $0.fileOwner = 7
                }, ["/srv/log/a.db", "owner uid 7", "uid 1000", "chown 1000 /srv/log/a.db"]
            ),
        ] as [(PathFacts, [String])]
    )
    func objections(facts: PathFacts, words: [String]) throws {
        let error = try #require(facts.objection(at: LogPath("/srv/log/a.db")))
        #expect(error.kind == .readOnly)
        for word in words {
            #expect(error.message.contains(word), "\(error.message)")
        }
    }

    @Test("a folder of one's own, with or without a log, is fine")
    func fine() {
        #expect(Self.facts { _ in }.objection(at: LogPath("/srv/log/a.db")) == nil)
        #expect(Self.facts { $0.file = .file }.objection(at: LogPath("/srv/log/a.db")) == nil)
    }

    @Test(
        "a relative path is made absolute, so that SQLite cannot read it as a URI",
        arguments: ["file:a.db", ":memory:", "a.db"]
    )
    func absolute(path: String) {
        #expect(LogPath(path).file == FileManager.default.currentDirectoryPath + "/" + path)
    }

    private func error(_ path: String) -> StoreError? {
        do {
            let (store, _) = try SQLiteChangeStore.open(StoreSettings(path: path), seed: 1)
            store.close()
            return nil
        } catch let error as StoreError {
            return error
        } catch {
            return nil
        }
    }

    @Test("the file system's answers reach the message: F67")
    func real() throws {
        let folder = try LogFolder()
        #expect(self.error(folder.path + "/none/a.db")?.message.contains("mkdir -p \(folder.path)/none") == true)
        #expect(self.error(folder.path)?.message.contains("is a folder") == true)
        #expect(self.error(folder.path + "/")?.message.contains("is a folder") == true)
        #expect(FileManager.default.createFile(atPath: folder.log, contents: nil))
        #expect(self.error(folder.log + "/a.db")?.kind == .readOnly)
        try FileManager.default.createSymbolicLink(atPath: folder.path + "/link.db", withDestinationPath: folder.log)
        #expect(self.error(folder.path + "/link.db")?.message.contains("symbolic link") == true)
        #expect(self.error("/sys/kernel/a.db")?.kind == .readOnly)
        #expect(!folder.names.contains("link.db.lock"), "nothing is made where a log cannot lie")
    }

    @Test("a second store on the same log is told who holds it: F67")
    func locked() throws {
        let folder = try LogFolder()
        let (store, _) = try SQLiteChangeStore.open(folder.settings())
        let error = try #require(self.error(folder.log))
        #expect(error.kind == .locked)
        #expect(error.message.contains("process \(getpid())") && error.message.contains("log.path of its own"))
        #expect(store.record([History.change("a", 1, isWhole: true)]).committed == [1])
        store.close()
        #expect(self.error(folder.log) == nil)
    }

    @Test("a program that keeps the file locked is named as the fault, and a restart goes on: F69 (busy)")
    func busy() throws {
        let folder = try LogFolder()
        let (store, _) = try SQLiteChangeStore.open(folder.settings())
        defer { store.close() }
        store.record([History.change("a", 1, isWhole: true)])
        let other = try folder.openBeside { $0.allowsUnsafeTransactions = true }
        try other.writeWithoutTransaction { try $0.execute(sql: "BEGIN IMMEDIATE") }
        let errors = store.record([History.change("a", 2)]).errors
        #expect(errors.map(\.kind) == [.locked])
        #expect(errors.first?.message.contains("locked by another program") == true)
        try other.writeWithoutTransaction { try $0.execute(sql: "ROLLBACK") }
        try other.close()
        #expect(folder.quarantined.isEmpty)
        try store.restart(epoch: Epoch(rawValue: 5), head: 2, sources: [History.snapshot("a", 2)])
        #expect(store.record([History.change("a", 3)]).committed == [3])
    }

    @Test("the log can be read by its owner only")
    func mode() throws {
        let folder = try LogFolder()
        let (store, _) = try SQLiteChangeStore.open(folder.settings())
        defer { store.close() }
        store.record([History.change("a", 1, isWhole: true)])
        for name in folder.names {
            var status = stat()
            #expect(stat(folder.path + "/" + name, &status) == 0)
            #expect(status.st_mode & 0o777 == 0o600, "\(name)")
        }
    }
}
