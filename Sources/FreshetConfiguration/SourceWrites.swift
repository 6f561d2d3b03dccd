// `write`: which writes a source takes, and how they are kept from losing others.

import FreshetCore
import HTTPFields
import JSON

/// Reads how a source is written (CONTRACT §6).
struct SourceWrites {
    let context: DecodingContext

    /// Fields that follow from the write or the connection.
    private static let reserved: Set<String> = [
        "accept-encoding", "connection", "content-length", "content-type", "expect", "host", "idempotency-key",
        "if-match",
        "if-modified-since", "if-none-match", "if-range", "if-unmodified-since", "keep-alive", "prefer",
        "proxy-authorization", "range", "te", "trailer", "transfer-encoding", "upgrade", "x-api-key",
    ]

    func policy(of reader: SectionReader) -> WritePolicy? {
        guard let section = reader.section("write", as: .sourceWrite) else { return nil }
        var policy = WritePolicy()
        policy.itemURL = self.itemURL(of: section)
        policy.methods = self.methods(of: section)
        policy.patch = section.choice("patch", of: WritePolicy.Patch.self) ?? policy.patch
        policy.conflict = section.choice("conflict", of: WritePolicy.Conflict.self) ?? policy.conflict
        policy.guard = section.choice("guard", of: WritePolicy.Guard.self) ?? policy.guard
        policy.idempotency = section.choice("idempotency", of: WritePolicy.Idempotency.self) ?? policy.idempotency
        if let version = section.scalar("version") {
            policy.version = Pointer(version.text)
            if policy.version == nil { SourcesDecoder(context: self.context).rejectPointer(version) }
        }
        policy.forward = section.list("forward").compactMap(self.field)
        self.crossCheck(section, policy)
        return policy
    }

    /// What the whole of a source says against its `write`.
    func check(_ reader: SectionReader, _ source: SourceConfiguration) {
        guard let policy = source.write, let section = reader.section("write", as: .sourceWrite) else { return }
        if let format = source.format, format != .json {
            self.error(
                "write",
                in: reader,
                "only JSON can be written",
                fix: "remove `write`, or `format: \(format.rawValue)`"
            )
        }
        guard policy.itemURL == nil, policy.methods.contains(where: { $0 != .post }) else { return }
        let reasons: [(Bool, String)] = [
            (source.root != nil, "`root`"), (source.graphQL != nil, "`graphql`"),
            (source.paginate != nil, "`paginate`"),
            (source.method == .post, "`method: POST`"),
        ]
        guard let reason = reasons.first(where: \.0)?.1 else { return }
        self.error(
            "item_url",
            in: section,
            "with \(reason) the whole value is not what the upstream sends, and cannot be written",
            fix: "add `item_url: https://…/{key}`, or write by POST alone"
        )
    }

    private func error(_ key: String, in reader: SectionReader, _ what: String, fix: String) {
        self.context.error(SectionReader.join(reader.path, key), at: reader.place(of: key), what, fix: fix)
    }

    private func itemURL(of section: SectionReader) -> String? {
        guard let value = section.scalar("item_url") else { return nil }
        let parts = value.text.split(separator: "{key}", omittingEmptySubsequences: false)
        do throws(URLText.Failure) {
            let url = try URLText(parts.joined(separator: "key"))
            guard parts.count == 2, (try? URLText(parts.joined(separator: "yek")))?.path != url.path else {
                self.context.error(
                    value.path,
                    at: value.place,
                    "{key} does not stand once in the path of the URL",
                    fix: "write one such as https://api.example.com/orders/{key}"
                )
                return nil
            }
        } catch {
            self.context.error(value.path, at: value.place, error.what, fix: error.fix)
            return nil
        }
        return value.text
    }

    private func methods(of section: SectionReader) -> [WriteMethod] {
        let values = section.list("methods")
        let methods = values.compactMap { value -> WriteMethod? in
            if let method = WriteMethod(rawValue: value.text) { return method }
            self.context.error(
                value.path,
                at: value.place,
                "\(value.shown) is not a method of writes",
                fix: "write some of \(WriteMethod.allCases.map(\.rawValue).joined(separator: ", "))"
            )
            return nil
        }
        if values.isEmpty {
            self.error(
                "methods",
                in: section,
                "no methods, so that nothing can be written",
                fix: "add `methods: [PUT, PATCH]`"
            )
        }
        return WriteMethod.allCases.filter(methods.contains)
    }

    private func field(_ value: ScalarValue) -> String? {
        let name = value.text.lowercased()
        guard !name.isEmpty, Array(name.utf8).isToken else {
            self.context.error(
                value.path,
                at: value.place,
                "not a name of a header field",
                fix: "use letters, digits and - (RFC 9110 §5.6.2)"
            )
            return nil
        }
        guard !Self.reserved.contains(name) else {
            self.context.error(
                value.path,
                at: value.place,
                "\(value.shown) is the gateway's own, and is not forwarded",
                fix: "remove it"
            )
            return nil
        }
        return name
    }

    private func crossCheck(_ section: SectionReader, _ policy: WritePolicy) {
        if policy.guard == .field, policy.version == nil, section.entry("version") == nil {
            self.error(
                "guard",
                in: section,
                "`guard: field` without a field",
                fix: "add `version: /updated_at`, the member that changes with every version"
            )
        }
    }
}

extension SettingSection {
    private static let unset = WritePolicy()

    static let sourceWrite = SettingSection(
        title: "a source's write",
        settings: [
            Setting(
                "item_url",
                .text,
                synonyms: ["url", "item", "itemurl", "template"],
                "Where one item is written, with {key} in its path; without it whole values are, at the source's url."
            ),
            Setting(
                "methods",
                .list,
                synonyms: ["method", "verbs", "allow"],
                "What clients may do, of PUT, PATCH, DELETE and POST. Each must be named."
            ),
            Setting(
                "patch",
                .choice(WritePolicy.Patch.allCases.map(\.rawValue)),
                default: Self.unset.patch.rawValue,
                synonyms: ["patch_format", "patches"],
                "What the upstream takes for a PATCH: a merge patch, a JSON Patch, or nothing: then the whole is PUT."
            ),
            Setting(
                "conflict",
                .choice(WritePolicy.Conflict.allCases.map(\.rawValue)),
                default: Self.unset.conflict.rawValue,
                synonyms: ["conflicts", "on_conflict"],
                "A write whose base is not the newest value is rejected, merged with what came since, or, without a base, "
                    + "written over it."
            ),
            Setting(
                "guard",
                .choice(WritePolicy.Guard.allCases.map(\.rawValue)),
                default: Self.unset.guard.rawValue,
                synonyms: ["lock", "concurrency"],
                "How the upstream is kept from being written over unseen: by its strong ETag in If-Match, or by reading and "
                    + "comparing it before (the whole, or one field), which leaves a race of one round trip."
            ),
            Setting(
                "version",
                .pointer,
                synonyms: ["version_field", "revision"],
                "For `guard: field`: the member that changes with every version, in what is written."
            ),
            Setting(
                "idempotency",
                .choice(WritePolicy.Idempotency.allCases.map(\.rawValue)),
                default: Self.unset.idempotency.rawValue,
                "Whether the upstream gets the Idempotency-Key as well, so that a POST too may be repeated."
            ),
            Setting(
                "forward",
                .list,
                synonyms: ["forward_headers", "pass", "passthrough"],
                "Request fields of the client that go on to the upstream; the source's own credentials then stay here."
            ),
        ]
    )
}
