// The keys of a source, as part of the table of settings.

import FreshetCore

extension SettingSection {
    private static let unset = SourceConfiguration(name: "")

    static let source = SettingSection(
        title: "a source",
        settings: [
            Setting(
                "url",
                .text,
                synonyms: ["uri", "endpoint", "href", "address", "upstream"],
                "Where the value is: an absolute http:// or https:// URL, which may have {name}s of `parameters` in its path and query. "
                    + "Without it the source only takes values that are pushed."
            ),
            Setting(
                "interval",
                .duration,
                default: DurationText.describe(Self.unset.nominalInterval),
                synonyms: ["every", "period", "poll_interval", "refresh", "poll", "frequency"],
                "The time between polls, 10ms or more; or `adaptive`."
            ),
            Setting(
                "staleness",
                .duration,
                synonyms: ["max_staleness", "stale_after"],
                "How old the value may be before the source counts as stale; by default three intervals, at least 30s."
            ),
            Setting(
                "min_interval",
                .duration,
                "No poll sooner than this after the last; by default 1s where adaptive, else only the interval."
            ),
            Setting(
                "max_interval",
                .duration,
                "No poll later than this after the last; by default the interval, at least 1h."
            ),
            Setting(
                "timeout",
                .duration,
                default: DurationText.describe(Self.unset.timeout),
                synonyms: ["request_timeout"],
                "From the start of a poll to its last byte."
            ),
            Setting(
                "headers",
                .mapping,
                synonyms: ["header", "request_headers"],
                isSecret: true,
                "Request header fields."
            ),
            Setting(
                "auth",
                .mapping,
                synonyms: ["authorization", "authentication", "credentials"],
                isSecret: true,
                "The credentials for the upstream: one of `bearer`, `basic`, `api_key` and `oauth2`, and `certificate`."
            ),
            Setting(
                "when",
                .choice(["always", "subscribed"]),
                default: Self.unset.when.rawValue,
                "Poll always, or only while there are subscribers, as is done with each value of `parameters`."
            ),
            Setting(
                "respect_cache",
                .flagOr(["shared"]),
                default: Self.unset.respectCache.rawValue,
                "Let max-age and Expires of the upstream delay the next poll; `shared` counts s-maxage too."
            ),
            Setting(
                "max_body_bytes",
                .size,
                default: SizeText.describe(Self.unset.maxBodyBytes),
                synonyms: ["max_size", "max_bytes"],
                "The largest response body, on the wire and decoded."
            ),
            Setting(
                "format",
                .choice(["json", "ndjson", "csv", "xml", "text"]),
                "How the body is read; by default as its Content-Type says."
            ),
            Setting(
                "separator",
                .text,
                synonyms: ["delimiter", "delimeter", "sep", "column_separator"],
                "What separates the columns of a table (CSV): one ASCII character, or `tab`; by default what fits its first records."
            ),
            Setting("root", .pointer, synonyms: ["path"], "Where the value is in the body."),
            Setting(
                "select",
                .text,
                synonyms: ["jsonpath", "query", "transform"],
                "What of the value at root is the value: a JSONPath (RFC 9535). One that can select no more than one value gives that, any other an array."
            ),
            Setting("items", .pointer, synonyms: ["collection", "list"], "Where the collection is in the value."),
            Setting(
                "key",
                .pointer,
                synonyms: ["id", "item_key", "identity"],
                "Where the identity is in an item."
            ),
            Setting(
                "ignore",
                .list,
                synonyms: ["ignored", "exclude", "volatile"],
                "Members to ignore when comparing: JSON Pointers, where * stands for any member."
            ),
            Setting(
                "allow_close_delimited",
                .flag,
                default: "\(Self.unset.allowCloseDelimited)",
                "Accept a body without a length, which cannot be distinguished from a truncated one."
            ),
            Setting(
                "max_delete_ratio",
                .ratio,
                default: "\(Self.unset.maxDeleteRatio)",
                "The share of items that may vanish in one poll before a second poll must confirm it."
            ),
            Setting(
                "settle",
                .count,
                default: "\(Self.unset.settle)",
                synonyms: ["confirm", "debounce"],
                "Polls in a row that must bring a new value before it counts; more than 1 for replicas that disagree."
            ),
            Setting(
                "verify_every",
                .count,
                "Every so many polls, one is unconditional, for an upstream whose 304 may be wrong."
            ),
            Setting(
                "content_type",
                .list,
                synonyms: ["content_types", "media_type", "accept_types"],
                "Accepted media types, such as application/json or text/*; by default those that can be read."
            ),
            Setting(
                "expect",
                .expectation,
                synonyms: ["require", "assert", "must_have"],
                "What each body must contain: JSON Pointers that must exist, or a mapping of pointers to their values."
            ),
            Setting(
                "schema",
                .text,
                synonyms: ["json_schema", "schema_file"],
                "A file with the JSON Schema (2020-12 or draft 7) that each value must satisfy, relative to this file."
            ),
            Setting(
                "hook",
                .mapping,
                synonyms: ["webhook", "callback"],
                "The upstream says when something changed, by POST /v1/hooks/NAME: how it signs."
            ),
            Setting(
                "on_404",
                .choice(["keep", "tombstone"]),
                default: Self.unset.onMissing.rawValue,
                synonyms: ["on_missing", "on_not_found"],
                "On 404 or 410 keep the last good value, or show null."
            ),
            Setting(
                "allow_empty",
                .flag,
                default: "\(Self.unset.allowEmpty)",
                "Accept 204 and an empty body as the value null."
            ),
            Setting(
                "accept_encoding",
                .choice(["any", "gzip", "identity"]),
                default: Self.unset.acceptEncoding.rawValue,
                synonyms: ["compression", "encoding"],
                "The accepted content codings: gzip, and br and zstd where their libraries are installed."
            ),
            Setting(
                "redirects",
                .choiceOrOrigins(["same-origin", "any"]),
                default: "same-origin",
                synonyms: ["redirect", "follow_redirects", "follow", "allowed_redirects"],
                "Redirects that are followed: within the origin of `url`, to any public address, or also to the origins of a "
                    + "list, which may be private. No field of `headers` or `auth` is sent to another origin, but for Accept, "
                    + "Accept-Language, Accept-Encoding and User-Agent."
            ),
            Setting(
                "lenient_http",
                .flag,
                default: "false",
                synonyms: ["lenient", "insecure_http_parser", "relaxed_http"],
                "Accept response heads as some devices send them: lines that end in a bare LF, `Name : value`."
            ),
            Setting(
                "compress",
                .flag,
                synonyms: ["gzip"],
                "Compress the events of this source where `streams.compression` is set. By default they are."
            ),
            Setting("tls", .mapping, synonyms: ["ssl"], "Verification of the upstream's certificate."),
            Setting(
                "deny_private",
                .flag,
                default: "\(Self.unset.denyPrivate)",
                "Refuse to connect to loopback, private and link-local addresses."
            ),
            Setting(
                "write",
                .mapping,
                synonyms: ["writes", "writable", "write_through"],
                "How clients write through to the upstream; without it they cannot."
            ),
            .planned("access", "Who may subscribe to this source."),
            Setting(
                "method",
                .choice(["GET", "POST"]),
                default: Self.unset.method.rawValue,
                synonyms: ["verb", "http_method"],
                "How the upstream is asked. A POST must change nothing: it is repeated."
            ),
            Setting(
                "body",
                .body,
                synonyms: ["data", "payload", "request_body"],
                isSecret: true,
                "What a POST sends: a text, or a mapping or list, which is sent as JSON."
            ),
            Setting(
                "graphql",
                .mapping,
                synonyms: ["gql"],
                "A GraphQL query, sent by POST; the value is `data`, or `root`."
            ),
            Setting(
                "paginate",
                .mapping,
                synonyms: ["pagination", "paging", "pages"],
                "A value that comes in several pages: all of them, or none."
            ),
            Setting(
                "proxy",
                .textOrMapping,
                synonyms: ["http_proxy", "https_proxy", "socks_proxy"],
                "A proxy: http://HOST:PORT (by CONNECT) or socks5://HOST:PORT, which resolves the upstream's name."
            ),
            Setting(
                "unix",
                .text,
                synonyms: ["socket", "unix_socket", "socket_path"],
                "A socket file to which requests go, relative to this file; `url` says what is asked for."
            ),
        ] + Self.templateSettings
    )

