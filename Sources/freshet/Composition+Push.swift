// Who sends messages of Web Push: this process, or one gateway of a cluster.

import FreshetAccess
import FreshetCluster
import FreshetConfiguration
import FreshetCore
import FreshetPush
import Logging

extension Composition {
    static func push(
        _ configuration: GatewayConfiguration,
        _ hub: Hub,
        _ authenticator: Authenticator?,
        _ durable: DurableLog?,
        _ logger: Logger
    ) throws(StartFailure) -> PushSender? {
        guard let push = configuration.push else { return nil }
        let sender = try PushControl.sender(
            push,
            of: configuration,
            hub: hub,
            authenticator: authenticator,
            durable: durable,
            logger: logger
        )
        durable?.onRenewal { [weak sender] in sender?.rewriteRows() }
        return sender
    }

    static func push(
        _ configuration: GatewayConfiguration,
        _ hub: Hub,
        _ authenticator: Authenticator?,
        _ durable: DurableLog?,
        _ cluster: ClusterDesk?,
        _ logger: Logger
    ) throws(StartFailure) -> ClusterPush? {
        guard let push = configuration.push, let cluster else { return nil }
        let desk = try PushControl.cluster(
            push,
            of: configuration,
            log: cluster.log,
            hub: hub,
            authenticator: authenticator,
            durable: durable,
            logger: logger
        )
        durable?.onRenewal { [weak desk] in desk?.rewriteRows() }
        return desk
    }

    static func pushMetrics(
        _ sender: PushSender?,
        _ cluster: ClusterPush?
    ) -> (@Sendable () -> PushMetrics)? {
        if let cluster { return { cluster.metrics } }
        guard let sender else { return nil }
        return { sender.metrics }
    }
}
