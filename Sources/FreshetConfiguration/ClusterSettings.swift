// The keys of the section `cluster`.

import FreshetCore

extension SettingSection {
    private static let unset = GatewayConfiguration.Cluster(servers: [], node: "")

    static let cluster = SettingSection(
        title: "cluster",
        settings: [
            Setting(
                "servers",
                .list,
                synonyms: ["server", "url", "urls", "nats"],
                "The servers of NATS (2.12 or newer), such as nats://10.0.0.1:4222; one is enough to find the others."
            ),
            Setting(
                "node",
                .text,
                synonyms: ["name", "id", "node_name"],
                "The name of this gateway among the others; no two may have the same."
            ),
            Setting(
                "stream",
                .text,
                default: Self.unset.stream,
                synonyms: ["bucket"],
                "The JetStream stream that the gateways share; made if absent."
            ),
            Setting(
                "replicas",
                .count,
                default: "\(Self.unset.replicas)",
                "How many servers of NATS keep the stream, where it is made: 1, 3 or 5."
            ),
            Setting(
                "max_bytes",
                .size,
                default: SizeText.describe(Self.unset.maxBytes),
                "The size of the stream, where it is made; the oldest changes are removed beyond it."
            ),
            Setting(
                "lease",
                .duration,
                default: DurationText.describe(Self.unset.lease),
                synonyms: ["ttl", "timeout"],
                "How long after its last heartbeat a gateway keeps its sources; then the others poll them."
            ),
            Setting(
                "credentials_file",
                .text,
                synonyms: ["credentials", "creds", "creds_file"],
                "A file with the user's JWT and seed, as `nsc generate creds` writes it; read at each connection."
            ),
            Setting("tls", .mapping, synonyms: ["ssl"], "TLS to the servers of NATS."),
        ]
    )

    static let clusterTLS = SettingSection(
        title: "cluster.tls",
        settings: [
            Setting(
                "ca_file",
                .text,
                synonyms: ["ca", "authorities", "ca_certificates"],
                "CA certificates to trust instead of the system's."
            ),
            Setting(
                "certificate",
                .text,
                synonyms: ["cert", "cert_file", "certificate_file"],
                "A client certificate, in PEM."
            ),
            Setting("key", .text, synonyms: ["key_file", "private_key"], "Its private key, in PEM."),
        ]
    )
}
