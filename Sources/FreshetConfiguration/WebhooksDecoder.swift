// `webhooks`: where changes are sent.

import Foundation
import FreshetCore
import JSON

/// Decodes every endpoint. Secrets are never shown.
struct WebhooksDecoder {
    let context: DecodingContext

    /// The shortest secret, in bytes: 16 random ones cannot be guessed.
    private static let minSecretBytes = 16
    private static let maxSecretBytes = 4 << 10

    func decode(_ root: SectionReader, sources: [SourceConfiguration]) -> [WebhookConfiguration] {
        guard let (entry, path) = root.entry("webhooks") else { return [] }
        guard case .mapping(let entries) = entry.value.content else {
            self.context.error(
                path,
                at: entry.value.place,
                "\(entry.value.kind), where a mapping by name belongs",
                fix: "write `NAME:` and below it `url: …`, indented"
            )
            return []
        }
        guard entries.count <= WebhookConfiguration.maxEndpoints else {
            self.context.error(
                path,
                at: entry.keyPlace,
                "\(entries.count) webhooks, and \(WebhookConfiguration.maxEndpoints) are the most",
                fix: "name several sources in one"
            )
            return []
        }
        var declared: Set<String> = []
        if case .mapping(let entries)? = root.entry("sources")?.entry.value.content {
            declared = Set(entries.map(\.key))
        }
        return entries.compactMap { self.webhook($0, under: path, sources: sources, declared: declared) }
    }

    private func webhook(
        _ entry: ConfigurationNode.Entry,
        under path: String,
        sources: [SourceConfiguration],
        declared: Set<String>
    ) -> WebhookConfiguration? {
        let path = SectionReader.join(path, entry.key)
        if let first = entry.firstPlace {
            let place = first.file == entry.keyPlace.file ? "at line \(first.line)" : "at \(first)"
            let fix = "rename one of the two"
            self.context.error(path, at: entry.keyPlace, "duplicate webhook, first \(place)", fix: fix)
            return nil
        }
        guard SourceName.isValid(entry.key) else {
            self.context.error(
                path,
                at: entry.keyPlace,
                "not a name for a webhook",
                fix:
                    "use a-z, 0-9, \".\", \"_\" and \"-\", beginning with a letter or digit, at most \(SourceName.maxBytes)"
            )
            return nil
        }
        let reader = SectionReader(entry.value, as: .webhook, path: path, context: self.context)
        var webhook = WebhookConfiguration(name: entry.key)
        let url = self.url(of: reader)
        webhook.url = url ?? ""
        webhook.sources = self.sources(of: reader, among: sources, declared: declared)
        webhook.mode = reader.choice("mode", of: StreamMode.self) ?? webhook.mode
        webhook.envelope = reader.choice("envelope", of: StreamEnvelope.self) ?? webhook.envelope
        webhook.order = reader.choice("order", of: WebhookConfiguration.Order.self) ?? webhook.order
        webhook.view = self.view(of: reader)
        webhook.secrets = self.secrets(of: reader)
        let range = Duration.milliseconds(100)...Duration.seconds(300)
        webhook.timeout = reader.duration("timeout", in: range) ?? webhook.timeout
        webhook.maxInFlight = reader.count("max_in_flight", in: 1...64) ?? webhook.maxInFlight
        webhook.denyPrivate = reader.flag("deny_private") ?? webhook.denyPrivate
        self.check(webhook, reader)
        return url == nil ? nil : webhook
    }

    private func check(_ webhook: WebhookConfiguration, _ reader: SectionReader) {
        if webhook.order == .item, webhook.mode != .items {
            self.error("order", in: reader, "order by item without items", fix: "add `mode: items`")
        }
        if case .filter = webhook.view, webhook.mode != .items {
            self.error("where", in: reader, "a filter follows items coming and going", fix: "add `mode: items`")
        }
    }

    private func error(_ key: String, in reader: SectionReader, _ what: String, fix: String) {
        self.context.error(SectionReader.join(reader.path, key), at: reader.place(of: key), what, fix: fix)
    }

    private func url(of reader: SectionReader) -> String? {
        guard let value = reader.scalar("url") else {
            if reader.entry("url") == nil {
                self.context.error(reader.path, at: reader.place, "no url", fix: "add `url: https://…`")
            }
            return nil
        }
        do throws(URLText.Failure) {
            return try URLText(value.text).text
        } catch {
            self.context.error(value.path, at: value.place, error.what, fix: error.fix)
            return nil
        }
    }

