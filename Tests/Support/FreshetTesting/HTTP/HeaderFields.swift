/// The header of an HTTP/1 message: names and values in the order and with the very bytes that were sent.
package struct HeaderFields: Hashable, Sendable {
    package struct Field: Hashable, Sendable {
        package var name: String
        /// The value's bytes without the white space around them.
        package var bytes: [UInt8]

        /// The value as text; bytes that are not UTF-8 are replaced.
        package var value: String { String(decoding: self.bytes, as: UTF8.self) }
    }

    package private(set) var all: [Field]

    package init(_ fields: [(String, String)] = []) {
        self.all = fields.map { Field(name: $0.0, bytes: [UInt8]($0.1.utf8)) }
    }

    /// The first value of the field called `name`, in whatever case, or `nil`.
    package subscript(name: String) -> String? { self.field(name)?.value }

    /// All values of the fields called `name`, in whatever case, in order.
    package func values(_ name: String) -> [String] {
        self.all.filter { Self.same($0.name, name) }.map(\.value)
    }

    /// The bytes of the first value of the field called `name`.
    package func bytes(_ name: String) -> [UInt8]? { self.field(name)?.bytes }

    package mutating func append(_ name: String, _ value: String) {
        self.append(name, bytes: [UInt8](value.utf8))
    }

    package mutating func append(_ name: String, bytes: [UInt8]) {
        self.all.append(Field(name: name, bytes: bytes))
    }

    /// Appends the field unless there is one called `name`.
    package mutating func appendDefault(_ name: String, _ value: String) {
        if self.field(name) == nil { self.append(name, value) }
    }

    /// The fields as they go over the wire, without the blank line.
    package var wire: [UInt8] {
        self.all.flatMap { [UInt8]("\($0.name): ".utf8) + $0.bytes + [0x0D, 0x0A] }
    }

    /// Appends those of `fields` that are not there.
    mutating func appendDefaults(_ fields: HeaderFields) {
        for field in fields.all where self.field(field.name) == nil { self.all.append(field) }
    }

    /// Whether the comma-separated list in the fields called `name` holds `token`, in whatever case.
    func contains(_ token: String, in name: String) -> Bool {
        self.values(name).flatMap { $0.split(separator: ",") }
            .contains { Self.same(String($0.drop { $0 == " " }.prefix { $0 != " " }), token) }
    }

    private func field(_ name: String) -> Field? { self.all.first { Self.same($0.name, name) } }

    private static func same(_ left: String, _ right: String) -> Bool { left.lowercased() == right.lowercased() }
}

extension HeaderFields: ExpressibleByDictionaryLiteral {
    package init(dictionaryLiteral elements: (String, String)...) {
        self.init(elements)
    }
}
