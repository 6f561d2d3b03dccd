// Which fields of an answer are kept with the value, and how a 304 renews them: the next poll's time comes from the
// 304.

/// The header section that belongs to a stored value (RFC 9111 §3.1, §3.2).
package struct StoredFields: Hashable, Sendable {
    /// In the order of their arrival; those that a 304 brought come last.
    package private(set) var fields: [HeaderField]

    /// Keeps what may be kept of an answer: all but the fields of the connection.
    package init(received fields: [HeaderField]) {
        self.fields = Self.storable(fields)
    }

    /// Takes in the fields of a 304: each replaces the stored ones of its name, but for `Content-Length` (§3.2).
    package mutating func notModified(received fields: [HeaderField]) {
        let news = Self.storable(fields).filter { !FieldValue.matches($0.name, "content-length") }
        let names = Set(news.map { $0.name.map(\.lowercasedASCII) })
        self.fields.removeAll { names.contains($0.name.map(\.lowercasedASCII)) }
        self.fields += news
    }

    /// All values of a field, in order. `name` is in lower case.
    package func values(of name: StaticString) -> [[UInt8]] {
        fields.filter { FieldValue.matches($0.name, name) }.map(\.value)
    }

    private static func storable(_ fields: [HeaderField]) -> [HeaderField] {
        var nominated: Set<[UInt8]> = []
        for field in fields where FieldValue.matches(field.name, "connection") {
            nominated.formUnion(FieldValue.elements(of: field.value[...]).map { $0.map(\.lowercasedASCII) })
        }
        return fields.filter { field in
            !isOfConnection(field.name) && !nominated.contains(field.name.map(\.lowercasedASCII))
        }
    }

    private static func isOfConnection(_ name: [UInt8]) -> Bool {
        let names: [StaticString] = [
            "connection", "keep-alive", "proxy-authenticate", "proxy-authentication-info", "proxy-authorization",
            "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade",
        ]
        return names.contains { FieldValue.matches(name, $0) }
    }
}
