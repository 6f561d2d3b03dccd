// Sources with parameters: `{name}` in `url`, `headers` and `body`, and what `parameters` says of them.

import FreshetCore
import JSON
import JSONSchema

struct SourceTemplateDecoder {
    let context: DecodingContext

    struct Limits {
        var maxInstances: Int?
        var perCaller: Int?
        var linger: Duration?
    }

    /// Makes a source with parameters a template. Its URL and its request were read before.
    func read(_ reader: SectionReader, into source: inout SourceConfiguration) {
        let limits = self.limits(of: reader)
        let declared = self.parameters(of: reader)
        let fieldNames = self.fieldNames(of: reader)
        guard let names = self.names(in: source, declared: declared.map(\.name), fieldNames, reader) else { return }
        guard !names.isEmpty else { return self.refuseKeys(of: reader, limits) }
        guard names.count <= InstanceName.maxValues else {
            return self.error(
                "url",
                in: reader,
                "\(names.count) parameters, and \(InstanceName.maxValues) are the most",
                fix: "write a source for each value of some of them"
            )
        }
        let parameters = names.map { name in declared.first { $0.name == name } ?? .init(name: name) }
        do throws(SourceTemplate.Problem) {
            var template = try SourceTemplate(
                of: source,
                parameters: parameters,
                fieldNames: fieldNames,
                bodyStart: Self.bodyStart(of: source)
            )
            template.maxInstances = limits.maxInstances ?? template.maxInstances
            template.maxInstancesPerCaller = limits.perCaller
            template.linger = limits.linger ?? template.linger
            source.template = template
        } catch {
            let key = String(error.key.prefix { $0 != "." })
            self.context.error(
                SectionReader.join(reader.path, error.key),
                at: reader.place(of: key),
                error.what,
                fix: error.fix
            )
        }
    }

    /// The bounds in `defaults`. Finds what is wrong with them.
    func check(_ defaults: SectionReader) -> Limits {
        let limits = self.limits(of: defaults)
        guard let (entry, path) = defaults.entry("parameters") else { return limits }
        self.context.error(path, at: entry.keyPlace, "parameters of every source", fix: "give each source its own")
        return limits
    }

    private func limits(of reader: SectionReader) -> Limits {
        let limits = Limits(
            maxInstances: reader.count("max_instances", in: 1...1_000_000),
            perCaller: reader.count("max_instances_per_caller", in: 1...1_000_000),
            linger: reader.duration("linger", in: .zero...Duration.seconds(86_400))
        )
        let most = limits.maxInstances ?? Defaults.Instances.maxInstances
        if let perCaller = limits.perCaller, perCaller > most {
            self.error(
                "max_instances_per_caller",
                in: reader,
                "\(perCaller) is more than max_instances, \(most)",
                fix: "lower it, or raise max_instances"
            )
        }
        return limits
    }

    private func error(_ key: String, in reader: SectionReader, _ what: String, fix: String) {
        self.context.error(SectionReader.join(reader.path, key), at: reader.place(of: key), what, fix: fix)
    }

    /// What `parameters` says, in the order of the file.
    private func parameters(of reader: SectionReader) -> [SourceTemplate.Parameter] {
        // Those of `defaults`, which are reported there, are no source's.
        guard let (entry, path) = reader.entry("parameters"), path.hasPrefix(reader.path) else { return [] }
        guard case .mapping(let entries) = entry.value.content else {
            self.context.error(
                path,
                at: entry.value.place,
                "\(entry.value.kind), where a mapping by name belongs",
                fix: "write `id: {pattern: \"[0-9]+\"}`"
            )
            return []
        }
        return entries.compactMap { self.parameter($0, path: SectionReader.join(path, $0.key)) }
    }

    private func parameter(_ entry: ConfigurationNode.Entry, path: String) -> SourceTemplate.Parameter? {
        if let first = entry.firstPlace {
            self.context.error(
                path,
                at: entry.keyPlace,
                "duplicate key, first at line \(first.line)",
                fix: "keep one of the two"
            )
            return nil
        }
        guard Placeholder.isName(Array(entry.key.utf8)) else {
            self.context.error(
                path,
                at: entry.keyPlace,
                "not a name for a parameter",
                fix: "use letters, digits and _, beginning with a letter"
            )
            return nil
        }
        let reader = SectionReader(entry.value, as: .parameter, path: path, context: self.context)
        var parameter = SourceTemplate.Parameter(name: entry.key)
        if let claim = reader.scalar("claim") {
            parameter.claim = claim.text
            if claim.text.isEmpty {
                self.context.error(
                    claim.path,
                    at: claim.place,
                    "an empty name of a claim",
                    fix: "write one such as sub"
                )
            }
        }
        if let pattern = reader.scalar("pattern") {
            do throws(WholePattern.Malformed) {
                parameter.pattern = try WholePattern(pattern.text)
            } catch {
                self.context.error(
                    pattern.path,
                    at: pattern.place,
                    "\(pattern.shown) is not a regular expression: \(error.reason)",
                    fix: "write one such as \"[0-9]+\""
                )
            }
        }
        return parameter
    }

