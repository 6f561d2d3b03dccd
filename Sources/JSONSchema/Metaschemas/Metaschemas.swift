// The metaschemas of the standard, so that a schema may refer to them without the network.

import JSON

/// The schemas of schemas (https://json-schema.org/specification-links, BSD licence), by their URIs.
enum Metaschemas {
    private static let documents: [String: Document] = {
        var documents: [String: Document] = [:]
        for (uri, text) in draft7 + draft202012 {
            if let document = try? Document(parsing: Array(text.utf8)) { documents[uri] = document }
        }
        return documents
    }()

    /// The metaschema with that URI, which has no fragment.
    static func document(_ uri: String) -> Document? { self.documents[uri] }
}
