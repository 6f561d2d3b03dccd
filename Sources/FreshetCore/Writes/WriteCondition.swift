// What a write builds on: `If-Match` and `If-None-Match`, as a client sends them (RFC 9110 §13.1).

import HTTPFields

/// The base that a client names.
package enum WriteCondition: Hashable, Sendable {
    /// None.
    case none
    /// `If-Match: *`: whatever is there, but something.
    case any
    /// `If-None-Match: *`: nothing is there.
    case absent
    /// The value or item as it was at one of these cursors: a tag of the gateway's is one. Empty where none of the tags is
    /// ours, which then match nothing.
    case cursors([Cursor])

    /// The most tags that are looked at.
    package static let maxTags = 8

    /// - Throws: 400 for what is no condition, and for two that contradict each other.
    package init(ifMatch: String?, ifNoneMatch: String?) throws(WriteProblem) {
        if let ifNoneMatch {
            guard Array(ifNoneMatch.utf8)[...].trimmed.elementsEqual("*".utf8), ifMatch == nil else {
                throw WriteProblem(
                    400,
                    "bad_condition",
                    "A write takes If-Match with a tag or cursor, or If-None-Match: *; not both, and no other If-None-Match."
                )
            }
            self = .absent
            return
        }
        guard let ifMatch else {
            self = .none
            return
        }
        let text = Array(ifMatch.utf8)[...].trimmed
        if text.elementsEqual("*".utf8) {
            self = .any
            return
        }
        let tags = text.split(separator: UInt8(ascii: ",")).prefix(Self.maxTags)
        self = .cursors(tags.compactMap { Self.cursor(of: $0.trimmed) })
    }

    /// A strong tag in its quotes, or a bare cursor. A weak tag matches nothing (RFC 9110 §13.1.1).
    private static func cursor(of tag: ArraySlice<UInt8>) -> Cursor? {
        var text = tag
        if text.count >= 2, text.first == UInt8(ascii: "\""), text.last == UInt8(ascii: "\"") {
            text = text.dropFirst().dropLast()
        }
        return Cursor(String(decoding: text, as: UTF8.self))
    }
}

/// Tags of an upstream: which of them may guard a write.
package enum UpstreamTag {
    /// What servers append to a tag when they compress: it is that of the compressed form, and `If-Match` with it is refused by
    /// the resource behind.
    private static let codings = ["gzip", "br", "zstd", "deflate"]

    /// The tag, where it is strong: never a weak one, with which `If-Match` matches nothing by the book, and everything in
    /// some servers. `isIdentity`: it came with an answer that was not compressed.
    package static func strong(_ tag: [UInt8]?, isIdentity: Bool) -> [UInt8]? {
        guard let tag, tag.count >= 2, tag.first == UInt8(ascii: "\""), tag.last == UInt8(ascii: "\""),
            tag.allSatisfy({ (0x21...0x7E).contains($0) })
        else { return nil }
        guard !isIdentity else { return tag }
        let opaque = String(decoding: tag.dropFirst().dropLast(), as: UTF8.self)
        let isOfCoding = self.codings.contains { opaque.hasSuffix("-\($0)") || opaque.hasSuffix(";\($0)") }
        return isOfCoding ? nil : tag
    }
}
