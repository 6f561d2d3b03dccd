// What the configuration says about one source, as a value with defaults (CONTRACT §2).

package import HTTPFields
package import JSON
package import JSONPath

/// One source: where it is, how often it is polled, what its payload means.
package struct SourceConfiguration: Hashable, Sendable {
    /// When the gateway polls.
    package enum Interval: Hashable, Sendable {
        case fixed(Duration)
        /// By the policy of POLLING.md.
        case adaptive
    }

    /// Who decides whether to poll at all.
    package enum When: String, CaseIterable, Sendable {
        case always
        /// Only while somebody listens.
        case subscribed
    }

    /// Whether its events may be compressed (CONTRACT §9). What is written by one caller and read by another is compressed
    /// only where the source says so: the length of what is compressed tells of its content.
    package var mayCompress: Bool { self.compress ?? (self.write == nil && self.template?.isBound != true) }

    /// Which of the upstream's lifetimes hold polls back; the raw values are those of the configuration.
    package enum RespectCache: String, CaseIterable, Sendable {
        /// `max-age` and `Expires`.
        case own = "true"
        /// None.
        case none = "false"
        /// `s-maxage` too, which speaks to shared caches that can be purged.
        case shared
    }

    /// How the payload is read into a document.
    package enum Format: String, CaseIterable, Sendable {
        case json, ndjson, csv, xml, text
    }

    /// `[a-z0-9][a-z0-9._-]*`.
    package var name: String
    /// Absolute, `http` or `https`. Empty for a source that is not polled: it only takes what is pushed.
    package var url: String
    package var interval: Interval = .fixed(.seconds(10))
    /// How old the value may be before the source is `stale`. The default is three intervals, at least 30 s.
    package var staleness: Duration?
    /// No poll sooner than this after the last. The default is the interval, or 1 s if that is longer.
    package var minInterval: Duration?
    /// No poll later than this after the last, except for `Retry-After`. The default is the interval or 1 h,
    /// whichever is longer.
    package var maxInterval: Duration?
    /// From the start of a poll to its last byte, redirects included. The default is 30 s.
    package var timeout: Duration = .seconds(30)
    /// Request fields, as (name, value), in the order of the file. Checked for control characters when loaded.
    package var headers: [Field] = []
    package var when: When = .always
    /// What `Cache-Control` and `Expires` may push the next poll back by. The default is what they say to any cache.
    package var respectCache: RespectCache = .own
    /// Of the body, on the wire and decoded. The default is 8 MiB.
    package var maxBodyBytes = 8 << 20
    /// The default is by `Content-Type`.
    package var format: Format?
    /// What separates the columns of a table: one character of ASCII. The default is found out.
    package var separator: UInt8?
    /// Where in the payload the value stands. The default is the whole payload.
    package var root: Pointer?
    /// What of that the value is. The default is all of it.
    package var select: Path?
    /// Where the collection is in the value.
    package var items: Pointer?
    /// Where in an item its identity stands; absent for an object keyed by identity, and then guessed for arrays.
    package var key: Pointer?
    /// Members whose change alone is no change.
    package var ignore: [PointerPattern] = []
    /// Accept a body that ends with the connection (RFC 9112 §6.3, case 8), which cannot be distinguished from a truncated one.
    package var allowCloseDelimited = false
    /// Share of items that may vanish in one poll before a second one must confirm it; 1 never asks. The default is 0.5.
    package var maxDeleteRatio = 0.5
    /// Polls in a row that must bring a new value before it is one. The default is 1: at once.
    package var settle = 1
    /// Every so many polls one asks without validators, in case they lie. The default is never.
    package var verifyEvery: Int?
    /// Media types that are taken, such as `application/json` or `text/*`; of others the body is refused. The default
    /// is what ``format`` can be read from.
    package var contentTypes: [MediaTypeRange] = []
    /// What must stand in every payload, before ``root`` is looked for.
    package var expect: [Expectation] = []
    /// What each value must satisfy, after ``root`` is taken from the payload. The default is nothing.
    package var schema: SourceSchema?
    /// How the upstream proves that it calls when something has changed. The default is that it does not call.
    package var hook: Hook?
    /// How clients write through to the upstream. The default is not at all.
    package var write: WritePolicy?
    /// What 404 and 410 do to the value. The default is to keep it.
    package var onMissing: OnMissing = .keep
    /// Take 204, and an empty body, for the value `null`. The default is false: it is a failure.
    package var allowEmpty = false
    /// Content codings that are asked for. The default is all that can be undone.
    package var acceptEncoding: AcceptEncoding = .any
    /// Refuse loopback, private and link-local addresses for this URL too. The default is false.
    package var denyPrivate = false
    /// Which redirects are followed. The default is those within the origin of ``url``.
    package var redirects: Redirects = .sameOrigin
    /// Take the heads of devices: lines that end in LF alone, white space between a field's name and its colon. The
    /// default is false: where two parsers read a head differently, bodies are cut and smuggled (FAULTS F10).
    package var lenientHTTP = false
    /// Whether events may be compressed towards clients. `nil` decides by what else the source says: see ``mayCompress``.
    package var compress: Bool?
    package var tls = TLS()
    /// How the upstream is asked. The default is GET.
    package var method: Method = .get
    /// Sent with a POST; its media type is among ``headers``.
    package var body: [UInt8] = []
    /// The answer is one of GraphQL.
    package var graphQL: GraphQL?
    /// Parameters that are added to the URL and are secret: they are sent to its origin alone and shown nowhere.
    package var query: [Field] = []
    /// Where the token comes from that the requests carry.
    package var oauth2: OAuth2?
    package var route: Route = .direct
    /// The value comes in several pages.
    package var paginate: Pagination?
    /// Set where the source is a template, whose instances are polled and not itself.
    package var template: SourceTemplate?
    /// The name of the template that it is an instance of; `nil` for a source that the configuration names.
    package var instanceOf: String?
    /// Files that secrets were read from, to be read again when they change, or when the upstream refuses what they held.
    package var secretFiles: [SecretFile] = []

    /// How calls of `POST /v1/hooks/{source}` are signed.
    package struct Hook: Hashable, Sendable {
        package enum Style: String, CaseIterable, Sendable {
            /// Standard Webhooks 1.0: `webhook-id`, `webhook-timestamp` and `webhook-signature`.
            case standard
            /// GitHub's `X-Hub-Signature-256`.
            case github
            /// `X-Signature`: the hexadecimal HMAC-SHA256 of the body.
            case plain
        }

        package var style: Style
        /// The key of the signatures.
        package var secret: [UInt8]

        package init(style: Style, secret: [UInt8]) {
            self.style = style
            self.secret = secret
        }
    }

    /// What becomes of the value when the upstream reports that the resource is gone.
    package enum OnMissing: String, CaseIterable, Sendable {
        /// The last good value stays, and the source fails.
        case keep
        /// The value becomes `null`.
        case tombstone
    }

    /// Which redirects a poll follows. The configured ``headers`` are sent to the origin of ``url`` alone, but for
    /// `Accept`, `Accept-Language`, `Accept-Encoding` and `User-Agent`.
    package enum Redirects: Hashable, Sendable {
        /// None: they are failures. For addresses that requests choose.
        case refused
        /// Those within the origin of ``url``.
        case sameOrigin
        /// Those to any origin whose addresses are public, but not from https to http.
        case any
        /// Those to these origins too, written as `https://api.example.com`, with a port if it is not the scheme's own.
        /// Their addresses may be private.
        case origins([String])
    }

    /// `Accept-Encoding`.
    package enum AcceptEncoding: String, CaseIterable, Sendable {
        case any
        case gzip
        case identity
    }

    /// Verification of the upstream's certificate.
    package struct TLS: Hashable, Sendable {
        /// Certificates to trust in the place of the system's, PEM.
        package var caFile: String?
        /// `sha256//` and the base64 of a hash of the public key that the upstream must have.
        package var pinnedKey: String?
        /// Check nothing. Anyone on the way can then be the upstream.
        package var isInsecure = false
        /// What the gateway shows of itself.
        package var clientCertificate: ClientCertificate?

        package init() {}
    }

    /// A request field.
    package struct Field: Hashable, Sendable {
        package var name: String
        package var value: String

        package init(name: String, value: String) {
            self.name = name
            self.value = value
        }
    }

    package init(name: String, url: String = "") {
        self.name = name
        self.url = url
    }
}

