// What a schema may be and may cost, and why one was refused.

/// Bounds on schemas and on what checking one document costs.
package struct SchemaLimits: Hashable, Sendable {
    /// The most documents that one schema may consist of. The default is 64.
    package var maxDocuments = 64
    /// The most subschemas in all of them. The default is 50,000.
    package var maxSchemas = 50_000
    /// The most instructions of one compiled pattern: a bounded repetition counts as often as it may repeat. The default
    /// is 10,000.
    package var maxPatternSize = 10_000
    /// The most schemas that may be applied inside one another. The default is 512.
    package var maxDepth = 512
    /// Steps that checking any document may take: a step is one schema on one value, or one state of a pattern on one
    /// character. The default is 1,000,000.
    package var maxSteps = 1_000_000
    /// Steps beside those for each value of the document. The default is 100.
    package var maxStepsPerValue = 100
    /// The most violations that are reported for one document. The default is 8.
    package var maxViolations = 8

    package init() {}
}

/// Why a schema cannot be used.
package struct SchemaError: Error, Hashable, Sendable, CustomStringConvertible {
    /// The document, without a fragment.
    package var uri: String
    /// Where in it, as a JSON Pointer.
    package var pointer: String
    /// What is wrong there.
    package var reason: String

    package init(uri: String, pointer: String = "", reason: String) {
        self.uri = uri
        self.pointer = pointer
        self.reason = reason
    }

    /// One line: `FILE#POINTER: REASON`.
    package var description: String { "\(self.uri)#\(self.pointer): \(self.reason)" }
}

/// One thing in a document that the schema does not allow.
package struct Violation: Hashable, Sendable, CustomStringConvertible {
    /// The value in the document, as a JSON Pointer; at most ``maxPointerBytes`` of it.
    package var pointer: String
    /// The keyword that forbids it: the schema's document and the pointer to the keyword.
    package var schema: String
    /// What is wrong with the value. It quotes the schema, never the value.
    package var reason: String

    package static let maxPointerBytes = 256

    /// One line for a log or an answer.
    package var description: String {
        "\(self.pointer.isEmpty ? "the whole value" : self.pointer) \(self.reason) (\(self.schema))"
    }
}
