// The name of an instance: its template's name and a value for each parameter.

/// `user/42`: a source that is made of a template while somebody reads it.
///
/// Each value is percent-encoded in the name, all but the unreserved characters of RFC 3986 §2.3, so that every instance
/// has one name and a name is one place: in a path, in a list, in JSON and in a log line.
package struct InstanceName: Hashable, Sendable {
    package let template: String
    /// Decoded; at least one. None is empty, `.` or `..`, and none has a control character in it.
    package let values: [String]
    /// The name.
    package let text: String

    /// The longest name.
    package static let maxBytes = 512
    /// The most parameters of a template.
    package static let maxValues = 8

    /// Reads a name. The values may be encoded in any way; ``text`` is the one form of them.
    ///
    /// - Returns: `nil` for what is no instance's name, whatever templates there are.
    package init?(_ name: some StringProtocol) {
        let parts = name.utf8.split(
            separator: UInt8(ascii: "/"),
            maxSplits: Self.maxValues + 1,
            omittingEmptySubsequences: false
        )
        guard name.utf8.count <= 3 * Self.maxBytes, (2...Self.maxValues + 1).contains(parts.count) else { return nil }
        let template = String(decoding: parts[0], as: UTF8.self)
        guard SourceName.isValid(template) else { return nil }
        var values: [String] = []
        for part in parts.dropFirst() {
            guard let bytes = PercentEncoding.decoded(part), let value = String(validating: bytes, as: UTF8.self),
                Self.isValue(value)
            else { return nil }
            values.append(value)
        }
        self.init(template: template, values: values)
    }

    private init?(template: String, values: [String]) {
        self.template = template
        self.values = values
        self.text = ([template] + values.map { PercentEncoding.encoded($0) }).joined(separator: "/")
        guard self.text.utf8.count <= Self.maxBytes else { return nil }
    }

    /// A dot segment, however it is encoded, means another place to whoever normalises a URL (RFC 3986 §5.2.4).
    private static func isValue(_ text: String) -> Bool {
        !text.isEmpty && text != "." && text != ".."
            && text.unicodeScalars.allSatisfy { $0.value >= 0x20 && !(0x7F...0x9F).contains($0.value) }
    }

    /// Whether a name is an instance's.
    package static func isInstance(_ name: some StringProtocol) -> Bool {
        name.utf8.contains(UInt8(ascii: "/"))
    }

    /// The template of an instance's name; the name itself for any other source's.
    package static func template(of name: String) -> Substring {
        name.utf8.firstIndex(of: UInt8(ascii: "/")).map { name[..<$0] } ?? name[...]
    }

    package static func == (left: Self, right: Self) -> Bool { left.text == right.text }

    package func hash(into hasher: inout Hasher) {
        hasher.combine(self.text)
    }
}

extension InstanceName: CustomStringConvertible {
    package var description: String { self.text }
}

/// Percent-encoding of one segment (RFC 3986 §2.1).
enum PercentEncoding {
    private static let digits = Array("0123456789ABCDEF".utf8)

    /// Encodes everything but letters and digits of ASCII, `-`, `.`, `_` and `~`.
    static func encoded(_ text: String) -> String {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.utf8.count)
        for byte in text.utf8 {
            if self.isUnreserved(byte) {
                bytes.append(byte)
            } else {
                bytes += [UInt8(ascii: "%"), self.digits[Int(byte >> 4)], self.digits[Int(byte & 0xF)]]
            }
        }
        return String(decoding: bytes, as: UTF8.self)
    }

    /// - Returns: `nil` where a percent sign is not followed by two digits.
    static func decoded(_ text: some Collection<UInt8>) -> [UInt8]? {
        var bytes: [UInt8] = []
        bytes.reserveCapacity(text.count)
        var rest = text.makeIterator()
        while let byte = rest.next() {
            guard byte == UInt8(ascii: "%") else {
                bytes.append(byte)
                continue
            }
            guard let high = rest.next().flatMap(self.digit), let low = rest.next().flatMap(self.digit) else {
                return nil
            }
            bytes.append(high << 4 | low)
        }
        return bytes
    }

    static func isUnreserved(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        case UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"), UInt8(ascii: "~"): true
        case _: false
        }
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - UInt8(ascii: "0")
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - UInt8(ascii: "a") + 10
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - UInt8(ascii: "A") + 10
        case _: nil
        }
    }
}
