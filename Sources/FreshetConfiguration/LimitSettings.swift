// The keys of `limits`.

import FreshetCore

extension SettingSection {
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
                default: "\(Self.unsetGateway.limits.maxSourceSetsPerAddress)",
                "The most different sets of sources that the streams of one address may name."
            ),
            Setting(
                "max_views",
                .count,
                default: "\(Self.unsetGateway.limits.maxViews)",
                "The most different views (pointer, item, where) in all streams at one time."
            ),
            Setting(
                "max_views_per_address",
                .count,
                default: "\(Self.unsetGateway.limits.maxViewsPerAddress)",
                "The most different views in the streams of one address, this machine apart."
            ),
            Setting(
                "max_compression_runs",
                .count,
                default: "\(Self.unsetGateway.limits.maxCompressionRuns)",
                "The most sources and views whose events are compressed as one run, some 256 KiB each; above it each event is compressed by itself."
            ),
            Setting(
                "max_connections",
                .count,
                "The most connections that are not streams; by default what the file-descriptor limit allows."
            ),
            Setting(
                "max_connections_per_address",
                .count,
                default: "\(Self.unsetGateway.limits.maxConnectionsPerAddress)",
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
                default: "\(Self.unsetGateway.limits.maxWaitingPerAddress)",
                "The most such requests from one address, this machine apart."
            ),
            Setting(
                "max_requests_per_address",
                .count,
                default: "\(Self.unsetGateway.limits.maxRequestsPerAddress)",
                "The most requests a second from one address, this machine apart, ten seconds' worth of them at once; above it 429."
            ),
            Setting(
                "max_subscribers_per_caller",
                .count,
                "The most streams at one time with the key, the subject of a token or the certificate of one caller; above it 429. "
                    + "By default half of max_subscribers."
            ),
            Setting(
                "max_requests_per_caller",
                .count,
                default: "\(Self.unsetGateway.limits.maxRequestsPerCaller)",
                "The most requests a second of one such caller, ten seconds' worth of them at once; above it 429."
            ),
            Setting(
                "max_replay_bytes_per_caller",
                .size,
                default: SizeText.describe(Self.unsetGateway.limits.maxReplayBytesPerCaller),
                "The most bytes of the log a second that one such caller may read, ten seconds' worth at once; above it 429."
            ),
            Setting(
                "header_timeout",
                .duration,
                default: DurationText.describe(Self.unsetGateway.limits.headerTimeout),
                "From the first byte of a request to the end of its header."
            ),
            Setting(
                "idle_timeout",
                .duration,
                default: DurationText.describe(Self.unsetGateway.limits.idleTimeout),
                "How long a connection without a request is kept."
            ),
            Setting(
                "write_timeout",
                .duration,
                default: DurationText.describe(Self.unsetGateway.limits.writeTimeout),
                "How long a subscriber may read nothing while data is waiting for it."
            ),
            Setting(
                "max_body_bytes",
                .size,
                default: SizeText.describe(Self.unsetGateway.limits.maxBodyBytes),
                "The largest body that an upstream may push."
            ),
            Setting(
                "max_waiting_reads",
                .count,
                default: "\(Self.unsetGateway.limits.maxWaitingReads)",
                "The most requests that wait for a read of the log; above it 503."
            ),
            Setting(
                "max_waiting_reads_per_address",
                .count,
                default: "\(Self.unsetGateway.limits.maxWaitingReadsPerAddress)",
                "The most such requests from one address."
            ),
            Setting(
                "max_subscriptions_per_socket",
                .count,
                default: "\(Self.unsetGateway.limits.maxSubscriptionsPerSocket)",
                "The most subscriptions of one WebSocket."
            ),
            Setting(
                "max_messages_per_socket",
                .count,
                default: "\(Self.unsetGateway.limits.maxMessagesPerSocket)",
                "The most messages a second of one WebSocket, ten seconds' worth of them at once; above it they are read more slowly."
            ),
            Setting(
                "max_unanswered_per_socket",
                .count,
                default: "\(Self.unsetGateway.limits.maxUnansweredPerSocket)",
                "The most requests of one WebSocket that wait for an answer; no more are read then."
            ),
            Setting(
                "max_socket_message_bytes",
                .size,
                default: SizeText.describe(Self.unsetGateway.limits.maxSocketMessageBytes),
                "The largest message of a WebSocket, compressed or not; a larger one closes it with 1009."
            ),
            Setting(
                "max_unsent_bytes",
                .size,
                "The most bytes of answers that clients have not read, half of them for one address; above it 503. "
                    + "By default 128MiB, or an eighth of max_memory where that is less."
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
                "Proxies whose X-Forwarded-For is trusted for limits per address: 127.0.0.1, 10.0.0.0/8, unix."
            ),
        ]
    )
}
