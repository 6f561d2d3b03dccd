// One request on its way to the route that answers it.

import FreshetCore
import FreshetStreaming
import NIOCore
import System

/// The head of a request, where its path leads, and what it proves about its sender.
struct RequestPlan: Sendable {
    var head: RequestHead
    /// `nil` where the path leads nowhere.
    var match: RouteTable.Match?
    var identity: Identity

    /// `nil` where the path leads nowhere, or does not answer to the method.
    var route: Route? { self.match?.endpoint.route(for: self.head.method) }
}

/// A complete request and where it came from.
struct IncomingRequest: Sendable {
    /// What is known of the listener that accepted the connection.
    struct Listener: Hashable, Sendable {
        enum Purpose: Hashable, Sendable {
            case main
            /// `admin.listen`: whoever reaches it is an administrator.
            case administration
        }

        var purpose: Purpose
        /// Its peers have no address.
        var isUnixSocket: Bool
        /// It is for administration, or on a loopback or private address: only known host names are answered.
        var checksHost: Bool
    }

    var plan: RequestPlan
    var body: ByteBuffer
    /// The client as limits count it: behind a trusted proxy not the peer, but whom the proxy names.
    var client: PeerAddress
    var listener: Listener
    /// Of the connection: timers of this request run there.
    var eventLoop: any EventLoop
    /// What the request has waited for; `nil` for one that comes for the first time.
    var awaited: AwaitedChange?

    var head: RequestHead { self.plan.head }
    var query: QueryString { QueryString(self.head.query) }
    /// Whom reads of the log are done for.
    var readClient: ReadClient { self.client.readClient }
}

/// What a route is called with.
struct GatewayContext: Sendable {
    let request: IncomingRequest
    /// The parameters of the path, percent-encoded.
    let parameters: [String: Substring]
    /// Who asks. Has been let through by the route's ``Route/access``.
    let principal: Principal

    /// A parameter of the path, still percent-encoded; empty for a name that the path does not have.
    func segment(_ name: String) -> Substring {
        self.parameters[name] ?? ""
    }
}
