// Rows on their way to the disk, and what is told of endpoints.

import FreshetCore
import FreshetUpstream
import JSON
import System

extension WebhookLoop {
    /// Keeps the rows of endpoints that are new, and waits until that is done, or cannot be.
    func keepFirstRows() {
        let kept = Watch()
        self.keepRows(now: .now, isLast: true) { kept.signal() }
        kept.wait()
    }

    /// Writes the rows that changed since they were written last, all in one transaction, as often as
    /// ``WebhookDesk/Configuration/rowInterval`` allows, or at once where a message waits for one of them.
    /// `isLast`: everything is written now. `done` is called once that is done, or cannot be.
    func keepRows(now: MonotonicTime, isLast: Bool = false, done: @escaping @Sendable () -> Void = {}) {
        var rows: [StoredWebhook] = []
        var revisions: [Int: UInt64] = [:]
        let isTime =
            isLast || self.rowsDue <= now
            || self.endpoints.values.contains { $0.machine.isUrgent && $0.writing == nil && $0.machine.isDirty }
        for (number, endpoint) in self.endpoints where isTime && endpoint.machine.isDirty {
            guard isLast || endpoint.writing == nil else { continue }
            revisions[number] = endpoint.machine.revision
            self.endpoints[number]?.writing = endpoint.machine.revision
            guard self.parts.store != nil else { continue }
            let text = endpoint.machine.row(now: now, wall: .now).text
            rows.append(StoredWebhook(name: endpoint.machine.configuration.name, text: text))
        }
        guard !revisions.isEmpty else { return done() }
        self.rowsDue = now + self.parts.configuration.rowInterval
        let inbox = self.inbox
        guard let store = self.parts.store else {
            _ = inbox.post(.kept(revisions))
            return done()
        }
        // A row that cannot be kept keeps no message back: the log says elsewhere that the disk fails.
        store.keep(rows, forgetting: []) { [revisions] _ in
            _ = inbox.post(.kept(revisions))
            done()
        }
    }

    var metrics: WebhookMetrics {
        var metrics = WebhookMetrics()
        metrics.duration = self.duration
        metrics.underWay = self.underWay
        let head = self.parts.hub.cursor.sequence
        for endpoint in self.endpoints.values {
            let machine = endpoint.machine
            var figures = WebhookMetrics.Endpoint()
            figures.state = machine.state
            figures.isFailing = machine.state == .active && machine.isFailing
            figures.lag = head - min(head, machine.cursor.sequence)
            figures.inFlight = machine.inFlightCount
            figures.ahead = machine.aheadCount
            figures.heldBytes = machine.heldBytes
            figures.figures = machine.figures
            metrics.endpoints[machine.configuration.name] = figures
        }
        return metrics
    }

    func report(_ number: Int) -> WebhookReport? {
        guard let machine = self.endpoints[number]?.machine else { return nil }
        let wait = machine.nextRetry.map { max(.zero, $0 - MonotonicTime.now).milliseconds }
        let retry = wait.map { WallTime(milliseconds: WallTime.now.milliseconds + $0) }
        let standing = WebhookStanding(machine, head: self.parts.hub.cursor, nextRetry: retry)
        return WebhookReport(machine.configuration, standing)
    }
}

/// The message of `POST /v1/admin/webhooks/{name}/test`.
enum WebhookTest {
    static func body(_ webhook: WebhookConfiguration, id: String, at time: WallTime) -> [UInt8] {
        // A plain one has no id: that of an event is a cursor.
        webhook.message("test", id: webhook.envelope == .plain ? nil : id) { json in
            json.object { json in
                json.member("webhook", webhook.name)
                json.member("at", time.description)
            }
        }
    }
}
