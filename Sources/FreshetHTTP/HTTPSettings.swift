// What an operator may set about the HTTP side, with its defaults.

package import FreshetCore
package import FreshetStreaming
package import System

/// Limits, addresses and origins of the HTTP server.
package struct HTTPSettings: Sendable {
    /// Default: `127.0.0.1:8080`.
    package var listen = ListenAddress.tcp(host: Defaults.listenHost, port: Defaults.listenPort)
    /// A listener of its own for administration, a unix socket or a loopback address; whoever reaches it is an
    /// administrator. Default: none.
    package var adminListen: ListenAddress?
    /// Where TLS is spoken, beside plain HTTP on the main listener. Default: nowhere, and with certificates the main listener
    /// speaks it.
    package var tlsListen: ListenAddress?
    /// Sockets that a service manager opened, which take the place of those addresses. Default: none.
    package var inherited = InheritedSockets()
    /// With it administration is served on the main listener as well. Default: none, and then it is not.
    package var adminKey: AdminKey?
    /// What those may do who present no credential, where there is no `auth`. Default: everything but administration.
    package var anonymous = Grants.open
    /// The cookie that may hold a credential. Default: none.
    package var credentialCookie: String?
    /// `?access_token=` may hold a credential. Default: it is not looked at.
    package var allowsQueryToken = false
    /// Origins whose pages may read (CONTRACT §2, `cors.origins`), or `*`. Default: none.
    package var corsOrigins: [String] = []
    /// Proxies that say for whom they ask. Default: none.
    package var trustedProxies = TrustedProxies()
    /// `/metrics`, `/v1/sources` and the details of `/readyz` are for administrators. Default: for everybody.
    package var keepsOperationsPrivate = false
    /// Names to which a loopback or private listener answers, beside `localhost` and IP addresses: a name that somebody
    /// else points at us is refused (DNS rebinding). Without port.
    package var hostNames: [String] = []

    /// From the first byte of a request, or from the connection, to the end of its header. Default: 5 s.
    package var headerTimeout: Duration = Defaults.Limits.headerTimeout
    /// From the end of the header to the end of the body. Default: 30 s.
    package var bodyTimeout: Duration = .seconds(30)
    /// How long a connection may wait for its next request. Default: 60 s.
    package var keepAliveTimeout: Duration = Defaults.Limits.idleTimeout
    /// How long a client may take to accept an answer. Default: 30 s.
    package var writeTimeout: Duration = Defaults.Limits.writeTimeout
    /// How long a shutdown waits for answers under way. Default: 5 s.
    package var shutdownTimeout: Duration = .seconds(5)

    /// Of the request target. Default: 8 KiB.
    package var maxTargetBytes = 8 << 10
    /// Of all header lines of a request. Default: 16 KiB, since browsers send every cookie of `localhost` along.
    package var maxHeaderBytes = 16 << 10
    /// Header lines of a request. Default: 100.
    package var maxHeaderFields = 100
    /// Of a value that is pushed. Other bodies are read, up to 64 KiB, and dropped. Default: 8 MiB.
    package var maxBodyBytes = Defaults.Limits.maxBodyBytes
    /// The longest `wait` that a request may ask for; a longer one is cut. Default: 5 min.
    package var maxWait: Duration = .seconds(300)

    /// How old `/metrics`, `/v1/sources` and `/readyz?verbose` may be: they are made at most so often, however many ask
    /// (A15). Default: 1 s.
    package var sharedTextLifetime: Duration = .seconds(1)
    /// Streams of `/v1/sources` at one time: dashboards, not subscribers. Default: 256.
    package var maxRowStreams = Defaults.Limits.maxRowStreams
    /// After how long such a stream shows that it lives. Default: 15 s.
    package var rowHeartbeat: Duration = Defaults.heartbeat
    /// The example board is served under `/demo/`. Default: it is not.
    package var servesExample = false
    /// What `/v1/gateway` says of the program. Default: nothing.
    package var version = ""

    /// Connections that no stream has taken over yet, at one time. Default: as many as there are descriptors for,
    /// streams and a reserve counted off.
    package var maxConnections: Int?
    /// Such connections of one IPv4 address or one IPv6 /64; 0 for no bound. Loopback and unix sockets are never
    /// bounded: behind them is a proxy. Default: 1000.
    package var maxConnectionsPerAddress = Defaults.Limits.maxConnectionsPerAddress
    /// Connections beside those, which are read as far as the request line: so that `/livez` and `/readyz` are answered
    /// whoever holds the others (A14). Default: 16.
    package var probePlaces = 16
    /// Requests that may wait for a change at one time (A12). Default: `nil`, 10,000 and at most half as many as there
    /// are descriptors.
    package var maxWaiting: Int?
    /// Such requests of one IPv4 address or one IPv6 /64; 0 for no bound. Loopback and unix sockets are never bounded.
    /// Default: 1000.
    package var maxWaitingPerAddress = Defaults.Limits.maxWaitingPerAddress
    /// Requests a second of one IPv4 address or one IPv6 /64, ten seconds' worth of them at once; 0 for no bound. Loopback
    /// and unix sockets are never bounded. Default: 100.
    package var maxRequestsPerAddress = Defaults.Limits.maxRequestsPerAddress
    /// Requests a second of one caller, from whatever addresses, ten seconds' worth of them at once; 0 for no bound.
    /// Callers without a credential, and administrators of the process, are never bounded. Default: 1000.
    package var maxRequestsPerCaller = Defaults.Limits.maxRequestsPerCaller
    /// Bytes of the log a second that one such caller may read, in streams that go on from a cursor and in changes, ten
    /// seconds' worth at once; 0 for no bound. Default: 128 MiB.
    package var maxReplayBytesPerCaller = Defaults.Limits.maxReplayBytesPerCaller
    /// How long a connection is not read after such a request above the rate: a client that asks again at once, whatever
    /// `Retry-After` says, is refused once in this time (A12). Default: 1 s.
    package var overRatePause: Duration = .seconds(1)
    /// What a WebSocket may do.
    package var sockets = WebSocketLimits()
    /// Events are compressed for clients that ask for it (`streams.compression`). Default: they are not.
    package var compressesStreams = false
    /// Connections that the kernel may hold until they are accepted. Default: 4096.
    package var backlog = 4096

    package init() {}

    /// The bound on requests that wait that is in force.
    package var effectiveMaxWaiting: Int {
        self.maxWaiting ?? min(Defaults.Limits.maxWaiting, max(1, SystemLimits.openFiles / 2))
    }
}
