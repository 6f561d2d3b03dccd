// How a change reaches the requests of one event loop that wait for it.

import FreshetCore
import NIOCore
import Synchronization

/// The requests of one event loop that wait. Confined to the loop but for what the hub calls.
///
/// Who publishes leaves the source here and wakes the loop once, however many wait. The loop resumes them in slices, and
/// does its other work in between (A13).
final class LoopWaits: HubListener {
    private let hub: Hub
    private let eventLoop: any EventLoop
    private let table: NIOLoopBound<WaitTable>
    /// Sources that have changed, each once: there are never more than there are sources.
    private let changed = Mutex<Set<SourceID>>([])
    /// Whether the loop was woken for what is in ``changed``.
    private let isSignalled = Atomic<Bool>(false)

    private static let resumedPerSlice = 64

    /// Made on the loop.
    init(hub: Hub, eventLoop: any EventLoop) {
        self.hub = hub
        self.eventLoop = eventLoop
        self.table = NIOLoopBound(WaitTable(), eventLoop: eventLoop)
        hub.attach(waits: self)
    }

    /// Has a wait resumed at the next change of its sources.
    ///
    /// - Returns: `false` where one of them has changed after `sequence`, or is gone: the wait has not begun then.
    func begin(_ wait: ChangeWait, after sequence: UInt64) -> Bool {
        if self.table.value.add(wait) { self.hub.beginWait(for: wait.sources) }
        // Registered by now: a change from here on is reported.
        guard self.hub.hasChanged(after: sequence, among: wait.sources) else { return true }
        self.end(wait)
        return false
    }

    /// Ends a wait, which is not resumed. Does nothing where it has ended.
    func end(_ wait: ChangeWait) {
        if self.table.value.remove(wait) { self.hub.endWait(for: wait.sources) }
    }

    // MARK: From the hub

    func enqueue(_ notice: HubNotice) {
        switch notice {
        case .published(let event): self.changed.withLock { _ = $0.insert(event.source) }
        case .removed(let source): self.changed.withLock { _ = $0.insert(source) }
        case .status, .added, .interrupted: break
        }
    }

    func wake() {
        guard !self.isSignalled.exchange(true, ordering: .acquiringAndReleasing) else { return }
        self.eventLoop.execute { self.takeChanges() }
    }

    private func takeChanges() {
        // Before the sources are taken: one that comes after signals again.
        self.isSignalled.store(false, ordering: .sequentiallyConsistent)
        let changed = self.changed.withLock { changed in
            defer { changed = [] }
            return changed
        }
        let isIdle = !self.table.value.hasDue
        for source in changed {
            for sources in self.table.value.sourceChanged(source) { self.hub.endWait(for: sources) }
        }
        if isIdle { self.resumeSome() }
    }

    private func resumeSome() {
        for wait in self.table.value.takeDue(Self.resumedPerSlice) { wait.end() }
        if self.table.value.hasDue { self.eventLoop.execute { self.resumeSome() } }
    }
}
