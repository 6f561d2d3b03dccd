// From the stream to the disk of this node, and on to its subscribers.

import Dispatch
import FreshetCore
import Synchronization

extension ClusterLog {
    func commit(_ record: LogRecord, at position: UInt64, _ confined: Confined) {
        let epoch = confined.machine.epoch
        let cursor = Cursor(epoch: epoch, sequence: position)
        self.shared.withLock { $0.issued += 1 }
        guard let store else { return self.commits.async { self.committed(record, at: cursor) } }
        store.append(StoredChange(record, position), snapshot: StoredSource(record, position)) { [weak self] result in
            if case .failure(let error) = result { self?.storeFailed(error) }
            self?.committed(record, at: cursor)
        }
    }

    private func committed(_ record: LogRecord, at cursor: Cursor) {
        let receiver = self.shared.withLock { shared in
            shared.head = cursor
            shared.receiver?.committed(record, at: cursor)
            return shared.receiver
        }
        receiver?.settle()
        let (ready, drained) = self.shared.withLock { shared -> ([@Sendable () -> Void], DispatchSemaphore?) in
            shared.completed += 1
            let completed = shared.completed
            let ready = shared.barriers.filter { $0.after <= completed }.map(\.run)
            if !ready.isEmpty { shared.barriers.removeAll { $0.after <= completed } }
            return (ready, shared.issued == completed ? shared.drained : nil)
        }
        drained?.signal()
        for run in ready { self.queue.async(execute: run) }
        self.releaseReaders()
        self.giveBack(0)
    }

    /// The disk of this node failed: it goes on in memory, under the same numbers. The hub takes note once.
    private func storeFailed(_ error: StoreError) {
        let receiver = self.shared.withLock { $0.receiver }
        receiver?.failed(self, error)
    }

    /// Lets as many messages come as were worked off, once the disk keeps up.
    func giveBack(_ count: Int) {
        let (reading, due) = self.shared.withLock { shared -> ((any StreamReading)?, Int) in
            shared.owed += count
            guard shared.owed > 0, shared.issued - shared.completed < UInt64(Self.window) else { return (nil, 0) }
            defer { shared.owed = 0 }
            return (shared.reading, shared.owed)
        }
        if due > 0 { reading?.consumed(due) }
    }

    /// Runs something on the queue once all changes up to now have come out.
    func afterCommits(_ run: @escaping @Sendable () -> Void) {
        let isReady = self.shared.withLock { shared in
            if shared.completed == shared.issued { return true }
            shared.barriers.append((shared.issued, run))
            return false
        }
        if isReady { self.queue.async(execute: run) }
    }

    /// Goes on after this position, on the disk too.
    func renumber(to cursor: Cursor) {
        self.waitForCommits()
        let receiver = self.shared.withLock { shared in
            shared.head = cursor
            return shared.receiver
        }
        if let store, let hub = receiver as? Hub, hub.storeError == nil {
            // At the position itself, as in memory: what was before it is a gap for the next process too.
            var sources = hub.valuesToStore()
            for index in sources.indices { sources[index].sequence = cursor.sequence }
            do throws(StoreError) {
                try store.restart(epoch: cursor.epoch, head: cursor.sequence, sources: sources)
            } catch {
                self.storeFailed(error)
            }
        }
        receiver?.moved(to: cursor)
        receiver?.settle()
        self.releaseReaders()
    }

    private func waitForCommits() {
        let semaphore = DispatchSemaphore(value: 0)
        let mustWait = self.shared.withLock { shared in
            guard shared.completed != shared.issued else { return false }
            shared.drained = semaphore
            return true
        }
        if mustWait { semaphore.wait() }
        self.shared.withLock { $0.drained = nil }
    }
}
