// Whether a client already has what it asks for (RFC 9110 §13).

import FreshetCore
import HTTPFields

enum Precondition {
    /// Whether `If-None-Match` names this tag: a list or `*`, compared weakly (§13.1.2, §8.8.3.2).
    static func matches(_ field: String, etag: String) -> Bool {
        let field = Array(field.utf8)[...].trimmed
        if field.elementsEqual("*".utf8) { return true }
        return self.tags(in: field).contains { $0.elementsEqual(etag.utf8) }
    }

    /// The tags of a list, without their `W/`. What is not a tag ends the list: nothing behind it can be trusted.
    private static func tags(in field: ArraySlice<UInt8>) -> [ArraySlice<UInt8>] {
        var tags: [ArraySlice<UInt8>] = []
        var rest = field
        while true {
            rest = rest.drop { $0 == 0x20 || $0 == 0x09 || $0 == UInt8(ascii: ",") }
            if rest.starts(with: "W/".utf8) { rest = rest.dropFirst(2) }
            guard rest.first == UInt8(ascii: "\""),
                let end = rest.dropFirst().firstIndex(of: UInt8(ascii: "\""))
            else { return tags }
            tags.append(rest[...end])
            rest = rest[(end + 1)...]
        }
    }

    /// Whether nothing was modified since the date (§13.1.3). What is no date is no condition.
    static func isUnmodified(since field: String, lastModified: HTTPDate, now: WallTime) -> Bool {
        guard let date = HTTPDate(field.utf8, wallNow: Int(clamping: now.seconds)) else { return false }
        return lastModified.unixSeconds <= date.unixSeconds
    }
}
