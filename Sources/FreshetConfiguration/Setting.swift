// Every key of the configuration: its name, what it takes, its default, what it means. One table for the decoder's
// "did you mean", for `config docs` and for `config schema`.

import FreshetCore

/// One key of one section.
struct Setting: Hashable, Sendable {
    /// What a key takes.
    enum Kind: Hashable, Sendable {
        case duration
        case size
        case count
        case ratio
        case flag
        /// True, false, or one of these words.
        case flagOr([String])
        case text
        case choice([String])
        /// One of these words, or a list of origins.
        case choiceOrOrigins([String])
        /// A JSON Pointer (RFC 6901).
        case pointer
        case list
        /// A JSON Pointer, a list of them, or a mapping of them to values.
        case expectation
        case mapping
    }

    var name: String
    var kind: Kind
    /// As it would be written; `nil` where absence means something of its own.
    var defaultText: String?
    /// One sentence.
    var meaning: String
    /// A key of the contract that this version does not carry out.
    var isPlanned = false
    /// Words that people use for it elsewhere.
    var synonyms: [String] = []
    /// Its value is shown nowhere.
    var isSecret = false

    init(
        _ name: String,
        _ kind: Kind,
        default defaultText: String? = nil,
        synonyms: [String] = [],
        isSecret: Bool = false,
        _ meaning: String
    ) {
        self.name = name
        self.kind = kind
        self.defaultText = defaultText
        self.synonyms = synonyms
        self.isSecret = isSecret
        self.meaning = meaning
    }

    /// A key that is known but not carried out yet.
    static func planned(_ name: String, _ meaning: String) -> Setting {
        var setting = Setting(name, .mapping, meaning)
        setting.isPlanned = true
        return setting
    }
}

/// A mapping of the configuration with a fixed set of keys.
struct SettingSection: Hashable, Sendable {
    /// As in a sentence: "a source".
    var title: String
    var settings: [Setting]

    func setting(named name: String) -> Setting? {
        self.settings.first { $0.name == name }
    }
}

/// The defaults that the manual names are those of the values that decoding starts from.
extension SettingSection {
    private static let unset = GatewayConfiguration()
    private static let unsetLog = GatewayConfiguration.Log(path: "")

    static let gateway = SettingSection(
        title: "the top level",
        settings: [
            Setting(
                "listen",
                .text,
                default: "\(Self.unset.listen)",
                synonyms: ["port", "bind", "address", "host"],
                "Where the gateway listens: HOST:PORT, or unix:PATH. Port 0 lets the system choose."
            ),
            Setting("sources", .mapping, synonyms: ["upstreams", "feeds", "apis"], "The sources, by name."),
            Setting("defaults", .mapping, "What every source has unless it says otherwise: any key of a source."),
            Setting(
                "include",
                .list,
                synonyms: ["includes", "import"],
                "Files to read as if they stood here, relative to this file; the last part may hold * and ?."
            ),
            Setting(
                "heartbeat",
                .duration,
                default: DurationText.describe(Self.unset.heartbeat),
                synonyms: ["keepalive"],
                "The time between signs of life on a quiet stream."
            ),
            Setting(
                "retry",
                .duration,
                default: DurationText.describe(Self.unset.retry),
                synonyms: ["reconnect"],
                "How long a subscriber is told to wait before it reconnects; jittered."
            ),
            Setting("cache", .mapping, "How much of the change log stays in memory."),
            Setting("log", .mapping, "The durable change log; without it, changes are kept in memory alone."),
            Setting("limits", .mapping, "How much the gateway takes on."),
            Setting("shutdown", .mapping, "How the gateway ends on SIGTERM."),
            Setting("cors", .mapping, "Which web pages may read."),
            Setting("polling", .mapping, "What all sources share."),
            Setting("admin", .mapping, "How administration is reached."),
            Setting(
                "auth",
                .mapping,
                synonyms: ["access", "authentication"],
                "Who may do what; without it, everybody may read."
            ),
            .planned("tls", "HTTPS for subscribers."),
            .planned("cluster", "Several gateways as one."),
            .planned("streamdata", "The compatibility interface."),
            .planned("webhooks", "Changes sent to URLs."),
            .planned("push", "Changes sent to browsers."),
        ]
    )

    static let admin = SettingSection(
        title: "admin",
        settings: [
            Setting(
                "listen",
                .text,
                synonyms: ["port", "bind", "address"],
                "A unix socket or a loopback address on which administration needs no key: whoever reaches it administers."
            ),
            Setting(
                "host_names",
                .list,
                synonyms: ["hosts", "host"],
                "Host names to which loopback and private listeners answer, beside localhost and IP addresses."
            ),
            Setting(
                "private_operations",
                .flag,
                default: "false",
                synonyms: ["private_metrics"],
                "/metrics, /v1/sources and /readyz?verbose need the key or admin.listen, as administration does."
            ),
        ]
    )

    static let cache = SettingSection(
        title: "cache",
        settings: [
            Setting(
                "max_bytes",
                .size,
                default: SizeText.describe(Self.unset.cache.maxBytes),
                synonyms: ["size", "max_size"],
                "The bytes of changes kept for replay; the least recently used sources lose theirs first."
            ),
            Setting(
                "max_age",
                .duration,
                synonyms: ["ttl", "retention"],
                "How long a change is kept for replay; without it, as long as there is room."
            ),
        ]
    )

    static let log = SettingSection(
        title: "log",
        settings: [
            Setting(
                "path",
                .text,
                synonyms: ["file", "db", "database"],
                "The file, relative to this one; others are made beside it."
            ),
            Setting(
                "max_bytes",
                .size,
                default: SizeText.describe(Self.unsetLog.maxBytes),
                synonyms: ["size", "max_size"],
                "What snapshots and changes may take on the disk; the oldest changes leave first."
            ),
            Setting(
                "max_age",
                .duration,
                default: DurationText.describe(Self.unsetLog.maxAge),
                synonyms: ["ttl", "retention"],
                "How long a change is kept."
            ),
        ]
    )

