// The keys of the section `streamdata`.

extension SettingSection {
    static let streamdata = SettingSection(
        title: "streamdata",
        settings: [
            Setting(
                "tokens_file",
                .text,
                synonyms: ["tokens", "token_file", "keys_file"],
                "A file with an application token a line and, after a blank, its signing key if URLs have to be signed; read at each reload."
            ),
            Setting(
                "allow",
                .list,
                synonyms: ["allowed", "targets", "upstreams", "urls"],
                "What may be asked for: https://api.example.com/public/ stands for that path and all below it."
            ),
        ]
    )
}
