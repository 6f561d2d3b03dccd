// A name for a source that was given as a bare URL.

import Foundation
import FreshetCore

package enum SourceNaming {
    /// Segments that say nothing about what stands behind them.
    private static let meaningless: Set<String> = [
        "api", "v1", "v2", "v3", "v4", "index", "latest", "current", "json", "data",
    ]

    /// A valid name from the last segment of the path that means something, else from the host, made unique among
    /// `taken` by a number: `https://api.example.com/v1/Rates.json?x=1` is `rates`.
    package static func name(for url: URLText, taken: Set<String>) -> String {
        let segments = url.path.split(separator: "/").map { segment in
            self.normalised(self.withoutExtension(Substring(segment.removingPercentEncoding ?? String(segment))))
        }
        let useful = segments.filter { !$0.isEmpty }
        let meaningful = useful.last { !self.meaningless.contains($0) && !self.isNumber($0) }
        let base = meaningful ?? useful.last { !self.isNumber($0) } ?? self.normalised(Substring(url.host))
        let name = SourceName.isValid(base) ? base : "source"
        guard taken.contains(name) else { return name }
        for number in 2... {
            let candidate = "\(name.prefix(SourceName.maxBytes - 8))-\(number)"
            if !taken.contains(candidate) { return candidate }
        }
        return name
    }

    private static func withoutExtension(_ segment: Substring) -> Substring {
        for suffix in [".json", ".geojson", ".php", ".aspx", ".csv", ".xml", ".ndjson", ".txt"] {
            let lowered = segment.lowercased()
            if lowered.hasSuffix(suffix), lowered.count > suffix.count {
                return segment.dropLast(suffix.count)
            }
        }
        return segment
    }

    private static func isNumber(_ text: String) -> Bool {
        text.utf8.allSatisfy { (UInt8(ascii: "0")...UInt8(ascii: "9")).contains($0) }
    }

    /// Lower case, everything that a name may not hold as one hyphen, none at the ends; at most 64 bytes.
    private static func normalised(_ text: Substring) -> String {
        var result: [UInt8] = []
        for byte in text.lowercased().utf8 {
            let isWord =
                (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte)
                || (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            if isWord || ((byte == UInt8(ascii: ".") || byte == UInt8(ascii: "_")) && !result.isEmpty) {
                result.append(byte)
            } else if let last = result.last, last != UInt8(ascii: "-") {
                result.append(UInt8(ascii: "-"))
            }
            if result.count == 64 { break }
        }
        while let last = result.last, "._-".utf8.contains(last) {
            result.removeLast()
        }
        return String(decoding: result, as: UTF8.self)
    }
}
