// What writes want of the shared log: that others know their keys, and that this node has read what they came to.

import Dispatch
package import FreshetCore
import Synchronization

extension ClusterLog: KeySharing {
    package func mayWrite(to source: String) -> Bool { self.owns(source) }

    package func share(
        _ scope: IdempotencyScope,
        _ record: IdempotencyRecord?,
        of source: String
    ) async -> KeySharingOutcome {
        let message = KeyRecord(incarnation: self.settings.incarnation, scope: scope, record: record)
        guard let payload = message.encoded(atMost: self.stream.maxPayloadBytes) else { return .tooLarge }
        let isStored = await withCheckedContinuation { continuation in
            let request = self.shared.withLock { shared in
                shared.lastKey += 1
                shared.keys[shared.lastKey] = { continuation.resume(returning: $0) }
                return shared.lastKey
            }
            self.perform { machine, now in machine.keySubmitted(request, payload, of: source, now: now) }
        }
        return isStored ? .shared : .refused
    }

    func keyStored(_ request: UInt64, _ isStored: Bool) {
        let done = self.shared.withLock { $0.keys.removeValue(forKey: request) }
        done?(isStored)
    }

    /// The most who wait for what this node has not read yet: each change is held against all of them.
    package static let maxReaders = 1024

    /// How many wait so, at most ``maxReaders``.
    package var readersWaiting: Int { self.shared.withLock { $0.readers.count } }

    package func hasRead(_ cursor: Cursor, within time: Duration) async -> Bool {
        await withCheckedContinuation { continuation in
            let done: @Sendable (Bool) -> Void = { continuation.resume(returning: $0) }
            let reader = self.shared.withLock { shared -> UInt64? in
                guard shared.readers.count < Self.maxReaders else { return nil }
                shared.lastReader += 1
                shared.readers[shared.lastReader] = (cursor, done)
                return shared.lastReader
            }
            guard let reader else { return done(false) }
            self.releaseReaders()
            let end = DispatchTime.now() + .nanoseconds(Int(clamping: time.clampedNanoseconds))
            self.queue.asyncAfter(deadline: end) { [weak self] in
                let late = self?.shared.withLock { $0.readers.removeValue(forKey: reader) }
                late?.done(false)
            }
        }
    }

    /// Answers those who wait for what can be read by now.
    func releaseReaders() {
        guard let receiver = self.shared.withLock({ $0.readers.isEmpty ? nil : $0.receiver }) else { return }
        let readable = (receiver as? Hub)?.cursor
        let (ready, isClose) = self.shared.withLock { shared -> ([@Sendable (Bool) -> Void], Bool) in
            let readable = readable ?? shared.head
            let ready = shared.readers.filter { $0.value.cursor.isReached(by: readable) }
            for id in ready.keys { shared.readers[id] = nil }
            return (
                ready.values.map { $0.done }, shared.readers.values.contains { $0.cursor.isReached(by: shared.head) }
            )
        }
        for done in ready { done(true) }
        guard isClose else { return }
        // Another thread is about to make it readable.
        self.queue.asyncAfter(deadline: .now() + .milliseconds(1)) { [weak self] in self?.releaseReaders() }
    }
}

extension Cursor {
    /// In another numbering everything of an earlier one is past.
    fileprivate func isReached(by head: Cursor) -> Bool { self.epoch != head.epoch || self.sequence <= head.sequence }
}
