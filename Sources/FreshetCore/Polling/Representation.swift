// From the bytes of a response to JSON text: formats other than JSON have one fixed image in JSON.

package import JSON
import XML

/// Reads a payload into a document.
///
/// | format | image |
/// | --- | --- |
/// | json | itself |
/// | ndjson | an array of the lines |
/// | csv | an array of objects, one a record: see ``SeparatedValues`` |
/// | xml | an object with the root element as its only member: see `XMLImage` |
/// | text | one string |
package enum Representation {
    /// The format that a response without a configured one is read in, or why it is refused.
    ///
    /// Of the field value neither parameters nor case count.
    package static func format(ofContentType contentType: [UInt8]?) -> Result<SourceConfiguration.Format, PollError> {
        guard let contentType else { return .success(.json) }
        let essence = self.essence(of: contentType)
        switch essence {
        case "", "application/json", "text/json", "application/octet-stream", "binary/octet-stream":
            return .success(.json)
        case "application/x-ndjson", "application/ndjson", "application/jsonl", "application/x-jsonlines":
            return .success(.ndjson)
        case "text/csv", "application/csv", "text/tab-separated-values": return .success(.csv)
        case "text/xml", "application/xml": return .success(.xml)
        case "text/plain": return .success(.text)
        case _ where essence.hasSuffix("+json"): return .success(.json)
        case "application/xhtml+xml", "text/html":
            return .failure(
                PollError(
                    .contentType,
                    "the upstream answered with a web page (\(essence)), such as a login or error page; "
                        + "set `format` if that is the data"
                )
            )
        case _ where essence.hasSuffix("+xml"): return .success(.xml)
        case _:
            return .failure(
                PollError(.contentType, "the upstream answered with \(essence); set `format` to say how to read it")
            )
        }
    }

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

    /// Reads a body.
    ///
    /// - Parameters:
    ///   - body: A whole one, decoded.
    ///   - format: How to read it.
    ///   - limits: Bound the body. The image of another format may be ``widestImage`` times as long.
    ///   - collection: Where the source's items are, if its configuration says: a lone element there is an array too.
    /// - Returns: The body's image in JSON.
    /// - Throws: ``PollError`` of kind `malformed`, `encoding`, `too_large` or `empty_body`, with the offset.
    package static func document(
        from body: [UInt8],
        format: SourceConfiguration.Format,
        limits: ParseLimits,
        collection: Pointer? = nil
    ) throws(PollError) -> Document {
        guard body.contains(where: { !$0.isWhitespace }) else {
            throw PollError(.emptyBody, "the upstream answered with an empty body")
        }
        guard body.count <= limits.maxBytes else {
            throw PollError(.tooLarge, "the body has \(body.count) bytes, more than \(limits.maxBytes)")
        }
        var imageLimits = limits
        let usual = ParseLimits().maxBytes / self.widestImage
        imageLimits.maxBytes = max(limits.maxBytes, self.widestImage * min(limits.maxBytes, usual))
        switch format {
        case .json: return try self.parse(body, limits: limits)
        case .ndjson: return try self.parse(self.array(ofLines: body, limits: limits), limits: imageLimits)
        case .csv:
            try self.checkEncoding(of: body)
            return try self.parse(SeparatedValues(body).json(maxBytes: imageLimits.maxBytes), limits: imageLimits)
        case .xml:
            return try self.parse(self.image(ofXML: body, limits: limits, collection), limits: imageLimits)
        case .text: return try self.parse(self.string(body), limits: imageLimits)
        }
    }

    /// How many times longer than the body its image in JSON may be. The image repeats the columns' names in each
    /// record, which a table of hostile make could use to fill the memory.
    private static let widestImage = 4

    private static func parse(_ text: [UInt8], limits: ParseLimits) throws(PollError) -> Document {
        do throws(ParseError) {
            return try Document(parsing: text, limits: limits)
        } catch {
            throw PollError(error)
        }
    }

    /// Each line has to be a value by itself: two broken lines can make a whole array together.
    private static func array(ofLines body: [UInt8], limits: ParseLimits) throws(PollError) -> [UInt8] {
        var text: [UInt8] = [UInt8(ascii: "[")]
        text.reserveCapacity(body.count + 2)
        var nodes = 1
        for (index, line) in body.split(separator: 0x0A, omittingEmptySubsequences: false).enumerated()
        where line.contains(where: { !$0.isWhitespace }) {
            if text.count > 1 {
                text.append(UInt8(ascii: ","))
            }
            do throws(ParseError) {
                let document = try Document(parsing: Array(line), limits: limits)
                text.append(contentsOf: document.text)
                nodes += document.nodeCount
            } catch {
                var fault = PollError(error)
                fault.message = "line \(index + 1) is not JSON that can be taken: \(error)"
                throw fault
            }
            guard nodes <= limits.maxNodes else {
                throw PollError(.tooLarge, "the lines hold more than \(limits.maxNodes) values")
            }
        }
        text.append(UInt8(ascii: "]"))
        return text
    }

    private static func image(
        ofXML body: [UInt8],
        limits: ParseLimits,
        _ collection: Pointer?
    ) throws(PollError) -> [UInt8] {
        // Each element takes up to two levels of JSON, and a value and a name of its own.
        let elements = XMLImage.Limits(maxDepth: max(1, (limits.maxDepth - 1) / 2), maxNodes: limits.maxNodes / 2)
        let way = (collection?.tokens ?? []).filter { $0.arrayIndex == nil }.map(\.utf8)
        do throws(XMLError) {
            return try XMLImage(parsing: body, collection: way, limits: elements).json
        } catch {
            let kind: PollError.Kind =
                switch error.reason {
                case .malformed, .entity: .malformed
                case .encoding: .encoding
                case .tooDeep, .tooManyNodes, .tooManyDeclarations, .tooLong: .tooLarge
                case .noMemory: .internal
                }
            throw PollError(kind, "the body is not XML that can be taken: \(error)")
        }
    }

    /// A byte order mark is left out (FAULTS S2).
    private static func string(_ body: [UInt8]) throws(PollError) -> [UInt8] {
        let content = body.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(body.dropFirst(3)) : body
        guard let string = String(validating: content, as: UTF8.self) else { throw self.notUTF8 }
        var text: [UInt8] = []
        text.reserveCapacity(body.count + body.count / 8)
        appendJSONString(string, to: &text)
        return text
    }

    private static func checkEncoding(of body: [UInt8]) throws(PollError) {
        guard String(validating: body, as: UTF8.self) != nil else { throw self.notUTF8 }
    }

    private static let notUTF8 = PollError(.encoding, "the body is not UTF-8")
}

extension UInt8 {
    /// White space as JSON has it (RFC 8259 §2).
    var isWhitespace: Bool { self == 0x20 || self == 0x0A || self == 0x0D || self == 0x09 }
}

extension PollError {
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
        self.init(kind, "the body is not JSON that can be taken: \(error)")
    }
}
