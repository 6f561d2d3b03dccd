// Types as Swift declares them.

import JSON

/// Writes a type as Swift: `Codable` structures with coding keys, an enumeration for each union and each list of strings.
package struct SwiftText {
    private var names = TypeNames(reserved: Self.reservedTypes)
    private var declarations: [String] = []
    private var needsAny = false

    private static let reservedTypes: Set<String> = [
        "Any", "Array", "Bool", "CodingKey", "Codable", "Decodable", "Decoder", "Dictionary", "Double", "Encodable",
        "Encoder", "Error", "Int", "JSONValue", "Never", "Optional", "Protocol", "Result", "Self", "Sendable", "Set",
        "String", "Type", "Void", "Data", "Date", "URL", "UUID", "Hashable", "Equatable",
    ]
    private static let keywords: Set<String> = [
        "as", "associatedtype", "break", "case", "catch", "class", "continue", "default", "defer", "deinit", "do",
        "else",
        "enum", "extension", "fallthrough", "false", "fileprivate", "for", "func", "guard", "if", "import", "in",
        "init",
        "inout", "internal", "is", "let", "nil", "operator", "precedencegroup", "private", "protocol", "public",
        "repeat",
        "rethrows", "return", "self", "static", "struct", "subscript", "super", "switch", "throw", "throws", "true",
        "try",
        "typealias", "var", "where", "while", "Type", "Protocol", "Any", "Self",
    ]

    /// Names that mean something else even in backquotes, or that every type has.
    private static let impossible: Set<String> = ["self", "init", "Self", "Type", "Protocol", "hashValue", "rawValue"]

    /// The declarations of a type and of what it is made of, the type itself first.
    ///
    /// - Parameters:
    ///   - type: The type of the whole value.
    ///   - name: The source's name, from which that of the type is made.
    /// - Returns: The text, with a line end at its end.
    package static func text(of type: TypeShape, named name: String) -> String {
        var writer = SwiftText()
        let top = writer.names.next(name)
        if case .object(let fields) = type {
            writer.declare(fields, as: top, at: 0)
        } else {
            let text = writer.text(of: type, named: name)
            writer.declarations.insert("public typealias \(top) = \(text)", at: 0)
        }
        if writer.needsAny { writer.declarations.append(Self.anyValue) }
        return writer.declarations.joined(separator: "\n\n") + "\n"
    }

    // MARK: Types

    private mutating func text(of type: TypeShape, named name: String) -> String {
        let (inner, hasNull) = type.withoutNull
        let text = self.plainText(of: inner, named: name)
        return hasNull && !text.hasSuffix("?") ? "\(text)?" : text
    }

    private mutating func plainText(of type: TypeShape, named name: String) -> String {
        switch type {
        case .any, .recursion:
            self.needsAny = true
            return "JSONValue"
        case .null:
            self.needsAny = true
            return "JSONValue?"
        case .boolean: return "Bool"
        case .integer: return "Int"
        case .number: return "Double"
        case .string: return "String"
        case .array(let element): return "[\(self.text(of: element, named: TypeNames.singular(name)))]"
        case .map(let value): return "[String: \(self.text(of: value, named: TypeNames.singular(name)))]"
        case .literals(let strings): return self.declareLiterals(strings, named: name)
        case .union(let types): return self.declareUnion(types, named: name)
        case .object(let fields):
            let own = self.names.next(name)
            self.declare(fields, as: own, at: self.declarations.count)
            return own
        }
    }

    private mutating func declare(_ fields: [TypeShape.Field], as name: String, at place: Int) {
        self.declarations.insert("", at: place)
        var members = MemberNames()
        var properties: [String] = []
        var keys: [String] = []
        for field in fields {
            let member = members.next(field.name)
            let text = self.text(of: field.type, named: field.name)
            let isOptional = field.isOptional && !text.hasSuffix("?")
            properties.append("    public var \(member): \(text)\(isOptional ? "?" : "")")
            keys.append("        case \(member) = \(Self.string(field.name))")
        }
        var lines = ["public struct \(name): Codable, Hashable, Sendable {"] + properties
        if !keys.isEmpty {
            lines += ["", "    private enum CodingKeys: String, CodingKey {"] + keys + ["    }"]
        }
        self.declarations[place] = (lines + ["}"]).joined(separator: "\n")
    }

    private mutating func declareLiterals(_ strings: [String], named name: String) -> String {
        let own = self.names.next(name)
        var members = MemberNames()
        let cases = strings.map { "    case \(members.next($0)) = \(Self.string($0))" }
        self.declarations.append(
            (["public enum \(own): String, Codable, Hashable, Sendable {"] + cases + ["}"]).joined(separator: "\n")
        )
        return own
    }

    private mutating func declareUnion(_ types: [TypeShape], named name: String) -> String {
        let own = self.names.next(name)
        let place = self.declarations.count
        self.declarations.append("")
        var members = MemberNames()
        var cases: [(member: String, type: String)] = []
        // Whole numbers first: each of them is a fraction as well.
        for type in types.sorted(by: { Self.order($0) < Self.order($1) }) {
            let text = self.text(of: type, named: name)
            guard !cases.contains(where: { $0.type == text }) else { continue }
            cases.append((members.next(Self.caseName(type)), text))
        }
        var lines = ["public enum \(own): Codable, Hashable, Sendable {"]
        lines += cases.map { "    case \($0.member)(\($0.type))" }
        lines += ["", "    public init(from decoder: any Decoder) throws {"]
        lines.append("        let container = try decoder.singleValueContainer()")
        for (index, entry) in cases.enumerated() {
            guard index < cases.count - 1 else {
                lines.append("        self = .\(entry.member)(try container.decode(\(entry.type).self))")
                continue
            }
            lines.append("        if let value = try? container.decode(\(entry.type).self) {")
            lines += ["            self = .\(entry.member)(value)", "            return", "        }"]
        }
        lines += ["    }", "", "    public func encode(to encoder: any Encoder) throws {"]
        lines += ["        var container = encoder.singleValueContainer()", "        switch self {"]
        lines += cases.map { "        case .\($0.member)(let value): try container.encode(value)" }
        lines += ["        }", "    }", "}"]
        self.declarations[place] = lines.joined(separator: "\n")
        return own
    }

    private static func order(_ type: TypeShape) -> Int {
        switch type {
        case .boolean: 0
        case .integer: 1
        case .number: 2
        case .literals: 3
        case .string: 4
        case .array: 5
        case .object: 6
        case .map: 7
        case .union, .any, .null, .recursion: 8
        }
    }

    private static func caseName(_ type: TypeShape) -> String {
        switch type {
        case .boolean: "bool"
        case .integer: "int"
        case .number: "double"
        case .string: "string"
        case .literals: "choice"
        case .array: "array"
        case .object: "object"
        case .map: "map"
        case .union, .any, .null, .recursion: "other"
        }
    }

    // MARK: Names

    /// Names of members of one type, each once.
    private struct MemberNames {
        private var taken: Set<String> = []

        mutating func next(_ text: String) -> String {
            let base = TypeNames.member(text)
            var name = base.isEmpty ? "member" : base
            if SwiftText.impossible.contains(name) { name += "Value" }
            if self.taken.contains(name) {
                var number = 2
                while self.taken.contains("\(name)\(number)") { number += 1 }
                name = "\(name)\(number)"
            }
            self.taken.insert(name)
            return SwiftText.keywords.contains(name) ? "`\(name)`" : name
        }
    }

    /// A string literal.
    private static func string(_ text: String) -> String {
        var literal = "\""
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x22: literal += "\\\""
            case 0x5C: literal += "\\\\"
            case 0x20...0x7E: literal.unicodeScalars.append(scalar)
            default: literal += "\\u{\(String(scalar.value, radix: 16))}"
            }
        }
        return literal + "\""
    }

    /// What holds a value of which nothing is known.
    private static let anyValue = """
        /// Any JSON value.
        public enum JSONValue: Codable, Hashable, Sendable {
            case null
            case bool(Bool)
            case int(Int)
            case double(Double)
            case string(String)
            case array([JSONValue])
            case object([String: JSONValue])

            public init(from decoder: any Decoder) throws {
                let container = try decoder.singleValueContainer()
                if container.decodeNil() {
                    self = .null
                } else if let value = try? container.decode(Bool.self) {
                    self = .bool(value)
                } else if let value = try? container.decode(Int.self) {
                    self = .int(value)
                } else if let value = try? container.decode(Double.self) {
                    self = .double(value)
                } else if let value = try? container.decode(String.self) {
                    self = .string(value)
                } else if let value = try? container.decode([JSONValue].self) {
                    self = .array(value)
                } else {
                    self = .object(try container.decode([String: JSONValue].self))
                }
            }

            public func encode(to encoder: any Encoder) throws {
                var container = encoder.singleValueContainer()
                switch self {
                case .null: try container.encodeNil()
                case .bool(let value): try container.encode(value)
                case .int(let value): try container.encode(value)
                case .double(let value): try container.encode(value)
                case .string(let value): try container.encode(value)
                case .array(let value): try container.encode(value)
                case .object(let value): try container.encode(value)
                }
            }
        }
        """
}
