// The whole configuration as a value with defaults. Decoding starts from the defaults and sets what the file says.

import FreshetAccess
import FreshetCore
import FreshetHTTP

/// What `freshet serve` runs.
struct GatewayConfiguration: Hashable, Sendable {
    var listen = ListenAddress.tcp(host: "127.0.0.1", port: 8080)
    var admin = Admin()
    var cache = Cache()
    /// The durable change log; without it, changes are kept in memory alone.
    var log: Log?
    var limits = Limits()
    /// The time between signs of life on a quiet stream.
    var heartbeat: Duration = .seconds(15)
    /// What a subscriber is told to wait before it reconnects, before jitter.
    var retry: Duration = .seconds(2)
    var shutdown = Shutdown()
    var cors = CORS()
    var polling = Polling()
    /// Who may do what; without it, everybody may do everything but administer.
    var auth: Auth?
    /// In the order of the file, names unique.
    var sources: [SourceConfiguration] = []

    struct Admin: Hashable, Sendable {
        /// A unix socket or a loopback address on which administration needs no key; none by default.
        var listen: ListenAddress?
        /// Names to which loopback and private listeners answer, beside `localhost` and addresses.
        var hostNames: [String] = []
        /// `/metrics`, `/v1/sources` and the details of `/readyz` are for administrators alone.
        var privateOperations = false
    }

    struct Cache: Hashable, Sendable {
        var maxBytes = 64 << 20
        /// Without it, changes stay as long as there is room.
        var maxAge: Duration?
    }

    struct Log: Hashable, Sendable {
        /// As seen from the working directory.
        var path: String
        var maxBytes = 1 << 30
        var maxAge: Duration = .seconds(7 * 86_400)
    }

    struct Limits: Hashable, Sendable {
        /// By default what the limit of file descriptors allows.
        var maxSubscribers: Int?
        /// By default a tenth of all, from 100 to 1,000.
        var maxSubscribersPerAddress: Int?
        /// Different sets of sources in the streams of one address.
        var maxSourceSetsPerAddress = 256
        /// Connections that are not streams. By default what the limit of file descriptors allows.
        var maxConnections: Int?
        /// Of those, the ones from one address; this machine apart.
        var maxConnectionsPerAddress = HTTPSettings().maxConnectionsPerAddress
        /// Requests that wait for a change. By default 10,000, and at most half of the limit of file descriptors.
        var maxWaiting: Int?
        var maxWaitingPerAddress = HTTPSettings().maxWaitingPerAddress
        /// Requests a second of one address, this machine apart.
        var maxRequestsPerAddress = HTTPSettings().maxRequestsPerAddress
        var headerTimeout: Duration = .seconds(5)
        var idleTimeout: Duration = .seconds(60)
        /// How long a subscriber may take nothing of what waits for it.
        var writeTimeout: Duration = .seconds(30)
        /// Of a value that is pushed.
        var maxBodyBytes = 8 << 20
        /// Requests that may wait for a read of the log.
        var maxWaitingReads = 1024
        var maxWaitingReadsPerAddress = 32
        /// Bytes of answers that are not read. By default 128 MiB, or a quarter of the memory where that is less.
        var maxUnsentBytes: Int?
        /// Bytes. By default what the control group or the machine allows.
        var maxMemory: Int?
        /// Proxies whose `X-Forwarded-For` names the client that limits per address count.
        var trustedProxies: [TrustedProxies.Entry] = []
    }

    struct Shutdown: Hashable, Sendable {
        /// Between "not ready" and the end of polling.
        var delay: Duration = .zero
        /// Over which the streams are ended.
        var drain: Duration = .seconds(5)
    }

    struct CORS: Hashable, Sendable {
        /// Exact origins, or "*" alone; none by default.
        var origins: [String] = []
    }

    struct Auth: Hashable, Sendable {
        var access = AccessConfiguration()
        /// The cookie that may hold a credential.
        var cookie: String?
        /// `?access_token=` may hold one.
        var allowsQueryToken = false
    }

    struct Polling: Hashable, Sendable {
        /// The most polls under way.
        var concurrency = 256
        /// The most polls under way to one host.
        var hostConcurrency = 6
        /// Between the starts of two polls to one host.
        var hostGap: Duration = .zero
        /// Over all sources; no bound by default.
        var requestsPerHour: Int?
    }
}
