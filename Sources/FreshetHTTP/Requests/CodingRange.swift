// Which of our codings a client can take: the `Accept-Encoding` field (RFC 9110 §12.5.3).

import Compression
import HTTPFields

enum CodingRange {
    /// The coding that the client prefers, of equals ``ContentCoding/gzip``; `nil` for none: where it names none of ours, or
    /// prefers bytes as they are. Without the field anything would do, but who can decompress says so.
    static func best(acceptEncoding: String?) -> ContentCoding? {
        guard let acceptEncoding else { return nil }
        var qualities: [String: Int] = [:]
        for element in acceptEncoding.utf8.split(separator: UInt8(ascii: ",")).prefix(64) {
            let parts = element.split(separator: UInt8(ascii: ";")).map { $0.trimmed }
            guard let name = parts.first else { continue }
            var quality = 1000
            for part in parts.dropFirst() where part.hasPrefix(ignoringCase: "q=") {
                quality = MediaRange.thousandths(part.dropFirst(2))
            }
            let coding = String(decoding: name.map(\.lowercasedASCII), as: UTF8.self)
            // RFC 9110 §8.4.1.3.
            qualities[coding == "x-gzip" ? "gzip" : coding] = quality
        }
        var best: (coding: ContentCoding, quality: Int)?
        for coding in [ContentCoding.gzip, .zstd] {
            let quality = qualities[coding.rawValue] ?? qualities["*"] ?? 0
            if quality > best?.quality ?? 0 { best = (coding, quality) }
        }
        guard let best, best.quality >= qualities["identity"] ?? 0 else { return nil }
        return best.coding
    }
}
