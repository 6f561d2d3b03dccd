import JSON
import Testing

@testable import JSONSchema

@Suite("Schemas")
struct SchemaTests {
    private static func document(_ text: String) throws -> Document { try Document(parsing: Array(text.utf8)) }

    private static func schema(_ text: String, limits: SchemaLimits = SchemaLimits()) throws -> Schema {
        try Schema(try self.document(text), uri: "s.json", limits: limits)
    }

    @Test(
        "a violation has a pointer, the keyword and a reason",
        arguments: [
            (#"{"type":"integer"}"#, "1.5", " is a number, not an integer (s.json#/type)"),
            (
                #"{"properties":{"a":{"type":["string","null"]}}}"#, #"{"a":1}"#,
                "/a is a number, not null or a string (s.json#/properties/a/type)"
            ),
            (#"{"required":["a","b"]}"#, #"{"b":1}"#, #" has no member "a" (s.json#/required)"#),
            (
                #"{"additionalProperties":false,"properties":{"b":{}}}"#, #"{"b":1,"a/b":2}"#,
                "/a~1b is not allowed here (s.json#/additionalProperties)"
            ),
            (#"{"items":{"minimum":3}}"#, "[3,2]", "/1 is less than 3 (s.json#/items/minimum)"),
            (#"{"multipleOf":0.01}"#, "1.005", " is not a multiple of 0.01 (s.json#/multipleOf)"),
            (#"{"enum":[1,2,"x"]}"#, "3", " is none of the 3 values allowed (s.json#/enum)"),
            (#"{"const":{"a":1}}"#, #"{"a":2}"#, " is not the one value allowed (s.json#/const)"),
            (#"{"minLength":2}"#, #""é""#, " is shorter than 2 characters (s.json#/minLength)"),
            (#"{"maxLength":1}"#, #""\ud83d\udc32x""#, " is longer than 1 characters (s.json#/maxLength)"),
            (#"{"pattern":"^a$"}"#, #""b""#, " does not match the pattern (s.json#/pattern)"),
            (#"{"uniqueItems":true}"#, "[1,2,1.0]", " has two equal elements (s.json#/uniqueItems)"),
            (#"{"not":{"type":"null"}}"#, "null", " is what the schema excludes (s.json#/not)"),
            (#"{"oneOf":[{},{}]}"#, "1", " matches more than one of the 2 alternatives (s.json#/oneOf)"),
            (
                #"{"anyOf":[{"type":"null"},{"properties":{"a":{"type":"null"}}}]}"#, #"{"a":1}"#,
                "/a is a number, not null (s.json#/anyOf/1/properties/a/type)"
            ),
            (
                ##"{"$ref":"#/$defs/x","$defs":{"x":{"items":{"$ref":"#/$defs/y"}},"y":{"type":"string"}}}"##, "[0]",
                "/0 is a number, not a string (s.json#/$defs/y/type)"
            ),
            (
                #"{"contains":{"type":"null"}}"#, "[1]",
                " has fewer than 1 elements that `contains` asks for (s.json#/contains)"
            ),
            (
                #"{"dependentRequired":{"a":["b"]}}"#, #"{"a":1}"#,
                #" has a member "a", but none "b" (s.json#/dependentRequired)"#
            ),
            (
                #"{"properties":{"a":true},"unevaluatedProperties":false}"#, #"{"a":1,"b":2}"#,
                "/b is not allowed here (s.json#/unevaluatedProperties)"
            ),
            (
                #"{"propertyNames":{"maxLength":1}}"#, #"{"ab":1}"#,
                "/ab is longer than 1 characters (s.json#/propertyNames/maxLength)"
            ),
        ]
    )
    func violations(schema: String, document: String, expected: String) throws {
        let found = try Self.schema(schema).violations(in: try Self.document(document))
        let violation = try #require(found.first)
        #expect("\(violation.pointer) \(violation.reason) (\(violation.schema))" == expected)
    }

    @Test("violations are many, but bounded, and pointers too")
    func bounds() throws {
        let schema = try Self.schema(#"{"items":{"type":"string"}}"#)
        let found = schema.violations(
            in: try Self.document("[\(Array(repeating: "1", count: 100).joined(separator: ","))]")
        )
        #expect(found.map(\.pointer) == (0..<8).map { "/\($0)" })
        let name = String(repeating: "x", count: 1_000_000)
        let long = try Self.schema(#"{"additionalProperties":false}"#).violations(
            in: try Self.document("{\"\(name)\":1}")
        )
        #expect(long.first?.pointer.utf8.count == Violation.maxPointerBytes + "…".utf8.count)
    }

    @Test(
        "a schema that cannot be used is refused, with the place",
        arguments: [
            (
                #"{"type":"int"}"#,
                "s.json#/type: is not a type: null, boolean, integer, number, string, array or object"
            ),
            (
                #"{"properties":{"a":{"minLength":-1}}}"#,
                "s.json#/properties/a/minLength: is not a whole number from 0 on"
            ),
            (
                #"{"items":{"pattern":"(a"}}"#,
                "s.json#/items/pattern: is no pattern: a group is not closed at character 2"
            ),
            (##"{"$ref":"#/nowhere"}"##, "s.json#/$ref: the reference #/nowhere leads nowhere"),
            (##"{"$ref":"#x"}"##, "s.json#/$ref: the reference #x names an anchor that is not there"),
            (
                #"{"items":{"$ref":"http://example.com/a.json"}}"#,
                "s.json#/items/$ref: refers to http://example.com/a.json, which is not here; "
                    + "only local files are read, never the network"
            ),
            (
                #"{"$schema":"http://json-schema.org/draft-04/schema#"}"#,
                "s.json#: $schema names a version that is not supported; use "
                    + "https://json-schema.org/draft/2020-12/schema or http://json-schema.org/draft-07/schema#"
            ),
            (#"{"anyOf":[]}"#, "s.json#/anyOf: is not a list of schemas with at least one"),
            (#"{"properties":{"a":1}}"#, "s.json#/properties/a: is not a schema: an object, true or false"),
            (#"{"multipleOf":0}"#, "s.json#/multipleOf: is not a number above 0 of at most 18 significant digits"),
            (#"{"required":[1]}"#, "s.json#/required/0: is not a member name"),
            (#"{"minimum":"3"}"#, "s.json#/minimum: is not a number"),
            (#"{"enum":3}"#, "s.json#/enum: is not a list of values"),
            ("[]", "s.json#: is not a schema: an object, true or false"),
        ]
    )
    func refused(schema: String, expected: String) throws {
        do throws(SchemaError) {
            let text = try? Self.document(schema)
            guard let text else { return #expect(Bool(false), "the case itself is no JSON text") }
            _ = try Schema(text, uri: "s.json")
            Issue.record("\(schema) is taken")
        } catch {
            #expect(error.description == expected)
        }
    }

    @Test("a schema that grows without end, or with 2ⁿ ways, ends within its bounds")
    func costs() throws {
        let endless = try Self.schema(##"{"$ref":"#"}"##)
        #expect(endless.violations(in: try Self.document("1")).first?.reason.contains("inside one another") == true)
        let definitions = (0..<40).map {
            ##""a\##($0)":{"anyOf":[{"allOf":[{"$ref":"#/$defs/a\##($0 + 1)"},false]},{"$ref":"#/$defs/a\##($0 + 1)"}]}"##
        }
        let doubling = try Self.schema(
            ##"{"$ref":"#/$defs/a0","$defs":{\##(definitions.joined(separator: ",")),"a40":{"type":"null"}}}"##
        )
        let found = doubling.violations(in: try Self.document("1"))
        #expect(found.first?.reason.contains("too costly") == true)
        let pattern = try Self.schema(#"{"pattern":"^(a|b|ab)*c$"}"#)
        let text = String(repeating: "ab", count: 2_000_000)
        #expect(pattern.violations(in: try Self.document("\"\(text)\"")).first?.reason.contains("too costly") == true)
    }

    @Test("the number of documents and schemas is bounded")
    func sizes() throws {
        var limits = SchemaLimits()
        limits.maxSchemas = 10
        let many = (0..<20).map { #""\#($0)":{}"# }.joined(separator: ",")
        #expect(throws: SchemaError.self) { try Self.schema("{\"properties\":{\(many)}}", limits: limits) }
        limits = SchemaLimits()
        limits.maxDocuments = 5
        let endless = try Self.document(#"{"$ref":"x/next.json"}"#)
        #expect(throws: SchemaError.self) {
            try Schema(endless, uri: "file:///s.json", limits: limits) { _ in endless }
        }
    }

    @Test("references to other documents are read once, relative to the one that refers to them")
    func references() throws {
        let files = [
            "file:///a/b/types.json": try Self.document(##"{"$defs":{"n":{"$ref":"../c.json#/x"}}}"##),
            "file:///a/c.json": try Self.document(#"{"x":{"type":"number"}}"#),
        ]
        var asked: [String] = []
        let schema = try Schema(
            try Self.document(
                ##"{"prefixItems":[{"$ref":"b/types.json#/$defs/n"},{"$ref":"./b/types.json#/$defs/n"}]}"##
            ),
            uri: "file:///a/s.json"
        ) { uri in
            asked.append(uri)
            return files[uri]
        }
        #expect(asked == ["file:///a/b/types.json", "file:///a/c.json"])
        #expect(schema.references == asked)
        let found = schema.violations(in: try Self.document(#"[1,"x"]"#))
        #expect(found.map(\.description) == ["/1 is a string, not a number (file:///a/c.json#/x/type)"])
    }

    @Test(
        "numbers are compared by their digits",
        arguments: [
            ("9007199254740993", "9007199254740992", 1), ("1", "1.0", 0), ("-0", "0", 0), ("-1", "0", -1),
            ("1e400", "1e399", 1), ("-1e400", "1e-400", -1), ("0.1", "0.10000000000000000000001", -1),
            ("1e99999999999999999999", "1e308", 1), ("1e-99999999999999999999", "1e-308", -1),
            ("1e99999999999999999999", "2e99999999999999999999", -1), ("-2", "-3", 1), ("12", "2", 1),
            ("1e-99999999999999999999", "0", 1), ("-1e99999999999999999999", "-1", -1),
        ]
    )
    func order(left: String, right: String, expected: Int) throws {
        let (left, right) = (try Self.document(left), try Self.document(right))
        for (minimum, isValid) in [("minimum", expected >= 0), ("exclusiveMinimum", expected > 0)] {
            let schema = try Self.schema("{\"\(minimum)\":\(String(decoding: right.text, as: UTF8.self))}")
            #expect(schema.violations(in: left).isEmpty == isValid, "\(minimum)")
        }
        for (maximum, isValid) in [("maximum", expected <= 0), ("exclusiveMaximum", expected < 0)] {
            let schema = try Self.schema("{\"\(maximum)\":\(String(decoding: right.text, as: UTF8.self))}")
            #expect(schema.violations(in: left).isEmpty == isValid, "\(maximum)")
        }
    }

    @Test(
        "multiples are exact",
        arguments: [
            ("0.3", "0.1", true), ("0.30000000000000001", "0.1", false), ("1e300", "7e299", false),
            ("14e299", "7e299", true),
            ("1e999999999", "0.5", true), ("3", "1e-99", true), ("1e-99", "3", false), ("0", "7", true),
            ("123456789012345678901234567890", "10", true), ("123456789012345678901234567891", "10", false),
            ("1e99999999999999999999", "3", false), ("1e99999999999999999999", "1024", true),
        ]
    )
    func multiples(number: String, divisor: String, expected: Bool) throws {
        let schema = try Self.schema("{\"multipleOf\":\(divisor)}")
        #expect(schema.violations(in: try Self.document(number)).isEmpty == expected)
    }
}