    /// The fields of `headers`, in lower case: no field that `auth` makes has a parameter in it.
    private func fieldNames(of reader: SectionReader) -> Set<String> {
        var names: Set<String> = []
        for (node, _) in reader.layers("headers") {
            if case .mapping(let entries) = node.content { names.formUnion(entries.map { $0.key.lowercased() }) }
        }
        return names
    }

    /// The parameters in the order of a name's values: as they come in the URL, then in the fields, then in the body.
    ///
    /// - Returns: `nil` where one was not declared and could be text.
    private func names(
        in source: SourceConfiguration,
        declared: [String],
        _ fieldNames: Set<String>,
        _ reader: SectionReader
    ) -> [String]? {
        var names: [String] = []
        func add(_ name: String) {
            if !names.contains(name) { names.append(name) }
        }
        Placeholder.all(in: Array(source.url.utf8)).forEach { add($0.name) }
        let known = Set(names).union(declared)
        let isTemplate = !known.isEmpty
        var isRight = true
        for field in source.headers where fieldNames.contains(field.name.lowercased()) {
            for placeholder in Placeholder.all(in: Array(field.value.utf8)) {
                if known.contains(placeholder.name) {
                    add(placeholder.name)
                } else if isTemplate {
                    isRight = false
                    self.error(
                        "headers",
                        in: reader,
                        "{\(placeholder.name)} in \(field.name) is not among the parameters",
                        fix: "write `parameters: {\(placeholder.name): {}}`, or the name of one that there is"
                    )
                }
            }
        }
        let start = Self.bodyStart(of: source)
        for placeholder in Placeholder.all(in: source.body)
        where placeholder.range.lowerBound >= start && known.contains(placeholder.name) {
            add(placeholder.name)
        }
        // The template itself says which of them is not used.
        if !names.isEmpty || isTemplate { declared.forEach(add) }
        return isRight ? names : nil
    }

    /// Where in a body parameters may begin: behind the query of GraphQL, whose own braces are no parameters.
    private static func bodyStart(of source: SourceConfiguration) -> Int {
        guard source.graphQL != nil, let query = (try? Document(parsing: source.body))?.root["query"]?.string else {
            return 0
        }
        var text = Array(#"{"query":"#.utf8)
        appendJSONString(utf8: Array(query.utf8), to: &text)
        return text.count
    }

    /// Refuses what means nothing without a parameter. A default that is written out changes nothing.
    private func refuseKeys(of reader: SectionReader, _ limits: Limits) {
        for key in SettingSection.templateKeys.sorted() {
            guard let (_, path) = reader.entry(key), path.hasPrefix(reader.path) else { continue }
            if key == "max_instances", limits.maxInstances == Defaults.Instances.maxInstances { continue }
            if key == "linger", limits.linger == Defaults.Instances.linger { continue }
            self.error(key, in: reader, "no parameter in this source", fix: "write {name} in `url`, or remove it")
        }
    }
}

extension SourceTemplateDecoder {
    /// Warns of each source that nobody can read: a parameter is bound to a claim, and there are no credentials.
    func warnOfClaims(_ configuration: GatewayConfiguration, _ root: SectionReader) {
        guard configuration.auth == nil, case .mapping(let entries)? = root.entry("sources")?.entry.value.content else {
            return
        }
        let bound = Set(configuration.sources.filter { $0.template?.isBound ?? false }.map(\.name))
        for entry in entries where bound.contains(entry.key) {
            self.context.warning(
                SectionReader.join(SectionReader.join("sources", entry.key), "parameters"),
                at: entry.keyPlace,
                "a parameter is bound to a claim, and without `auth` no caller has one: only administrators read it",
                fix: "add `auth`, or remove `claim`"
            )
        }
    }
}
