// `schema`: a JSON Schema in files.

import Foundation
import FreshetCore
import JSON
import JSONSchema

/// Reads the schema of a source, and the files that it refers to.
struct SchemaFiles {
    let context: DecodingContext

    /// The largest file of a schema.
    private static let maxBytes = 4 << 20

    /// The schema that `schema` names; nil where there is none, or none that can be used, which is told then.
    func schema(of reader: SectionReader) -> SourceSchema? {
        guard let value = reader.scalar("schema") else { return nil }
        let path = FilePath.resolve(value.text, from: FilePath.directory(of: value.place.file))
        var references: [Document] = []
        do throws(SchemaError) {
            let document = try self.document(path, shown: value.text)
            let base = Self.base(of: document, path: path)
            let schema = try Schema(document, uri: Self.uri(ofPath: path)) { (uri) throws(SchemaError) in
                guard let path = Self.path(ofURI: uri, base: base) else { return nil }
                let document = try self.document(path, shown: path)
                references.append(document)
                return document
            }
            return SourceSchema(path: path, schema: schema, references: references)
        } catch {
            self.context.error(
                value.path,
                at: value.place,
                "\(value.shown) cannot be used: \(error.description)",
                fix: "correct it there; `freshet validate` checks it again"
            )
            return nil
        }
    }

    private func document(_ path: String, shown: String) throws(SchemaError) -> Document {
        let bytes: [UInt8]
        do throws(ConfigurationFiles.Failure) {
            bytes = try self.context.files.read(path, Self.maxBytes, false)
        } catch {
            throw SchemaError(uri: path, reason: "\(error.what); \(error.fix)")
        }
        do throws(ParseError) {
            return try Document(parsing: bytes)
        } catch {
            throw SchemaError(uri: path, reason: "\(error.description)")
        }
    }

    // MARK: Paths and references

    /// Where the schemas beside the first one are: by its own `$id`, and on the disk.
    private struct Base {
        var uri: String
        var directory: String
    }

    /// A schema that calls itself `https://example.com/schemas/order.json` refers to those beside it by that name too.
    private static func base(of document: Document, path: String) -> Base? {
        guard let id = document.root["$id"]?.string, id.contains("://"), let slash = id.lastIndex(of: "/") else {
            return nil
        }
        return Base(uri: String(id[...slash]), directory: FilePath.directory(of: path))
    }

    /// A path as a reference: what would end the path of a reference is escaped.
    private static func uri(ofPath path: String) -> String {
        var text = ""
        for character in path {
            switch character {
            case "%": text += "%25"
            case "#": text += "%23"
            case "?": text += "%3F"
            case ":": text += "%3A"
            case _: text.append(character)
            }
        }
        return text
    }

    /// The file that a reference means; nil for one that is elsewhere, which is not read.
    private static func path(ofURI uri: String, base: Base?) -> String? {
        if let base, uri.hasPrefix(base.uri) {
            return FilePath.resolve(self.unescaped(String(uri.dropFirst(base.uri.count))), from: base.directory)
        }
        if uri.hasPrefix("file:///") { return self.unescaped(String(uri.dropFirst("file://".count))) }
        return uri.contains(":") ? nil : self.unescaped(uri)
    }

    private static func unescaped(_ text: String) -> String {
        text.removingPercentEncoding ?? text
    }
}
