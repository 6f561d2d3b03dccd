// A line for each write, and the place of idempotency keys on the disk.

import FreshetCore
import FreshetPolling
import FreshetStorage
import Logging

/// The audit of writes: who wrote what, and what came of it. Never a body, a tag or a credential.
struct WriteLog: Sendable {
    let logger: Logger

    func note(_ report: WriteReport) {
        var metadata: Logger.Metadata = [
            "caller": "\(report.caller.id)", "kind": "\(report.caller.kind.rawValue)",
            "method": "\(report.method.rawValue)", "source": "\(report.source)", "status": "\(report.status)",
            "outcome": "\(report.outcome.rawValue)",
        ]
        if let key = report.key { metadata["key"] = "\(key)" }
        if let code = report.code { metadata["code"] = "\(code)" }
        if let cursor = report.cursor { metadata["cursor"] = "\(cursor)" }
        self.logger.info("write", metadata: metadata)
    }
}

/// Keeps idempotency keys in the change log's file, whichever is open.
final class WriteKeyDesk: IdempotencyStore {
    private let log: DurableLog

    init(log: DurableLog) {
        self.log = log
    }

    func keep(
        _ scope: IdempotencyScope,
        _ record: IdempotencyRecord,
        done: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        guard let store = self.log.open else { return done(.failure(StoreError(.closed, "the log is not open"))) }
        store.keep(scope, record, done: done)
    }

    func forget(_ scopes: [IdempotencyScope]) {
        self.log.open?.forget(scopes)
    }
}
