// `POST /v1/hooks/{source}`: an upstream says that something changed.

import FreshetAccess
import FreshetCore
import Logging
import NIOCore

/// Takes calls of upstreams. The signature is the credential: no other is looked at.
struct HookRoutes: Sendable {
    let gateway: Gateway

    /// The largest body of a call. It is read for the signature and dropped.
    static let maxBodyBytes = 1 << 20

    func add(to routes: inout RouteTable) {
        routes.on(.post, "/v1/hooks/:source", for: .everybody, bodyLimit: .hook, isCrossOrigin: false) { context in
            try self.call(context)
        }
    }

    private func call(_ context: GatewayContext) throws(Problem) -> Answer {
        let name = SourceSelection.name(context.segment("source").utf8)
        let head = context.request.head
        do throws(HookRefusal) {
            // The instances of a template are one upstream's.
            let named = String(InstanceName.template(of: name))
            try self.gateway.hooks.verify(named, body: context.request.body.readableBytesView, now: WallClock.now) {
                name in
                let values = head.values(of: name)
                return values.count == 1 ? values[0] : nil
            }
        } catch {
            self.gateway.logger.debug("hook refused", metadata: ["reason": "\(error.rawValue)"])
            throw Self.refused
        }
        if let source = self.gateway.hub.source(named: name) { self.gateway.control.hookReceived(source) }
        var answer = Answer.json(Array(#"{"accepted":true}"#.utf8))
        answer.status = 202
        return answer
    }

    /// One answer for all reasons, so that nobody learns which sources there are; the metrics tell them apart.
    private static let refused = Problem(
        401,
        "hook_refused",
        "The source takes no such call: its signature, stamp or id is not right, or the source takes none."
    )
}
