// The keys of the section `push`.

import FreshetCore

extension SettingSection {
    private static let unset = GatewayConfiguration.Push(subject: "", keyFile: "")

    static let push = SettingSection(
        title: "push",
        settings: [
            Setting(
                "subject",
                .text,
                synonyms: ["sub", "contact", "email", "mailto"],
                "Where the operators of push services reach you: mailto:NAME@HOST, or an https URL."
            ),
            Setting(
                "key_file",
                .text,
                synonyms: ["key", "private_key", "vapid_key"],
                "The private key that signs messages, P-256 in PEM; made if absent, but not with `cluster`. With another one, subscribers have to subscribe again."
            ),
            Setting(
                "allow",
                .list,
                synonyms: ["allowed", "endpoints", "prefixes"],
                "URLs below which endpoints may be private or plain http. All others are https, on public addresses."
            ),
            Setting(
                "max_age",
                .duration,
                default: DurationText.describe(Self.unset.maxAge),
                synonyms: ["ttl", "lifetime"],
                "How long a subscription lasts, unless it is renewed."
            ),
            Setting(
                "max_subscriptions",
                .count,
                default: "\(Self.unset.maxSubscriptions)",
                synonyms: ["limit"],
                "The most subscriptions in all."
            ),
            Setting(
                "max_subscriptions_per_caller",
                .count,
                default: "\(Self.unset.maxSubscriptionsPerCaller)",
                synonyms: ["per_caller"],
                "The most subscriptions of one caller, or of one address without a credential; this machine apart."
            ),
            Setting(
                "max_subscriptions_per_host",
                .count,
                default: "\(Self.unset.maxSubscriptionsPerHost)",
                synonyms: ["per_host"],
                "The most subscriptions at one push service."
            ),
        ]
    )
}
