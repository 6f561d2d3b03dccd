// What of a URL may be shown. Whatever is logged, printed or answered passes here (FAULTS S8, S27).

/// Takes secrets out of URLs.
package enum URLRedaction {
    /// Stands in the place of what is not shown.
    private static let mark = Array("***".utf8)

    /// The text with the user information, the value of every query parameter and the fragment of each URL in it
    /// replaced by `***`. A URL begins with `SCHEME://` and ends at white space, or with the text where that is `wholly`
    /// one, right or wrong; the names of parameters stay.
    package static func redacted(_ text: String, wholly: Bool = false) -> String {
        guard text.utf8.contains(UInt8(ascii: ":")) else { return text }
        let bytes = Array(text.utf8)
        var result: [UInt8] = []
        result.reserveCapacity(bytes.count)
        var index = 0
        while let start = self.authorityStart(in: bytes, from: index) {
            let space = wholly ? nil : bytes[start...].firstIndex { $0 <= 0x20 || $0 == 0x7F }
            let end = space ?? bytes.count
            result += bytes[index..<start]
            self.append(bytes[start..<end], to: &result)
            index = end
        }
        guard index > 0 else { return text }
        result += bytes[index...]
        return String(decoding: result, as: UTF8.self)
    }

    /// The index behind the next `://`.
    private static func authorityStart(in bytes: [UInt8], from index: Int) -> Int? {
        var index = index
        while index + 2 < bytes.count {
            if bytes[index] == UInt8(ascii: ":"), bytes[index + 1] == UInt8(ascii: "/"),
                bytes[index + 2] == UInt8(ascii: "/")
            {
                return index + 3
            }
            index += 1
        }
        return nil
    }

    /// Appends what follows `://`.
    private static func append(_ rest: ArraySlice<UInt8>, to result: inout [UInt8]) {
        let authorityEnd = rest.firstIndex { "/?#".utf8.contains($0) } ?? rest.endIndex
        if let at = rest[..<authorityEnd].lastIndex(of: UInt8(ascii: "@")) {
            result += self.mark
            result += rest[at..<authorityEnd]
        } else {
            result += rest[..<authorityEnd]
        }
        let fragment = rest[authorityEnd...].firstIndex(of: UInt8(ascii: "#")) ?? rest.endIndex
        let query = rest[authorityEnd..<fragment].firstIndex(of: UInt8(ascii: "?")) ?? fragment
        result += rest[authorityEnd..<query]
        if query < fragment {
            result.append(UInt8(ascii: "?"))
            self.appendQuery(rest[(query + 1)..<fragment], to: &result)
        }
        if fragment < rest.endIndex {
            result.append(UInt8(ascii: "#"))
            self.appendValue(rest[(fragment + 1)...], to: &result)
        }
    }

    private static func appendQuery(_ query: ArraySlice<UInt8>, to result: inout [UInt8]) {
        for (number, parameter) in query.split(separator: UInt8(ascii: "&"), omittingEmptySubsequences: false)
            .enumerated()
        {
            if number > 0 { result.append(UInt8(ascii: "&")) }
            // A parameter without a name is all value.
            let value = parameter.firstIndex(of: UInt8(ascii: "=")).map { $0 + 1 } ?? parameter.startIndex
            result += parameter[..<value]
            self.appendValue(parameter[value...], to: &result)
        }
    }

    /// What was redacted before keeps the punctuation that a message put behind it.
    private static func appendValue(_ value: ArraySlice<UInt8>, to result: inout [UInt8]) {
        guard !value.isEmpty else { return }
        let isRedacted =
            value.starts(with: self.mark) && value.dropFirst(self.mark.count).allSatisfy(self.isPunctuation)
        result += isRedacted ? value : self.mark[...]
    }

    private static func isPunctuation(_ byte: UInt8) -> Bool {
        "\"'`,;:.)]}".utf8.contains(byte)
    }
}
