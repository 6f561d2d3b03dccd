// One request on its way to the route that answers it.

import FreshetCore
import FreshetStreaming
import NIOCore

/// A complete request and where it came from.
struct IncomingRequest: Sendable {
    enum Listener: Sendable {
        case main
        /// The listener that is only for administration.
        case admin
    }

    var head: RequestHead
    var body: ByteBuffer
    var peer: PeerAddress
    var listener: Listener
    /// Of the connection: timers of this request run there.
    var eventLoop: any EventLoop

    var query: QueryString { QueryString(self.head.query) }
}

/// What a route is called with.
struct GatewayContext: Sendable {
    let request: IncomingRequest
    /// The parameters of the path, percent-encoded.
    let parameters: [String: Substring]

    /// A parameter of the path, still percent-encoded; empty for a name that the path does not have.
    func segment(_ name: String) -> Substring {
        self.parameters[name] ?? ""
    }
}
