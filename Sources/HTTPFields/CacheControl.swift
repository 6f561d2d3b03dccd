// The directives of `Cache-Control` that tell a polling client when asking again can be useful.

/// The response directives of one answer, all its lines together (RFC 9111 §5.2.2, RFC 5861, RFC 8246 is ignored).
///
/// A directive that is given twice counts with its first value (§4.2.1); a malformed duration counts as 0, since an
/// answer whose freshness cannot be read is stale (§4.2.1).
package struct CacheControl: Hashable, Sendable {
    /// Seconds, at most `longest`.
    package var maxAge: Int?
    package var sharedMaxAge: Int?
    package var staleWhileRevalidate: Int?
    package var staleIfError: Int?
    package var noCache = false
    package var noStore = false
    package var isPrivate = false
    package var mustRevalidate = false
    package var proxyRevalidate = false
    package var mustUnderstand = false

    package init() {}

    /// Where a number of seconds is cut off: 2^31, as RFC 9111 §1.2.2 says.
    package static let longest = 2_147_483_648

    /// Takes in one more line of the field.
    package mutating func read(_ line: some Collection<UInt8>) {
        for element in FieldValue.elements(of: ArraySlice(line)) {
            let (name, value) = FieldValue.assignment(element)
            if FieldValue.matches(name, "max-age") {
                maxAge = maxAge ?? Self.seconds(value)
            } else if FieldValue.matches(name, "s-maxage") {
                sharedMaxAge = sharedMaxAge ?? Self.seconds(value)
            } else if FieldValue.matches(name, "stale-while-revalidate") {
                staleWhileRevalidate = staleWhileRevalidate ?? Self.seconds(value)
            } else if FieldValue.matches(name, "stale-if-error") {
                staleIfError = staleIfError ?? Self.seconds(value)
            } else {
                readFlag(name)
            }
        }
    }

    /// With an argument (`no-cache="set-cookie"`) a flag counts as without: that is the careful reading (§5.2.2.4).
    private mutating func readFlag(_ name: ArraySlice<UInt8>) {
        if FieldValue.matches(name, "no-cache") { noCache = true }
        if FieldValue.matches(name, "no-store") { noStore = true }
        if FieldValue.matches(name, "private") { isPrivate = true }
        if FieldValue.matches(name, "must-revalidate") { mustRevalidate = true }
        if FieldValue.matches(name, "proxy-revalidate") { proxyRevalidate = true }
        if FieldValue.matches(name, "must-understand") { mustUnderstand = true }
    }

    private static func seconds(_ value: ArraySlice<UInt8>?) -> Int {
        FieldValue.number(FieldValue.unquoted(value ?? []), limit: longest) ?? 0
    }
}
