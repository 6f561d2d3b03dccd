// From nodes to ``SourceConfiguration``s: `sources` and `defaults`.

package import FreshetCore
import JSON

/// What `defaults` says.
struct SourceDefaults {
    var source = SourceConfiguration(name: "defaults")
    var bounds = SourceTemplateDecoder.Limits()
}

/// Decodes every source, with `defaults` under it.
struct SourcesDecoder {
    let context: DecodingContext

    /// The most sources.
    static let maxSources = 100_000

    func decode(_ root: SectionReader) -> (sources: [SourceConfiguration], defaults: SourceDefaults) {
        let defaults = root.section("defaults", as: .source)
        let shared = defaults.map { self.check($0) } ?? SourceDefaults()
        return (self.sources(root, defaults: defaults), shared)
    }

    private func sources(_ root: SectionReader, defaults: SectionReader?) -> [SourceConfiguration] {
        guard let (entry, path) = root.entry("sources") else {
            self.context.error(
                "sources",
                at: root.place,
                "no sources",
                fix: "add at least one: `sources: {NAME: {url: https://…}}`"
            )
            return []
        }
        guard case .mapping(let entries) = entry.value.content else {
            self.context.error(
                path,
                at: entry.value.place,
                "\(entry.value.kind), where a mapping by name belongs",
                fix: "write `NAME:` and below it `url: …`, indented"
            )
            return []
        }
        if entries.isEmpty {
            self.context.error(path, at: entry.keyPlace, "no sources", fix: "add at least one")
        }
        return entries.prefix(Self.maxSources).compactMap { self.source($0, under: path, defaults: defaults) }
    }

    /// Finds what is wrong with the defaults themselves, whether or not any source uses them.
    private func check(_ defaults: SectionReader) -> SourceDefaults {
        var shared = SourceDefaults()
        self.read(defaults, into: &shared.source)
        shared.bounds = SourceTemplateDecoder(context: self.context).check(defaults)
        if let (entry, path) = defaults.entry("url") {
            self.context.error(path, at: entry.keyPlace, "a URL for every source", fix: "give each source its own")
        }
        return shared
    }

    private func source(
        _ entry: ConfigurationNode.Entry,
        under path: String,
        defaults: SectionReader?
    ) -> SourceConfiguration? {
        let path = SectionReader.join(path, entry.key)
        // What is below a name that cannot be is read all the same: all errors are reported at once.
        let isNamed = self.checkName(entry, path: path)
        if case .text(let text, _) = entry.value.content, text.hasPrefix("http") {
            self.context.error(
                path,
                at: entry.value.place,
                "a single value, where a mapping belongs",
                fix: "write `url: …` below the name"
            )
            return nil
        }
        var reader = SectionReader(entry.value, as: .source, path: path, context: self.context)
        if let defaults {
            reader.inherit(from: defaults)
        }
        var source = SourceConfiguration(name: entry.key)
        self.read(reader, into: &source)
        guard reader.entry("url") != nil else {
            let rules = PushedSourceRules(context: self.context)
            guard !entry.value.isAbsent else {
                let fix = "add `url: https://…`, or write {} for a source whose values are pushed"
                self.context.error(path, at: entry.keyPlace, "no url", fix: fix)
                return nil
            }
            return isNamed ? rules.source(source, of: reader, namedAt: entry.keyPlace) : nil
        }
        self.readURL(reader, into: &source)
        SourceTemplateDecoder(context: self.context).read(reader, into: &source)
        SourceWrites(context: self.context).check(reader, source)
        self.crossCheck(reader, source)
        return isNamed ? source : nil
    }

    private func checkName(_ entry: ConfigurationNode.Entry, path: String) -> Bool {
        if let first = entry.firstPlace {
            let place = first.file == entry.keyPlace.file ? "at line \(first.line)" : "at \(first)"
            self.context.error(
                path,
                at: entry.keyPlace,
                "duplicate source, first \(place)",
                fix: "rename one of the two"
            )
            return false
        }
        guard SourceName.isValid(entry.key) else {
            self.context.error(
                path,
                at: entry.keyPlace,
                "not a name for a source",
                fix:
                    "use a-z, 0-9, \".\", \"_\" and \"-\", beginning with a letter or digit, at most \(SourceName.maxBytes)"
            )
            return false
        }
        return true
    }

    private func readURL(_ reader: SectionReader, into source: inout SourceConfiguration) {
        guard let value = reader.scalar("url") else { return }
        do throws(URLText.Failure) {
            let url = try URLText(template: value.text)
            source.url = value.text
            self.warnOfHaste(reader, source, url)
        } catch {
            self.context.error(value.path, at: value.place, error.what, fix: error.fix)
        }
    }

    private func warnOfHaste(_ reader: SectionReader, _ source: SourceConfiguration, _ url: URLText) {
        guard case .fixed(let interval) = source.interval, interval < .seconds(1), !url.isLocal else { return }
        let place = reader.entry("interval")?.entry.value.place ?? reader.place
        self.context.warning(
            SectionReader.join(reader.path, "interval"),
            at: place,
            "\(DurationText.describe(interval)) is short for a host that is not on a private network",
            fix: "poll every 1s or slower, unless its owner agreed"
        )
    }
}

// MARK: - The keys of a source

extension SourceConfiguration {
    /// How far apart polls may be.
    package static let intervals = Duration.milliseconds(10)...Duration.seconds(31_536_000)
}

