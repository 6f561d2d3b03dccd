// How a broker is reached.

/// How a broker is reached, and how much may wait for it.
package struct NATSSettings: Hashable, Sendable {
    package struct TLS: Hashable, Sendable {
        /// A file of CA certificates to trust instead of the system's.
        package var authorities: String?
        /// A file with a certificate of our own, and the one with its key.
        package var certificate: String?
        package var key: String?

        package init(authorities: String? = nil, certificate: String? = nil, key: String? = nil) {
            self.authorities = authorities
            self.certificate = certificate
            self.key = key
        }
    }

    /// `nats://` or `tls://` addresses, tried in random order; with a user and a password, or without.
    package var servers: [String]
    /// What the broker lists the connection as.
    package var name: String
    /// A file with the JWT of a user and its seed, read again at each attempt.
    package var credentialsFile: String?
    /// `nil` for plain connections, except to `tls://` addresses.
    package var tls: TLS?
    /// For one server.
    package var connectTimeout: Duration = .seconds(2)
    /// The pause after a first failed attempt; it doubles with each, up to ``maxPause``. Half of it is drawn at random.
    package var minPause: Duration = .milliseconds(100)
    package var maxPause: Duration = .seconds(5)
    /// A connection on which nothing came for this long is asked for a sign of life, and is lost after three times as long.
    package var probeInterval: Duration = .seconds(2)
    /// What may be asked for and not be answered yet.
    package var maxPending = 16_384
    package var maxPendingBytes = 64 << 20
    /// What may be written and not be sent yet, before messages that nobody waits for are dropped.
    package var maxUnsentBytes = 16 << 20

    package init(servers: [String], name: String = "freshet") {
        self.servers = servers
        self.name = name
    }

    var isSecure: Bool { self.tls != nil || self.servers.contains { $0.lowercased().hasPrefix("tls://") } }
}

/// Why a question to a broker has no answer.
package struct NATSFailure: Error, Hashable, Sendable {
    package enum Reason: Hashable, Sendable {
        /// The library of the system is not installed.
        case noLibrary
        /// No server can be reached, or the connection was lost.
        case disconnected
        /// The broker refuses the credentials, or the use of a subject.
        case denied
        /// TLS: certificates, names or files.
        case untrusted
        case timedOut
        /// Nobody serves the subject.
        case noResponder
        /// Nothing was sent: there is no connection, or the message is too long.
        case unsent
        /// A subject or a header that cannot be sent, or an answer that cannot be read.
        case malformed
        case other
    }

    package var reason: Reason
    /// Fit for a log; without secrets.
    package var message: String

    package init(_ reason: Reason, _ message: String) {
        self.reason = reason
        self.message = message
    }
}
