// Endpoints that several gateways could send to, and one does: begun where the gateway before it was, and given up in order.

import FreshetCore
import FreshetUpstream
import System

extension WebhookLoop {
    /// Between two looks whether the lease holds again.
    private static let recheck = Duration.milliseconds(100)
    /// How long a release waits for messages under way.
    private static let lastAnswers = Duration.seconds(1)

    var isSharing: Bool { self.parts.configuration.sharing != nil }

    /// Notes what is configured. Endpoints that are owned already begin.
    func configure(_ webhooks: [WebhookConfiguration]) {
        self.configured = Dictionary(webhooks.map { ($0.name, $0) }, uniquingKeysWith: { first, _ in first })
        for (name, row) in self.early where self.configured[name] != nil {
            self.early[name] = nil
            self.own(name, row: row)
        }
    }

    /// This gateway sends to an endpoint from here on.
    func own(_ name: String, row text: [UInt8]?) {
        guard let webhook = self.configured[name] else {
            self.early[name] = .some(text)
            return
        }
        if let number = self.names[name] { self.remove(number) }
        let row = text.flatMap { WebhookRow(text: $0) }
        if text != nil, row == nil { self.parts.notify(.rowUnreadable(name: name)) }
        self.add(webhook, row: row ?? self.formerRow(name))
        guard let number = self.names[name], let endpoint = self.endpoints[number] else { return }
        endpoint.machine.rowLost()
        // A gateway that takes over before anything of it is known would begin at a later change.
        if text == nil { endpoint.heldUntil = .distantFuture }
        self.rowsDue = MonotonicTime(nanoseconds: .min)
    }

    /// The row on this disk, where it is of another numbering: of a time before the cluster, or of one that the cluster has
    /// lost. The endpoint is told of that by a gap. One of this numbering is older than what the cluster has forgotten.
    private func formerRow(_ name: String) -> WebhookRow? {
        let stored = self.parts.restored.first { $0.name == name }
        guard let row = stored.flatMap({ WebhookRow(text: $0.text) }) else { return nil }
        return row.cursor.epoch == self.parts.hub.cursor.epoch ? nil : row
    }

    /// Another gateway sends to it from here on, or none: nothing more is sent, and what is under way may end.
    func release(_ name: String, _ done: @escaping @Sendable () -> Void) {
        self.early[name] = nil
        guard let number = self.names[name], let endpoint = self.endpoints[number] else { return done() }
        endpoint.leaving?.done()
        endpoint.leaving = (MonotonicTime.now + Self.lastAnswers, done)
        self.awake.insert(number)
    }

    /// Gives up the endpoints that are released and have nothing under way.
    func letGo(now: MonotonicTime) {
        for (number, endpoint) in self.endpoints {
            guard let leaving = endpoint.leaving, endpoint.machine.inFlightCount == 0 || leaving.at <= now else {
                continue
            }
            let text = endpoint.machine.row(now: now, wall: .now).text
            let row = StoredWebhook(name: endpoint.machine.configuration.name, text: text)
            // What the owner of the stream is told next is that it is released: the row comes before.
            self.parts.store?.keep([row], forgetting: [], done: { _ in })
            self.remove(number)
        }
    }

    /// Whether an endpoint may be sent anything now; else it is asked again later.
    func maySend(_ endpoint: Endpoint, now: MonotonicTime) -> Bool {
        guard let sharing = self.parts.configuration.sharing else { return true }
        guard endpoint.leaving == nil else { return false }
        if let held = endpoint.heldUntil, now < held { return false }
        guard sharing.maySend(endpoint.machine.configuration.name) else {
            endpoint.heldUntil = now + Self.recheck
            return false
        }
        endpoint.heldUntil = nil
        return true
    }
}
