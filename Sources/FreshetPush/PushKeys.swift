// The keys of a subscription, from what a client sent and from what was kept.

import FreshetCore
import WebPush

enum PushKeys {
    /// - Throws: ``PushRefusal/keys(_:)`` where a message could not be encrypted for them.
    static func read(_ request: PushRequest) throws(PushRefusal) -> SubscriberKeys {
        do throws(WebPushError) {
            return try SubscriberKeys(p256dh: request.p256dh, auth: request.auth)
        } catch {
            throw .keys("\(error)")
        }
    }
}
