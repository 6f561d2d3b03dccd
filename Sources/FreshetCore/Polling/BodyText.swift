// The text of a body in UTF-8, whatever encoding the upstream has it in.

import Charsets
import HTTPFields

/// Finds out what encoding a body is in and converts it.
///
/// A byte order mark wins over everything. Then the charset of `Content-Type` counts (RFC 2046 §4.1.2), by its names on
/// the web; one that is not known counts as none. Without one a text is UTF-8.
///
/// JSON is UTF-8 by its standard, and a charset means nothing there (RFC 8259 §8.1, §11): only where the body is not
/// UTF-8 does it count. UTF-16 and UTF-32 show in the first bytes. XML has rules of its own.
enum BodyText {
    /// Converts a body.
    ///
    /// - Parameters:
    ///   - body: A whole one.
    ///   - format: How it will be read.
    ///   - contentType: The field of the response.
    ///   - maxBytes: Of the text in UTF-8.
    /// - Returns: UTF-8 without a byte order mark; of JSON, the body itself where it seems to be UTF-8: its parser passes
    ///   over a mark and checks every byte.
    /// - Throws: ``UpstreamError`` of kind `encoding`, which names the encoding, or `too_large`.
    static func decode(
        _ body: [UInt8],
        _ format: SourceConfiguration.Format,
        _ contentType: [UInt8]?,
        _ maxBytes: Int
    ) throws(UpstreamError) -> [UInt8] {
        let label = contentType.flatMap(self.label)
        let charset = label.flatMap { TextEncoding(label: $0) }
        let isJSON = format == .json || format == .ndjson
        let encoding = ByteOrderMark(of: body)?.encoding ?? (isJSON ? self.ofJSON(body, charset) : charset ?? .utf8)
        if isJSON, encoding == .utf8, label == nil || charset != nil { return body }
        let text: [UInt8]
        do throws(TextDecodingError) {
            text = try encoding.decode(body[...], maxBytes: maxBytes)
        } catch {
            throw UpstreamError(error)
        }
        if encoding == .utf8, let offset = TextEncoding.firstInvalidUTF8(in: text[...]) {
            let place = offset + body.count - text.count
            throw UpstreamError(.encoding, "the body is not valid UTF-8 (byte \(place))\(self.hint(label, charset))")
        }
        return text
    }

    /// What else the encoding could have been.
    private static func hint(_ label: ArraySlice<UInt8>?, _ charset: TextEncoding?) -> String {
        guard charset == nil else { return "" }
        let shown = String(decoding: (label ?? []).prefix(40).filter { $0 > 0x20 && $0 < 0x7F }, as: UTF8.self)
        return shown.isEmpty
            ? ", and its Content-Type names no other charset"
            : ", and \(shown), which its Content-Type names, is not a known charset"
    }

    private static func ofJSON(_ body: [UInt8], _ charset: TextEncoding?) -> TextEncoding {
        if let wide = TextEncoding(wideStart: body) { return wide }
        guard let charset, charset != .utf8, !charset.isWide else { return .utf8 }
        // Seven-bit encodings look like UTF-8 that JSON cannot hold.
        let isShifted = !charset.holdsASCII && body.contains(0x1B)
        return isShifted || TextEncoding.firstInvalidUTF8(in: body[...]) != nil ? charset : .utf8
    }

    /// The encoding that `Content-Type` names; nil where it names none, or one that is not known.
    static func charset(of contentType: [UInt8]) -> TextEncoding? {
        self.label(of: contentType).flatMap { TextEncoding(label: $0) }
    }

    private static func label(of contentType: [UInt8]) -> ArraySlice<UInt8>? {
        for parameter in FieldValue.elements(of: contentType.prefix(1024), separator: UInt8(ascii: ";")).dropFirst() {
            let (name, value) = FieldValue.assignment(parameter)
            guard let value, FieldValue.matches(name.trimmed, "charset") else { continue }
            // Single quotes are not quotes here, and are sent as such all the same.
            let label = FieldValue.unquoted(value.trimmed).filter { $0 != UInt8(ascii: "'") }
            return label.prefix { $0 != UInt8(ascii: ",") }
        }
        return nil
    }
}

extension UpstreamError {
    fileprivate init(_ error: TextDecodingError) {
        let kind: Kind =
            switch error.reason {
            case .invalid, .noConverter: .encoding
            case .tooLong: .tooLarge
            case .noMemory: .internal
            }
        self.init(kind, "the body is \(error)")
    }
}
