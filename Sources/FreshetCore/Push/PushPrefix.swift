// Endpoints that may be private or plain http: those below a configured prefix (`push.allow`).

/// A URL below which endpoints are allowed. Origin and whole segments of the path are compared, never text.
package struct PushPrefix: Hashable, Sendable {
    /// `http` or `https`.
    package var scheme: String
    /// In lower case; an IPv6 address in brackets.
    package var host: String
    /// In digits, also where it is the scheme's own.
    package var port: String
    /// Of the path, as written; the empty one behind a last slash is left out.
    package var segments: [String]

    package init(scheme: String, host: String, port: String, path: String) {
        self.scheme = scheme
        self.host = host
        self.port = port
        self.segments = Self.segments(of: path)
        if self.segments.last == "" { self.segments.removeLast() }
    }

    /// Whether an endpoint is below the prefix. One with a dot segment, however it is encoded, is below none.
    package func covers(scheme: String, host: String, port: String, path: String) -> Bool {
        let segments = Self.segments(of: path)
        guard self.scheme == scheme, self.host == host, self.port == port else { return false }
        return !segments.contains(where: Self.isDotted) && segments.starts(with: self.segments)
    }

    private static func segments(of path: String) -> [String] {
        path.split(separator: "/", omittingEmptySubsequences: false).dropFirst().map(String.init)
    }

    private static func isDotted(_ segment: String) -> Bool {
        let plain = segment.lowercased().replacing("%2e", with: ".")
        return plain == "." || plain == ".." || plain.contains("%2f") || plain.contains("%5c") || plain.contains("\\")
    }
}
