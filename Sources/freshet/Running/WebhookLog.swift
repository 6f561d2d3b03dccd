// Lines about endpoints of webhooks, and the place of their rows on the disk.

import FreshetCore
import FreshetStorage
import FreshetWebhooks
import Logging

/// What happens at endpoints. Never a body, a URL or a secret.
struct WebhookLog: Sendable {
    let logger: Logger

    func note(_ notice: WebhookDesk.Notice) {
        switch notice {
        case .failing(let name, let last):
            var metadata: Logger.Metadata = ["webhook": "\(name)", "id": "\(last.id)"]
            if let status = last.outcome.status { metadata["status"] = "\(status)" }
            if let error = last.outcome.error { metadata["error"] = "\(error)" }
            self.logger.warning("a webhook was refused; it is sent again", metadata: metadata)
        case .recovered(let name):
            self.logger.notice("a webhook is delivered again", metadata: ["webhook": "\(name)"])
        case .disabled(let name):
            self.logger.error(
                "a webhook is disabled: its endpoint answered 410; resume it by POST /v1/admin/webhooks/NAME/resume",
                metadata: ["webhook": "\(name)"]
            )
        case .gap(let name, let reason):
            self.logger.warning(
                "a webhook gets a gap: the log no longer holds what it lacks",
                metadata: ["webhook": "\(name)", "reason": "\(reason.rawValue)"]
            )
        case .rowUnreadable(let name):
            self.logger.error(
                "the position of a webhook cannot be read; it begins with the next change",
                metadata: ["webhook": "\(name)"]
            )
        }
    }
}

/// Keeps endpoints' rows in the change log's file, whichever is open.
final class WebhookRowDesk: WebhookStore {
    private let log: DurableLog

    init(log: DurableLog) {
        self.log = log
    }

    func keep(
        _ rows: [StoredWebhook],
        forgetting names: [String],
        done: @escaping @Sendable (Result<Void, StoreError>) -> Void
    ) {
        guard let store = self.log.open else { return done(.failure(StoreError(.closed, "the log is not open"))) }
        store.keep(rows, forgetting: names, done: done)
    }
}
