// Several JSON texts in one body, as one array: a text a line, or records of a JSON text sequence (RFC 7464).

import JSON

enum JSONRecords {
    /// ASCII RS, which begins each record of a sequence.
    private static let recordSeparator: UInt8 = 0x1E

    /// The array of the texts. A body that begins with a record separator is a sequence, any other has lines.
    ///
    /// Each has to be a whole value: two broken ones can make a whole array together. Empty lines and records
    /// are passed over.
    ///
    /// - Throws: ``UpstreamError`` that names the line or record.
    static func array(of text: [UInt8], limits: ParseLimits) throws(UpstreamError) -> [UInt8] {
        let start = text.starts(with: [0xEF, 0xBB, 0xBF]) ? 3 : 0
        let isSequence = text[start...].first { !$0.isWhitespace } == self.recordSeparator
        let separator = isSequence ? self.recordSeparator : 0x0A
        var array: [UInt8] = [UInt8(ascii: "[")]
        array.reserveCapacity(text.count + 2)
        var nodes = 1
        for (index, record) in text[start...].split(separator: separator, omittingEmptySubsequences: false).enumerated()
        where record.contains(where: { !$0.isWhitespace }) {
            if array.count > 1 {
                array.append(UInt8(ascii: ","))
            }
            let name = isSequence ? "record \(index)" : "line \(index + 1)"
            do throws(ParseError) {
                let document = try Document(parsing: Array(record), limits: limits)
                array.append(contentsOf: document.text)
                nodes += document.nodeCount
            } catch {
                var fault = UpstreamError(error)
                fault.message = "\(name) is invalid JSON: \(error)"
                throw fault
            }
            guard nodes <= limits.maxNodes else {
                throw UpstreamError(.tooLarge, "the lines hold more than \(limits.maxNodes) values")
            }
            if isSequence, self.mayBeCut(record) {
                throw UpstreamError(.malformed, "\(name) may be cut: no white space ends it (RFC 7464 §2.4)")
            }
        }
        array.append(UInt8(ascii: "]"))
        return array
    }

    /// Whether a record may be the beginning of a longer one: a number or a word, with nothing behind it.
    private static func mayBeCut(_ record: ArraySlice<UInt8>) -> Bool {
        switch record.last {
        case UInt8(ascii: "}"), UInt8(ascii: "]"), UInt8(ascii: "\""), nil: false
        case let last?: !last.isWhitespace
        }
    }
}
