// Sources without `url`: they are not polled; their values come by `POST /v1/sources/{source}/value`.

import FreshetAccess
import FreshetCore

struct PushedSourceRules {
    let context: DecodingContext

    /// The keys of a source that mean something without polls; every other one needs `url`.
    static let keys: Set<String> = [
        "staleness", "max_body_bytes", "format", "separator", "root", "select", "items", "key", "ignore",
        "content_type",
        "expect",
        "schema",
        "allow_empty",
        "compress",
    ]

    /// The source without what `defaults` say of polls. A key of its own that is for polls is an error: more likely than
    /// a key too many is a forgotten `url`.
    func source(_ source: SourceConfiguration, of reader: SectionReader, namedAt place: Place) -> SourceConfiguration {
        let names = reader.section.settings.map(\.name).filter { name in
            guard !Self.keys.contains(name), let (_, path) = reader.entry(name) else { return false }
            return path.hasPrefix(reader.path)
        }
        if let first = names.first {
            let list = names.map { "`\($0)`" }.joined(separator: " and ")
            self.context.error(
                reader.path,
                at: place,
                "no url, and \(list) \(names.count == 1 ? "is" : "are") for polls",
                fix: "add `url: https://…`, or remove `\(first)` from a source whose values are pushed"
            )
        }
        var pushed = SourceConfiguration(name: source.name)
        pushed.staleness = source.staleness
        pushed.maxBodyBytes = source.maxBodyBytes
        pushed.format = source.format
        pushed.separator = source.separator
        pushed.root = source.root
        pushed.select = source.select
        pushed.items = source.items
        pushed.key = source.key
        pushed.ignore = source.ignore
        pushed.contentTypes = source.contentTypes
        pushed.expect = source.expect
        pushed.schema = source.schema
        pushed.compress = source.compress
        pushed.allowEmpty = source.allowEmpty
        return pushed
    }

    /// Warns of each source without a URL to which only an administrator may push.
    func warnOfSilence(_ configuration: GatewayConfiguration, _ root: SectionReader) {
        guard case .mapping(let entries)? = root.entry("sources")?.entry.value.content else { return }
        // A key that is wrong may be the `url` that is missing.
        guard !self.context.problems.contains(where: { $0.severity == .error }) else { return }
        let access = configuration.auth?.access
        // What an issuer grants is in its tokens.
        guard access?.issuers.isEmpty ?? true else { return }
        let grants = access.map { [$0.anonymous] + $0.keys.map(\.grants) + $0.certificates.map(\.grants) } ?? []
        let silent = Set(
            configuration.sources.filter { source in
                !source.isPolled && !grants.contains { $0.publish.matches(source.name) }
            }.map(\.name)
        )
        for entry in entries where silent.contains(entry.key) {
            self.context.warning(
                SectionReader.join("sources", entry.key),
                at: entry.keyPlace,
                "no url, and nobody has the grant to publish: only administrators can push its value",
                fix: "add `url: https://…`, or a key in auth.keys with `publish: [\(entry.key)]`"
            )
        }
    }
}
