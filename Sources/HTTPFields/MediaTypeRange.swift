// Media types as a configuration names them (RFC 9110 §12.5.1, without parameters).

/// One media type, or all of a kind.
package struct MediaTypeRange: Hashable, Sendable, CustomStringConvertible {
    /// In lower case.
    private let type: String
    /// In lower case, or `*`.
    private let subtype: String

    /// Reads `type/subtype` or `type/*`; nil for anything else.
    package init?(_ text: String) {
        let parts = text.lowercased().split(separator: "/", omittingEmptySubsequences: false).map(String.init)
        guard parts.count == 2, parts.allSatisfy(Self.isToken), parts[0] != "*" else { return nil }
        self.type = parts[0]
        self.subtype = parts[1]
    }

    package var description: String { "\(self.type)/\(self.subtype)" }

    /// Whether a media type without parameters, in lower case, is meant.
    package func contains(_ essence: String) -> Bool {
        self.subtype == "*" ? essence.hasPrefix("\(self.type)/") : essence == self.description
    }

    private static func isToken(_ text: String) -> Bool {
        !text.isEmpty
            && text.utf8.allSatisfy { byte in
                switch byte {
                case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "0")...UInt8(ascii: "9"): true
                default: "!#$&^_.+-*".utf8.contains(byte)
                }
            }
    }
}
