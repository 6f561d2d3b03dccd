import JSON
import Testing

@testable import JSONSchema

@Suite("Types from schemas")
struct TypeTextTests {
    private static func shape(_ schema: String) throws -> TypeShape {
        TypeShape(schema: try Document(parsing: Array(schema.utf8)))
    }

    private static func field(_ name: String, _ type: TypeShape, _ isOptional: Bool = false) -> TypeShape.Field {
        TypeShape.Field(name: name, type: type, isOptional: isOptional)
    }

    @Test(
        "a schema as a type",
        arguments: [
            (#"{"type":"string"}"#, .string), (#"{"type":["null","integer"]}"#, .union([.null, .integer])),
            (#"{"type":["integer","number"]}"#, .number), (#"true"#, .any), ("{}", .any),
            (#"{"enum":["a","b",null]}"#, .union([.literals(["a", "b"]), .null])),
            (#"{"type":"array","items":{"type":"boolean"}}"#, .array(.boolean)), (#"{"type":"array"}"#, .array(.any)),
            (#"{"type":"object","additionalProperties":{"type":"number"}}"#, .map(.number)),
            (#"{"anyOf":[{"type":"string"},{"type":"string"},{"type":"null"}]}"#, .union([.string, .null])),
            (
                #"{"type":"object","properties":{"a":{"type":"string"},"b":{}},"required":["a"]}"#,
                .object([field("a", .string), field("b", .any, true)])
            ),
            (##"{"$ref":"#/$defs/x","$defs":{"x":{"type":"integer"}}}"##, .integer),
            (
                ##"{"$ref":"#/$defs/x","$defs":{"x":{"type":"array","items":{"$ref":"#/$defs/x"}}}}"##,
                .array(.recursion)
            ),
            (#"{"$ref":"https://elsewhere.example/x"}"#, .any),
            (
                #"{"allOf":[{"properties":{"a":{"type":"null"}}},{"properties":{"b":{"const":1}},"required":["b"]}]}"#,
                .object([field("a", .null, true), field("b", .integer)])
            ),
        ] as [(String, TypeShape)]
    )
    func shapes(schema: String, expected: TypeShape) throws {
        #expect(try Self.shape(schema) == expected)
    }

    private static let orders = #"""
        {"type":"object","required":["orders","as-of"],"properties":{
          "orders":{"type":"array","items":{"type":"object","required":["id","self"],"properties":{
            "id":{"type":["integer","string"]},"self":{"type":["string","null"]},"state":{"enum":["open","in progress"]},
            "class":{"type":"number"}}}},
          "as-of":{"type":"string"},"extra":{}}}
        """#

    @Test("TypeScript")
    func typeScript() throws {
        let text = TypeScriptText.text(of: try Self.shape(Self.orders), named: "my-orders")
        #expect(
            text == #"""
                export interface MyOrders {
                  orders: Order[];
                  "as-of": string;
                  extra?: unknown;
                }

                export interface Order {
                  id: number | string;
                  self: string | null;
                  state?: "open" | "in progress";
                  class?: number;
                }

                """#
        )
    }

    @Test("Swift: keywords, names that are taken, unions and optional members")
    func swift() throws {
        let text = SwiftText.text(of: try Self.shape(Self.orders), named: "my-orders")
        for line in [
            "public struct MyOrders: Codable, Hashable, Sendable {", "    public var orders: [Order]",
            "        case asOf = \"as-of\"", "    public var selfValue: String?", "    public var state: State?",
            "    public var `class`: Double?", "    case inProgress = \"in progress\"",
            "public enum JSONValue: Codable, Hashable, Sendable {",
            "    case int(Int)", "    public var extra: JSONValue?",
        ] {
            #expect(text.split(separator: "\n").contains(Substring(line)), "\(line) in\n\(text)")
        }
    }

    @Test("a hostile schema is bounded, and what it names stays inside of its quotes")
    func hostile() throws {
        let deep =
            String(repeating: #"{"type":"array","items":"#, count: 100) + "{}" + String(repeating: "}", count: 100)
        _ = SwiftText.text(of: try Self.shape(deep), named: "x")
        let names = #"{"properties":{"\"; drop()":{"type":"string"},"\n":{},"é":{},"1":{}}}"#
        let script = TypeScriptText.text(of: try Self.shape(names), named: "x")
        #expect(script.contains(#"  "\"; drop()"?: string;"#) && script.contains(#"  "\n"?: unknown;"#))
        let swift = SwiftText.text(of: try Self.shape(names), named: "1")
        #expect(swift.contains(#"case drop = "\"; drop()""#) && swift.contains(#"case member = "\u{a}""#))
        #expect(swift.contains("public struct N1:") && swift.contains("case n1 = \"1\""))
    }
}