extension SourceConfiguration {
    /// Whether there is an upstream to ask. Without one the value is whatever was pushed last.
    package var isPolled: Bool { !self.url.isEmpty }

    /// The interval that the configuration gives; for `adaptive` the middle of what the policy may choose.
    package var nominalInterval: Duration {
        switch self.interval {
        case .fixed(let interval): interval
        case .adaptive: .seconds(60)
        }
    }

    package var effectiveMinInterval: Duration {
        self.minInterval ?? min(self.nominalInterval, .seconds(1))
    }

    package var effectiveMaxInterval: Duration {
        max(self.maxInterval ?? max(self.nominalInterval, .seconds(3600)), self.effectiveMinInterval)
    }

    package var effectiveStaleness: Duration {
        self.staleness ?? max(self.nominalInterval * 3, .seconds(30))
    }

    /// What a kept value depends on: see ``StoredSource/identity``.
    package var identity: String {
        // An address of a request may hold a secret; its name has a hash of it, and of what is sent along.
        let isTarget = self.instanceOf == StreamdataTarget.template
        let target = isTarget ? InstanceName(self.name).flatMap { StreamdataTarget.token(of: $0) } : nil
        var parts = [target == nil ? self.url : self.name, self.root?.description ?? "", self.format?.rawValue ?? ""]
        if let select = self.select { parts.append("select \(select.text)") }
        if let separator = self.separator { parts.append("separator \(separator)") }
        // The identity is kept on disk, where a body, which may hold a secret, has no place.
        if self.method == .post { parts.append("POST \(StableHash.of(self.body))") }
        if self.paginate != nil { parts.append("pages") }
        return parts.joined(separator: "\n")
    }

    /// Of the value as a whole, all pages together.
    var maxValueBytes: Int { max(self.maxBodyBytes, self.paginate?.maxBytes ?? 0) }

    /// What the adaptive policy aims at: the expected age of the oldest unseen change.
    var adaptiveTarget: Duration { self.staleness ?? .seconds(30) }

    /// Where in the payload the collection stands, if the configuration says.
    var collection: Pointer? {
        // What is selected has no place of its own in the payload.
        self.select != nil ? nil : self.items.map { Pointer(tokens: (self.valueRoot?.tokens ?? []) + $0.tokens) }
    }

    /// Where the keyed items stand, as the configuration says, or as an earlier process had guessed
    /// (``SourceStateMachine/learned``).
    package func itemRule(learned: [UInt8]) -> ItemRule? {
        self.itemRule ?? LearnedState(encoded: learned).guess
    }

    /// Where the keyed items stand, if the configuration says.
    package var itemRule: ItemRule? {
        guard self.items != nil || self.key != nil else { return nil }
        return ItemRule(items: self.items ?? Pointer(), key: self.key)
    }
}
