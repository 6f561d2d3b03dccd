// A source with parameters: what its instances are, and who may read them (CONTRACT §10).

import JSON
package import JSONSchema

/// What makes a source a template: `{name}` in its URL, in its request fields or in its body. A template is not polled and has
/// no value; each of its instances is a source while somebody reads it.
package struct SourceTemplate: Hashable, Sendable {
    /// One `{name}`.
    package struct Parameter: Hashable, Sendable {
        package var name: String
        /// What a whole value must match. The default is any value.
        package var pattern: WholePattern?
        /// Whoever reads an instance has its value under this claim (``Principal/claim(_:)``). The default is nobody in
        /// particular.
        package var claim: String?

        package init(name: String, pattern: WholePattern? = nil, claim: String? = nil) {
            self.name = name
            self.pattern = pattern
            self.claim = claim
        }
    }

    /// A request field with parameters in its value.
    private struct Field: Hashable, Sendable {
        /// In lower case.
        var name: String
        var value: TemplateText
    }

    /// In the order of a name's values.
    package let parameters: [Parameter]
    /// The most instances at a time. The default is 1000.
    package var maxInstances = Defaults.Instances.maxInstances
    /// The most of them that are there because one caller asked for them. The default is half of ``maxInstances``.
    package var maxInstancesPerCaller: Int?
    /// How long an instance that nobody reads is kept. The default is 30 s.
    package var linger = Defaults.Instances.linger
    private let url: TemplateText
    private let fields: [Field]
    private let body: TemplateText?

    /// The longest URL of an instance.
    private static let maxURLBytes = 8 << 10

    /// Why a source cannot be a template.
    package struct Problem: Error, Hashable, Sendable {
        /// The key of the source.
        package var key: String
        package var what: String
        package var fix: String
    }

    /// Makes a template of a source.
    ///
    /// - Parameters:
    ///   - source: with `{name}` where parameters go.
    ///   - parameters: in the order of a name's values. Each of them is used.
    ///   - fieldNames: the request fields that may have parameters, in lower case: those that hold no secret.
    ///   - bodyStart: where in the body parameters may begin.
    /// - Throws: ``Problem`` where a value could leave its place.
    package init(
        of source: SourceConfiguration,
        parameters: [Parameter],
        fieldNames: Set<String>,
        bodyStart: Int = 0
    ) throws(Problem) {
        let names = parameters.map(\.name)
        let urlBytes = Array(source.url.utf8)
        let pathStart = Self.pathStart(of: urlBytes)
        guard Placeholder.all(in: urlBytes).allSatisfy({ $0.range.lowerBound >= pathStart }) else {
            throw Problem(
                key: "url",
                what: "a parameter in the URL's host: a caller could choose where the gateway connects to",
                fix: "write the host out, and parameters in the path or the query"
            )
        }
        self.parameters = parameters
        self.url = TemplateText(urlBytes, names: names) { _ in .url }
        self.fields = source.headers.compactMap { field in
            let value = TemplateText(Array(field.value.utf8), names: names) { _ in .field }
            let name = field.name.lowercased()
            return value.parameters.isEmpty || !fieldNames.contains(name) ? nil : Field(name: name, value: value)
        }
        self.body = try Self.body(of: source, names: names, from: bodyStart)
        let plain = names.map { _ in "0" }
        guard let example = self.url.expanded(plain), !Self.hasDotSegment(example) else {
            throw Problem(key: "url", what: "\".\" or \"..\" in the URL's path", fix: "write the path without it")
        }
        var used = self.url.parameters
        for field in self.fields { used.formUnion(field.value.parameters) }
        used.formUnion(self.body?.parameters ?? [])
        guard let unused = names.indices.first(where: { !used.contains($0) }) else { return }
        throw Problem(
            key: "parameters.\(names[unused])",
            what: "a parameter that is not used",
            fix: "write {\(names[unused])} in `url`, `headers` or `body`, or remove it"
        )
    }

    private static func body(
        of source: SourceConfiguration,
        names: [String],
        from start: Int
    ) throws(Problem) -> TemplateText? {
        guard source.method == .post else { return nil }
        let isForm = source.headers.contains { field in
            field.name.lowercased() == "content-type"
                && field.value.lowercased().hasPrefix("application/x-www-form-urlencoded")
        }
        let strings = isForm ? [] : Self.strings(of: source.body)
        let text = TemplateText(source.body, names: names, from: start) { position in
            isForm ? .form : strings.contains { $0.contains(position) } ? .jsonString : .jsonNumber
        }
        guard !text.parameters.isEmpty else { return nil }
        guard !isForm else { return text }
        let example = text.expanded(names.map { _ in "0" }) ?? []
        guard (try? Document(parsing: example)) != nil else {
            throw Problem(
                key: "body",
                what: "parameters in a body that is not JSON: a value could not be kept in its place",
                fix: "write JSON, with {name} between quotes, or a form with "
                    + "`Content-Type: application/x-www-form-urlencoded` among `headers`"
            )
        }
        return text
    }

    /// The strings of a text that is JSON, in bytes.
    private static func strings(of text: [UInt8]) -> [Range<Int>] {
        var found: [Range<Int>] = []
        var start: Int?
        var isEscaped = false
        for (index, byte) in text.enumerated() {
            guard let begin = start else {
                if byte == UInt8(ascii: "\"") { start = index }
                continue
            }
            if isEscaped {
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                found.append(begin..<index)
                start = nil
            }
        }
        return found
    }

    /// Where a URL's path, or its query, begins.
    private static func pathStart(of url: [UInt8]) -> Int {
        let scheme = url.firstIndex(of: UInt8(ascii: ":")).map { $0 + 3 } ?? 0
        return url.indices.first { $0 >= scheme && "/?#".utf8.contains(url[$0]) } ?? url.count
    }

    /// Whether a segment of the path means another place (RFC 3986 §5.2.4), however it is encoded.
    private static func hasDotSegment(_ url: [UInt8]) -> Bool {
        let path = url[self.pathStart(of: url)...].prefix { $0 != UInt8(ascii: "?") }
        return path.split(separator: UInt8(ascii: "/")).contains { segment in
            let decoded = PercentEncoding.decoded(segment) ?? Array(segment)
            return decoded == Array(".".utf8) || decoded == Array("..".utf8)
        }
    }
}

