// The schema that a source's values must satisfy.

package import JSON
package import JSONSchema

/// A JSON Schema with the file that it was read from. Shared: copies are references, equal where the texts are.
package final class SourceSchema: Hashable, Sendable {
    /// As the configuration names it.
    package let path: String
    package let schema: Schema
    /// All documents that it consists of, the schema first.
    private let documents: [Document]

    package init(path: String, schema: Schema, references: [Document]) {
        self.path = path
        self.schema = schema
        self.documents = [schema.document] + references
    }

    package static func == (left: SourceSchema, right: SourceSchema) -> Bool {
        left === right || (left.path == right.path && left.documents.map(\.text) == right.documents.map(\.text))
    }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(self.path)
    }

    /// Why a value is refused; nil where it is not.
    func violation(in document: Document) -> UpstreamError? {
        let violations = self.schema.violations(in: document)
        guard let first = violations.first else { return nil }
        let more = violations.count > 1 ? ", and more" : ""
        return UpstreamError(.schema, "the value violates `schema`: \(first.description)\(more)")
    }
}
