// Which of our forms a client can take: the `Accept` field (RFC 9110 §12.5.1).

import HTTPFields

/// A form of answer that this server has.
enum MediaType: String, CaseIterable, Sendable {
    case eventStream = "text/event-stream"
    case jsonLines = "application/x-ndjson"
    case json = "application/json"
}

enum MediaRange {
    /// The best of the offered types, the first of equals; `nil` where the client takes none of them. An absent or
    /// empty field means anything.
    static func best(of offered: [MediaType], accept: String?) -> MediaType? {
        guard let accept, !accept.isEmpty else { return offered.first }
        let ranges = accept.utf8.split(separator: UInt8(ascii: ",")).prefix(64).map(Self.range)
        var best: (type: MediaType, quality: Int)?
        for type in offered {
            let quality = self.quality(of: type, in: ranges)
            if quality > (best?.quality ?? 0) { best = (type, quality) }
        }
        return best?.type
    }

    private struct Range {
        var name: String
        /// In thousandths.
        var quality: Int
    }

    private static func range(_ text: Substring.UTF8View) -> Range {
        let parts = text.split(separator: UInt8(ascii: ";")).map { $0.trimmed }
        var quality = 1000
        for part in parts.dropFirst() where part.hasPrefix(ignoringCase: "q=") {
            quality = self.thousandths(part.dropFirst(2))
        }
        let name = String(decoding: (parts.first ?? text[...]).map(\.lowercasedASCII), as: UTF8.self)
        return Range(name: name, quality: quality)
    }

    /// `0`, `1`, `0.5`, `0.123`; what is malformed counts as 1, since the client named the type.
    static func thousandths(_ text: some Collection<UInt8>) -> Int {
        guard let first = text.first, first == UInt8(ascii: "0") else { return 1000 }
        var value = 0
        var scale = 100
        for byte in text.dropFirst(2).prefix(3) where byte.isDigit {
            value += Int(byte - UInt8(ascii: "0")) * scale
            scale /= 10
        }
        return value
    }

    /// The quality that the most specific range gives (RFC 9110 §12.5.1).
    private static func quality(of type: MediaType, in ranges: [Range]) -> Int {
        let main = type.rawValue.prefix { $0 != "/" }
        for name in [type.rawValue, "\(main)/*", "*/*"] {
            if let range = ranges.first(where: { $0.name == name }) { return range.quality }
        }
        return 0
    }
}
