// The whole configuration as a value with defaults. Decoding starts from the defaults and sets what the file says.

package import FreshetAccess
package import FreshetCore
package import System
package import TLS

/// What `freshet serve` runs.
package struct GatewayConfiguration: Hashable, Sendable {
    package var listen = ListenAddress.tcp(host: Defaults.listenHost, port: Defaults.listenPort)
    package var admin = Admin()
    package var cache = Cache()
    /// The durable change log; without it, changes are kept in memory alone.
    package var log: Log?
    package var limits = Limits()
    /// The time between heartbeats on a quiet stream.
    package var heartbeat: Duration = Defaults.heartbeat
    /// The reconnection delay that a subscriber is sent, before jitter.
    package var retry: Duration = Defaults.retry
    package var streams = Streams()
    package var shutdown = Shutdown()
    package var cors = CORS()
    package var polling = Polling()
    /// TLS towards clients; without it, they are spoken to in the clear.
    package var tls: TLS?
    /// Who may do what; without it, everybody may do everything but administer.
    package var auth: Auth?
    /// Several gateways as one; without it, this one is alone.
    package var cluster: Cluster?
    /// Web Push; without it, nothing is pushed.
    package var push: Push?
    /// Traces of polls and writes; without it, there are none.
    package var tracing: Tracing?
    /// The interface of the Streamdata.io SDK. The default is `nil`: it is not served.
    package var streamdata: Streamdata?
    /// In the order of the file, names unique.
    package var sources: [SourceConfiguration] = []
    /// In the order of the file, names unique.
    package var webhooks: [WebhookConfiguration] = []

    package init() {}

    package struct Admin: Hashable, Sendable {
        /// A unix socket or a loopback address on which administration needs no key; none by default.
        package var listen: ListenAddress?
        /// Names to which loopback and private listeners answer, beside `localhost` and addresses.
        package var hostNames: [String] = []
        /// `/metrics`, `/v1/sources` and the details of `/readyz` are for administrators alone.
        package var privateOperations = false

        package init() {}
    }

    package struct TLS: Hashable, Sendable {
        package var files: TLSFiles
        /// Where TLS is spoken, beside plain HTTP on the main listener; without it the main listener speaks TLS.
        package var listen: ListenAddress?

        package init(files: TLSFiles, listen: ListenAddress?) {
            self.files = files
            self.listen = listen
        }
    }

    package struct Cache: Hashable, Sendable {
        package var maxBytes = Defaults.Cache.maxBytes
        /// Without it, changes stay as long as there is room.
        package var maxAge: Duration?

        package init() {}
    }

    package struct Log: Hashable, Sendable {
        /// As seen from the working directory.
        package var path: String
        package var maxBytes = Defaults.Log.maxBytes
        package var maxAge: Duration = Defaults.Log.maxAge

        package init(path: String) {
            self.path = path
        }
    }

    package struct Limits: Hashable, Sendable {
        /// By default what the limit of file descriptors allows.
        package var maxSubscribers: Int?
        /// By default a tenth of all, from 100 to 1,000.
        package var maxSubscribersPerAddress: Int?
        /// Different sets of sources in the streams of one address.
        package var maxSourceSetsPerAddress = Defaults.Limits.maxSourceSetsPerAddress
        /// Different views (`pointer`, `item`, `where`) in all streams.
        package var maxViews = Defaults.Views.maxViews
        /// Runs of compressed events in all streams.
        package var maxCompressionRuns = Defaults.Limits.maxCompressionRuns
        /// Different views in the streams of one address; this machine apart.
        package var maxViewsPerAddress = Defaults.Views.maxViewsPerAddress
        /// Connections that are not streams. By default what the limit of file descriptors allows.
        package var maxConnections: Int?
        /// Of those, the ones from one address; this machine apart.
        package var maxConnectionsPerAddress = Defaults.Limits.maxConnectionsPerAddress
        /// Requests that wait for a change. By default 10,000, and at most half of the limit of file descriptors.
        package var maxWaiting: Int?
        package var maxWaitingPerAddress = Defaults.Limits.maxWaitingPerAddress
        /// Requests a second of one address, this machine apart.
        package var maxRequestsPerAddress = Defaults.Limits.maxRequestsPerAddress
        /// Streams with the credential of one caller. By default half of all.
        package var maxSubscribersPerCaller: Int?
        /// Requests a second of one caller.
        package var maxRequestsPerCaller = Defaults.Limits.maxRequestsPerCaller
        /// Bytes of the log that one caller may read in a second.
        package var maxReplayBytesPerCaller = Defaults.Limits.maxReplayBytesPerCaller
        package var headerTimeout: Duration = Defaults.Limits.headerTimeout
        package var idleTimeout: Duration = Defaults.Limits.idleTimeout
        /// How long a subscriber may read nothing while data is waiting for it.
        package var writeTimeout: Duration = Defaults.Limits.writeTimeout
        /// Of a value that is pushed.
        package var maxBodyBytes = Defaults.Limits.maxBodyBytes
        /// Requests that may wait for a read of the log.
        package var maxWaitingReads = Defaults.Limits.maxWaitingReads
        package var maxWaitingReadsPerAddress = Defaults.Limits.maxWaitingReadsPerAddress
        /// Subscriptions of one WebSocket.
        package var maxSubscriptionsPerSocket = Defaults.Limits.maxSubscriptionsPerSocket
        /// Messages a second of one.
        package var maxMessagesPerSocket = Defaults.Limits.maxMessagesPerSocket
        /// Requests of one that were not answered.
        package var maxUnansweredPerSocket = Defaults.Limits.maxUnansweredPerSocket
        /// Of a message.
        package var maxSocketMessageBytes = Defaults.Limits.maxSocketMessageBytes
        /// Bytes of answers that are not read. By default 128 MiB, or an eighth of the memory where that is less.
        package var maxUnsentBytes: Int?
        /// Bytes. By default what the control group or the machine allows.
        package var maxMemory: Int?
        /// Proxies whose `X-Forwarded-For` names the client that limits per address count.
        package var trustedProxies: [TrustedProxies.Entry] = []

        package init() {}
    }

    package struct Streams: Hashable, Sendable {
        /// Events are compressed for clients that ask for it.
        package var compression = false

        package init() {}
    }

    package struct Shutdown: Hashable, Sendable {
        /// Between "not ready" and the end of polling.
        package var delay: Duration = Defaults.Shutdown.delay
        /// Over which the streams are ended.
        package var drain: Duration = Defaults.Shutdown.drain

        package init() {}
    }

    package struct CORS: Hashable, Sendable {
        /// Exact origins, or "*" alone; none by default.
        package var origins: [String] = []

        package init() {}
    }

    package struct Auth: Hashable, Sendable {
        package var access = AccessConfiguration()
        /// The cookie that may hold a credential.
        package var cookie: String?
        /// `?access_token=` may hold one.
        package var allowsQueryToken = false

        package init() {}
    }

    package struct Push: Hashable, Sendable {
        /// `mailto:` or `https:`.
        package var subject: String
        /// As seen from the working directory; made at the start if absent.
        package var keyFile: String
        /// Below them endpoints may be private or plain http.
        package var allow: [PushPrefix] = []
        package var maxAge: Duration = Defaults.Push.maxAge
        package var maxSubscriptions = Defaults.Push.maxSubscriptions
        package var maxSubscriptionsPerCaller = Defaults.Push.maxSubscriptionsPerCaller
        package var maxSubscriptionsPerHost = Defaults.Push.maxSubscriptionsPerHost

        package init(subject: String, keyFile: String) {
            self.subject = subject
            self.keyFile = keyFile
        }
    }

    package struct Tracing: Hashable, Sendable {
        /// Of so many traces that begin here one is sampled.
        package var oneIn = 1

        package init() {}
    }

    package struct Streamdata: Hashable, Sendable {
        package var tokens: StreamdataTokens
        /// Below what requests may have addresses polled.
        package var allow: TargetList
        /// How they are polled: what `defaults` says.
        package var base: SourceConfiguration
        /// The most addresses that are polled at a time.
        package var maxInstances = Defaults.Instances.maxInstances
        /// The most of them for one token; by default half of all.
        package var maxInstancesPerToken: Int?
        /// How long one without a reader is kept.
        package var linger: Duration = Defaults.Instances.linger

        package init(tokens: StreamdataTokens, allow: TargetList, base: SourceConfiguration) {
            self.tokens = tokens
            self.allow = allow
            self.base = base
        }
    }

    package struct Cluster: Hashable, Sendable {
        package struct TLS: Hashable, Sendable {
            package var authorities: String?
            package var certificate: String?
            package var key: String?

            package init() {}
        }

        package var servers: [String]
        package var node: String
        package var stream = "freshet"
        package var replicas = 3
        package var maxBytes = 1 << 30
        package var lease = Duration.seconds(3)
        package var credentialsFile: String?
        package var tls: TLS?

        package init(servers: [String], node: String) {
            self.servers = servers
            self.node = node
        }
    }

    package struct Polling: Hashable, Sendable {
        /// The most polls under way.
        package var concurrency = Defaults.Polling.concurrency
        /// The most polls under way to one host.
        package var hostConcurrency = Defaults.Polling.hostConcurrency
        /// Between the starts of two polls to one host.
        package var hostGap: Duration = Defaults.Polling.hostGap
        /// Over all sources; no bound by default.
        package var requestsPerHour: Int?

        package init() {}
    }
}
