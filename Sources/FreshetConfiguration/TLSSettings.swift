// The keys of the section `tls`.

extension SettingSection {
    static let tls = SettingSection(
        title: "tls",
        settings: [
            Setting(
                "certificate",
                .text,
                synonyms: ["cert", "cert_file", "certificate_file", "ssl_certificate"],
                "The certificate and its chain, the gateway's own first: a file in PEM, read again when it changes."
            ),
            Setting(
                "key",
                .text,
                synonyms: ["key_file", "private_key", "ssl_certificate_key"],
                "Its private key, not encrypted: a file in PEM, read again when it changes."
            ),
            Setting(
                "certificates",
                .list,
                "Several such pairs: the one that has the name a client asks for is used, else the first."
            ),
            Setting(
                "listen",
                .text,
                synonyms: ["port", "bind", "address"],
                "Where TLS is spoken; without it the main listener speaks TLS."
            ),
            Setting(
                "client_ca",
                .text,
                synonyms: ["ca", "ca_file", "client_ca_file"],
                "Authorities, a file in PEM: every client has to present a certificate that one of them signed."
            ),
            Setting(
                "detach",
                .flag,
                default: "true",
                "Streams of TLS 1.3 with AES-GCM keep keys and record numbers in place of OpenSSL's session."
            ),
        ]
    )

    static let tlsCertificate = SettingSection(
        title: "a certificate",
        settings: Self.tls.settings.filter { ["certificate", "key"].contains($0.name) }
    )
}
