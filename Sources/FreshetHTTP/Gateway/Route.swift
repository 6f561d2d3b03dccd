// A route as a value: what it answers, what it may be sent, and who may use it.

import FreshetCore

/// One method of one path.
struct Route: Sendable {
    enum Method: String, Sendable {
        case get = "GET"
        case post = "POST"
        case put = "PUT"
        case patch = "PATCH"
        case delete = "DELETE"

        /// The methods of RFC 9110 that this one brings along: HEAD is GET whose body the connection leaves out.
        var names: [String] {
            self == .get ? ["GET", "HEAD"] : [self.rawValue]
        }
    }

    /// How many bytes of body a request may have.
    enum BodyLimit: Sendable {
        /// The route takes no body; a short one is read and dropped.
        case dropped
        /// A few members in JSON, up to 64 KiB.
        case short
        /// A new value, up to `limits.max_body_bytes`.
        case upload
        /// A call of an upstream, whose body is read for its signature alone.
        case hook
    }

    /// Who may use the route.
    enum Access: Hashable, Sendable {
        /// Everybody; credentials are not looked at. For what names no source.
        case everybody
        /// Everybody; the action looks at who asks, and tells administrators more.
        case probe
        /// Whoever has some right to sources; the action looks which by ``GatewayContext/principal``.
        case caller
        /// Whoever has the grant `admin`, or reaches the listener for administration.
        case administrator
    }

    typealias Handler = @Sendable (GatewayContext) async throws -> Answer

    enum Action: Sendable {
        case answer(Handler)
        /// The connection becomes a stream.
        case stream
        /// The connection becomes a WebSocket.
        case socket
    }

    var method: Method
    var bodyLimit: BodyLimit
    var access: Access
    /// Whether pages of the origins in `cors.origins` may read the answer.
    var isCrossOrigin: Bool
    /// Without `auth`, what is presented as a credential is for the upstream, and proves nothing here.
    var isForwarded = false
    var action: Action
}