    static let sourceTLS = SettingSection(
        title: "a source's tls",
        settings: [
            Setting(
                "ca_file",
                .text,
                synonyms: ["ca", "cafile", "ca_cert", "cacert"],
                "CA certificates to trust instead of the system's, PEM, relative to this file."
            ),
            Setting(
                "pinned_key",
                .text,
                synonyms: ["pin", "pinned_public_key"],
                "The hash of the public key that the upstream must have: sha256//BASE64."
            ),
            Setting(
                "insecure",
                .flag,
                default: "\(Self.unset.tls.isInsecure)",
                synonyms: ["skip_verify", "insecure_skip_verify"],
                "Do not verify the certificate: anyone on the network path can then impersonate the upstream."
            ),
        ]
    )

    static let sourceHook = SettingSection(
        title: "a source's hook",
        settings: [
            Setting(
                "secret_file",
                .text,
                synonyms: ["secret", "key_file", "signing_secret_file"],
                "A file with the secret of the signatures, relative to this file."
            ),
            Setting(
                "style",
                .choice(SourceConfiguration.Hook.Style.allCases.map(\.rawValue)),
                synonyms: ["format", "kind"],
                "Standard Webhooks (what it is where nothing is said), GitHub's X-Hub-Signature-256, or plain: the hexadecimal HMAC-SHA256 of the body in "
                    + "X-Signature."
            ),
        ]
    )

