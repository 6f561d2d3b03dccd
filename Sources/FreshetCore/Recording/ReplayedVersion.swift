// A version of a recording as it is served: with validators, and 304 for who has it.

import HTTPFields

/// What an answer with one version says beside its bytes.
package struct ReplayedVersion: Hashable, Sendable {
    /// The recorded tag, byte for byte; else a strong one that is made from the bytes.
    package var etag: [UInt8]
    /// The recorded date; else the time at which the version was seen.
    package var lastModified: [UInt8]
    package var contentType: [UInt8]

    /// - Parameters:
    ///   - version: The version as the index has it.
    ///   - bytes: The content of its file.
    package init(_ version: RecordingIndex.Version, bytes: [UInt8]) {
        func field(_ text: String?) -> [UInt8]? {
            text.map { text in text.unicodeScalars.map { UInt8(truncatingIfNeeded: $0.value) } }
        }
        let hash = String(StableHash.of(bytes), radix: 16)
        self.etag = field(version.etag) ?? Array("\"\(hash)\"".utf8)
        let seconds = Int(clamping: version.at.seconds)
        self.lastModified = field(version.lastModified) ?? HTTPDate(unixSeconds: seconds).bytes
        self.contentType = field(version.contentType) ?? Array(Self.contentType(of: version.file).utf8)
    }

    /// Whether a request with these conditions is answered with 304: `If-None-Match` compares weakly (RFC 9110 §13.1.2),
    /// and `If-Modified-Since` counts only where there is no tag (§13.1.3).
    package func isCurrent(ifNoneMatch: [UInt8]?, ifModifiedSince: [UInt8]?, wallNow: Int) -> Bool {
        if let ifNoneMatch {
            return FieldValue.elements(of: ifNoneMatch[...]).contains { tag in
                tag.elementsEqual("*".utf8) || Array(tag).weaklyEquals(self.etag)
            }
        }
        guard let ifModifiedSince, let since = HTTPDate(ifModifiedSince, wallNow: wallNow),
            let own = HTTPDate(self.lastModified, wallNow: wallNow)
        else { return false }
        return own.unixSeconds <= since.unixSeconds
    }

    /// A value of `Date` (RFC 9110 §6.6.1).
    package static func date(unixSeconds: Int) -> [UInt8] { HTTPDate(unixSeconds: unixSeconds).bytes }

    /// By the ending of the file.
    private static func contentType(of file: String) -> String {
        switch file.split(separator: ".").last {
        case "csv": "text/csv"
        case "tsv": "text/tab-separated-values"
        case "ndjson", "jsonl": "application/x-ndjson"
        case "xml": "application/xml"
        case "kml": "application/vnd.google-earth.kml+xml"
        case "txt": "text/plain"
        case "bin": "application/octet-stream"
        default: "application/json"
        }
    }

    /// The ending of a file with bytes of this media type.
    package static func fileExtension(ofContentType contentType: [UInt8]?) -> String {
        let type = contentType.map(Representation.essence) ?? ""
        return switch Representation.format(ofContentType: contentType) {
        case .success(.json): type.hasSuffix("octet-stream") ? "bin" : "json"
        case .success(.ndjson): "ndjson"
        case .success(.csv): type == Representation.tabs ? "tsv" : "csv"
        case .success(.xml): "xml"
        case .success(.text): "txt"
        case .failure: "bin"
        }
    }
}
