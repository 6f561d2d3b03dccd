// Types as TypeScript declares them.

import JSON

/// Writes a type as TypeScript. An object is an interface, named after where it stands.
package struct TypeScriptText {
    private var names = TypeNames(reserved: ["Record", "Array", "Object", "String", "Number", "Boolean", "Date"])
    private var declarations: [String] = []

    /// The declarations of a type and of what it is made of, the type itself first.
    ///
    /// - Parameters:
    ///   - type: The type of the whole value.
    ///   - name: The source's name, from which that of the type is made.
    /// - Returns: The text, with a line end at its end.
    package static func text(of type: TypeShape, named name: String) -> String {
        var writer = TypeScriptText()
        let top = writer.names.next(name)
        if case .object(let fields) = type {
            writer.declare(fields, as: top, at: 0)
        } else {
            let text = writer.text(of: type, named: name)
            writer.declarations.insert("export type \(top) = \(text);", at: 0)
        }
        return writer.declarations.joined(separator: "\n\n") + "\n"
    }

    private mutating func declare(_ fields: [TypeShape.Field], as name: String, at place: Int) {
        self.declarations.insert("", at: place)
        let lines = fields.map { field in
            let text = self.text(of: field.type, named: field.name)
            return "  \(Self.key(field.name))\(field.isOptional ? "?" : ""): \(text);"
        }
        self.declarations[place] = "export interface \(name) {\n\(lines.joined(separator: "\n"))\n}"
    }

    private mutating func text(of type: TypeShape, named name: String) -> String {
        switch type {
        case .any, .recursion: return "unknown"
        case .null: return "null"
        case .boolean: return "boolean"
        case .integer, .number: return "number"
        case .string: return "string"
        case .literals(let strings): return strings.map(Self.string).joined(separator: " | ")
        case .array(let element):
            let text = self.text(of: element, named: TypeNames.singular(name))
            return text.contains(" | ") ? "(\(text))[]" : "\(text)[]"
        case .map(let value): return "Record<string, \(self.text(of: value, named: TypeNames.singular(name)))>"
        case .union(let types):
            var texts: [String] = []
            for type in types {
                let text = self.text(of: type, named: name)
                if !texts.contains(text) { texts.append(text) }
            }
            return texts.joined(separator: " | ")
        case .object(let fields):
            let own = self.names.next(name)
            self.declare(fields, as: own, at: self.declarations.count)
            return own
        }
    }

    /// A member's name, quoted where it is no identifier.
    private static func key(_ name: String) -> String {
        let isIdentifier =
            name.utf8.first.map { !(0x30...0x39).contains($0) } ?? false
            && name.utf8.allSatisfy { byte in
                (0x30...0x39).contains(byte) || (0x61...0x7A).contains(byte | 0x20) || byte == 0x5F || byte == 0x24
            }
        return isIdentifier ? name : self.string(name)
    }

    /// A string literal. Those of JSON are ones of JavaScript (ECMA-262, since 2019 with U+2028 too).
    private static func string(_ text: String) -> String {
        var json: [UInt8] = []
        appendJSONString(text, to: &json)
        return String(decoding: json, as: UTF8.self)
    }
}
