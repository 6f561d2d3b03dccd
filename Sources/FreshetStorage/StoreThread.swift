// The one thread that writes the log: takes what waits, commits it in one transaction, tells the callers, tidies up.

import FreshetCore
import GRDB
import Synchronization
import System

/// Writes the log until it is closed.
///
/// Unchecked sendability: `file`, `writer` and the other variables are touched by the thread alone once it runs;
/// `inbox` and `statistics` have locks of their own.
final class StoreThread: @unchecked Sendable {
    let inbox: StoreInbox
    let readers: LogReaders
    let statistics: Mutex<StoreStatistics>
    private let settings: StoreSettings
    private let file: LogFile
    private var writer: LogWriter?
    /// Why no change is taken, until the store is begun anew.
    private var failure: StoreError?
    private var lastBatch = 0
    private var hasMoreToPrune = false
    private var uncheckpointedBytes = 0
    private var nextAgeCheck = ContinuousClock.now
    private var updatesSince: ContinuousClock.Instant?

    /// A write-ahead log of this size is emptied, even if readers have to be waited for.
    private static let maxWALBytes = 64 << 20

    init(_ file: LogFile, _ writer: LogWriter) {
        self.file = file
        self.writer = writer
        self.settings = file.settings
        self.readers = file.readers
        self.inbox = StoreInbox(file.settings)
        self.statistics = Mutex(StoreStatistics())
    }

    /// - Throws: ``StoreError`` of kind `io` where the system has no thread to give.
    func start() throws(StoreError) {
        do throws(SystemError) {
            try SystemThread.detach(name: "freshet-log") { self.run() }
        } catch {
            throw StoreError(.io, "\(self.settings.path): \(error)")
        }
    }

    private func run() {
        self.measure()
        while true {
            let intake = self.inbox.take(timeout: self.pause)
            if let done = self.work(intake.items) {
                done()
                return
            }
            self.tidy()
        }
    }

    /// How long nothing is due.
    private var pause: Duration {
        if self.failure != nil { return .seconds(3600) }
        if self.hasMoreToPrune { return .zero }
        let untilAgeCheck = ContinuousClock.now.duration(to: self.nextAgeCheck)
        guard let since = self.updatesSince else { return max(untilAgeCheck, .milliseconds(1)) }
        let untilUpdates = self.settings.updateDelay - since.duration(to: .now)
        return max(min(untilAgeCheck, untilUpdates), .milliseconds(1))
    }

    // MARK: - Work

    /// Does all of it in order.
    ///
    /// - Returns: What to call at the very end, where this was the end.
    private func work(_ items: [StoreInbox.Item]) -> (@Sendable () -> Void)? {
        var batch = Batch()
        for item in items {
            switch item {
            case .append(let append):
                batch.appends.append(append)
                batch.steps.append(.append(batch.appends.count - 1))
                batch.load.changes += 1
                batch.load.bytes += append.byteCount
                let isFull =
                    batch.load.changes >= self.settings.maxBatchChanges
                    || batch.load.bytes >= self.settings.maxBatchBytes
                if isFull { self.commit(&batch) }
            case .remove(let source):
                batch.steps.append(.remove(source))
            case .key(let change):
                batch.keys.append(change)
                batch.steps.append(.key(batch.keys.count - 1))
            case .push(let change):
                batch.pushes.append(change)
                batch.steps.append(.push(batch.pushes.count - 1))
            case .webhooks(let change):
                batch.webhooks.append(change)
                batch.steps.append(.webhooks(batch.webhooks.count - 1))
            case .refused(let done):
                self.commit(&batch)
                self.fail(
                    StoreError(.full, "\(self.file.path.file): the disk is too slow; too many changes wait for it")
                )
                done(.failure(self.failure ?? self.closed))
            case .fault(let error):
                self.commit(&batch)
                self.fail(error)
            case .inspect:
                self.commit(&batch)
                self.inspect()
            case .run(let body):
                self.commit(&batch)
                body()
            case .close(let done):
                self.commit(&batch)
                self.finish()
                return done
            }
        }
        self.commit(&batch)
        return nil
    }

