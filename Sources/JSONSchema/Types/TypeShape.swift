// A schema as the types of a programming language know it: fewer kinds, and names.

package import JSON

/// What a value's type is.
package indirect enum TypeShape: Hashable, Sendable {
    /// Nothing is known, or no type can say it.
    case any
    case null
    case boolean
    case integer
    case number
    case string
    /// One of these strings.
    case literals([String])
    case array(TypeShape)
    /// Any names, one type.
    case map(TypeShape)
    case object([Field])
    /// Two or more, no two of which are equal.
    case union([TypeShape])
    /// A definition that is under way, which refers to itself.
    case recursion

    /// A member of an object.
    package struct Field: Hashable, Sendable {
        package var name: String
        package var type: TypeShape
        /// It may be absent.
        package var isOptional: Bool

        package init(name: String, type: TypeShape, isOptional: Bool) {
            self.name = name
            self.type = type
            self.isOptional = isOptional
        }
    }
}

extension TypeShape {
    /// The type that a schema describes (JSON Schema 2020-12 or draft 7). What types cannot say is left out: the type is then
    /// wider than the schema. References within the document are followed.
    package init(schema document: Document) {
        var reader = SchemaReader(root: document.root)
        self = reader.shape(of: document.root, depth: 0)
    }

    /// The type without `null`, and whether it was there.
    package var withoutNull: (type: TypeShape, hasNull: Bool) {
        switch self {
        case .union(let types) where types.contains(.null): (Self.joined(types.filter { $0 != .null }), true)
        case .null: (.null, false)
        default: (self, false)
        }
    }

    /// The union of types: flat, without repetition; `any` where one is.
    static func joined(_ types: [TypeShape]) -> TypeShape {
        var flat: [TypeShape] = []
        for type in types {
            let parts = if case .union(let inner) = type { inner } else { [type] }
            for part in parts {
                if part == .any { return .any }
                if !flat.contains(part) { flat.append(part) }
            }
        }
        // Every integer is a number.
        if flat.contains(.number) { flat.removeAll { $0 == .integer } }
        if flat.contains(.string) { flat.removeAll { if case .literals = $0 { true } else { false } } }
        switch flat.count {
        case 0: return .any
        case 1: return flat[0]
        default: return flat.count > SchemaReader.maxAlternatives ? .any : .union(flat)
        }
    }
}

/// Reads a schema. Bounded: a schema may be large, and refer to itself.
private struct SchemaReader {
    let root: Value
    /// References that are being followed.
    private var following: [String] = []
    private var nodes = 0

    static let maxAlternatives = 32
    /// Objects and references deeper than this are not looked at.
    private static let maxDepth = 64
    /// Subschemas that are looked at in all.
    private static let maxNodes = 20_000
    private static let maxLiterals = 64

    init(root: Value) {
        self.root = root
    }

    mutating func shape(of schema: Value, depth: Int) -> TypeShape {
        self.nodes += 1
        guard schema.kind == .object, depth < Self.maxDepth, self.nodes < Self.maxNodes else { return .any }
        if let reference = schema["$ref"]?.string { return self.followed(reference, depth) }
        if let constant = schema["const"] { return Self.literal([constant]) }
        if let values = schema["enum"], values.kind == .array { return Self.literal(Array(values.elements)) }
        for name in ["anyOf", "oneOf"] {
            guard let choices = schema[name], choices.kind == .array, choices.count > 0 else { continue }
            return .joined(choices.elements.map { self.shape(of: $0, depth: depth + 1) })
        }
        if let parts = schema["allOf"], parts.kind == .array { return self.intersection(schema, parts, depth) }
        let names: [String] =
            switch schema["type"] {
            case let type? where type.kind == .string: [type.string ?? ""]
            case let type? where type.kind == .array: type.elements.compactMap(\.string)
            case _: schema["properties"] != nil ? ["object"] : schema["items"] != nil ? ["array"] : []
            }
        return .joined(names.map { self.shape(named: $0, schema, depth) })
    }

    private mutating func shape(named name: String, _ schema: Value, _ depth: Int) -> TypeShape {
        switch name {
        case "null": return .null
        case "boolean": return .boolean
        case "integer": return .integer
        case "number": return .number
        case "string": return .string
        case "array":
            guard let items = schema["items"], schema["prefixItems"] == nil else { return .array(.any) }
            return .array(self.shape(of: items, depth: depth + 1))
        case "object": return self.object(schema, depth)
        default: return .any
        }
    }

    private mutating func object(_ schema: Value, _ depth: Int) -> TypeShape {
        guard let properties = schema["properties"], properties.kind == .object, properties.count > 0 else {
            guard let others = schema["additionalProperties"], others.kind == .object else { return .map(.any) }
            return .map(self.shape(of: others, depth: depth + 1))
        }
        let required = Set((schema["required"]?.elements).map { $0.compactMap(\.string) } ?? [])
        var fields: [TypeShape.Field] = []
        for member in properties.members {
            let type = self.shape(of: member.value, depth: depth + 1)
            let name = member.name
            fields.append(TypeShape.Field(name: name, type: type, isOptional: !required.contains(name)))
        }
        return .object(fields)
    }

    /// The members of all parts together, where all are objects.
    private mutating func intersection(_ schema: Value, _ parts: Value, _ depth: Int) -> TypeShape {
        var fields: [TypeShape.Field] = []
        var shapes = parts.elements.map { self.shape(of: $0, depth: depth + 1) }
        if schema["properties"] != nil { shapes.append(self.object(schema, depth)) }
        guard shapes.count > 1 else { return shapes.first ?? .any }
        for shape in shapes {
            guard case .object(let more) = shape else { return .any }
            for field in more {
                if let index = fields.firstIndex(where: { $0.name == field.name }) {
                    fields[index].isOptional = fields[index].isOptional && field.isOptional
                } else {
                    fields.append(field)
                }
            }
        }
        return .object(fields)
    }

    private mutating func followed(_ reference: String, _ depth: Int) -> TypeShape {
        guard reference.hasPrefix("#"), let pointer = Pointer(reference.dropFirst().percentDecoded),
            let target = self.root.value(at: pointer)
        else { return .any }
        guard !self.following.contains(reference) else { return .recursion }
        self.following.append(reference)
        defer { self.following.removeLast() }
        return self.shape(of: target, depth: depth + 1)
    }

    private static func literal(_ values: [Value]) -> TypeShape {
        let strings = values.compactMap(\.string)
        var types: [TypeShape] =
            strings.isEmpty ? [] : strings.count > self.maxLiterals ? [.string] : [.literals(strings)]
        for value in values where value.kind != .string {
            switch value.kind {
            case .null: types.append(.null)
            case .true, .false: types.append(.boolean)
            case .number: types.append(value.isInteger ? .integer : .number)
            case .string, .array, .object: types.append(.any)
            }
        }
        return .joined(types)
    }
}

extension Substring {
    /// The text with `%XX` decoded; what is not that stays.
    fileprivate var percentDecoded: String {
        var bytes: [UInt8] = []
        var rest = Array(self.utf8)[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), let code = UInt8(String(decoding: rest.prefix(2), as: UTF8.self), radix: 16),
                rest.count >= 2
            {
                bytes.append(code)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }
}
