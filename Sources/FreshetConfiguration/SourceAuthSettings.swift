// The keys of the credentials that a source sends to its upstream.

import FreshetCore

extension SettingSection {
    static let sourceAuth = SettingSection(
        title: "a source's auth",
        settings: [
            Setting(
                "bearer",
                .text,
                synonyms: ["token", "bearer_token"],
                isSecret: true,
                "A token, sent as `Authorization: Bearer`."
            ),
            Setting("bearer_file", .text, synonyms: ["token_file"], "A file that holds the token."),
            Setting("basic", .mapping, isSecret: true, "A user name and a password, sent as `Authorization: Basic`."),
            Setting(
                "api_key",
                .mapping,
                synonyms: ["apikey", "key"],
                isSecret: true,
                "A key in a header field or in a parameter of the URL."
            ),
            Setting(
                "oauth2",
                .mapping,
                synonyms: ["oauth", "client_credentials"],
                isSecret: true,
                "A token that is got with client credentials (RFC 6749 §4.4), and renewed."
            ),
            Setting(
                "certificate",
                .mapping,
                synonyms: ["client_certificate", "mtls"],
                "A certificate that the gateway shows."
            ),
        ]
    )

    static let basicAuth = SettingSection(
        title: "a source's auth.basic",
        settings: [
            Setting("username", .text, synonyms: ["user", "login"], "The user name, without a colon."),
            Setting("password", .text, synonyms: ["pass"], isSecret: true, "The password."),
            Setting("password_file", .text, "A file that holds the password."),
        ]
    )

    static let apiKeyAuth = SettingSection(
        title: "a source's auth.api_key",
        settings: [
            Setting("name", .text, synonyms: ["header", "param"], "The header field, or the parameter."),
            Setting(
                "in",
                .choice(SourceCredentials.KeyPlace.allCases.map(\.rawValue)),
                default: SourceCredentials.KeyPlace.default.rawValue,
                synonyms: ["location", "where"],
                "Where the key goes. In the query it is sent to the origin of `url` alone, and shown nowhere."
            ),
            Setting("value", .text, synonyms: ["key", "secret"], isSecret: true, "The key."),
            Setting("value_file", .text, synonyms: ["key_file"], "A file that holds the key."),
        ]
    )

    static let oauth2Auth = SettingSection(
        title: "a source's auth.oauth2",
        settings: [
            Setting(
                "token_url",
                .text,
                synonyms: ["token_endpoint", "url"],
                "Where the token comes from: https, or http to this machine. Redirects are not followed."
            ),
            Setting("client_id", .text, synonyms: ["id"], "The client."),
            Setting("client_secret", .text, synonyms: ["secret"], isSecret: true, "Its secret."),
            Setting("client_secret_file", .text, synonyms: ["secret_file"], "A file that holds the secret."),
            Setting("scopes", .list, synonyms: ["scope"], "What is asked for; by default what the endpoint gives."),
            Setting("audience", .text, synonyms: ["resource"], "Sent as `audience`, where the endpoint wants it."),
            Setting(
                "style",
                .choice(OAuth2.Style.allCases.map(\.rawValue)),
                default: OAuth2(tokenURL: "", clientID: "", clientSecret: "").style.rawValue,
                synonyms: ["auth_style", "method"],
                "How the secret is sent: as `Authorization: Basic`, or in the body."
            ),
        ]
    )

    static let certificateAuth = SettingSection(
        title: "a source's auth.certificate",
        settings: [
            Setting(
                "certificate",
                .text,
                synonyms: ["cert", "cert_file"],
                "The file of the certificate and its chain, PEM."
            ),
            Setting(
                "key",
                .text,
                synonyms: ["key_file"],
                "The file of the key, PEM; by default that of the certificate."
            ),
        ]
    )
}
