// From the bytes of a response to JSON text: formats other than JSON have one fixed image in JSON.

package import JSON

/// Reads a payload into a document.
///
/// | format | image |
/// | --- | --- |
/// | json | itself |
/// | ndjson | an array of the lines |
/// | csv | an array of objects, one a record, with the first record's fields as names and text as values (RFC 4180) |
/// | xml, text | one string |
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
        case "text/csv", "application/csv": return .success(.csv)
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
    /// - Throws: ``PollError`` of kind `malformed`, `encoding`, `too_large` or `empty_body`, with the offset.
    package static func document(
        from body: [UInt8],
        format: SourceConfiguration.Format,
        limits: ParseLimits
    ) throws(PollError) -> Document {
        guard body.contains(where: { !$0.isWhitespace }) else {
            throw PollError(.emptyBody, "the upstream answered with an empty body")
        }
        switch format {
        case .json: return try self.parse(body, limits: limits)
        case .ndjson: return try self.parse(self.array(ofLines: body), limits: limits)
        case .csv: return try self.parse(self.array(ofRecords: body), limits: limits)
        case .xml, .text: return try self.parse(self.string(body), limits: limits)
        }
    }

    private static func parse(_ text: [UInt8], limits: ParseLimits) throws(PollError) -> Document {
        do throws(ParseError) {
            return try Document(parsing: text, limits: limits)
        } catch {
            throw PollError(error)
        }
    }

    private static func array(ofLines body: [UInt8]) -> [UInt8] {
        var text: [UInt8] = [UInt8(ascii: "[")]
        text.reserveCapacity(body.count + 2)
        for line in body.split(separator: 0x0A) where line.contains(where: { !$0.isWhitespace }) {
            if text.count > 1 {
                text.append(UInt8(ascii: ","))
            }
            text.append(contentsOf: line)
        }
        text.append(UInt8(ascii: "]"))
        return text
    }

    private static func array(ofRecords body: [UInt8]) throws(PollError) -> [UInt8] {
        var reader = SeparatedValues(body)
        guard let names = try reader.next() else {
            throw PollError(.emptyBody, "the upstream answered with an empty table")
        }
        let keys = self.memberNames(from: names)
        var text: [UInt8] = [UInt8(ascii: "[")]
        text.reserveCapacity(body.count * 2)
        while let record = try reader.next() {
            guard record.count == keys.count else {
                throw PollError(
                    .malformed,
                    "the record that ends at byte \(reader.offset) has \(record.count) fields, the header \(keys.count)"
                )
            }
            if text.count > 1 {
                text.append(UInt8(ascii: ","))
            }
            text.append(UInt8(ascii: "{"))
            for (index, field) in record.enumerated() {
                if index > 0 {
                    text.append(UInt8(ascii: ","))
                }
                text.append(contentsOf: keys[index])
                text.append(UInt8(ascii: ":"))
                try self.appendString(field, to: &text)
            }
            text.append(UInt8(ascii: "}"))
        }
        text.append(UInt8(ascii: "]"))
        return text
    }

    /// The header's fields as JSON strings; a repeated or empty one gets its column's number, so that none is lost.
    private static func memberNames(from header: [[UInt8]]) -> [[UInt8]] {
        var seen: Set<[UInt8]> = []
        return header.enumerated().map { index, name in
            var unique = name
            if unique.isEmpty || seen.contains(unique) {
                unique.append(contentsOf: "_\(index + 1)".utf8)
            }
            seen.insert(unique)
            var text: [UInt8] = []
            appendJSONString(String(decoding: unique, as: UTF8.self), to: &text)
            return text
        }
    }

    private static func string(_ body: [UInt8]) throws(PollError) -> [UInt8] {
        var text: [UInt8] = []
        text.reserveCapacity(body.count + body.count / 8)
        try self.appendString(body, to: &text)
        return text
    }

    /// Appends text as a JSON string. A byte order mark is left out (FAULTS S2).
    private static func appendString(_ bytes: [UInt8], to text: inout [UInt8]) throws(PollError) {
        let content = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? Array(bytes.dropFirst(3)) : bytes
        guard let string = String(validating: content, as: UTF8.self) else {
            throw PollError(.encoding, "the body is not UTF-8")
        }
        appendJSONString(string, to: &text)
    }
}

extension UInt8 {
    /// White space as JSON has it (RFC 8259 §2).
    var isWhitespace: Bool { self == 0x20 || self == 0x0A || self == 0x0D || self == 0x09 }
}

/// Comma-separated values as RFC 4180 describes them: quoted fields may hold commas, quotes and line breaks.
struct SeparatedValues {
    private let bytes: [UInt8]
    /// How far the table was read.
    private(set) var offset: Int

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        self.offset = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
    }

    /// The next record, or `nil` at the end. Empty lines are passed over.
    mutating func next() throws(PollError) -> [[UInt8]]? {
        while self.offset < self.bytes.count, self.bytes[self.offset] == 0x0A || self.bytes[self.offset] == 0x0D {
            self.offset += 1
        }
        guard self.offset < self.bytes.count else { return nil }
        var record: [[UInt8]] = []
        while true {
            record.append(try self.field())
            guard self.offset < self.bytes.count, self.bytes[self.offset] == UInt8(ascii: ",") else { return record }
            self.offset += 1
        }
    }

    private mutating func field() throws(PollError) -> [UInt8] {
        guard self.offset < self.bytes.count, self.bytes[self.offset] == UInt8(ascii: "\"") else {
            let start = self.offset
            while self.offset < self.bytes.count, !Self.endsField(self.bytes[self.offset]) {
                self.offset += 1
            }
            return Array(self.bytes[start..<self.offset])
        }
        return try self.quotedField()
    }

    private mutating func quotedField() throws(PollError) -> [UInt8] {
        let start = self.offset
        var field: [UInt8] = []
        self.offset += 1
        while self.offset < self.bytes.count {
            let byte = self.bytes[self.offset]
            self.offset += 1
            guard byte == UInt8(ascii: "\"") else {
                field.append(byte)
                continue
            }
            guard self.offset < self.bytes.count, self.bytes[self.offset] == UInt8(ascii: "\"") else {
                guard self.offset == self.bytes.count || Self.endsField(self.bytes[self.offset]) else {
                    throw PollError(.malformed, "text after the closing quote at byte \(self.offset)")
                }
                return field
            }
            field.append(byte)
            self.offset += 1
        }
        throw PollError(.malformed, "the quote that opens at byte \(start) never closes")
    }

    private static func endsField(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: ",") || byte == 0x0A || byte == 0x0D
    }
}
