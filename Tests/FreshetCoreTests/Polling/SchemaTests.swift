import FreshetCore
import JSON
import JSONSchema
import Testing

@Suite("Values that violate a schema")
struct SchemaTests {
    private static func schema(_ text: String) throws -> SourceSchema {
        let document = try Document(parsing: Array(text.utf8))
        return SourceSchema(path: "s.json", schema: try Schema(document, uri: "s.json"), references: [])
    }

    @Test("a violation is a failed poll with pointer and reason, and the last good value stays")
    func violation() throws {
        let schema = try Self.schema(#"{"properties":{"n":{"type":"integer"}},"required":["n"]}"#)
        var trace = Trace {
            $0.schema = schema
            $0.root = Pointer("/data")
        }
        #expect(trace.poll(.body(#"{"data":{"n":1}}"#, etag: "\"1\"")).change != nil)
        let verdict = trace.poll(.body(#"{"data":{"n":"2"}}"#, etag: "\"2\""))
        #expect(verdict.change == nil)
        #expect(verdict.error?.kind == .schema)
        #expect(
            verdict.error?.message
                == "the value violates `schema`: /n is a string, not an integer (s.json#/properties/n/type)"
        )
        #expect(trace.machine.status.state == .failing)
        #expect(trace.machine.status.schema == schema)
        // The value stays with its own validator.
        #expect(trace.poll(.notModified()).outcome == .notModified)
        #expect(trace.requests.last?.validators.etag == Array("\"1\"".utf8))
        #expect(trace.poll(.body(#"{"data":{"n":3}}"#)).change?.document.text == Array(#"{"n":3}"#.utf8))
    }

    @Test("a push is held against the schema too")
    func push() throws {
        let schema = try Self.schema(#"{"maximum":3}"#)
        var trace = Trace { $0.schema = schema }
        let good = trace.machine.valuePushed(body: Array("3".utf8), contentType: nil, now: trace.now, wall: trace.wall)
        #expect(good.change != nil)
        let bad = trace.machine.valuePushed(body: Array("4".utf8), contentType: nil, now: trace.now, wall: trace.wall)
        #expect(bad.error?.kind == .schema)
        #expect(bad.change == nil)
    }

    @Test("another schema has the same value checked anew")
    func reload() throws {
        let schemas = [try Self.schema(#"{"maximum":9}"#), try Self.schema(#"{"maximum":3}"#)]
        var trace = Trace { $0.schema = schemas[0] }
        _ = trace.poll(.body("[5]", etag: "\"1\""))
        _ = trace.poll(.body("5", etag: "\"2\""))
        var configuration = trace.machine.configuration
        configuration.schema = schemas[1]
        trace.machine = trace.machine.reconfigured(configuration, phase: 0.5, now: trace.now, wall: trace.wall)
        let verdict = trace.poll(.body("5", etag: "\"2\""))
        #expect(trace.requests.last?.validators.isEmpty == true)
        #expect(verdict.error?.kind == .schema)
        #expect(trace.poll(.body("2")).change != nil)
        // One that says the same is no other.
        configuration.schema = try Self.schema(#"{"maximum":3}"#)
        trace.machine = trace.machine.reconfigured(configuration, phase: 0.5, now: trace.now, wall: trace.wall)
        #expect(trace.poll(.body("2")).error == nil)
    }
}
