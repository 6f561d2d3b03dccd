// The parameters of a URL: one is set, the others stay as they are written.

/// Edits the query of a URL as text.
package enum URLQuery {
    /// The URL with this parameter, in the place of those of the same name. White space and everything that is not
    /// unreserved is percent-encoded (RFC 3986 §2.3) in what is set, and nothing else is touched.
    package static func setting(_ name: String, to value: String, in url: String) -> String {
        let withoutFragment = url.prefix { $0 != "#" }
        let base = withoutFragment.prefix { $0 != "?" }
        let parameter = "\(self.encoded(name))=\(self.encoded(value))"
        guard base.endIndex < withoutFragment.endIndex else { return "\(base)?\(parameter)" }
        let query = withoutFragment[base.endIndex...].dropFirst()
        let kept = query.split(separator: "&").filter { self.name(of: $0) != self.encoded(name) }
        return "\(base)?" + (kept.map(String.init) + [parameter]).joined(separator: "&")
    }

    /// The value of the first parameter of this name as it is written, percent-encoded; `nil` without one.
    package static func value(of name: String, in url: String) -> String? {
        let query = url.prefix { $0 != "#" }.drop { $0 != "?" }.dropFirst()
        let wanted = self.encoded(name)
        for parameter in query.split(separator: "&") where self.name(of: parameter) == wanted {
            return String(parameter.drop { $0 != "=" }.dropFirst())
        }
        return nil
    }

    /// The name of a parameter, written as ``encoded(_:)`` writes it.
    private static func name(of parameter: Substring) -> String {
        var bytes: [UInt8] = []
        var rest = Array(parameter.utf8.prefix { $0 != UInt8(ascii: "=") })[...]
        while let byte = rest.popFirst() {
            if byte == UInt8(ascii: "%"), let high = rest.first.flatMap(self.digit),
                let low = rest.dropFirst().first.flatMap(self.digit)
            {
                bytes.append(high << 4 | low)
                rest = rest.dropFirst(2)
            } else {
                bytes.append(byte == UInt8(ascii: "+") ? 0x20 : byte)
            }
        }
        return self.encoded(bytes)
    }

    /// Percent-encoded but for what is unreserved.
    package static func encoded(_ text: String) -> String { self.encoded(Array(text.utf8)) }

    private static func encoded(_ bytes: [UInt8]) -> String {
        var text: [UInt8] = []
        for byte in bytes {
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"),
                UInt8(ascii: "~"):
                text.append(byte)
            case _:
                text.append(UInt8(ascii: "%"))
                for nibble in [byte >> 4, byte & 0xF] { text.append(nibble < 10 ? 0x30 + nibble : 0x37 + nibble) }
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    private static func digit(_ byte: UInt8) -> UInt8? {
        switch byte {
        case UInt8(ascii: "0")...UInt8(ascii: "9"): byte - 0x30
        case UInt8(ascii: "a")...UInt8(ascii: "f"): byte - 0x57
        case UInt8(ascii: "A")...UInt8(ascii: "F"): byte - 0x37
        case _: nil
        }
    }
}