    /// The sources, each of which there is. `declared`: the names of all, also of those that have problems of their own.
    private func sources(
        of reader: SectionReader,
        among sources: [SourceConfiguration],
        declared: Set<String>
    ) -> SourcePattern {
        let values = reader.list("sources")
        if values.isEmpty {
            let fix = "add `sources: [NAME]`, or `sources: [\"*\"]` for all"
            self.context.error(reader.path, at: reader.place(of: "sources"), "no sources", fix: fix)
        }
        var terms: [SourceSelector.Term] = []
        for value in values {
            guard let selector = SourceSelector(value.text), let term = selector.terms.first,
                selector.terms.count == 1
            else {
                self.context.error(
                    value.path,
                    at: value.place,
                    "\(value.shown) names no sources",
                    fix: "write a source's name, the beginning of names and *, or \"*\""
                )
                continue
            }
            terms.append(term)
            guard case .exact(let name) = term else { continue }
            guard declared.contains(name) else {
                let near = Spelling.nearest(to: name, among: declared.sorted()).map { "did you mean `\($0)`?" }
                let fix = near ?? "write the name of a source"
                self.context.error(value.path, at: value.place, "there is no source \(value.shown)", fix: fix)
                continue
            }
            if sources.first(where: { $0.name == name })?.template != nil {
                let what = "\(value.shown) has parameters, and its instances come and go"
                self.context.error(value.path, at: value.place, what, fix: "name sources without parameters")
            }
        }
        return SourcePattern(terms)
    }

    private func view(of reader: SectionReader) -> View {
        let given = ["pointer", "item", "where"].filter { reader.entry($0) != nil }
        if given.count > 1 {
            let what = "\(given.joined(separator: " and ")) at once"
            self.context.error(reader.path, at: reader.place(of: given[1]), what, fix: "keep one of them")
        }
        if given.first == "item" {
            let items = reader.list("item")
            guard !items.isEmpty, items.count <= Defaults.Views.maxItems,
                items.allSatisfy({ (1...Defaults.Views.maxTextBytes).contains($0.text.utf8.count) })
            else {
                let fix = "write 1 to \(Defaults.Views.maxItems) keys of at most \(Defaults.Views.maxTextBytes) bytes"
                self.error("item", in: reader, "not a list of items' keys", fix: fix)
                return .whole
            }
            return .items(Set(items.map { ScalarText($0.text) }).sorted())
        }
        guard let name = given.first, let value = reader.scalar(name) else { return .whole }
        let isShort = value.text.utf8.count <= Defaults.Views.maxTextBytes
        if name == "pointer" {
            guard isShort, let pointer = Pointer(value.text) else {
                let fix = "write one such as /data, or remove it for the whole value"
                self.context.error(value.path, at: value.place, "\(value.shown) is not a JSON Pointer", fix: fix)
                return .whole
            }
            return pointer.isEmpty ? .whole : .pointer(pointer)
        }
        let parts = value.text.split(separator: ":", maxSplits: 1, omittingEmptySubsequences: false)
        guard isShort, parts.count == 2, let member = Pointer(String(parts[0])) else {
            let fix = "write the JSON Pointer to a member, a colon, and its value: /status:open"
            self.context.error(value.path, at: value.place, "\(value.shown) is not a filter", fix: fix)
            return .whole
        }
        return .filter(ItemFilter(member: member, value: ScalarText(String(parts[1]))))
    }

    // MARK: Secrets

    private func secrets(of reader: SectionReader) -> [WebhookConfiguration.Secret] {
        let fix = "add `secret_file`, with one secret a line, such as whsec_… from `openssl rand -base64 32`"
        switch (reader.entry("secret"), reader.entry("secret_file")) {
        case (nil, nil):
            self.context.error(reader.path, at: reader.place, "no secret", fix: fix)
            return []
        case (_?, _?):
            self.error("secret", in: reader, "secret and secret_file at once", fix: "keep one of them")
            return []
        case (_?, nil):
            return reader.scalar("secret").map { self.secrets(in: $0.text, $0) } ?? []
        case (nil, _?):
            guard let file = reader.scalar("secret_file") else { return [] }
            let path = FilePath.resolve(file.text, from: FilePath.directory(of: file.place.file))
            do throws(ConfigurationFiles.Failure) {
                let bytes = try self.context.files.read(path, Self.maxSecretBytes, false)
                return self.secrets(in: String(validating: bytes, as: UTF8.self) ?? "\u{0}", file)
            } catch {
                self.context.error(file.path, at: file.place, "\(file.shown) \(error.what)", fix: error.fix)
                return []
            }
        }
    }

