// The documents that a schema consists of, and what is called what in them.

import JSON

/// A schema's place: a value of one of the documents.
struct Place: Hashable, Sendable, BitwiseCopyable {
    var document: Int
    var position: Int
}

/// A schema with a URI of its own (JSON Schema Core §4.3.5): a document, or a part of one with `$id`.
struct Resource {
    var uri: SchemaURI
    var root: Place
    var dialect: Dialect
    var anchors: [String: Place] = [:]
    var dynamicAnchors: [String: Place] = [:]
}

/// All documents read so far, and the resources in them.
struct Library {
    typealias Resolver = (_ uri: String) throws(SchemaError) -> Document?

    private(set) var documents: [(document: Document, uri: String)] = []
    private(set) var resources: [Resource] = []
    private var resourceOfURI: [String: Int] = [:]
    /// The resource that each schema found so far belongs to.
    private var resourceOfPlace: [Place: Int] = [:]
    let limits: SchemaLimits
    private let resolver: Resolver

    init(limits: SchemaLimits, resolver: @escaping Resolver) {
        self.limits = limits
        self.resolver = resolver
    }

    func value(_ place: Place) -> Value? {
        self.documents.indices.contains(place.document)
            ? self.documents[place.document].document.value(place: place.position) : nil
    }

    /// The resource of a schema that was found so far.
    func resourceOfSchema(_ place: Place) -> Int? { self.resourceOfPlace[place] }

    /// Takes up a document and finds the resources and anchors in it.
    ///
    /// - Returns: The resource that the whole document is.
    mutating func add(_ document: Document, uri: String, dialect: Dialect) throws(SchemaError) -> Int {
        guard self.documents.count < self.limits.maxDocuments else {
            let reason = "the schema consists of more than \(self.limits.maxDocuments) documents"
            throw SchemaError(uri: uri, reason: reason)
        }
        let number = self.documents.count
        self.documents.append((document, uri))
        let root = Place(document: number, position: 0)
        self.resources.append(Resource(uri: SchemaURI(uri), root: root, dialect: dialect))
        let resource = self.resources.count - 1
        self.resourceOfURI[SchemaURI(uri).resource] = resource
        try self.scan(document.root, in: resource, document: number)
        return self.resourceOfPlace[root] ?? resource
    }

    /// Finds what has a name at and below `schema`. Iterative: a document may be as deep as its parser allows.
    private mutating func scan(_ schema: Value, in resource: Int, document: Int) throws(SchemaError) {
        var pending = [(schema, resource)]
        while let (value, outer) = pending.popLast() {
            let place = Place(document: document, position: value.place)
            guard self.resourceOfPlace[place] == nil, value.kind == .object || value.bool != nil else { continue }
            guard self.resourceOfPlace.count < self.limits.maxSchemas else {
                throw self.error(place, "there are more than \(self.limits.maxSchemas) schemas")
            }
            let resource = try self.named(value, place, in: outer)
            self.resourceOfPlace[place] = resource
            for inner in self.resources[resource].dialect.subschemas(of: value) { pending.append((inner, resource)) }
        }
    }

    /// Takes note of the names of one schema.
    ///
    /// - Returns: The resource that the schema belongs to: one of its own where it has `$id`.
    private mutating func named(_ schema: Value, _ place: Place, in outer: Int) throws(SchemaError) -> Int {
        var resource = outer
        var dialect = self.resources[outer].dialect
        let isRoot = self.resources[outer].root == place
        if let metaschema = schema["$schema"]?.string, isRoot || schema["$id"] != nil {
            dialect = try self.dialect(metaschema, place)
        }
        if isRoot { self.resources[outer].dialect = dialect }
        let isHidden = dialect.version == .draft7 && schema["$ref"]?.kind == .string
        if !isHidden, let id = schema["$id"]?.string {
            let uri = SchemaURI(id).resolved(against: self.resources[outer].uri)
            let fragment = uri.decodedFragment ?? ""
            if !id.hasPrefix("#") {
                var name = uri
                name.fragment = nil
                self.resources.append(Resource(uri: name, root: place, dialect: dialect))
                resource = self.resources.count - 1
                self.resourceOfURI[name.resource] = resource
            }
            if dialect.version == .draft7, !fragment.isEmpty {
                self.resources[resource].anchors[fragment] = place
            } else if !fragment.isEmpty {
                throw self.error(place, "$id has a fragment; name the place by $anchor")
            }
        }
        guard dialect.version == .draft202012 else { return resource }
        if let anchor = schema["$anchor"]?.string { self.resources[resource].anchors[anchor] = place }
        if let anchor = schema["$dynamicAnchor"]?.string { self.resources[resource].dynamicAnchors[anchor] = place }
        return resource
    }

