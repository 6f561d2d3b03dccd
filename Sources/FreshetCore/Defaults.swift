// The defaults that an operator may change, each written once: the configuration starts from them, its manual prints
// them, and a room that is run without a configuration uses them.

package enum Defaults {
    /// `heartbeat`.
    package static let heartbeat: Duration = .seconds(15)
    /// `retry`.
    package static let retry: Duration = .seconds(2)
    /// The host and the port of `listen`.
    package static let listenHost = "127.0.0.1"
    package static let listenPort = 8080

    /// The section `cache`.
    package enum Cache {
        package static let maxBytes = 64 << 20
    }

    /// The section `log`. A gibibyte holds some millions of small changes; seven days outlast a subscriber's long weekend.
    package enum Log {
        package static let maxBytes = 1 << 30
        package static let maxAge: Duration = .seconds(7 * 86_400)
    }

    /// The section `limits`, as far as a limit does not depend on the machine.
    package enum Limits {
        package static let maxSourceSetsPerAddress = 256
        package static let maxConnectionsPerAddress = 1000
        package static let maxWaiting = 10_000
        package static let maxWaitingPerAddress = 1000
        package static let maxRequestsPerAddress = 100
        /// Ten times an address: a caller may be a whole fleet behind one key.
        package static let maxRequestsPerCaller = 1000
        /// A second: what a link of one gigabit carries.
        package static let maxReplayBytesPerCaller = 128 << 20
        package static let headerTimeout: Duration = .seconds(5)
        package static let idleTimeout: Duration = .seconds(60)
        package static let writeTimeout: Duration = .seconds(30)
        package static let maxBodyBytes = 8 << 20
        package static let maxWaitingReads = 1024
        package static let maxRowStreams = 256
        package static let maxWaitingReadsPerAddress = 32
        package static let maxUnsentBytes = 128 << 20
        package static let maxCompressionRuns = 128
        package static let maxSubscriptionsPerSocket = 64
        /// A second, ten seconds' worth of them at once.
        package static let maxMessagesPerSocket = 100
        package static let maxUnansweredPerSocket = 32
        package static let maxSocketMessageBytes = 1 << 20
    }

    /// Sources with parameters.
    package enum Instances {
        package static let maxInstances = 1000
        package static let linger: Duration = .seconds(30)
    }

    /// What readers may ask of a part of a value.
    package enum Views {
        /// `limits.max_views`: different ones in all streams together.
        package static let maxViews = 100_000
        /// `limits.max_views_per_address`: different ones in the streams of one address.
        package static let maxViewsPerAddress = 1000
        /// Of `pointer`, of a key in `item`, and of `where`.
        package static let maxTextBytes = 1024
        /// Keys in `item`.
        package static let maxItems = 100
        /// Different members of a source's items that filters look at.
        package static let maxFilterMembers = 64
    }

    /// Writes (CONTRACT §6).
    package enum Writes {
        package static let perSource = 8
        package static let underWay = 64
        package static let waitingPerSource = 256
        package static let waiting = 1024
        package static let keys = 100_000
        package static let keyBytes = 64 << 20
    }

    /// The section `push`, and what it bounds besides.
    package enum Push {
        package static let maxAge: Duration = .seconds(30 * 86_400)
        /// Subscriptions in all: some 2 KB each.
        package static let maxSubscriptions = 50_000
        package static let maxSubscriptionsPerCaller = 100
        package static let maxSubscriptionsPerHost = 20_000
        /// Seconds that a push service keeps a message: a day.
        package static let ttl = 86_400
        /// The longest that a client may ask for: four weeks.
        package static let maxTTL = 28 * 86_400
        /// Different lists of sources with a `*` in them, and different pointers, in all subscriptions.
        package static let maxPatterns = 256
        /// A change of more items is one message, with a cursor.
        package static let maxItemsPerChange = 16
        /// Messages that wait for one subscriber; more become one message, with a cursor.
        package static let maxWaiting = 32
        /// Bytes of the events that wait; beyond, messages are cursors.
        package static let maxContentBytes = 64 << 20
        /// Sends at one time to hosts that accepted their last message, and to the others.
        package static let maxSends = 192
        package static let maxUnprovenSends = 64
        /// Sends at one time to one host that accepted its last message; to any other host it is one.
        package static let maxSendsPerHost = 16
        /// From the start of a send to its answer.
        package static let sendTimeout: Duration = .seconds(10)
        /// Bytes of the list of sources, of the pointer and of the endpoint.
        package static let maxSourcesBytes = 1024
        package static let maxPointerBytes = 256
        package static let maxEndpointBytes = 2048
    }

    /// The section `webhooks`.
    package enum Webhooks {
        /// What receivers are advised to answer within (Standard Webhooks 1.0).
        package static let timeout: Duration = .seconds(15)
        /// Messages of one endpoint under way.
        package static let maxInFlight = 4
        /// Messages of all endpoints under way.
        package static let underWay = 512
        /// Events of one endpoint that are delivered ahead of one that is not.
        package static let ahead = 1000
        /// Bytes of the messages of one endpoint that wait in memory, but for one that is larger.
        package static let heldBytes = 1 << 20
        /// Last tries of one endpoint that are listed.
        package static let tries = 20
    }

    /// The section `shutdown`.
    package enum Shutdown {
        package static let delay: Duration = .zero
        package static let drain: Duration = .seconds(5)
    }

    /// The section `polling`.
    package enum Polling {
        package static let concurrency = 256
        /// As browsers have it.
        package static let hostConcurrency = 6
        package static let hostGap: Duration = .zero
        /// Bodies of so many bytes and more are read beside the poll thread.
        package static let largeBodyBytes = 128 << 10
        /// Those that wait to be read: sixteen of the largest, or sixty-four.
        package static let maxWaitingBodies = 64
        package static let maxWaitingBodyBytes = 128 << 20
    }
}
