// A schema that documents are checked against.

package import JSON

/// A JSON Schema, 2020-12 or draft 7, compiled. `format` and the content keywords are annotations and assert nothing.
///
/// Immutable; copies share their tables. What a check costs is bounded (``SchemaLimits``), whatever the schema and the
/// document are.
package struct Schema: Sendable {
    let program: Program
    let limits: SchemaLimits
    /// The documents that the schema consists of, for messages.
    let library: [(document: Document, uri: String)]
    /// The schema as it was given.
    package let document: Document

    /// A version of JSON Schema.
    package enum Version: Hashable, Sendable {
        case draft7
        case draft202012
    }

    /// Reads what a `$ref` to another document names: nil where that is not to be read. `uri` has no fragment.
    package typealias Resolver = (_ uri: String) throws(SchemaError) -> Document?

    /// Compiles a schema.
    ///
    /// - Parameters:
    ///   - document: the schema.
    ///   - uri: where it was found: its references are relative to that, where no `$id` says otherwise.
    ///   - version: what it is written in, where no `$schema` says so.
    ///   - limits: what it may cost.
    ///   - resolver: asked once for each other document; the metaschemas of both versions are here already.
    /// - Throws: the first mistake, with its place.
    package init(
        _ document: Document,
        uri: String,
        version: Version = .draft202012,
        limits: SchemaLimits = SchemaLimits(),
        resolver: @escaping Resolver = { _ in nil }
    ) throws(SchemaError) {
        var compiler = Compiler(library: Library(limits: limits, resolver: resolver))
        guard document.root.kind == .object || document.root.bool != nil else {
            throw SchemaError(uri: uri, reason: "is not a schema: an object, true or false")
        }
        let resource = try compiler.library.add(
            document,
            uri: uri,
            dialect: version == .draft7 ? .draft7 : .draft202012
        )
        try compiler.compile(resource)
        self.program = Program(compiler.program)
        self.library = compiler.library.documents
        self.limits = limits
        self.document = document
    }

    /// The other documents that the schema refers to, metaschemas aside: what has to be read again when it changes.
    package var references: [String] {
        self.library.dropFirst().map(\.uri).filter { Metaschemas.document($0) == nil }
    }

    /// What the document violates, at most `SchemaLimits.maxViolations`, in the order of the schema; empty where nothing.
    package func violations(in document: Document) -> [Violation] {
        document.withView { view in
            var validator = Validator(schema: self, document: document, view: view)
            return validator.run()
        } ?? []
    }
}

extension Schema {
    /// A finding in words.
    func violation(_ finding: Finding, in document: Document) -> Violation {
        var pointer = document.pointer(to: finding.place).description
        if pointer.utf8.count > Violation.maxPointerBytes {
            pointer = String(decoding: pointer.utf8.prefix(Violation.maxPointerBytes), as: UTF8.self) + "…"
        }
        let (schema, uri) = self.library[finding.schema.document]
        var keyword = schema.pointer(to: finding.schema.position)
        if !finding.keyword.isEmpty { keyword = keyword.appending(finding.keyword) }
        return Violation(pointer: pointer, schema: "\(uri)#\(keyword)", reason: finding.reason)
    }
}

/// What was found before it is put into words for a reader.
struct Finding {
    var place: Int
    var schema: Place
    var keyword: String
    var reason: String
}
