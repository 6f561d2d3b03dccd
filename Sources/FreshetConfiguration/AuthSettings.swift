// The keys of the section `auth`.

import FreshetAccess
import FreshetCore

extension SettingSection {
    private static let unset = GatewayConfiguration.Auth()

    static let auth = SettingSection(
        title: "auth",
        settings: [
            Setting("anonymous", .mapping, "Grants of callers without a credential. Default: none."),
            Setting(
                "keys",
                .list,
                synonyms: ["api_keys", "tokens"],
                "API keys, each with an id, a secret_file and grants."
            ),
            Setting("jwt", .list, synonyms: ["issuers", "jwks"], "Issuers of JSON Web Tokens, each with its keys."),
            Setting(
                "certificates",
                .list,
                synonyms: ["client_certificates"],
                "Client certificates by their subject, each with grants; needs tls.client_ca."
            ),
            Setting(
                "deny_file",
                .text,
                synonyms: ["denylist", "revoked"],
                "A file of revoked subjects and token ids (jti), one per line; re-read when it changes."
            ),
            Setting(
                "ticket_ttl",
                .duration,
                default: DurationText.describe(Self.unset.access.ticketTTL),
                "How long a ticket of POST /v1/tickets can open its stream, from 1s to 10m."
            ),
            Setting("cookie", .text, "The name of a cookie that may hold a key or a token. Default: none."),
            Setting(
                "query_token",
                .flag,
                default: "\(Self.unset.allowsQueryToken)",
                "Whether ?access_token= may hold a key or a token; URLs end up in logs."
            ),
        ]
    )

    static let authAnonymous = SettingSection(title: "auth.anonymous", settings: Self.sourceGrants)

    static let authKey = SettingSection(
        title: "an API key",
        settings: [
            Setting(
                "id",
                .text,
                synonyms: ["name"],
                "The caller's id; keys with the same id belong to the same caller."
            ),
            Setting(
                "secret_file",
                .text,
                synonyms: ["file", "secret"],
                "A file that holds the key: see `freshet token key`."
            ),
        ] + Self.sourceGrants + [
            Self.adminGrant,
            Setting("not_before", .text, "The key is valid from this time on (RFC 3339)."),
            Setting(
                "not_after",
                .text,
                synonyms: ["expires", "expires_at"],
                "The key expires at this time (RFC 3339)."
            ),
        ]
    )

    static let authCertificate = SettingSection(
        title: "a client certificate",
        settings: [
            Setting(
                "subject",
                .text,
                synonyms: ["dn", "cn", "name"],
                "The certificate's subject as RFC 4514 writes it, such as CN=backend,O=Example."
            )
        ] + Self.sourceGrants + [Self.adminGrant]
    )

    static let authIssuer = SettingSection(
        title: "a token issuer",
        settings: [
            Setting("issuer", .text, synonyms: ["iss"], "The tokens' iss, compared byte for byte."),
            Setting("audience", .text, synonyms: ["aud"], "What aud must be or contain."),
            Setting(
                "algorithms",
                .list,
                synonyms: ["alg", "algorithm"],
                "Accepted signature algorithms, such as ES256."
            ),
            Setting(
                "jwks_url",
                .text,
                synonyms: ["jwks"],
                "Where the issuer's keys are: https, or http to a loopback host."
            ),
            Setting("jwks_file", .text, "A file with the issuer's keys, instead of jwks_url."),
            Setting("secret_file", .text, "A file with the secret that HS256, HS384 or HS512 share with the issuer."),
        ]
    )

    private static let sourceGrants = [
        Setting("read", .list, "Sources that may be read: names, beginnings with *, or \"*\"."),
        Setting("write", .list, "Sources that may be written through to their upstream."),
        Setting("publish", .list, "Sources whose value may be pushed."),
    ]

    private static let adminGrant = Setting(
        "admin",
        .flag,
        "Whether it may administer the gateway. Default: false."
    )
}
