// The keys of sources with parameters, as part of the table of settings.

import FreshetCore

extension SettingSection {
    static let parameter = SettingSection(
        title: "a parameter",
        settings: [
            Setting(
                "pattern",
                .text,
                synonyms: ["regex", "regexp", "match", "format"],
                "A regular expression that the whole value must match; by default any value does."
            ),
            Setting(
                "claim",
                .text,
                synonyms: ["bind", "subject"],
                "The claim of the caller's credential that must have this value: `sub`, or a name in `freshet.parameters` of a token."
            ),
        ]
    )

    /// Those of `sources.NAME`.
    static let templateSettings = [
        Setting(
            "parameters",
            .mapping,
            synonyms: ["params", "args", "variables"],
            "What each {name} in `url`, `headers` and `body` may be; NAME/VALUE is then a source while somebody reads it."
        ),
        Setting(
            "max_instances",
            .count,
            default: "\(Defaults.Instances.maxInstances)",
            synonyms: ["max_parameters", "instances"],
            "The most values of its parameters that a source has at a time; those that nobody reads go first."
        ),
        Setting(
            "max_instances_per_caller",
            .count,
            "The most of them that are there for one caller; by default half of max_instances."
        ),
        Setting(
            "linger",
            .duration,
            default: DurationText.describe(Defaults.Instances.linger),
            synonyms: ["keep", "idle", "grace"],
            "How long the source of a value is kept after its last reader has gone. It is not polled meanwhile."
        ),
    ]
    /// Their names.
    static let templateKeys = Set(Self.templateSettings.map(\.name))
}
