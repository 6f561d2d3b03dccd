// JSON as the gateway sent it.

import JSON

#if canImport(FoundationEssentials)
    import FoundationEssentials
#else
    import Foundation
#endif

extension FreshetClient {
    /// A JSON value (RFC 8259), with its numbers as they were written.
    ///
    /// Two are equal where they mean the same: the order of members does not count, and `1` equals `1.0`.
    public struct JSONValue: Equatable, Sendable, CustomStringConvertible {
        let document: Document

        init(_ document: Document) {
            self.document = document
        }

        /// Reads JSON text.
        ///
        /// - Throws: ``FreshetClientError`` with the code `malformed`.
        public init(parsing text: String) throws {
            try self.init(parsing: Array(text.utf8))
        }

        /// Reads JSON text, in UTF-8.
        ///
        /// - Throws: ``FreshetClientError`` with the code `malformed`.
        public init(parsing bytes: [UInt8]) throws {
            do throws(ParseError) {
                self.document = try Document(parsing: bytes, limits: .client(maxBytes: .max))
            } catch {
                throw FreshetClientError(.malformed, "not JSON: \(error)")
            }
        }

        /// Encodes a value.
        ///
        /// - Throws: What its `encode(to:)` throws.
        public init(_ value: some Encodable) throws {
            try self.init(parsing: [UInt8](JSONEncoder().encode(value)))
        }

        /// The text in UTF-8, without white space between its tokens.
        public var bytes: [UInt8] { self.document.text }

        /// The text, without white space between its tokens.
        public var description: String { String(decoding: self.bytes, as: UTF8.self) }

        /// Decodes a value with a `JSONDecoder` of default settings.
        ///
        /// - Throws: `DecodingError`.
        public func decode<T: Decodable>(_ type: T.Type = T.self) throws -> T {
            try JSONDecoder().decode(type, from: Data(self.bytes))
        }

        /// The text, where the value is a string.
        public var string: String? { self.document.root.string }

        /// The member of this name, where the value is an object that has it.
        public subscript(_ name: String) -> JSONValue? {
            self.document.root[name].map { JSONValue($0.document) }
        }

        /// The elements, where the value is an array; else none.
        public var elements: [JSONValue] {
            self.document.root.elements.map { JSONValue($0.document) }
        }
    }
}

extension ParseLimits {
    /// For what a gateway sends: as long as the client allows, and as deep as any value that a gateway takes.
    static func client(maxBytes: Int) -> ParseLimits {
        ParseLimits(maxBytes: maxBytes, maxDepth: 1024, maxNodes: .max)
    }
}
