// The response fields that mean something to a poll. Everything else that an upstream sends is dropped at the door:
// what is never stored can be neither copied into a response of ours nor used to fill memory (FAULTS S14).

import FreshetCore
import HTTPFields

/// A response field that is read here or further in.
enum KnownField {
    case contentLength, transferEncoding, contentEncoding, connection
    /// Kept for the core, which reads it as data: validators, freshness, pacing, links.
    case kept

    /// Whether the field goes into ``ExchangeResponse/fields``.
    var isKept: Bool {
        switch self {
        case .kept: true
        case .contentLength, .transferEncoding, .contentEncoding, .connection: false
        }
    }

    /// - Parameter name: in any case. `nil` for a field that is not read.
    init?(_ name: Span<UInt8>) {
        guard name.count <= RateLimitField.maxNameBytes else { return nil }
        let lowered = name.lowercasedBytes
        if let known = Self.table[lowered] {
            self = known
        } else if RateLimitField(lowered) != nil {
            self = .kept
        } else {
            return nil
        }
    }

    private static let table: [[UInt8]: KnownField] = {
        var table: [[UInt8]: KnownField] = [:]
        for name in keptNames { table[Array(name.utf8)] = .kept }
        table[Array("content-length".utf8)] = .contentLength
        table[Array("transfer-encoding".utf8)] = .transferEncoding
        table[Array("content-encoding".utf8)] = .contentEncoding
        table[Array("connection".utf8)] = .connection
        return table
    }()

    /// Beside those about rate limits: see `RateLimitField`.
    private static let keptNames = [
        "access-control-allow-origin", "age", "cache-control", "content-location", "content-range", "content-type",
        "date", "deprecation", "etag",
        "expires", "last-modified", "link", "location", "pragma", "retry-after", "server", "sunset", "vary", "via",
        "warning", "www-authenticate", "x-poll-interval",
    ]
}
