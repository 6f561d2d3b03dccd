// Formats that strings are recognised by (JSON Schema Validation §7.3).

/// The formats that all strings of a place have.
struct StringFormat: OptionSet, Sendable {
    let rawValue: UInt8

    static let dateTime = StringFormat(rawValue: 1)
    static let date = StringFormat(rawValue: 2)
    static let uuid = StringFormat(rawValue: 4)
    static let uri = StringFormat(rawValue: 8)
    static let email = StringFormat(rawValue: 16)
    static let ipv4 = StringFormat(rawValue: 32)
    static let all: StringFormat = [.dateTime, .date, .uuid, .uri, .email, .ipv4]

    /// As `format` names the first of them.
    var name: String? {
        let names: [(StringFormat, String)] = [
            (.dateTime, "date-time"), (.date, "date"), (.uuid, "uuid"), (.uri, "uri"), (.email, "email"),
            (.ipv4, "ipv4"),
        ]
        return names.first { self.contains($0.0) }?.1
    }

    init(rawValue: UInt8) {
        self.rawValue = rawValue
    }

    /// The formats that a string has.
    init(of text: [UInt8]) {
        self = []
        if Self.matches(text, "dddd-dd-dd") { self.insert(.date) }
        if text.count >= 20, Self.matches(text.prefix(10), "dddd-dd-dd"), text[10] | 0x20 == UInt8(ascii: "t"),
            Self.matches(text[11..<19], "dd:dd:dd"), Self.isZone(text[19...])
        {
            self.insert(.dateTime)
        }
        if Self.matches(text, "hhhhhhhh-hhhh-hhhh-hhhh-hhhhhhhhhhhh") { self.insert(.uuid) }
        if Self.isURI(text) { self.insert(.uri) }
        if Self.isEmail(text) { self.insert(.email) }
        if Self.isIPv4(text) { self.insert(.ipv4) }
    }

    private static func isDigit(_ byte: UInt8) -> Bool { (0x30...0x39).contains(byte) }

    /// `d` is a digit, `h` a hexadecimal one, anything else itself.
    private static func matches(_ text: some Collection<UInt8>, _ form: String) -> Bool {
        text.count == form.utf8.count
            && zip(text, form.utf8).allSatisfy { byte, form in
                switch form {
                case UInt8(ascii: "d"): self.isDigit(byte)
                case UInt8(ascii: "h"): self.isDigit(byte) || (0x61...0x66).contains(byte | 0x20)
                case _: byte == form
                }
            }
    }

    /// A fraction of a second, and `Z` or an offset.
    private static func isZone(_ text: ArraySlice<UInt8>) -> Bool {
        var text = text
        if text.first == UInt8(ascii: ".") { text = text.dropFirst().drop(while: self.isDigit) }
        guard let first = text.first else { return false }
        if first | 0x20 == UInt8(ascii: "z") { return text.count == 1 }
        return (first == UInt8(ascii: "+") || first == UInt8(ascii: "-")) && self.matches(text.dropFirst(), "dd:dd")
    }

    private static func isURI(_ text: [UInt8]) -> Bool {
        let isVisible = text.allSatisfy { $0 > 0x20 && $0 < 0x7F }
        return isVisible && (text.starts(with: "https://".utf8) || text.starts(with: "http://".utf8)) && text.count > 8
    }

    private static func isEmail(_ text: [UInt8]) -> Bool {
        let parts = text.split(separator: UInt8(ascii: "@"), omittingEmptySubsequences: false)
        return parts.count == 2 && !parts[0].isEmpty && parts[1].contains(UInt8(ascii: ".")) && parts[1].count > 3
            && text.allSatisfy { $0 > 0x20 && $0 < 0x7F }
    }

    private static func isIPv4(_ text: [UInt8]) -> Bool {
        let parts = text.split(separator: UInt8(ascii: "."), omittingEmptySubsequences: false)
        return parts.count == 4
            && parts.allSatisfy { part in
                (1...3).contains(part.count) && part.allSatisfy(self.isDigit)
                    && part.reduce(0) { $0 * 10 + Int($1 - 0x30) } < 256
            }
    }
}
