// From the bytes of a response to JSON text: formats other than JSON have one fixed image in JSON.

import Charsets
package import JSON
package import XML

/// Reads a payload into a document.
///
/// | format | image |
/// | --- | --- |
/// | json | itself |
/// | ndjson | an array of the lines, or of the records of a JSON text sequence (RFC 7464) |
/// | csv | an array of objects, one a record: see ``SeparatedValues`` |
/// | xml | an object with the root element as its only member: see `XMLImage` |
/// | text | one string |
package enum Representation {
    /// The format that a response without a configured one is read in, or why it is refused.
    ///
    /// Of the field value neither parameters nor case count.
    package static func format(ofContentType contentType: [UInt8]?) -> Result<SourceConfiguration.Format, UpstreamError>
    {
        guard let contentType else { return .success(.json) }
        let essence = self.essence(of: contentType)
        switch essence {
        case "", "application/json", "text/json", "application/octet-stream", "binary/octet-stream":
            return .success(.json)
        case _ where self.isLines(essence): return .success(.ndjson)
        case "text/csv", "application/csv", self.tabs: return .success(.csv)
        case "text/xml", "application/xml": return .success(.xml)
        case "text/plain": return .success(.text)
        case _ where essence.hasSuffix("+json"): return .success(.json)
        case "application/xhtml+xml", "text/html":
            return .failure(
                UpstreamError(
                    .contentType,
                    "the upstream answered with a web page (\(essence)), such as a login or error page; "
                        + "set `format` if that is the data"
                )
            )
        case _ where essence.hasSuffix("+xml"): return .success(.xml)
        case _:
            return .failure(
                UpstreamError(.contentType, "the upstream answered with \(essence); set `format` to say how to read it")
            )
        }
    }

    /// Whether a media type means several JSON texts: one a line, or one a record.
    private static func isLines(_ essence: String) -> Bool {
        switch essence {
        case "application/x-ndjson", "application/ndjson", "text/x-ndjson", "text/ndjson",
            "application/jsonl", "application/x-jsonl", "text/jsonl", "text/x-jsonl",
            "application/jsonlines", "application/x-jsonlines", "application/json-lines", "application/x-json-lines",
            "application/x-ldjson", "application/ldjson", "application/x-json-stream", "application/json-stream",
            "application/stream+json", "application/x-stream+json", "application/json-seq", "application/x-json-seq":
            true
        case _:
            ["+json-seq", "+ndjson", "+x-ndjson", "+jsonl", "+stream+json"].contains { essence.hasSuffix($0) }
        }
    }

    /// The media type of tables whose fields are never quoted.
    static let tabs = "text/tab-separated-values"

    /// The media type without parameters, in lower case, cut at 100 bytes, with only the bytes of a token and `/`.
    static func essence(of contentType: [UInt8]) -> String {
        var essence = ""
        for byte in contentType.prefix(100) {
            switch byte {
            case UInt8(ascii: ";"), UInt8(ascii: ","), 0x20, 0x09: return essence
            case UInt8(ascii: "A")...UInt8(ascii: "Z"): essence.unicodeScalars.append(Unicode.Scalar(byte + 32))
            case 0x21...0x7E: essence.unicodeScalars.append(Unicode.Scalar(byte))
            case _: return essence
            }
        }
        return essence
    }

    /// What is known of a body beside its bytes.
    package struct Hints: Sendable {
        /// The field of the response: it names the charset, and says whether a table is one of tabs.
        package var contentType: [UInt8]?
        /// What separates the columns of a table. The default is found out.
        package var separator: UInt8?
        /// Where the source's items are, if its configuration says: a lone XML element there is an array too.
        package var collection: Pointer?
        /// An earlier document of the source: what is the same in the new one is not parsed again. The result does not
        /// depend on it.
        package var last: Document?
        /// Where in the payload the part is that ``last`` is an earlier version of.
        package var lastPlace = Pointer()
        /// Where earlier documents of the source, and this one, held lists of XML elements; brought up to date.
        package var lists = XMLLists()

        package init(contentType: [UInt8]? = nil, separator: UInt8? = nil, collection: Pointer? = nil) {
            self.contentType = contentType
            self.separator = separator
            self.collection = collection
        }
    }

    /// Reads a body of which nothing else is known.
    package static func document(
        from body: [UInt8],
        format: SourceConfiguration.Format,
        limits: ParseLimits,
        collection: Pointer? = nil
    ) throws(UpstreamError) -> Document {
        var hints = Hints(collection: collection)
        return try self.document(from: body, format: format, limits: limits, hints: &hints)
    }

    /// Reads a body.
    ///
    /// - Parameters:
    ///   - body: A whole one, decoded.
    ///   - format: How to read it.
    ///   - limits: Bound the body, and its text in UTF-8. The image of another format may be ``widestImage`` times as
    ///     long.
    ///   - hints: What else is known.
    /// - Returns: The body's image in JSON.
    /// - Throws: ``UpstreamError`` of kind `malformed`, `encoding`, `too_large` or `empty_body`, with the offset.
    package static func document(
        from body: [UInt8],
        format: SourceConfiguration.Format,
        limits: ParseLimits,
        hints: inout Hints
    ) throws(UpstreamError) -> Document {
        guard body.count <= limits.maxBytes else {
            throw UpstreamError(.tooLarge, "the body has \(body.count) bytes, more than \(limits.maxBytes)")
        }
        // XML has rules of its own for its encoding.
        let text = format == .xml ? body : try BodyText.decode(body, format, hints.contentType, limits.maxBytes)
        guard text.contains(where: { !$0.isWhitespace }) else {
            throw UpstreamError(.emptyBody, "the upstream answered with an empty body")
        }
        var imageLimits = limits
        let usual = ParseLimits().maxBytes / self.widestImage
        imageLimits.maxBytes = max(limits.maxBytes, self.widestImage * min(limits.maxBytes, usual))
        switch format {
        case .json: return try self.parse(text, after: hints, limits: limits)
        case .ndjson:
            return try self.parse(JSONRecords.array(of: text, limits: limits), after: hints, limits: imageLimits)
        case .csv:
            let isTabs = hints.contentType.map(self.essence) == self.tabs
            let table = SeparatedValues(text, separator: hints.separator, isTabs: isTabs)
            return try self.parse(table.json(maxBytes: imageLimits.maxBytes), after: hints, limits: imageLimits)
        case .xml:
            let image = try self.image(ofXML: body, limits: limits, &hints)
            return try self.parse(image, after: hints, limits: imageLimits)
        case .text: return try self.parse(self.string(text), after: Hints(), limits: imageLimits)
        }
    }

    /// How many times longer than the body its image in JSON may be. The image repeats the columns' names in each
    /// record, which a table of hostile make could use to fill the memory.
    private static let widestImage = 4

    private static func parse(
        _ text: [UInt8],
        after hints: Hints,
        limits: ParseLimits
    ) throws(UpstreamError) -> Document {
        do throws(ParseError) {
            return try Document(parsing: text, after: hints.last, at: hints.lastPlace, limits: limits)
        } catch {
            throw UpstreamError(error)
        }
    }

    private static func image(
        ofXML body: [UInt8],
        limits: ParseLimits,
        _ hints: inout Hints
    ) throws(UpstreamError) -> [UInt8] {
        // Each element takes up to two levels of JSON, and a value and a name of its own.
        let elements = XMLImage.Limits(
            maxDepth: max(1, (limits.maxDepth - 1) / 2),
            maxNodes: limits.maxNodes / 2,
            maxTextBytes: limits.maxBytes
        )
        let way = (hints.collection?.tokens ?? []).filter { $0.arrayIndex == nil }.map(\.utf8)
        do throws(XMLError) {
            let image = try XMLImage(
                parsing: body,
                charset: hints.contentType.flatMap(BodyText.charset),
                collection: way,
                lists: hints.lists,
                limits: elements
            )
            hints.lists = image.lists
            return image.json
        } catch {
            let kind: UpstreamError.Kind =
                switch error.reason {
                case .malformed, .entity: .malformed
                case .encoding: .encoding
                case .tooDeep, .tooManyNodes, .tooManyDeclarations, .tooLong: .tooLarge
                case .noMemory: .internal
                }
            throw UpstreamError(kind, "invalid XML: \(error)")
        }
    }

    private static func string(_ text: [UInt8]) -> [UInt8] {
        var json: [UInt8] = []
        json.reserveCapacity(text.count + text.count / 8)
        appendJSONString(utf8: text, to: &json)
        return json
    }
}

extension UInt8 {
    /// White space as JSON has it (RFC 8259 §2).
    var isWhitespace: Bool { self == 0x20 || self == 0x0A || self == 0x0D || self == 0x09 }
}

extension UpstreamError {
    /// Why a body is not a document.
    init(_ error: ParseError) {
        let kind: Kind =
            switch error.reason {
            case .invalidUTF8, .loneSurrogate: .encoding
            case .tooLong, .tooDeep, .tooManyNodes: .tooLarge
            case .unexpectedEnd, .unexpectedCharacter, .invalidNumber, .invalidEscape, .controlCharacter,
                .trailingContent:
                .malformed
            }
        self.init(kind, "invalid JSON: \(error)")
    }
}