    // MARK: Dialects

    private mutating func dialect(_ metaschema: String, _ place: Place) throws(SchemaError) -> Dialect {
        if let dialect = Dialect(metaschema: metaschema) { return dialect }
        let hint = "use https://json-schema.org/draft/2020-12/schema or http://json-schema.org/draft-07/schema#"
        guard !metaschema.contains("json-schema.org/draft"), let document = try self.resolver(metaschema) else {
            throw self.error(place, "$schema names a version that is not supported; \(hint)")
        }
        guard let name = document.root["$schema"]?.string, var dialect = Dialect(metaschema: name) else {
            throw self.error(place, "$schema names a metaschema whose own $schema is not supported; \(hint)")
        }
        guard let vocabularies = document.root["$vocabulary"] else { return dialect }
        dialect.asserts = false
        for vocabulary in vocabularies.members {
            let prefix = "https://json-schema.org/draft/2020-12/vocab/"
            if vocabulary.name == prefix + "validation" { dialect.asserts = true }
            guard vocabulary.name.hasPrefix(prefix) || vocabulary.value.bool == false else {
                throw self.error(place, "$schema demands a vocabulary that is not known here")
            }
        }
        return dialect
    }

    // MARK: References

    /// What a reference from `resource` points to: the schema's place and its resource.
    mutating func find(
        _ reference: String,
        from resource: Int,
        at place: Place
    ) throws(SchemaError) -> (place: Place, resource: Int) {
        let uri = SchemaURI(reference).resolved(against: self.resources[resource].uri)
        let target = try self.resource(uri, from: resource, at: place)
        guard let fragment = uri.decodedFragment else { throw self.error(place, "the reference is not UTF-8") }
        if fragment.isEmpty { return (self.resources[target].root, target) }
        if fragment.hasPrefix("/") {
            guard let pointer = Pointer(fragment), let found = try self.descend(pointer, from: target) else {
                throw self.error(place, "the reference \(Self.short(reference)) leads nowhere")
            }
            return found
        }
        let named = self.resources[target].anchors[fragment] ?? self.resources[target].dynamicAnchors[fragment]
        guard let named else {
            throw self.error(place, "the reference \(Self.short(reference)) names an anchor that is not there")
        }
        return (named, self.resourceOfPlace[named] ?? target)
    }

    private mutating func resource(
        _ uri: SchemaURI,
        from resource: Int,
        at place: Place
    ) throws(SchemaError) -> Int {
        let name = uri.resource
        if let known = self.resourceOfURI[name] { return known }
        let document: Document?
        if let metaschema = Metaschemas.document(name) {
            document = metaschema
        } else {
            do {
                document = try self.resolver(name)
            } catch {
                throw SchemaError(
                    uri: error.uri,
                    pointer: error.pointer,
                    reason: "\(error.reason); \(self.error(place, "refers to it").description)"
                )
            }
        }
        guard let document else {
            throw self.error(
                place,
                "refers to \(Self.short(name)), which is not here; only local files are read, never the network"
            )
        }
        return try self.add(document, uri: name, dialect: self.resources[resource].dialect)
    }

    /// Walks from the root of a resource; a schema with a resource of its own may be on the way.
    private mutating func descend(
        _ pointer: Pointer,
        from resource: Int
    ) throws(SchemaError) -> (place: Place, resource: Int)? {
        let root = self.resources[resource].root
        var place = root
        var resource = resource
        for token in pointer.tokens {
            guard let next = self.value(place)?.value(at: Pointer(tokens: [token])) else { return nil }
            place = Place(document: root.document, position: next.place)
            resource = self.resourceOfPlace[place] ?? resource
        }
        if let value = self.value(place), self.resourceOfPlace[place] == nil {
            // Under a keyword that is not known: a schema only because something refers to it.
            try self.scan(value, in: resource, document: root.document)
        }
        return (place, self.resourceOfPlace[place] ?? resource)
    }

    // MARK: Errors

    func error(_ place: Place, _ reason: String, keyword: String? = nil) -> SchemaError {
        let (document, uri) = self.documents[place.document]
        let pointer = document.pointer(to: place.position)
        let named = keyword.map { pointer.appending($0) } ?? pointer
        return SchemaError(uri: uri, pointer: named.description, reason: reason)
    }

    /// A part of a schema for a message.
    static func short(_ text: String) -> String {
        text.utf8.count <= 120 ? text : String(decoding: text.utf8.prefix(120), as: UTF8.self) + "…"
    }
}