    /// What goes into one transaction.
    private struct Batch {
        enum Step {
            /// The index of an append.
            case append(Int)
            case remove(String)
            /// The index of a change of keys.
            case key(Int)
            /// The index of a change of push subscriptions.
            case push(Int)
            /// The index of a change of webhooks' rows.
            case webhooks(Int)
        }

        var steps: [Step] = []
        var appends: [Append] = []
        var keys: [WriteKeyChange] = []
        var pushes: [PushChange] = []
        var webhooks: [WebhookChange] = []
        var load = StoreInbox.Load()
    }

    /// Commits, tells the callers, and empties the batch.
    private func commit(_ batch: inout Batch) {
        guard !batch.steps.isEmpty else { return }
        let steps = batch
        batch = Batch()
        let result = self.write { writer, database in
            for step in steps.steps {
                switch step {
                case .append(let index): try writer.write(steps.appends[index], database)
                case .remove(let source): try writer.remove(source, database)
                case .key(let index): try steps.keys[index].write(database)
                case .push(let index): try steps.pushes[index].write(database)
                case .webhooks(let index): try steps.webhooks[index].write(database)
                }
            }
        }
        self.lastBatch = steps.appends.count
        self.uncheckpointedBytes += steps.load.bytes
        self.inbox.finished(steps.load)
        if case .success = result {
            let load = self.inbox.load
            self.statistics.withLock {
                $0.appendedEvents += UInt64(steps.appends.count)
                $0.queuedEvents = load.changes
                $0.queuedBytes = load.bytes
            }
        }
        for append in steps.appends {
            append.done(result)
        }
        for key in steps.keys {
            key.done(result)
        }
        for push in steps.pushes {
            push.done(result)
        }
        for change in steps.webhooks {
            change.done(result)
        }
    }

    /// One transaction with what `body` writes, the validators that wait, and the head; then the mark.
    private func write(_ body: (inout LogWriter, Database) throws -> Void) -> Result<Void, StoreError> {
        // A file that was cut is as long as before once something was written behind the gap.
        self.inspect()
        if let failure = self.failure { return .failure(failure) }
        guard var writer = self.writer else { return .failure(self.closed) }
        self.writer = nil
        let updates = self.inbox.takeUpdates()
        self.updatesSince = nil
        let start = ContinuousClock.now
        do throws(StoreError) {
            try self.file.commit { database in
                try body(&writer, database)
                try writer.finish(updates, database)
            }
        } catch {
            self.fail(error)
            return .failure(error)
        }
        self.file.writeMark(epoch: writer.head.epoch, head: writer.head.head)
        Failpoint.hit("after-mark")
        self.writer = writer
        // Before any caller is notified: what was committed to a file that is gone would be gone with the process.
        self.inspect()
        if let failure = self.failure { return .failure(failure) }
        let duration = start.duration(to: .now)
        self.statistics.withLock {
            $0.commits += 1
            $0.lastCommitDuration = duration
        }
        return .success(())
    }

    private var closed: StoreError { StoreError(.closed, "\(self.file.path.file) is closed") }

    // MARK: - Tidying up

    /// What is done between transactions; a bounded piece of it.
    private func tidy() {
        guard self.failure == nil else { return }
        self.writeOldUpdates()
        self.prune()
        self.checkpoint()
    }

    private func writeOldUpdates() {
        guard self.inbox.hasUpdates else {
            self.updatesSince = nil
            return
        }
        let since = self.updatesSince ?? .now
        self.updatesSince = since
        guard since.duration(to: .now) >= self.settings.updateDelay else { return }
        _ = self.write { _, _ in }
    }

    /// Prunes twice as many changes as came, so that pruning keeps up.
    private func prune() {
        guard self.failure == nil, var writer = self.writer else { return }
        let isTime = ContinuousClock.now >= self.nextAgeCheck
        guard isTime || self.hasMoreToPrune || !writer.removed.isEmpty || self.measure() > self.settings.maxBytes else {
            return
        }
        self.nextAgeCheck = .now + self.settings.ageInterval
        let retention = Retention(self.settings)
        Failpoint.hit("before-prune")
        var step = Retention.Step()
        let maxRows = max(256, 2 * self.lastBatch)
        do throws(StoreError) {
            try self.file.commit { database in
                step = try retention.step(&writer, maxRows: maxRows, database)
                try writer.finish([:], database)
            }
            try self.file.perform { try retention.shrink($0) }
        } catch {
            self.fail(error)
            return
        }
        Failpoint.hit("after-prune")
        self.writer = writer
        self.hasMoreToPrune = !step.isDone
        self.uncheckpointedBytes += step.rows * 64
        self.statistics.withLock { $0.prunedEvents += UInt64(step.rows) }
        self.measure()
    }

