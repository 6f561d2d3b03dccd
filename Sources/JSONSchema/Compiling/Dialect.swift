// The two versions of JSON Schema, and where subschemas stand in each.

import JSON

/// How the keywords of a schema are read.
struct Dialect: Hashable, Sendable {
    var version: Schema.Version
    /// Whether keywords that assert (`type`, `minimum`, …) are read: a metaschema may leave them out (`$vocabulary`).
    var asserts = true

    static let draft7 = Dialect(version: .draft7)
    static let draft202012 = Dialect(version: .draft202012)

    /// The dialect that a metaschema of the standard stands for.
    init?(metaschema uri: String) {
        switch uri.hasSuffix("#") ? String(uri.dropLast()) : uri {
        case "https://json-schema.org/draft/2020-12/schema": self = .draft202012
        case "http://json-schema.org/draft-07/schema", "https://json-schema.org/draft-07/schema": self = .draft7
        case _: return nil
        }
    }

    private init(version: Schema.Version) {
        self.version = version
    }

    // MARK: Where subschemas stand

    enum Holder {
        /// The value is a schema.
        case schema
        /// The value is an array of schemas.
        case list
        /// The values of the members are schemas, or arrays of names, which are none.
        case members
        /// A schema or an array of them.
        case schemaOrList
    }

    func holder(_ keyword: String) -> Holder? {
        switch keyword {
        case "not", "if", "then", "else", "contains", "additionalProperties", "propertyNames": .schema
        case "allOf", "anyOf", "oneOf": .list
        case "properties", "patternProperties", "definitions": .members
        case "dependencies": .members
        case "additionalItems" where self.version == .draft7: .schema
        case "items": self.version == .draft7 ? .schemaOrList : .schema
        case "unevaluatedItems", "unevaluatedProperties", "contentSchema":
            self.version == .draft202012 ? .schema : nil
        case "prefixItems": self.version == .draft202012 ? .list : nil
        case "$defs", "dependentSchemas": self.version == .draft202012 ? .members : nil
        case _: nil
        }
    }

    /// The subschemas directly inside a schema. In draft 7 a reference hides what stands beside it.
    func subschemas(of schema: Value) -> [Value] {
        guard schema.kind == .object, !(self.version == .draft7 && schema["$ref"]?.kind == .string) else { return [] }
        var found: [Value] = []
        for member in schema.members {
            switch self.holder(member.name) {
            case .schema: found.append(member.value)
            case .list: found.append(contentsOf: member.value.elements)
            case .members: found.append(contentsOf: member.value.members.map(\.value))
            case .schemaOrList where member.value.kind == .array: found.append(contentsOf: member.value.elements)
            case .schemaOrList: found.append(member.value)
            case nil: break
            }
        }
        return found
    }
}