    static let limits = SettingSection(
        title: "limits",
        settings: [
            Setting(
                "max_subscribers",
                .count,
                "The most streams at one time; by default what the file-descriptor limit allows."
            ),
            Setting(
                "max_subscribers_per_address",
                .count,
                "The most streams from one address at one time, this machine apart; by default a tenth of max_subscribers, from 100 to 1000."
            ),
            Setting(
                "max_source_sets_per_address",
                .count,
                default: "\(Self.unset.limits.maxSourceSetsPerAddress)",
                "The most different sets of sources that the streams of one address may name."
            ),
            Setting(
                "max_connections",
                .count,
                "The most connections that are not streams; by default what the file-descriptor limit allows."
            ),
            Setting(
                "max_connections_per_address",
                .count,
                default: "\(Self.unset.limits.maxConnectionsPerAddress)",
                "The most such connections from one address, this machine apart."
            ),
            Setting(
                "max_waiting",
                .count,
                "The most requests that wait for a change at one time; by default 10000, and at most half of the file-descriptor limit."
            ),
            Setting(
                "max_waiting_per_address",
                .count,
                default: "\(Self.unset.limits.maxWaitingPerAddress)",
                "The most such requests from one address, this machine apart."
            ),
            Setting(
                "max_requests_per_address",
                .count,
                default: "\(Self.unset.limits.maxRequestsPerAddress)",
                "The most requests a second from one address, this machine apart, ten seconds' worth of them at once; above it 429."
            ),
            Setting(
                "header_timeout",
                .duration,
                default: DurationText.describe(Self.unset.limits.headerTimeout),
                "From the first byte of a request to the end of its header."
            ),
            Setting(
                "idle_timeout",
                .duration,
                default: DurationText.describe(Self.unset.limits.idleTimeout),
                "How long a connection without a request is kept."
            ),
            Setting(
                "write_timeout",
                .duration,
                default: DurationText.describe(Self.unset.limits.writeTimeout),
                "How long a subscriber may take nothing of what waits for it."
            ),
            Setting(
                "max_body_bytes",
                .size,
                default: SizeText.describe(Self.unset.limits.maxBodyBytes),
                "The largest body that an upstream may push."
            ),
            Setting(
                "max_waiting_reads",
                .count,
                default: "\(Self.unset.limits.maxWaitingReads)",
                "The most requests that wait for a read of the log; above it 503."
            ),
            Setting(
                "max_waiting_reads_per_address",
                .count,
                default: "\(Self.unset.limits.maxWaitingReadsPerAddress)",
                "The most such requests from one address."
            ),
            Setting(
                "max_unsent_bytes",
                .size,
                "The most bytes of answers that clients have not read, half of them for one address; above it 503. "
                    + "By default 128MiB, or a quarter of max_memory where that is less."
            ),
            Setting(
                "max_memory",
                .size,
                synonyms: ["memory"],
                "The memory to stay within; by default the control group's limit, or what the machine has."
            ),
            Setting(
                "trusted_proxies",
                .list,
                synonyms: ["proxies", "trust_proxy"],
                "Proxies whose X-Forwarded-For says which client the limits per address count: 127.0.0.1, 10.0.0.0/8, unix."
            ),
        ]
    )

    static let shutdown = SettingSection(
        title: "shutdown",
        settings: [
            Setting(
                "delay",
                .duration,
                default: DurationText.describe(Self.unset.shutdown.delay),
                "After /readyz says no, how long everything goes on, for load balancers to notice."
            ),
            Setting(
                "drain",
                .duration,
                default: DurationText.describe(Self.unset.shutdown.drain),
                "Over how long the streams are ended."
            ),
        ]
    )

    static let cors = SettingSection(
        title: "cors",
        settings: [
            Setting(
                "origins",
                .list,
                synonyms: ["allowed_origins", "allow_origins", "origin"],
                "Origins whose pages may read: https://app.example, or \"*\" for all."
            )
        ]
    )

    static let polling = SettingSection(
        title: "polling",
        settings: [
            Setting(
                "concurrency",
                .count,
                default: "\(Self.unset.polling.concurrency)",
                synonyms: ["max_concurrent"],
                "The most polls under way at one time."
            ),
            Setting(
                "host_concurrency",
                .count,
                default: "\(Self.unset.polling.hostConcurrency)",
                synonyms: ["per_host"],
                "The most polls under way to one host."
            ),
            Setting(
                "host_gap",
                .duration,
                default: DurationText.describe(Self.unset.polling.hostGap),
                "The time between the starts of two polls to one host."
            ),
            Setting(
                "requests_per_hour",
                .count,
                synonyms: ["budget"],
                "The most polls an hour over all sources; those with `interval: adaptive` share it out by need."
            ),
        ]
    )

    /// Every section with the path under which it stands.
    static let all: [(path: String, section: SettingSection)] = [
        ("", .gateway), ("admin", .admin), ("cache", .cache), ("log", .log), ("limits", .limits),
        ("shutdown", .shutdown),
        ("cors", .cors), ("auth", .auth), ("auth.anonymous", .authAnonymous), ("auth.keys[]", .authKey),
        ("auth.jwt[]", .authIssuer), ("auth.certificates[]", .authCertificate),
        ("polling", .polling), ("sources.NAME", .source), ("sources.NAME.auth", .sourceAuth),
        ("sources.NAME.auth.basic", .basicAuth), ("sources.NAME.tls", .sourceTLS),
    ]
}
