import Dispatch
import Foundation
import FreshetCore
import GRDB
import Synchronization
import System

@testable import FreshetStorage

/// A folder of its own for one test; in memory where the system has such a place, since a test syncs thousands of
/// times.
final class LogFolder: Sendable {
    let path: String

    init() throws {
        let memory = "/dev/shm"
        let base = access(memory, W_OK) == 0 ? memory : FileManager.default.temporaryDirectory.path
        self.path = "\(base)/freshet-log-\(UUID().uuidString)"
        try FileManager.default.createDirectory(atPath: self.path, withIntermediateDirectories: true)
    }

    deinit {
        try? FileManager.default.removeItem(atPath: self.path)
    }

    var log: String { self.path + "/freshet.db" }

    var names: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: self.path)) ?? []).sorted()
    }

    var quarantined: [String] { self.names.filter { $0.contains(".corrupt-") && !$0.hasSuffix("-wal") } }

    /// Opens the file beside a store that may have it open, as another program would. Waits for the store's transaction:
    /// after a change, and after an opening, the store still tidies up.
    func openBeside(_ configure: (inout Configuration) -> Void = { _ in }) throws -> DatabaseQueue {
        var configuration = Configuration()
        configuration.busyMode = .timeout(60)
        configure(&configuration)
        return try DatabaseQueue(path: self.log, configuration: configuration)
    }

    func settings(_ change: (inout StoreSettings) -> Void = { _ in }) -> StoreSettings {
        var settings = StoreSettings(path: self.log, now: { WallTime(milliseconds: 1_000_000) })
        settings.pageBytes = 512
        settings.updateDelay = .zero
        change(&settings)
        return settings
    }
}

/// The history of an upstream: any version of any source can be said, and is unlike every other.
enum History {
    static func value(_ source: String, _ version: UInt64, padding: Int = 20) -> [UInt8] {
        Array(#"{"source":"\#(source)","n":\#(version),"pad":"\#(String(repeating: "x", count: padding))"}"#.utf8)
    }

    /// The change with number `sequence`, which is also the version. The first of a source is whole.
    static func change(_ source: String, _ sequence: UInt64, isWhole: Bool = false, padding: Int = 20) -> StoredChange {
        StoredChange(
            sequence: sequence,
            source: source,
            at: WallTime(milliseconds: Int64(sequence) * 1000),
            patch: isWhole ? nil : Array(#"[{"op":"replace","path":"/n","value":\#(sequence)}]"#.utf8),
            merge: isWhole ? nil : Array(#"{"n":\#(sequence)}"#.utf8),
            items: nil,
            value: self.value(source, sequence, padding: padding)
        )
    }

    static func snapshot(_ source: String, _ sequence: UInt64, padding: Int = 20) -> StoredSource {
        StoredSource(
            name: source,
            identity: "https://example.com/\(source)",
            sequence: sequence,
            at: WallTime(milliseconds: Int64(sequence) * 1000),
            value: self.value(source, sequence, padding: padding),
            validators: Validators(etag: Array("\"\(sequence)\"".utf8)),
            learned: [1, 2, 3]
        )
    }

    /// As a store gives the change back: the value only where there is no patch.
    static func kept(_ change: StoredChange) -> StoredChange {
        var kept = change
        if kept.patch != nil {
            kept.value = nil
        }
        return kept
    }
}

/// Collects what `done` was called with, and lets a test wait for it.
final class Outcomes: Sendable {
    private let results = Mutex<[(UInt64, StoreError?)]>([])
    private let semaphore = DispatchSemaphore(value: 0)

    func closure(_ sequence: UInt64) -> @Sendable (Result<Void, StoreError>) -> Void {
        { result in
            self.results.withLock { results in
                switch result {
                case .success: results.append((sequence, nil))
                case .failure(let error): results.append((sequence, error))
                }
            }
            self.semaphore.signal()
        }
    }

    /// Waits for `count` more calls; false where they do not come.
    func wait(_ count: Int) -> Bool {
        (0..<count).allSatisfy { _ in self.semaphore.wait(timeout: .now() + 60) == .success }
    }

    var order: [UInt64] { self.results.withLock { $0.map(\.0) } }
    var committed: [UInt64] { self.results.withLock { $0.filter { $0.1 == nil }.map(\.0) } }
    var errors: [StoreError] { self.results.withLock { $0.compactMap(\.1) } }
}

extension SQLiteChangeStore {
    /// Opens with a seed.
    static func open(_ settings: StoreSettings, seed: UInt64 = 1) throws -> (SQLiteChangeStore, StoreContents) {
        var numbers = SplitMix64(seed: seed)
        let (store, contents) = try Self.open(settings, using: &numbers)
        return (store, contents)
    }

    /// Appends changes one after the other, and waits for all.
    @discardableResult
    func record(_ changes: [StoredChange], padding: Int = 20) -> Outcomes {
        let outcomes = Outcomes()
        for change in changes {
            self.append(
                change,
                snapshot: History.snapshot(change.source, change.sequence, padding: padding),
                done: outcomes.closure(change.sequence)
            )
        }
        _ = outcomes.wait(changes.count)
        return outcomes
    }

    func everything(of sources: [String], after: UInt64 = 0) throws -> [StoredChange] {
        try self.changes(of: sources, after: after, limit: .max, maxBytes: .max)
    }
}
