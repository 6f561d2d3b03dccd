// How key sets are asked for. The room opens no socket: the transport comes from outside.

/// A request for a key set.
package struct KeyRequest: Hashable, Sendable {
    /// From the configuration, never from a token.
    package var url: String
    /// What a longer body is to be cut off at; a cut body is an error.
    package var maxBytes: Int
    /// For the whole of it, from the look-up of the name to the last byte.
    package var timeout: Duration
}

/// The answer. Redirects are answers, not followed.
package struct KeyResponse: Sendable {
    package var status: Int
    package var body: [UInt8]

    package init(status: Int, body: [UInt8]) {
        self.status = status
        self.body = body
    }
}

/// Sends a request with the gateway's own rules for addresses, and returns the answer or throws after `timeout` at the
/// latest. The description of an error goes to logs.
package typealias KeyFetch = @Sendable (KeyRequest) async throws -> KeyResponse

/// When keys are fetched.
package struct KeyTiming: Hashable, Sendable {
    /// The shortest time between two attempts of one issuer, whatever the tokens ask for. The default is 30 s.
    package var retryAfter: Duration
    /// Keys are fetched again when they are this old, so that a key that the issuer withdrew ends. The default is 10 min.
    package var refreshAfter: Duration
    /// Keys that cannot be fetched again are used until they are this old. The default is 24 h.
    package var keepFor: Duration
    /// For one request. The default is 10 s.
    package var timeout: Duration

    package init(
        retryAfter: Duration = .seconds(30),
        refreshAfter: Duration = .seconds(600),
        keepFor: Duration = .seconds(86_400),
        timeout: Duration = .seconds(10)
    ) {
        self.retryAfter = retryAfter
        self.refreshAfter = refreshAfter
        self.keepFor = keepFor
        self.timeout = timeout
    }
}
