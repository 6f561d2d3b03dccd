// Tables of text (RFC 4180) as JSON: what a spreadsheet exports, and what much open data is published as.

import HTTPFields
import JSON

/// A table whose first record names the columns.
///
/// The image is an array of objects, one a record, with text as values: no text is taken for a number, which would lose
/// zeros in front. Records end with any line break, empty lines are passed over, and quoted fields may hold separators,
/// line breaks and doubled quotes. A column without a name or with one that came before gets its number. A record with
/// more or fewer fields than the first is an error: it may be a body that was cut.
///
/// What separates the columns is what the configuration says; else what a first line `sep=;` says, which is how
/// spreadsheets are; else what fits the first records (``SeparatorSearch``). A first line of that form is never a
/// record. In `text/tab-separated-values` it is the tab, and quotes are text like any other, by the rules that IANA has
/// for it.
struct SeparatedValues {
    private let bytes: [UInt8]
    let separator: UInt8
    /// A field that begins with a quote goes on to the next one.
    private let hasQuotes: Bool
    /// Where the first record begins.
    private let start: Int

    /// - Parameters:
    ///   - bytes: The table in UTF-8, without a byte order mark.
    ///   - separator: What the configuration says.
    ///   - isTabs: The table came as `text/tab-separated-values`.
    init(_ bytes: [UInt8], separator: UInt8? = nil, isTabs: Bool = false) {
        self.bytes = bytes
        let line = isTabs ? nil : Self.separatorLine(in: bytes)
        self.start = line?.end ?? 0
        self.hasQuotes = !isTabs || separator ?? 0x09 != 0x09
        self.separator =
            separator ?? (isTabs ? 0x09 : line?.separator) ?? SeparatorSearch.separator(of: bytes, from: self.start)
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
    /// - Throws: ``UpstreamError`` of kind `empty_body`, `malformed` with the offset, or `too_large` beyond `maxBytes`.
    func json(maxBytes: Int) throws(UpstreamError) -> [UInt8] {
        let result: Result<[UInt8], UpstreamError> = self.bytes.withUnsafeBufferPointer { bytes in
            var reader = TableReader(bytes, from: self.start, separator: self.separator, hasQuotes: self.hasQuotes)
            do throws(UpstreamError) {
                return .success(try self.json(&reader, maxBytes: maxBytes))
            } catch {
                return .failure(error)
            }
        }
        return try result.get()
    }

    private func json(_ reader: inout TableReader, maxBytes: Int) throws(UpstreamError) -> [UInt8] {
        guard reader.beginRecord() else {
            throw UpstreamError(.emptyBody, "the upstream answered with an empty table")
        }
        var names = FieldList()
        repeat { try reader.field(into: &names) } while reader.passSeparator()
        let columns = ColumnText(Self.memberNames(from: names.fields))

        var image = TableImage(capacity: self.bytes.count * 2)
        defer { image.deallocate() }
        image.append(UInt8(ascii: "["))
        var number = 1
        while reader.beginRecord() {
            number += 1
            image.append(UInt8(ascii: number > 2 ? "," : " "))
            var count = 0
            repeat {
                if count < columns.count {
                    columns.begin(count, in: &image)
                    try reader.field(into: &image)
                } else {
                    var passed = NoFields()
                    try reader.field(into: &passed)
                }
                count += 1
            } while reader.passSeparator()
            guard count == columns.count else {
                throw UpstreamError(
                    .malformed,
                    "record \(number), which ends at byte \(reader.offset), has \(count) fields, "
                        + "and the first has \(columns.count), with \(self.separatorName) between them"
                )
            }
            image.append(UInt8(ascii: "\""))
            image.append(UInt8(ascii: "}"))
            guard image.count <= maxBytes else {
                throw UpstreamError(
                    .tooLarge,
                    "the table takes more than \(maxBytes) bytes as JSON: raise `max_body_bytes`"
                )
            }
        }
        image.append(UInt8(ascii: "]"))
        return image.text
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
            appendJSONString(utf8: unique, to: &text)
            return text
        }
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
}
