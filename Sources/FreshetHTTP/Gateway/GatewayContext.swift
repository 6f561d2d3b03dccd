// One request on its way through the router.

import FreshetCore
import FreshetStreaming
import Hummingbird
import Logging
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

/// What Hummingbird's router carries along: the request as this server read it.
struct GatewayContext: RequestContext {
    struct Source: RequestContextSource {
        var logger: Logger
        var request: IncomingRequest
    }

    var coreContext: CoreRequestContextStorage
    let request: IncomingRequest

    init(source: Source) {
        self.coreContext = CoreRequestContextStorage(source: source)
        self.request = source.request
    }

    /// A part of the path, still percent-encoded; the router has made sure that it is there.
    func segment(_ name: String) -> String {
        self.parameters.get(name) ?? ""
    }
}
