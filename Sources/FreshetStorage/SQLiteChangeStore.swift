// The change log on disk, as the core sees it.

import Dispatch
package import FreshetCore
import Synchronization

/// A durable change log in one SQLite file.
///
/// One thread writes; see ``LogFile`` for what durable means, ``Retention`` for what is kept how long, and ``FoundLog``
/// for what becomes of a file that cannot be trusted. After the first failure to write, every change fails until
/// ``restart(epoch:head:sources:)``, so that the log never has a hole. Where the disk failed or the file is damaged,
/// the file is then already at `PATH.corrupt-TIME`.
package final class SQLiteChangeStore: ChangeStore {
    private let thread: StoreThread
    private let maxPatches: Int
    /// Answers changes that come after the end, in their order.
    private let late = DispatchQueue(label: "freshet-log-late")
    let isBackingUp = Mutex(false)
    var readers: LogReaders { self.thread.readers }
    var path: String { self.readers.path }

    private init(_ thread: StoreThread, maxPatches: Int) {
        self.thread = thread
        self.maxPatches = maxPatches
    }

    deinit {
        self.thread.inbox.put(.close {})
    }

    /// Opens the log at `settings.path`, or begins one.
    ///
    /// Reads the whole file once to check it (SQLite's `quick_check`), so that the time grows with its size. A damaged
    /// file is moved to `PATH.corrupt-TIME` and a new one begun; then, and wherever numbers that were given out may be
    /// missing, the epoch is new and ``StoreContents/newEpochReason`` says why.
    ///
    /// - Throws: `.locked` where another process has it, `.newerFormat`, `.readOnly` where files cannot be made there,
    ///   `.corrupt` for a file that is not ours and is left alone, `.full`, `.io`. The message names the fix.
    package static func open(
        _ settings: StoreSettings,
        using generator: inout some RandomNumberGenerator
    ) throws(StoreError) -> (store: SQLiteChangeStore, contents: StoreContents) {
        try self.open(settings, schema: .current, using: &generator)
    }

    static func open(
        _ settings: StoreSettings,
        schema: Schema,
        using generator: inout some RandomNumberGenerator
    ) throws(StoreError) -> (store: SQLiteChangeStore, contents: StoreContents) {
        let file = try LogFile(settings, schema: schema)
        let opened = try file.open(using: &generator)
        let thread = StoreThread(file, opened.writer)
        try thread.start()
        return (SQLiteChangeStore(thread, maxPatches: settings.maxPatchesPerBase), opened.contents)
    }

    /// The figures of this moment. Any thread, at once.
    package func statistics() -> StoreStatistics {
        var statistics = self.thread.statistics.withLock { $0 }
        let load = self.thread.inbox.load
        statistics.queuedEvents = load.changes
        statistics.queuedBytes = load.bytes
        return statistics
    }

    /// Sees whether somebody deleted, moved, replaced or cut the log's files, also while nothing is written: to be called
    /// every second or so. Any thread, at once; ``statistics()`` says later what came of it.
    package func inspect() {
        self.thread.inbox.put(.inspect)
    }

    // MARK: - ChangeStore

    package func append(
        _ change: StoredChange,
        snapshot: StoredSource,
        done: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        guard self.thread.inbox.put(.append(Append(change: change, snapshot: snapshot, done: done))) else {
            // The thread has ended, or is about to. Not inside this call, where the caller may hold a lock.
            return self.late.async { done(.failure(StoreError(.closed, "the log is closed"))) }
        }
    }

    /// As an append: its answer never comes inside of this call.
    func put(_ change: WriteKeyChange) {
        guard self.thread.inbox.put(.key(change)) else {
            return self.late.async { change.done(.failure(StoreError(.closed, "the log is closed"))) }
        }
    }

    /// As an append: its answer never comes inside of this call.
    func put(_ change: PushChange) {
        guard self.thread.inbox.put(.push(change)) else {
            return self.late.async { change.done(.failure(StoreError(.closed, "the log is closed"))) }
        }
    }

    /// As an append: its answer never comes inside of this call.
    func put(_ change: WebhookChange) {
        guard self.thread.inbox.put(.webhooks(change)) else {
            return self.late.async { change.done(.failure(StoreError(.closed, "the log is closed"))) }
        }
    }

    package func update(source: String, validators: Validators, learned: [UInt8]) {
        self.thread.inbox.put(ValidatorsUpdate(validators: validators, learned: learned), for: source)
    }

    package func remove(source: String) {
        self.thread.inbox.put(.remove(source: source))
    }

    package func changes(
        of sources: [String],
        after sequence: UInt64,
        limit: Int,
        maxBytes: Int
    ) throws(StoreError) -> [StoredChange] {
        try self.read { try $0.changes(of: sources, after: sequence, limit: limit, maxBytes: maxBytes) }
    }

    package func changes(
        of sources: [String],
        before sequence: UInt64,
        limit: Int,
        maxBytes: Int
    ) throws(StoreError) -> [StoredChange] {
        try self.read { try $0.changes(of: sources, before: sequence, limit: limit, maxBytes: maxBytes) }
    }

    package func value(of source: String, at sequence: UInt64) throws(StoreError) -> StoredChange? {
        try self.read { try $0.value(of: source, at: sequence) }
    }

    package func eachValue(
        of sources: [String],
        at sequence: UInt64,
        _ body: (StoredChange) -> Bool
    ) throws(StoreError) {
        try self.read { try $0.eachValue(of: sources, at: sequence, body) }
    }

    package func firstChanges(after sequences: [String: UInt64]) throws(StoreError) -> [String: UInt64] {
        try self.read { try $0.firstChanges(after: sequences) }
    }

    package func sequence(at time: WallTime) throws(StoreError) -> UInt64 {
        try self.read { try $0.sequence(at: time) }
    }

    package func prunedThrough() throws(StoreError) -> [String: UInt64] {
        try self.read { try $0.prunedThrough() }
    }

    /// Never from a `done` closure, which runs on the thread that this waits for.
    package func restart(epoch: Epoch, head: UInt64, sources: [StoredSource]) throws(StoreError) {
        let outcome = Outcome()
        let thread = self.thread
        let isTaken = thread.inbox.put(
            .run {
                do throws(StoreError) {
                    try thread.restart(epoch: epoch, head: head, sources: sources)
                    outcome.set(.success(()))
                } catch {
                    outcome.set(.failure(error))
                }
            }
        )
        guard isTaken else { throw StoreError(.closed, "the log is closed") }
        try outcome.wait().get()
    }

    /// Waits until all is on the disk. Never from a `done` closure. A second call returns at once.
    package func close() {
        let outcome = Outcome()
        if self.thread.inbox.put(.close { outcome.set(.success(())) }) {
            _ = outcome.wait()
        }
    }

    private func read<Value>(_ body: (LogReading) throws -> Value) throws(StoreError) -> Value {
        do throws(StoreError) {
            return try self.thread.readers.read { database in
                try body(LogReading(database: database, maxPatches: self.maxPatches))
            }
        } catch {
            if error.kind == .corrupt || error.kind == .io {
                self.thread.inbox.put(.fault(error))
            }
            throw error
        }
    }
}

/// The result of something that another thread does.
private final class Outcome: Sendable {
    private let result = Mutex<Result<Void, StoreError>>(.failure(StoreError(.closed, "the log is closed")))
    private let semaphore = DispatchSemaphore(value: 0)

    func set(_ result: Result<Void, StoreError>) {
        self.result.withLock { $0 = result }
        self.semaphore.signal()
    }

    func wait() -> Result<Void, StoreError> {
        self.semaphore.wait()
        return self.result.withLock { $0 }
    }
}
