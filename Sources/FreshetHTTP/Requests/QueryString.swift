// What stands behind the `?` of a request, decoded without trust.

import HTTPFields

/// The parameters of a query (`application/x-www-form-urlencoded`).
struct QueryString: Hashable, Sendable {
    private struct Parameter: Hashable, Sendable {
        var name: String
        var value: String
    }

    private var parameters: [Parameter] = []

    /// The most parameters that are looked at; the rest is as if it were not there.
    static let maxParameters = 64

    init(_ text: String) {
        let parts = text.utf8.split(separator: UInt8(ascii: "&"), maxSplits: Self.maxParameters)
        for part in parts.prefix(Self.maxParameters) {
            let mark = part.firstIndex(of: UInt8(ascii: "=")) ?? part.endIndex
            let name = PercentCoding.decoded(part[..<mark], plusIsSpace: true)
            let value = PercentCoding.decoded(part[mark...].dropFirst(), plusIsSpace: true)
            self.parameters.append(Parameter(name: name, value: value))
        }
    }

    var isEmpty: Bool { self.parameters.isEmpty }

    /// The values of a parameter, in order.
    func values(of name: String) -> [String] {
        self.parameters.filter { $0.name.utf8.elementsEqual(name.utf8) }.map(\.value)
    }

    /// The first value of a parameter; empty where it has none.
    subscript(name: String) -> String? {
        self.parameters.first { $0.name.utf8.elementsEqual(name.utf8) }?.value
    }
}

/// Percent-encoding (RFC 3986 §2.1).
enum PercentCoding {
    /// Decodes; what is no valid escape stays as it is, and what is not UTF-8 becomes U+FFFD.
    static func decoded(_ text: some Collection<UInt8>, plusIsSpace: Bool) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var index = text.startIndex
        while index != text.endIndex {
            let byte = text[index]
            index = text.index(after: index)
            if byte == UInt8(ascii: "%"), let (value, next) = self.escape(text, at: index) {
                bytes.append(value)
                index = next
            } else {
                bytes.append(plusIsSpace && byte == UInt8(ascii: "+") ? 0x20 : byte)
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func escape<Text: Collection<UInt8>>(_ text: Text, at index: Text.Index) -> (UInt8, Text.Index)? {
        guard index != text.endIndex, let high = text[index].hexDigit else { return nil }
        let second = text.index(after: index)
        guard second != text.endIndex, let low = text[second].hexDigit else { return nil }
        return (UInt8(truncatingIfNeeded: high << 4 | low), text.index(after: second))
    }
}