    static let graphQL = SettingSection(
        title: "a source's graphql",
        settings: [
            Setting("query", .text, "The query."),
            Setting("variables", .mapping, synonyms: ["vars"], isSecret: true, "Its variables."),
            Setting(
                "partial",
                .flag,
                default: "\(SourceConfiguration.GraphQL().takesPartialData)",
                synonyms: ["allow_partial", "partial_errors"],
                "Take `data` also where `errors` stand beside it; without it such an answer is a failed poll."
            ),
        ]
    )

    static let proxy = SettingSection(
        title: "a source's proxy",
        settings: [
            Setting("url", .text, synonyms: ["address"], "http://HOST:PORT, https://HOST:PORT or socks5://HOST:PORT."),
            Setting("username", .text, synonyms: ["user"], "The user at the proxy."),
            Setting("password", .text, synonyms: ["pass"], isSecret: true, "The password."),
            Setting("password_file", .text, "A file that holds the password."),
        ]
    )

    static let paginate = SettingSection(
        title: "a source's paginate",
        settings: [
            Setting(
                "style",
                .choice(Pagination.Style.allCases.map(\.rawValue)),
                synonyms: ["type", "kind"],
                "How one page leads to the next: by a Link header, a URL or a token in the answer, by counting pages or items; `auto` finds out."
            ),
            Setting(
                "next",
                .pointer,
                synonyms: ["next_pointer", "cursor"],
                "Where in the answer the URL or the token of the next page stands; by default /next, or /next_cursor."
            ),
            Setting(
                "param",
                .text,
                synonyms: ["parameter", "query_param"],
                "The parameter of the token, of the page's number or of the first item's; by default cursor, page or offset."
            ),
            Setting(
                "size_param",
                .text,
                synonyms: ["limit_param", "per_page_param"],
                "The parameter that takes `size`; by default limit, or per_page for link and page."
            ),
            Setting(
                "size",
                .count,
                synonyms: ["limit", "per_page", "page_size"],
                "Items of a page, sent with each request; a shorter page is then the last of `page` and `offset`."
            ),
            Setting(
                "max_pages",
                .count,
                default: "\(Pagination(style: .auto).maxPages)",
                "The most pages of a value; one more is a failed poll."
            ),
            Setting(
                "max_bytes",
                .size,
                default: SizeText.describe(Pagination(style: .auto).maxBytes),
                synonyms: ["max_size"],
                "The most bytes of all pages together; `max_body_bytes` holds for each."
            ),
        ]
    )
}
