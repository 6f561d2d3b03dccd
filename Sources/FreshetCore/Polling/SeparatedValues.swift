// Tables of text (RFC 4180) as JSON: what a spreadsheet exports, and what much open data is published as.

import JSON

/// A table whose first record names the columns.
///
/// The image is an array of objects, one a record, with text as values: no text is taken for a number, which would lose
/// zeros in front. A byte order mark is left out, records end with any line break, empty lines are passed over, and
/// quoted fields may hold separators, line breaks and doubled quotes. Columns are separated by commas, or where the
/// first record has none, by tabs or semicolons. A column without a name or with one that came before gets its
/// number. A record with more or fewer fields than the first is an error: it may be a body that was cut.
struct SeparatedValues {
    private let bytes: [UInt8]
    private let separator: UInt8
    /// How far the table was read.
    private(set) var offset: Int

    init(_ bytes: [UInt8]) {
        self.bytes = bytes
        let start = bytes.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        self.offset = start
        self.separator = Self.separator(in: bytes[start...])
    }

    /// The image as JSON text. Its bytes are the table's: what is no UTF-8 stays none.
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
                        + "and the first has \(keys.count)"
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

    /// The comma, unless the first record holds none but tabs or semicolons.
    private static func separator(in bytes: ArraySlice<UInt8>) -> UInt8 {
        var isQuoted = false
        var others: UInt8?
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "\""): isQuoted.toggle()
            case UInt8(ascii: ",") where !isQuoted: return byte
            case 0x09 where !isQuoted, UInt8(ascii: ";") where !isQuoted: others = others ?? byte
            case 0x0A where !isQuoted, 0x0D where !isQuoted: return others ?? UInt8(ascii: ",")
            default: break
            }
        }
        return others ?? UInt8(ascii: ",")
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
        guard self.offset < self.bytes.count, self.bytes[self.offset] == UInt8(ascii: "\"") else {
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
