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
        /// A text, or a mapping.
        case textOrMapping
        /// A text, or a mapping or list that is sent as JSON.
        case body
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
    static let unsetGateway = GatewayConfiguration()
    private static let unsetLog = GatewayConfiguration.Log(path: "")

    static let gateway = SettingSection(
        title: "the top level",
        settings: [
            Setting(
                "listen",
                .text,
                default: "\(Self.unsetGateway.listen)",
                synonyms: ["port", "bind", "address", "host"],
                "Where the gateway listens: HOST:PORT, or unix:PATH. Port 0 lets the system choose."
            ),
            Setting("sources", .mapping, synonyms: ["upstreams", "feeds", "apis"], "The sources, by name."),
            Setting("defaults", .mapping, "Defaults for all sources: any key of a source."),
            Setting(
                "include",
                .list,
                synonyms: ["includes", "import"],
                "Files to include, relative to this file; the last path component may contain * and ?."
            ),
            Setting(
                "heartbeat",
                .duration,
                default: DurationText.describe(Self.unsetGateway.heartbeat),
                synonyms: ["keepalive"],
                "The time between heartbeats on a quiet stream."
            ),
            Setting(
                "retry",
                .duration,
                default: DurationText.describe(Self.unsetGateway.retry),
                synonyms: ["reconnect"],
                "The reconnection delay sent to subscribers; jittered."
            ),
            Setting("cache", .mapping, "How much of the change log stays in memory."),
            Setting("log", .mapping, "The durable change log; without it, changes are kept in memory alone."),
            Setting("limits", .mapping, "Limits on clients, requests and memory."),
            Setting("streams", .mapping, "How events are sent."),
            Setting("shutdown", .mapping, "Shutdown on SIGTERM."),
            Setting("cors", .mapping, "Web pages of other origins that may read."),
            Setting("polling", .mapping, "Limits on polling, over all sources."),
            Setting("admin", .mapping, "Access to administration."),
            Setting(
                "auth",
                .mapping,
                synonyms: ["access", "authentication"],
                "Authentication and grants; without it, anyone may read."
            ),
            Setting(
                "tls",
                .mapping,
                synonyms: ["https", "ssl"],
                "HTTPS for subscribers; without it, plain HTTP."
            ),
            Setting(
                "cluster",
                .mapping,
                synonyms: ["nats", "nodes"],
                "Several gateways as one, over NATS JetStream; without it, this one is alone."
            ),
            Setting(
                "streamdata",
                .mapping,
                "The interface of the Streamdata.io SDK: its URLs, for addresses that are allowed."
            ),
            Setting(
                "tracing",
                .mapping,
                synonyms: ["traces", "opentelemetry", "otel"],
                "Traces of polls and writes (W3C Trace Context); without it, there are none."
            ),
            Setting("webhooks", .mapping, "URLs that changes are sent to, by name."),
            Setting(
                "push",
                .mapping,
                synonyms: ["web_push", "webpush", "vapid"],
                "Changes sent to browsers and apps while no page is open; without it, none are."
            ),
        ]
    )

    static let admin = SettingSection(
        title: "admin",
        settings: [
            Setting(
                "listen",
                .text,
                synonyms: ["port", "bind", "address"],
                "A unix socket or a loopback address on which administration needs no key."
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
                default: SizeText.describe(Self.unsetGateway.cache.maxBytes),
                synonyms: ["size", "max_size"],
                "The bytes of changes kept for replay; those of the least recently used sources are evicted first."
            ),
            Setting(
                "max_age",
                .duration,
                synonyms: ["ttl", "retention"],
                "How long a change is kept for replay; by default as long as it fits."
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
                "The file, relative to this one; other files are created beside it."
            ),
            Setting(
                "max_bytes",
                .size,
                default: SizeText.describe(Self.unsetLog.maxBytes),
                synonyms: ["size", "max_size"],
                "The maximum size on disk; the oldest changes are pruned first."
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

    static let streams = SettingSection(
        title: "streams",
        settings: [
            Setting(
                "compression",
                .flag,
                default: "\(Self.unsetGateway.streams.compression)",
                synonyms: ["compress", "gzip", "deflate"],
                "Compress events for clients that ask for it: gzip or zstd, and permessage-deflate of WebSockets."
            )
        ]
    )

    static let tracing = SettingSection(
        title: "tracing",
        settings: [
            Setting(
                "one_in",
                .count,
                synonyms: ["sample", "sampling", "ratio"],
                "Of so many polls, and writes without a traceparent, one is sampled: its spans are lines of the log. 1 is all."
            )
        ]
    )

    static let shutdown = SettingSection(
        title: "shutdown",
        settings: [
            Setting(
                "delay",
                .duration,
                default: DurationText.describe(Self.unsetGateway.shutdown.delay),
                "How long everything continues after /readyz fails, for load balancers to notice."
            ),
            Setting(
                "drain",
                .duration,
                default: DurationText.describe(Self.unsetGateway.shutdown.drain),
                "The time over which streams are closed."
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
                default: "\(Self.unsetGateway.polling.concurrency)",
                synonyms: ["max_concurrent"],
                "The most polls under way at one time."
            ),
            Setting(
                "host_concurrency",
                .count,
                default: "\(Self.unsetGateway.polling.hostConcurrency)",
                synonyms: ["per_host"],
                "The most polls under way to one host."
            ),
            Setting(
                "host_gap",
                .duration,
                default: DurationText.describe(Self.unsetGateway.polling.hostGap),
                "The time between the starts of two polls to one host."
            ),
            Setting(
                "requests_per_hour",
                .count,
                synonyms: ["budget"],
                "The most polls an hour over all sources; sources with `interval: adaptive` share it by need."
            ),
        ]
    )

    /// Every section with the path under which it stands.
    static let all: [(path: String, section: SettingSection)] = [
        ("", .gateway), ("admin", .admin), ("cache", .cache), ("log", .log), ("limits", .limits),
        ("streams", .streams), ("shutdown", .shutdown), ("streamdata", .streamdata), ("tracing", .tracing),
        ("cors", .cors), ("auth", .auth), ("auth.anonymous", .authAnonymous), ("auth.keys[]", .authKey),
        ("auth.jwt[]", .authIssuer), ("auth.certificates[]", .authCertificate),
        ("tls", .tls), ("tls.certificates[]", .tlsCertificate),
        ("polling", .polling), ("push", .push), ("cluster", .cluster),
        ("cluster.tls", .clusterTLS), ("sources.NAME", .source), ("sources.NAME.auth", .sourceAuth),
        ("sources.NAME.auth.basic", .basicAuth), ("sources.NAME.auth.api_key", .apiKeyAuth),
        ("sources.NAME.auth.oauth2", .oauth2Auth), ("sources.NAME.auth.certificate", .certificateAuth),
        ("sources.NAME.tls", .sourceTLS), ("sources.NAME.graphql", .graphQL), ("sources.NAME.proxy", .proxy),
        ("sources.NAME.paginate", .paginate), ("sources.NAME.hook", .sourceHook),
        ("sources.NAME.parameters.NAME", .parameter),
        ("sources.NAME.write", .sourceWrite), ("webhooks.NAME", .webhook),
    ]
}