extension SourceTemplate {
    /// The most instances that one caller may be the reason for.
    package var callerShare: Int {
        min(self.maxInstancesPerCaller ?? max(1, self.maxInstances / 2), self.maxInstances)
    }

    /// Whether a parameter is bound to a claim.
    package var isBound: Bool { self.parameters.contains { $0.claim != nil } }

    /// Whether a caller has the claims that an instance's parameters are bound to. Administrators of the process need none.
    package func permits(_ name: InstanceName, to principal: Principal) -> Bool {
        guard self.isBound, principal.kind != .administrator else { return true }
        guard name.values.count == self.parameters.count else { return false }
        return zip(self.parameters, name.values).allSatisfy { parameter, value in
            guard let claim = parameter.claim else { return true }
            // Byte by byte: texts that Swift takes for equal are two values for the upstream.
            return principal.claim(claim)?.utf8.elementsEqual(value.utf8) ?? false
        }
    }

    /// The source that an instance is.
    ///
    /// - Parameters:
    ///   - name: of the instance.
    ///   - source: the template's, as it is now: its secrets may have been read again.
    /// - Returns: `nil` where there is none of this name.
    package func instance(_ name: InstanceName, of source: SourceConfiguration) -> SourceConfiguration? {
        guard name.values.count == self.parameters.count,
            zip(self.parameters, name.values).allSatisfy({ $0.pattern?.matches($1) ?? true }),
            let url = self.url.expanded(name.values), url.count <= Self.maxURLBytes, !Self.hasDotSegment(url)
        else { return nil }
        var instance = source
        instance.name = name.text
        instance.template = nil
        instance.instanceOf = source.name
        instance.when = .subscribed
        instance.url = String(decoding: url, as: UTF8.self)
        for field in self.fields {
            guard let value = field.value.expanded(name.values),
                let index = instance.headers.firstIndex(where: { $0.name.lowercased() == field.name })
            else { return nil }
            instance.headers[index].value = String(decoding: value, as: UTF8.self)
        }
        if let body {
            guard let bytes = body.expanded(name.values) else { return nil }
            instance.body = bytes
        }
        return instance
    }

    /// An instance like any other, to see whether the poller would take it.
    package func example(of source: SourceConfiguration) -> SourceConfiguration {
        var example = source
        example.template = nil
        example.url =
            self.url.expanded(self.parameters.map { _ in "0" }).map { String(decoding: $0, as: UTF8.self) } ?? ""
        return example
    }
}