extension SourcesDecoder {
    private func read(_ reader: SectionReader, into source: inout SourceConfiguration) {
        if let value = reader.scalar("interval") {
            if value.text == "adaptive" {
                source.interval = .adaptive
            } else if let interval = reader.duration(value, in: SourceConfiguration.intervals) {
                source.interval = .fixed(interval)
            }
        }
        source.staleness = reader.duration("staleness", in: SourceConfiguration.intervals)
        source.minInterval = reader.duration("min_interval", in: SourceConfiguration.intervals)
        source.maxInterval = reader.duration("max_interval", in: SourceConfiguration.intervals)
        source.timeout = reader.duration("timeout", in: .milliseconds(10)...Duration.seconds(3600)) ?? source.timeout
        source.when = reader.choice("when", of: SourceConfiguration.When.self) ?? source.when
        source.respectCache =
            reader.flag("respect_cache", or: SourceConfiguration.RespectCache.self) ?? source.respectCache
        source.maxBodyBytes = reader.size("max_body_bytes", in: 1...(1 << 30)) ?? source.maxBodyBytes
        source.format = reader.choice("format", of: SourceConfiguration.Format.self)
        source.separator = SourceRules(context: self.context).separator(of: reader)
        source.root = self.pointer("root", in: reader)
        source.select = SourceRules(context: self.context).path(of: reader)
        source.items = self.pointer("items", in: reader)
        source.key = self.pointer("key", in: reader)
        source.ignore = reader.list("ignore").compactMap { self.pattern($0) }
        source.allowCloseDelimited = reader.flag("allow_close_delimited") ?? source.allowCloseDelimited
        source.maxDeleteRatio = reader.ratio("max_delete_ratio") ?? source.maxDeleteRatio
        source.settle = reader.count("settle", in: 1...100) ?? source.settle
        source.verifyEvery = reader.count("verify_every", in: 1...1_000_000)
        source.onMissing = reader.choice("on_404", of: SourceConfiguration.OnMissing.self) ?? source.onMissing
        source.allowEmpty = reader.flag("allow_empty") ?? source.allowEmpty
        source.acceptEncoding =
            reader.choice("accept_encoding", of: SourceConfiguration.AcceptEncoding.self) ?? source.acceptEncoding
        source.denyPrivate = reader.flag("deny_private") ?? source.denyPrivate
        source.compress = reader.flag("compress")
        source.lenientHTTP = reader.flag("lenient_http") ?? source.lenientHTTP
        let rules = SourceRules(context: self.context)
        source.redirects = rules.redirects(of: reader) ?? source.redirects
        source.contentTypes = rules.contentTypes(of: reader)
        source.expect = rules.expectations(of: reader)
        source.tls = rules.tls(of: reader)
        source.schema = SchemaFiles(context: self.context).schema(of: reader)
        source.write = SourceWrites(context: self.context).policy(of: reader)
        source.hook = SourceHooks(context: self.context).hook(of: reader)
        SourceCredentials(context: self.context).read(reader, into: &source)
        SourceRequestDecoder(context: self.context).read(reader, into: &source)
    }

    private func pointer(_ key: String, in reader: SectionReader) -> Pointer? {
        guard let value = reader.scalar(key) else { return nil }
        if let pointer = Pointer(value.text) { return pointer }
        self.rejectPointer(value)
        return nil
    }

    private func pattern(_ value: ScalarValue) -> PointerPattern? {
        if let pattern = PointerPattern(value.text) { return pattern }
        self.rejectPointer(value)
        return nil
    }

    func rejectPointer(_ value: ScalarValue) {
        self.context.error(
            value.path,
            at: value.place,
            "\(value.shown) is not a JSON Pointer",
            fix: value.variables.isEmpty ? Self.fix(forPointer: value.text) : "write one such as /data/items"
        )
    }

    /// What was meant by a text that is no pointer: often a path with dots.
    static func fix(forPointer text: String) -> String {
        guard !text.hasPrefix("/") else { return "write ~0 for ~ and ~1 for / inside a name" }
        // A URL is no path with dots, and may hold what must not be shown (A04).
        guard !text.contains("://") else { return "write one such as /data/items" }
        let dotted = text.hasPrefix("$") ? String(text.drop { $0 == "$" || $0 == "." }) : text
        return "write /" + dotted.split(separator: ".").joined(separator: "/")
    }

    /// What is right alone and wrong together.
    private func crossCheck(_ reader: SectionReader, _ source: SourceConfiguration) {
        func error(_ key: String, _ what: String, _ fix: String) {
            let entry = reader.entry(key)
            self.context.error(
                entry?.path ?? SectionReader.join(reader.path, key),
                at: entry?.entry.value.place ?? reader.place,
                what,
                fix: fix
            )
        }
        let minimum = source.minInterval
        let maximum = source.maxInterval
        if let minimum, let maximum, minimum > maximum {
            let shown = (DurationText.describe(minimum), DurationText.describe(maximum))
            error("min_interval", "\(shown.0) is more than max_interval, \(shown.1)", "lower it to \(shown.1) or less")
        }
        if case .fixed(let interval) = source.interval {
            let shown = DurationText.describe(interval)
            if let minimum, interval < minimum, minimum <= maximum ?? minimum {
                error(
                    "interval",
                    "\(shown) is less than min_interval, \(DurationText.describe(minimum))",
                    "raise it, or lower min_interval"
                )
            }
            if let maximum, interval > maximum, minimum ?? maximum <= maximum {
                error(
                    "interval",
                    "\(shown) is more than max_interval, \(DurationText.describe(maximum))",
                    "lower it, or raise max_interval"
                )
            }
            if let staleness = source.staleness, staleness < interval {
                error(
                    "staleness",
                    "\(DurationText.describe(staleness)) is less than the interval, \(shown): the value would be stale between polls",
                    "write \(shown) or more"
                )
            }
        }
    }
}
