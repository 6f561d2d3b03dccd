// Idempotency keys in memory, and on the disk where there is one.

import FreshetCore
import Synchronization

/// The table of keys with the store below it. Any thread.
final class WriteKeys: Sendable {
    private let table: Mutex<IdempotencyTable>
    private let store: (any IdempotencyStore)?
    /// `nil` for a gateway that is alone.
    private let sharing: (any KeySharing)?

    init(
        limits: IdempotencyTable.Limits,
        store: (any IdempotencyStore)?,
        sharing: (any KeySharing)?,
        restored: [(IdempotencyScope, IdempotencyRecord)]
    ) {
        self.table = Mutex(IdempotencyTable(limits: limits, restoring: restored))
        self.store = store
        self.sharing = sharing
    }

    /// Keys that are remembered, and their bytes.
    var counts: (keys: Int, bytes: Int) { self.table.withLock { ($0.count, $0.bytes) } }

    func begin(_ scope: IdempotencyScope, fingerprint: [UInt8], now: WallTime) -> IdempotencyTable.Finding {
        self.table.withLock { $0.begin(scope, fingerprint: fingerprint, now: now) }
    }

    /// Another gateway says what it knows of a key; `nil`: nothing any more.
    func learn(_ scope: IdempotencyScope, _ record: IdempotencyRecord?, now: WallTime) {
        self.expire(now: now)
        let (isNew, known) = self.table.withLock { ($0.learn(scope, record, now: now), $0.record(of: scope)) }
        guard isNew else { return }
        if let known { self.store?.keep(scope, known) { _ in } } else { self.store?.forget([scope]) }
    }

    func expire(now: WallTime) {
        let gone = self.table.withLock { $0.expire(now: now) }
        if !gone.isEmpty { self.store?.forget(gone) }
    }

    /// Commits what a key stands for before it is acted upon: that it is used, or what is about to be sent. The other gateways
    /// know it first, and then the disk.
    ///
    /// - Throws: Where it is not known to both, as far as there are others and a disk.
    func keep(_ scope: IdempotencyScope, _ attempt: WriteAttempt?, of source: String) async throws(WriteProblem) {
        let record = self.table.withLock { table in
            attempt.map { table.attempted(scope, $0) } ?? table.record(of: scope)
        }
        guard let record else { throw .keysFull("The key is not known any more.") }
        switch await self.sharing?.share(scope, record, of: source) {
        case nil, .shared: break
        case .refused: throw .movedAway(source)
        case .tooLarge: throw .tooLargeForCluster
        }
        guard await self.commit(scope, record) else { throw .keysFull("The disk that remembers writes fails.") }
    }

    /// Keeps what a write came to. An answer that the disk or the other gateways do not take is given all the same: what was
    /// kept before says what was sent.
    func end(_ scope: IdempotencyScope, _ end: WritePlan.End, _ answer: WriteAnswer, of source: String) async {
        let record = self.table.withLock { $0.end(scope, end, answer) }
        _ = await self.sharing?.share(scope, record, of: source)
        guard let record else {
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
