// One message, from the book to the push service and back.

import FreshetCore
import FreshetUpstream
import Synchronization
import WebPush

extension PushSender {
    /// How long a signature is good for: half of what RFC 8292 §2 allows, and made again at half of that.
    private static let signatureSeconds: Int64 = 12 * 3600
    /// Audiences whose signature is kept.
    private static let maxAuthorizations = 1024

    func carryOut(_ send: PushSend) async {
        let outcome = await self.outcome(of: send)
        var generator = SystemRandomNumberGenerator()
        let aftermath = self.state.withLock { state in
            state.book.ended(send, outcome ?? .withheld, now: .now, wall: .now, using: &generator)
        }
        let (id, host) = (send.subscription.id, send.subscription.host)
        switch aftermath {
        case .goesOn: break
        case .paused(let why): self.note(.refused(id, host: host, why))
        case .ended: self.forget([(id, host)], because: .gone)
        }
        // Its owner has lost its right between two reviews.
        if outcome == nil { self.end([id], because: .revoked) }
        self.sending.ring()
    }

    /// Sends a message; `nil` where its owner's right has ended.
    private func outcome(of send: PushSend) async -> PushOutcome? {
        let subscription = send.subscription
        guard let owner = self.owners.standing(subscription.owner) else { return nil }
        let source = send.message.topic.source
        guard source.isEmpty || owner.grants.read.matches(source) && self.hub.permits(source, to: owner) else {
            return .withheld
        }
        do {
            let endpoint = try PushEndpoint(subscription.endpoint, allowing: self.configuration.allow)
            let keys = try SubscriberKeys(publicKey: subscription.publicKey, secret: subscription.secret)
            let body = try MessageEncryption.encrypt(send.message.text(for: subscription), for: keys)
            let configuration = ExchangeConfiguration(
                headers: [
                    .init(name: "TTL", value: "\(subscription.ttl)"),
                    .init(name: "Urgency", value: subscription.urgency.rawValue),
                    .init(name: "Topic", value: keys.topic(of: send.message.topic.text)),
                    .init(name: "Content-Encoding", value: "aes128gcm"),
                    .init(name: "Content-Type", value: "application/octet-stream"),
                    .init(name: "Authorization", value: try self.authorization(endpoint.audience)),
                ],
                timeout: Defaults.Push.sendTimeout,
                maxBodyBytes: 16 << 10,
                denyPrivate: !endpoint.isAllowed,
                takesEveryBody: false
            )
            let end = await self.client.carryOut(
                ExchangeRequest(.post, body: body),
                to: endpoint.url,
                configuration
            )
            switch end.result {
            case .success(let answer):
                let now = Int(clamping: WallTime.now.seconds)
                return PushOutcome(status: answer.status, fields: answer.fields, wallNow: now)
            case .failure(let error):
                return error.kind == .policy ? .forbidden : .failed(error.kind.rawValue)
            }
        } catch is PushRefusal {
            // `push.allow` was changed since.
            return .forbidden
        } catch {
            return .failed("internal")
        }
    }

    /// The signature for a push service, which many messages share.
    private func authorization(_ audience: String) throws -> String {
        let now = WallTime.now.seconds
        let known = self.state.withLock { $0.authorizations[audience] }
        if let known, known.end - now > Self.signatureSeconds / 2 { return known.text }
        let end = now + Self.signatureSeconds
        let text = try self.configuration.key.key.authorization(
            audience: audience,
            subject: self.configuration.subject,
            expiresAt: end
        )
        self.state.withLock { state in
            if state.authorizations.count >= Self.maxAuthorizations { state.authorizations = [:] }
            state.authorizations[audience] = (text, end)
        }
        return text
    }
}
