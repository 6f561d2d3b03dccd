// The change log on disk: opened at the start, mended while the gateway runs, closed at the end.

import FreshetConfiguration
import FreshetCore
import FreshetHTTP
import FreshetStorage
import Logging
import Synchronization

/// The file behind `log.path`, and what to do when the disk fails (FAULTS F64–F67).
final class DurableLog: Sendable {
    private let settings: StoreSettings
    private let logger: Logger
    /// `nil` while the file cannot be opened.
    private let store: Mutex<SQLiteChangeStore?>
    /// What an earlier process left.
    let contents: StoreContents
    /// Why the file could not be opened at the start, where the gateway runs all the same.
    private let openingError: StoreError?
    /// When it is to be said again that changes are not durable; `nil` while they are.
    private let nextReminder = Mutex<MonotonicTime?>(nil)
    /// Of ``StoreStatistics/renewals``: so many were logged.
    private let loggedRenewals = Mutex<UInt64>(0)

    /// Called when the log has begun again on the disk.
    private let renewals = Mutex<[@Sendable () -> Void]>([])

    private static let reminderInterval = Duration.seconds(60)

    /// Opens the file, or begins one. A disk that is full or fails does not keep the gateway from starting: changes
    /// are in memory alone until ``repair(_:)`` succeeds.
    ///
    /// - Throws: ``StartFailure`` for what passes only when somebody acts: locked by another process, not to be
    ///   written, of a newer version, not ours.
    init(_ log: GatewayConfiguration.Log, logger: Logger) throws(StartFailure) {
        self.settings = StoreSettings(path: log.path, maxBytes: log.maxBytes, maxAge: log.maxAge)
        self.logger = logger
        var generator = SystemRandomNumberGenerator()
        do throws(StoreError) {
            let (store, contents) = try SQLiteChangeStore.open(self.settings, using: &generator)
            self.store = Mutex(store)
            self.contents = contents
            self.openingError = nil
        } catch {
            guard error.kind == .full || error.kind == .io else {
                throw StartFailure("The change log cannot be opened: \(error.message)".escapingControls())
            }
            self.store = Mutex(nil)
            self.contents = StoreContents(epoch: .random(using: &generator), newEpochReason: error.message)
            self.openingError = error
        }
        if let reason = self.contents.newEpochReason {
            logger.warning("starting a new epoch: numbering of changes restarts", metadata: ["reason": "\(reason)"])
        }
    }

    /// A hub whose changes go to the file before anybody sees them.
    func hub(cache: ChangeCache, reads: ReadDesk = ReadDesk()) -> Hub {
        Hub(
            log: ChangeLog(epoch: self.contents.epoch, head: self.contents.head, cache: cache),
            store: self.store.withLock { $0 },
            storeError: self.openingError,
            reads: reads
        )
    }

    /// The same over a log that several gateways share, which commits to the file.
    func hub(cache: ChangeCache, reads: ReadDesk, backend: any LogBackend) -> Hub {
        Hub(
            log: ChangeLog(epoch: self.contents.epoch, head: self.contents.head, cache: cache),
            backend: backend,
            store: self.store.withLock { $0 },
            storeError: self.openingError,
            reads: reads
        )
    }

    /// Sees whether changes are durable, and says so loudly when they no longer are, and again every minute until they
    /// are. Called every second or so, by one task.
    func watch(_ hub: Hub) {
        self.store.withLock { $0 }?.inspect()
        self.logRenewals()
        if let failure = self.statistics?.failure {
            // A reader met damage, and no change has come since whose failure would have shown it.
            hub.storeFailed(failure)
        }
        guard let error = hub.storeError else {
            self.nextReminder.withLock { $0 = nil }
            return
        }
        let isTime = self.nextReminder.withLock { next in
            guard next.map({ $0 <= .now }) ?? true else { return false }
            next = .now + Self.reminderInterval
            return true
        }
        guard isTime else { return }
        self.logger.error(
            "the change log failed: changes are kept only in memory, under a new epoch",
            metadata: Self.metadata(error)
        )
    }

    private func logRenewals() {
        guard let statistics = self.statistics else { return }
        let isNew = self.loggedRenewals.withLock { logged in
            defer { logged = statistics.renewals }
            return statistics.renewals > logged
        }
        guard isNew else { return }
        self.logger.error(
            "the change log's files were modified: the log continues in a new file, with all its changes",
            metadata: ["path": "\(self.settings.path)", "reason": "\(statistics.lastRenewalReason ?? "")"]
        )
    }

    /// Tries to make a log durable again that is not: opens the file where it is not open, and begins a new numbering
    /// in it. Blocks; called by one thread.
    func repair(_ hub: Hub) {
        guard hub.storeError != nil else { return }
        var generator = SystemRandomNumberGenerator()
        do throws(StoreError) {
            let store: SQLiteChangeStore
            if let open = self.store.withLock({ $0 }) {
                store = open
            } else {
                store = try SQLiteChangeStore.open(self.settings, using: &generator).store
                self.store.withLock { $0 = store }
            }
            try hub.resumeStore(store)
            self.logger.notice("the change log is durable again", metadata: ["cursor": "\(hub.cursor)"])
            for renewed in self.renewals.withLock({ $0 }) { renewed() }
        } catch {
            self.logger.debug("the change log is still only in memory", metadata: Self.metadata(error))
        }
    }

    /// Has `action` called when the log has begun again on the disk: what others keep in it has to be written again.
    func onRenewal(_ action: @escaping @Sendable () -> Void) {
        self.renewals.withLock { $0.append(action) }
    }

    private static func metadata(_ error: StoreError) -> Logger.Metadata {
        ["kind": "\(error.kind.rawValue)", "message": "\(error.message)"]
    }

    /// Where idempotency keys are kept.
    var keys: WriteKeyDesk { WriteKeyDesk(log: self) }

    /// Where push subscriptions are kept.
    var subscriptions: PushRowDesk { PushRowDesk(log: self) }

    /// Where endpoints of webhooks are kept.
    var webhooks: WebhookRowDesk { WebhookRowDesk(log: self) }

    /// The open store.
    var open: SQLiteChangeStore? { self.store.withLock { $0 } }

    /// The figures of the file; `nil` while it is not open.
    var statistics: StoreStatistics? {
        self.store.withLock { $0 }?.statistics()
    }

    /// Copies the file while it is written. Blocks.
    func backup() throws(StoreError) -> BackupReport {
        guard let store = self.open else { throw self.openingError ?? StoreError(.closed, "the log is not open") }
        let backup = try store.backup()
        self.logger.notice(
            "the change log was copied",
            metadata: ["path": "\(backup.path)", "bytes": "\(backup.bytes)", "cursor": "\(backup.cursor)"]
        )
        return BackupReport(path: backup.path, bytes: backup.bytes, cursor: backup.cursor)
    }

    /// Writes what waits, and closes. Blocks.
    func close() {
        self.store.withLock { $0 }?.close()
    }
}