    /// The secrets of a text, separated by white space.
    private func secrets(in text: String, _ value: ScalarValue) -> [WebhookConfiguration.Secret] {
        let words = text.split(whereSeparator: \.isWhitespace)
        guard (1...WebhookConfiguration.maxSecrets).contains(words.count) else {
            let fix = "write 1 to \(WebhookConfiguration.maxSecrets), one a line"
            self.context.error(value.path, at: value.place, "\(words.count) secrets", fix: fix)
            return []
        }
        return words.enumerated().compactMap { index, word in
            switch Self.secret(word) {
            case .success(let secret): return secret
            case .failure(let error):
                self.context.error(value.path, at: value.place, "secret \(index + 1) \(error.what)", fix: error.fix)
                return nil
            }
        }
    }

    private struct SecretFailure: Error {
        var what: String
        var fix: String
    }

    /// `whsec_` and base64, or that without its prefix; `whsk_` and the base64 of an Ed25519 key: its seed, alone or with the
    /// public key behind it.
    private static func secret(_ word: Substring) -> Result<WebhookConfiguration.Secret, SecretFailure> {
        let isKey = word.hasPrefix("whsk_")
        let base64 = isKey ? word.dropFirst(5) : word.hasPrefix("whsec_") ? word.dropFirst(6) : word
        guard let bytes = Data(base64Encoded: String(base64)).map({ Array($0) }) else {
            return .failure(
                SecretFailure(
                    what: "is no secret of Standard Webhooks",
                    fix: "write whsec_ and base64, or whsk_ and the base64 of an Ed25519 key"
                )
            )
        }
        if isKey {
            guard bytes.count == 32 || bytes.count == 64 else {
                let what = "is no Ed25519 key: it has \(bytes.count) bytes"
                return .failure(SecretFailure(what: what, fix: "write whsk_ and the base64 of 32 or 64 bytes"))
            }
            return .success(.ed25519(Array(bytes.prefix(32))))
        }
        guard bytes.count >= Self.minSecretBytes else {
            let fix = "use at least \(Self.minSecretBytes), such as from `openssl rand -base64 32`"
            return .failure(SecretFailure(what: "has \(bytes.count) bytes and can be guessed", fix: fix))
        }
        return .success(.shared(bytes))
    }
}

extension SettingSection {
    private static let unset = WebhookConfiguration(name: "")

    static let webhook = SettingSection(
        title: "a webhook",
        settings: [
            Setting(
                "url",
                .text,
                synonyms: ["endpoint", "uri", "target"],
                "Where each event is sent by POST: http or https. It may be private; redirects are not followed."
            ),
            Setting(
                "sources",
                .list,
                synonyms: ["source"],
                "Whose changes: names, beginnings of names and *, or \"*\"."
            ),
            Setting(
                "mode",
                .choice(StreamMode.allCases.map(\.rawValue)),
                default: Self.unset.mode.rawValue,
                "What of a change is sent, as in a stream."
            ),
            Setting(
                "envelope",
                .choice(StreamEnvelope.allCases.map(\.rawValue)),
                default: Self.unset.envelope.rawValue,
                "What a message is: the event's line, or a CloudEvent in structured mode."
            ),
            Setting(
                "order",
                .choice(WebhookConfiguration.Order.allCases.map(\.rawValue)),
                default: Self.unset.order.rawValue,
                synonyms: ["ordering"],
                "What is delivered one after the other: the events of a source, or, with mode: items, those of an item."
            ),
            Setting("pointer", .pointer, "Only changes under it, as in a stream."),
            Setting("item", .list, synonyms: ["items"], "Only changes of these items, as in a stream."),
            Setting("where", .text, synonyms: ["filter"], "Only items whose member has this value: /status:open."),
            Setting(
                "secret_file",
                .text,
                synonyms: ["secret_path", "signing_secret"],
                "A file with what messages are signed with, one secret a line: whsec_… (HMAC-SHA256) or whsk_… (Ed25519)."
            ),
            Setting("secret", .text, isSecret: true, "The same here; better in a file."),
            Setting(
                "timeout",
                .duration,
                default: DurationText.describe(Self.unset.timeout),
                "From the start of a try to its answer."
            ),
            Setting(
                "max_in_flight",
                .count,
                default: "\(Self.unset.maxInFlight)",
                synonyms: ["concurrency", "parallel"],
                "Messages under way at one time, of different sources or items."
            ),
            Setting(
                "deny_private",
                .flag,
                default: "\(Self.unset.denyPrivate)",
                "Refuse loopback, private and link-local addresses, at each connection."
            ),
        ]
    )
}
