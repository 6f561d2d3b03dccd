// What waits for the store's thread.

import Dispatch
import FreshetCore
import Synchronization

/// A bounded queue into the store's thread. Any thread may put things in, and none of them ever waits.
final class StoreInbox: Sendable {
    /// One thing to do.
    enum Item: Sendable {
        case append(Append)
        /// A change that found the queue full; its texts are gone already.
        case refused(@Sendable (Result<Void, StoreError>) -> Void)
        case remove(source: String)
        /// What is to be known of a write after a crash.
        case key(WriteKeyChange)
        /// What is to be known of push subscriptions after a restart.
        case push(PushChange)
        /// Where endpoints of webhooks stand.
        case webhooks(WebhookChange)
        /// A reader met damage.
        case fault(StoreError)
        /// See whether the files are still those of the log.
        case inspect
        /// Something to run alone, after all that came before.
        case run(@Sendable () -> Void)
        /// Commit, close, end the thread; then run.
        case close(@Sendable () -> Void)
    }

    /// What the thread takes at once.
    struct Intake {
        var items: [Item] = []
        /// Only in an intake after which nothing older is left to write.
        var updates: [String: ValidatorsUpdate] = [:]
    }

    /// How much waits, or is being written.
    struct Load: Hashable {
        var changes = 0
        var bytes = 0
    }

    private struct State {
        var items: [Item] = []
        var updates: [String: ValidatorsUpdate] = [:]
        var load = Load()
        var isRefusing = false
        var isClosed = false
        var isWaiting = false
        /// An ``Item/inspect`` waits: more of them would say the same.
        var isInspecting = false
    }

    /// The most sources whose validators wait.
    private static let maxUpdates = 100_000

    private let state = Mutex(State())
    private let bell = DispatchSemaphore(value: 0)
    private let limits: Load

    init(_ settings: StoreSettings) {
        self.limits = Load(changes: settings.maxQueuedChanges, bytes: settings.maxQueuedBytes)
    }

    /// Whether it was taken; not after ``Item/close(_:)``.
    @discardableResult
    func put(_ item: Item) -> Bool {
        let (isTaken, mustRing) = self.state.withLock { state -> (Bool, Bool) in
            guard !state.isClosed else { return (false, false) }
            switch item {
            case .append(let append):
                state.items.append(self.admit(append, &state))
                // Older validators must not overwrite those that come with the change.
                state.updates[append.change.source] = nil
            case .close:
                state.isClosed = true
                state.items.append(item)
            case .inspect:
                guard !state.isInspecting else { return (true, false) }
                state.isInspecting = true
                state.items.append(item)
            case .refused, .remove, .key, .push, .webhooks, .fault, .run:
                state.items.append(item)
            }
            defer { state.isWaiting = false }
            return (true, state.isWaiting)
        }
        if mustRing { self.bell.signal() }
        return isTaken
    }

    private func admit(_ append: Append, _ state: inout State) -> Item {
        if state.load.changes >= self.limits.changes || state.load.bytes >= self.limits.bytes {
            state.isRefusing = true
        }
        // Once one was refused, later ones are too: there must be no hole.
        guard !state.isRefusing else { return .refused(append.done) }
        state.load.changes += 1
        state.load.bytes += append.byteCount
        return .append(append)
    }

    /// Keeps the newest validators of a source until there is something to write, or for a while.
    func put(_ update: ValidatorsUpdate, for source: String) {
        let mustRing = self.state.withLock { state -> Bool in
            guard !state.isClosed, state.updates.count < Self.maxUpdates else { return false }
            state.updates[source] = update
            // An idle thread has to begin to count the time.
            guard state.updates.count == 1, state.isWaiting else { return false }
            state.isWaiting = false
            return true
        }
        if mustRing { self.bell.signal() }
    }

    /// Takes all there is; waits for something, up to `timeout`.
    func take(timeout: Duration) -> Intake {
        if let intake = self.takeNow(orWait: timeout > .zero) { return intake }
        let nanoseconds = min(timeout.clampedNanoseconds, 3_600_000_000_000)
        _ = self.bell.wait(timeout: .now() + .nanoseconds(Int(nanoseconds)))
        return self.takeNow(orWait: false) ?? Intake()
    }

    /// `nil` where there is nothing and the thread is going to wait for it.
    private func takeNow(orWait waits: Bool) -> Intake? {
        self.state.withLock { state in
            guard state.items.isEmpty else {
                defer {
                    state.items = []
                    state.isInspecting = false
                }
                return Intake(items: state.items)
            }
            state.isWaiting = waits
            return waits ? nil : Intake()
        }
    }

    /// The validators that wait, where nothing older is left to write.
    func takeUpdates() -> [String: ValidatorsUpdate] {
        self.state.withLock { state in
            guard state.items.isEmpty else { return [:] }
            defer { state.updates = [:] }
            return state.updates
        }
    }

    var hasUpdates: Bool { self.state.withLock { !$0.updates.isEmpty } }

    /// So much is written, or refused.
    func finished(_ load: Load) {
        self.state.withLock { state in
            state.load.changes -= load.changes
            state.load.bytes -= load.bytes
        }
    }

    /// Takes changes again, after the store was begun anew.
    func reopen() {
        self.state.withLock { $0.isRefusing = false }
    }

    var load: Load { self.state.withLock { $0.load } }
}