    private func checkpoint() {
        guard self.failure == nil, self.uncheckpointedBytes >= self.settings.checkpointBytes else { return }
        do throws(StoreError) {
            let bytes = try self.file.checkpoint(truncating: false)
            if bytes > Self.maxWALBytes {
                try self.file.checkpoint(truncating: true)
            }
            self.uncheckpointedBytes = 0
        } catch {
            // A reader that takes long is no fault: the next time will do.
            guard error.kind != .locked else { return }
            self.fail(error)
        }
    }

    /// Bytes in use in the file.
    @discardableResult
    private func measure() -> Int {
        guard let bytes = try? self.file.perform({ try Retention.usedBytes($0) }) else { return 0 }
        self.statistics.withLock { $0.usedBytes = bytes }
        return bytes
    }

    // MARK: - Files that somebody touched

    /// Goes on in a new file where one of the log's was deleted, moved or replaced, and fails where one was cut.
    private func inspect() {
        guard self.failure == nil, let head = self.writer?.head, let harm = self.file.harm() else { return }
        switch harm {
        case .cut(let what):
            self.fail(StoreError(.corrupt, what))
        case .displaced(let what):
            do throws(StoreError) {
                try self.file.renew(head)
                self.uncheckpointedBytes = 0
                self.statistics.withLock {
                    $0.renewals += 1
                    $0.lastRenewalReason = what
                }
            } catch {
                self.fail(StoreError(error.kind, "\(what); \(error.message)"))
            }
        }
    }

    // MARK: - Failing, beginning anew, closing

    /// Takes no more changes. A file that the disk failed on, or that is damaged, is moved away at once, so that nobody
    /// reads it after a crash either.
    private func fail(_ error: StoreError) {
        guard self.failure == nil else { return }
        self.failure = error
        self.writer = nil
        self.hasMoreToPrune = false
        self.statistics.withLock { $0.failure = error }
        switch error.kind {
        case .io, .corrupt: self.file.setAside(error)
        case .full, .readOnly, .locked, .newerFormat, .unusable, .closed: break
        }
    }

    /// Begins an empty log with these values. On the thread.
    func restart(epoch: Epoch, head: UInt64, sources: [StoredSource]) throws(StoreError) {
        if self.failure == nil {
            self.failure = self.closed
        }
        self.writer = nil
        self.file.close(self.closed)
        let opened: LogFile.Opened
        do throws(StoreError) {
            try self.file.prepareFolder()
            // What is left of the old log is of no use any more: its cursors belong to another epoch.
            self.file.clearPath()
            opened = try self.file.restart(epoch: epoch, head: head, sources: sources)
        } catch {
            self.failure = error
            self.statistics.withLock { $0.failure = error }
            throw error
        }
        self.writer = opened.writer
        self.failure = nil
        self.uncheckpointedBytes = 0
        self.inbox.reopen()
        self.statistics.withLock { $0.failure = nil }
        self.measure()
    }

    /// Commits what waits and closes in order.
    private func finish() {
        if self.inbox.hasUpdates {
            _ = self.write { _, _ in }
        }
        Failpoint.hit("before-close")
        if self.failure == nil, var writer = self.writer {
            do throws(StoreError) {
                try self.file.commit { try writer.setClosed(true, $0) }
                // SQLite would do this while closing, and keep its failure to itself.
                try self.file.checkpoint(truncating: true)
            } catch {
                self.fail(error)
            }
        }
        self.failure = self.failure ?? self.closed
        self.file.close(self.closed)
        self.file.unlock()
        let closed = self.closed
        self.statistics.withLock { $0.failure = closed }
    }
}
