// Tables of text (RFC 4180) as JSON: what a spreadsheet exports, and what much open data is published as.

import JSON

/// A table whose first record names the columns.
///
/// The image is an array of objects, one a record, with text as values: no text is taken for a number, which would lose
/// zeros in front. Records end with any line break, empty lines are passed over, and quoted fields may hold separators,
/// line breaks and doubled quotes. A column without a name or with one that came before gets its number. A record with
/// more or fewer fields than the first is an error: it may be a body that was cut.
///
/// What separates the columns is what the configuration says; else what a first line `sep=;` says, which is how
/// spreadsheets are told; else what fits the first records (``SeparatorSearch``). A first line of that form is never a
/// record. In `text/tab-separated-values` it is the tab, and quotes are text like any other, by the rules that IANA has
/// for it.
struct SeparatedValues {
    private let bytes: [UInt8]
    let separator: UInt8
    /// A field that begins with a quote goes on to the next one.
    private let hasQuotes: Bool
    /// How far the table was read.
    private(set) var offset: Int

    /// - Parameters:
    ///   - bytes: The table in UTF-8, without a byte order mark.
    ///   - separator: What the configuration says.
    ///   - isTabs: The table came as `text/tab-separated-values`.
    init(_ bytes: [UInt8], separator: UInt8? = nil, isTabs: Bool = false) {
        self.bytes = bytes
        let line = isTabs ? nil : Self.separatorLine(in: bytes)
        self.offset = line?.end ?? 0
        self.hasQuotes = !isTabs || separator ?? 0x09 != 0x09
        self.separator =
            separator ?? (isTabs ? 0x09 : line?.separator) ?? SeparatorSearch.separator(of: bytes, from: self.offset)
    }

    /// For a trial: reads from `offset` on.
    init(_ bytes: [UInt8], from offset: Int, separator: UInt8) {
        self.bytes = bytes
        self.separator = separator
        self.hasQuotes = true
        self.offset = offset
    }

    /// Reads a first line `sep=;`, in quotes or without.
    private static func separatorLine(in bytes: [UInt8]) -> (separator: UInt8, end: Int)? {
        var line = bytes.prefix(16).prefix { $0 != 0x0A && $0 != 0x0D }
        let end = line.endIndex
        guard end < min(bytes.count, 16) else { return nil }
        if line.count >= 2, line.first == UInt8(ascii: "\""), line.last == UInt8(ascii: "\"") {
            line = line.dropFirst().dropLast()
        }
        guard line.count == 5, FieldValue.matches(line.prefix(4), "sep="), let separator = line.last,
            separator < 0x80, separator != UInt8(ascii: "\"")
        else { return nil }
        return (separator, end)
    }

    /// The image as JSON text.
    ///
    /// - Throws: ``PollError`` of kind `empty_body`, `malformed` with the offset, or `too_large` beyond `maxBytes`.
    func json(maxBytes: Int) throws(PollError) -> [UInt8] {
        var reader = self
        guard let names = try reader.next() else {
            throw PollError(.emptyBody, "the upstream answered with an empty table")
        }
        let keys = Self.memberNames(from: names)
        var text: [UInt8] = [UInt8(ascii: "[")]
        text.reserveCapacity(self.bytes.count * 2)
        var number = 1
        while let record = try reader.next() {
            number += 1
            guard record.count == keys.count else {
                throw PollError(
                    .malformed,
                    "record \(number), which ends at byte \(reader.offset), has \(record.count) fields, "
                        + "and the first has \(keys.count), with \(self.separatorName) between them"
                )
            }
            text.append(UInt8(ascii: text.count > 1 ? "," : " "))
            for (index, field) in record.enumerated() {
                text.append(UInt8(ascii: index > 0 ? "," : "{"))
                text.append(contentsOf: keys[index])
                text.append(UInt8(ascii: ":"))
                Self.appendString(field, to: &text)
            }
            text.append(UInt8(ascii: "}"))
            guard text.count <= maxBytes else {
                throw PollError(
                    .tooLarge,
                    "the table takes more than \(maxBytes) bytes as JSON: raise `max_body_bytes`"
                )
            }
        }
        text.append(UInt8(ascii: "]"))
        return text
    }

    /// The first record's fields as JSON strings; a repeated or empty one gets its column's number, so that none is
    /// lost.
    private static func memberNames(from header: [[UInt8]]) -> [[UInt8]] {
        // A name that stands there already is not to be given to another column.
        var taken = Set(header)
        var seen: Set<[UInt8]> = []
        return header.enumerated().map { index, name in
            var unique = name
            if name.isEmpty || seen.contains(name) {
                repeat {
                    unique.append(contentsOf: "_\(index + 1)".utf8)
                } while taken.contains(unique)
                taken.insert(unique)
            }
            seen.insert(unique)
            var text: [UInt8] = []
            self.appendString(unique, to: &text)
            return text
        }
    }

    private static func appendString(_ field: [UInt8], to text: inout [UInt8]) {
        guard field.contains(where: { $0 < 0x20 || $0 == UInt8(ascii: "\"") || $0 == UInt8(ascii: "\\") }) else {
            text.append(UInt8(ascii: "\""))
            text.append(contentsOf: field)
            text.append(UInt8(ascii: "\""))
            return
        }
        appendJSONString(utf8: field, to: &text)
    }

    private var separatorName: String {
        switch self.separator {
        case 0x09: "tabs"
        case UInt8(ascii: ","): "commas"
        case UInt8(ascii: ";"): "semicolons"
        case 0x21...0x7E: "`\(Unicode.Scalar(self.separator))`"
        case let other: "bytes \(other)"
        }
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
            guard self.offset < self.bytes.count, self.bytes[self.offset] == self.separator else { return record }
            self.offset += 1
        }
    }

    private mutating func field() throws(PollError) -> [UInt8] {
        guard self.hasQuotes, self.offset < self.bytes.count, self.bytes[self.offset] == UInt8(ascii: "\"") else {
            let start = self.offset
            while self.offset < self.bytes.count, !self.endsField(self.bytes[self.offset]) {
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
                guard self.offset == self.bytes.count || self.endsField(self.bytes[self.offset]) else {
                    throw PollError(.malformed, "text after the closing quote at byte \(self.offset)")
                }
                return field
            }
            field.append(byte)
            self.offset += 1
        }
        throw PollError(.malformed, "the quote that opens at byte \(start) never closes")
    }

    private func endsField(_ byte: UInt8) -> Bool {
        byte == self.separator || byte == 0x0A || byte == 0x0D
    }
}
