import JSON
import Testing

@testable import JSONSchema

@Suite("Schemas that are inferred")
struct ValueShapeTests {
    private static func document(_ text: String) throws -> Document { try Document(parsing: Array(text.utf8)) }

    /// The schema without what every one begins with.
    private static func schema(_ shape: ValueShape) throws -> String {
        let text = String(decoding: shape.schema(title: "t"), as: UTF8.self)
        let head =
            #"{"$schema":"https://json-schema.org/draft/2020-12/schema","title":"t","#
            + #""$comment":"Inferred by Freshet from the values that were seen.","#
        try #require(text.hasPrefix(head))
        return "{" + text.dropFirst(head.count)
    }

    @Test(
        "from values to a schema",
        arguments: [
            (["1"], #"{"type":"integer"}"#), (["1", "2.5"], #"{"type":"number"}"#),
            (["1.0", "1e3"], #"{"type":"integer"}"#),
            (["null", "true", "false"], #"{"type":["null","boolean"]}"#),
            (
                [#""2026-01-02T03:04:05Z""#, #""2026-01-02T03:04:05.678+01:00""#],
                #"{"type":"string","format":"date-time"}"#
            ),
            ([#""2026-01-02""#, #""soon""#], #"{"type":"string"}"#),
            ([#""10.0.0.1""#], #"{"type":"string","format":"ipv4"}"#),
            ([#""a@example.com""#], #"{"type":"string","format":"email"}"#),
            ([#""https://example.com/""#], #"{"type":"string","format":"uri"}"#),
            ([#""123e4567-e89b-12d3-a456-426614174000""#], #"{"type":"string","format":"uuid"}"#),
            (
                [#"{"b":1,"a":"x"}"#, #"{"a":null}"#],
                #"{"type":"object","properties":{"a":{"type":["null","string"]},"b":{"type":"integer"}},"required":["a"]}"#
            ),
            (["[]"], #"{"type":"array"}"#), (["[1,null]"], #"{"type":"array","items":{"type":["null","integer"]}}"#),
            (
                [
                    #"[{"s":"open"},{"s":"done"},{"s":"open"},{"s":"done"},{"s":"open"},{"s":"open"},{"s":"open"},{"s":"open"},{"s":"open"},{"s":"done"}]"#
                ],
                #"{"type":"array","items":{"type":"object","properties":{"s":{"type":"string","enum":["done","open"]}},"required":["s"]}}"#
            ),
        ]
    )
    func inferring(values: [String], expected: String) throws {
        var shape = ValueShape()
        for value in values { shape.observe(try Self.document(value)) }
        let text = try Self.schema(shape)
        #expect(text == expected)
        // What was seen satisfies the schema.
        let schema = try Schema(try Self.document(text), uri: "t")
        for value in values { #expect(schema.violations(in: try Self.document(value)).isEmpty) }
        // To see it again changes nothing.
        for value in values { shape.observe(try Self.document(value)) }
        #expect(try Self.schema(shape) == expected)
    }

    @Test("a change shows what is optional and what else a member may be")
    func patches() throws {
        var shape = ValueShape()
        shape.observe(try Self.document(#"{"items":[{"id":1,"note":"x"}],"state":"a"}"#))
        shape.observe(
            patch: try Self.document(
                #"[{"op":"replace","path":"/state","value":null},{"op":"remove","path":"/items/0/note"},"#
                    + #"{"op":"add","path":"/items/-","value":{"id":"k"}},{"op":"add","path":"/more","value":1.5},"#
                    + #"{"op":"replace","path":"/nowhere/at/all","value":1},{"op":"move","from":"/a","path":"/b"}]"#
            )
        )
        let items =
            #"{"type":"array","items":{"type":"object","properties":{"id":{"type":["integer","string"]},"#
            + #""note":{"type":"string"}},"required":["id"]}}"#
        #expect(
            try Self.schema(shape)
                == #"{"type":"object","properties":{"items":\#(items),"more":{"type":"number"},"#
                + #""state":{"type":["null","string"]}},"required":["items","state"]}"#
        )
    }

    @Test("an object with very many names is a table by name")
    func tables() throws {
        var shape = ValueShape()
        let members = (0..<500).map { #""k\#($0)":{"n":\#($0),"x\#($0 % 2)":[\#($0).5]}"# }.joined(separator: ",")
        shape.observe(try Self.document("{\(members)}"))
        let list = #"{"type":"array","items":{"type":"number"}}"#
        #expect(
            try Self.schema(shape)
                == #"{"type":"object","additionalProperties":{"type":"object","properties":{"n":{"type":"integer"},"#
                + #""x0":\#(list),"x1":\#(list)},"required":["n"]}}"#
        )
    }

    @Test("the tree is bounded, whatever a source sends")
    func bounds() throws {
        var shape = ValueShape()
        for round in 0..<50 {
            let members = (0..<90).map { inner in
                #""m\#(inner)":{\#((0..<60).map { #""n\#(round)-\#($0)":"\#(round * $0)""# }.joined(separator: ","))}"#
            }
            shape.observe(try Self.document("{\(members.joined(separator: ","))}"))
        }
        #expect(shape.places.count <= ValueShape.maxPlaces)
        #expect(shape.isFull)
        #expect(shape.places.allSatisfy { $0.strings.count <= ValueShape.maxStrings })
        let schema = try Schema(try Document(parsing: shape.schema(title: "t")), uri: "t")
        #expect((1...90).contains(schema.document.root["properties"]?.count ?? 0))
    }
}
