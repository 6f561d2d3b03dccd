// Idempotency keys in memory, and on the disk where there is one.

import FreshetCore
import Synchronization

/// The table of keys with the store below it. Any thread.
final class WriteKeys: Sendable {
    private let table: Mutex<IdempotencyTable>
    private let store: (any IdempotencyStore)?

    init(
        limits: IdempotencyTable.Limits,
        store: (any IdempotencyStore)?,
        restored: [(IdempotencyScope, IdempotencyRecord)]
    ) {
        self.table = Mutex(IdempotencyTable(limits: limits, restoring: restored))
        self.store = store
    }

    /// Keys that are remembered, and their bytes.
    var counts: (keys: Int, bytes: Int) { self.table.withLock { ($0.count, $0.bytes) } }

    func begin(_ scope: IdempotencyScope, fingerprint: [UInt8], now: WallTime) -> IdempotencyTable.Finding {
        self.table.withLock { $0.begin(scope, fingerprint: fingerprint, now: now) }
    }

    func expire(now: WallTime) {
        let gone = self.table.withLock { $0.expire(now: now) }
        if !gone.isEmpty { self.store?.forget(gone) }
    }

    /// Commits what a key stands for before it is acted upon: that it is used, or what is about to be sent.
    ///
    /// - Returns: Whether it is on the disk, where there is one.
    func keep(_ scope: IdempotencyScope, _ attempt: WriteAttempt?) async -> Bool {
        let record = self.table.withLock { table in
            attempt.map { table.attempted(scope, $0) } ?? table.record(of: scope)
        }
        guard let record else { return false }
        return await self.commit(scope, record)
    }

    /// Keeps what a write came to. An answer that the disk does not take is given all the same: what was kept before says what
    /// was sent.
    func end(_ scope: IdempotencyScope, _ end: WritePlan.End, _ answer: WriteAnswer) async {
        guard let record = self.table.withLock({ $0.end(scope, end, answer) }) else {
            self.store?.forget([scope])
            return
        }
        _ = await self.commit(scope, record)
    }

    private func commit(_ scope: IdempotencyScope, _ record: IdempotencyRecord) async -> Bool {
        guard let store = self.store else { return true }
        return await withCheckedContinuation { continuation in
            store.keep(scope, record) { result in
                if case .success = result {
                    continuation.resume(returning: true)
                } else {
                    continuation.resume(returning: false)
                }
            }
        }
    }

    func rewrite() {
        guard let store = self.store else { return }
        for (scope, record) in self.table.withLock({ $0.records }) { store.keep(scope, record) { _ in } }
    }
}
