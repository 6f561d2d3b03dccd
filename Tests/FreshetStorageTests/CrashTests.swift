import Foundation
import FreshetCore
import System
import Testing

@testable import FreshetStorage

/// A process that appends until it is killed, and notes each change in a file as soon as it could be sent.
///
/// The order in the note is that of a gateway: commit, then tell. So everything in it must be in the log.
private enum Gateway {
    static let sources = ["a", "b", "next"]

    static func change(_ sequence: UInt64) -> StoredChange {
        History.change(sequence % 2 == 0 ? "a" : "b", sequence, isWhole: sequence <= 2, padding: 100)
    }

    static func settings(_ path: String) -> StoreSettings {
        var settings = StoreSettings(path: path + "/freshet.db", maxBytes: 60_000)
        settings.checkpointBytes = 4000
        settings.maxBatchChanges = 5
        return settings
    }

    /// Runs in a process of its own; returns where no failpoint is reached.
    static func run(_ path: String, changes: UInt64) {
        guard let note = FileDescriptor(path + "/note", O_WRONLY | O_CREAT | O_APPEND),
            let (store, contents) = try? SQLiteChangeStore.open(self.settings(path), seed: 1)
        else { exit(9) }
        let descriptor = note.raw
        let outcomes = Outcomes()
        for sequence in (contents.head + 1)...(contents.head + changes) {
            let change = self.change(sequence)
            store.append(change, snapshot: History.snapshot(change.source, sequence, padding: 100)) { result in
                let line = "\(sequence)\n"
                if case .success = result {
                    _ = write(descriptor, line, line.utf8.count)
                }
                outcomes.closure(sequence)(result)
            }
        }
        _ = outcomes.wait(Int(changes))
        store.close()
        // Not reached where the failpoint is.
        exit(0)
    }
}

@Suite("A process that is killed: F61, F62", .serialized)
struct CrashTests {
    let folder: LogFolder

    init() throws {
        self.folder = try LogFolder()
    }

    private func verify(_ epoch: Epoch, _ context: String) throws {
        let note = try String(contentsOfFile: self.folder.path + "/note", encoding: .utf8)
        let told = Set(note.split(separator: "\n").compactMap { UInt64($0) })
        let known = (UInt64(1)...10_000).map { ($0, Gateway.change($0)) }
        let witness = Witness(
            epoch: epoch,
            known: Dictionary(uniqueKeysWithValues: known),
            issued: told,
            sources: Gateway.sources
        )
        let image = try CrashImage(self.folder)
        try witness.verify(self.folder, mayLose: false, context)
        try image.restore(to: self.folder, adopts: false)
    }

    private func begin() throws -> Epoch {
        #expect(FileManager.default.createFile(atPath: self.folder.path + "/note", contents: nil))
        let (store, contents) = try SQLiteChangeStore.open(Gateway.settings(self.folder.path), seed: 1)
        store.close()
        return contents.epoch
    }

    @Test(
        "killed at a failpoint, it has told of nothing that is not in the log: F61, F62",
        arguments: [
            "before-commit:1", "before-commit:7", "after-commit:1", "after-commit:6", "after-mark:1", "after-mark:9",
            "before-checkpoint:2", "after-checkpoint:2", "before-prune:1", "after-prune:1", "before-close:1",
        ]
    )
    func failpoints(failpoint: String) async throws {
        let epoch = try self.begin()
        await #expect(processExitsWith: .signal(SIGKILL)) { [path = self.folder.path as String, failpoint] in
            setenv("FRESHET_FAILPOINT", failpoint, 1)
            Gateway.run(path, changes: 400)
        }
        try self.verify(epoch, failpoint)
    }

    @Test("killed at any moment, again and again, it keeps one epoch and every change it told of: F61")
    func moments() async throws {
        let epoch = try self.begin()
        var numbers = SplitMix64(seed: UInt64.random(in: 0...UInt64.max))
        for round in 1...5 {
            let delay = UInt32(numbers.next() % 60_000)
            await #expect(processExitsWith: .signal(SIGKILL)) {
                [path = self.folder.path as String, delay = delay as UInt32] in
                let thread = Thread {
                    usleep(delay)
                    kill(getpid(), SIGKILL)
                }
                thread.start()
                while true {
                    Gateway.run(path, changes: 5000)
                }
            }
            try self.verify(epoch, "round \(round)")
        }
    }
}
