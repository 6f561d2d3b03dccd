// What is wrong with a source, for the person who has to mend it: what, why, what it does to subscribers, and the fix.

/// Why a source needs somebody, in four sentences.
package struct SourceProblem: Hashable, Sendable {
    package var what: String
    /// What the upstream or the gateway said.
    package var why: String
    /// What subscribers notice of it.
    package var effect: String
    package var fix: String

    /// - Returns: `nil` for a source that is well, starting, or paused on purpose.
    package init?(_ status: SourceStatus, subscribers: Int) {
        let host = Self.host(of: status.url)
        switch status.state {
        case .ok, .starting, .paused: return nil
        case .failing, .backoff:
            guard let error = status.lastError?.error else { return nil }
            self.what = Self.what(error.kind, host)
            self.why = Self.sentence(error.message) + Self.count(status.failuresInARow)
            self.fix = Self.fix(error.kind)
        case .stale:
            self.what = "The value is older than staleness allows"
            if status.failuresInARow > 0, let error = status.lastError?.error {
                self.why = Self.sentence(error.message) + Self.count(status.failuresInARow)
                self.fix = Self.fix(error.kind)
            } else {
                self.why = Self.sentence(status.intervalReason)
                self.fix = "Set a longer staleness, or let the source be polled more often."
            }
        }
        let kept = status.lastSuccessAt.map { "keep the value of \($0)" } ?? "have no value yet"
        self.effect = Self.who(subscribers, kept, isStale: status.state == .stale)
    }

    private static func who(_ subscribers: Int, _ kept: String, isStale: Bool) -> String {
        let known = isStale ? "know that it is stale" : "know the state of the source"
        switch subscribers {
        case 0: return "Nobody listens; who comes will \(kept) and \(known)."
        case 1: return "1 subscriber will \(kept) and \(known)."
        default: return "\(subscribers) subscribers \(kept) and \(known)."
        }
    }

    private static func sentence(_ text: String) -> String {
        let begun = text.prefix(1).uppercased() + text.dropFirst()
        return begun.hasSuffix(".") ? begun : begun + "."
    }

    private static func count(_ failures: Int) -> String {
        failures > 1 ? " The last \(failures) polls failed." : ""
    }

    /// The host of a URL, without user and port; a word where there is none.
    package static func host(of url: String) -> String {
        guard let start = url.firstRange(of: "://")?.upperBound else { return "the upstream" }
        let authority = url[start...].prefix { !"/?#".contains($0) }
        let host = authority.split(separator: "@", omittingEmptySubsequences: false).last ?? authority
        return host.isEmpty ? "the upstream" : String(host)
    }

    private static func what(_ kind: UpstreamError.Kind, _ host: String) -> String {
        switch kind {
        case .dns: "\(host) does not resolve"
        case .connect: "\(host) cannot be reached"
        case .tls, .tlsUntrusted, .tlsExpired, .tlsHost, .tlsVersion: "No trusted TLS connection to \(host)"
        case .timeout: "\(host) does not answer in time"
        case .transport, .framing, .headers, .protocol: "\(host) sent a broken answer"
        case .tooLarge: "The value of \(host) is too large"
        case .decode, .encoding, .malformed, .emptyBody, .contentType: "\(host) sent something that cannot be read"
        case .torn: "\(host) changes faster than its pages can be read"
        case .unexpected, .schema: "\(host) sent a value that was not expected"
        case .auth: "\(host) refuses the credential"
        case .notFound: "\(host) has nothing at this URL"
        case .throttled: "\(host) asked to be left alone"
        case .status: "\(host) answers with an error"
        case .redirect: "\(host) redirects where the source may not go"
        case .policy: "The address of \(host) is not allowed"
        case .internal: "The gateway could not poll \(host)"
        }
    }

    /// What helps against failures of a kind, as a sentence.
    static func fix(_ kind: UpstreamError.Kind) -> String {
        switch kind {
        case .dns: "Check the host in url, and the resolver of this machine."
        case .connect: "Check that the upstream runs and that a firewall or proxy lets this machine through."
        case .tlsUntrusted: "Set tls.ca_file to the authority of the upstream, or have its certificate mended."
        case .tlsExpired: "Have the upstream's certificate renewed, and check the clock of this machine."
        case .tlsHost: "Use the host name that the certificate is for in url."
        case .tls, .tlsVersion: "Have the upstream speak TLS 1.2 or later with a certificate that can be verified."
        case .timeout: "Raise timeout, or find out why the upstream is slow."
        case .transport, .framing, .headers, .protocol: "Look at the proxy or server in front of the upstream."
        case .tooLarge: "Raise max_body_bytes, or ask for less with root, select or paginate."
        case .decode, .encoding, .malformed: "Check that url names an API, and set format if it is not JSON."
        case .emptyBody: "Set allow_empty: true if an empty answer means that there is no value."
        case .contentType: "Set format, or list the type in content_type."
        case .torn: "Set a larger paginate.size, so that fewer pages have to agree."
        case .unexpected: "Compare the answer with expect and root of the source."
        case .schema: "Compare the answer with the schema, and correct the one that is wrong."
        case .auth: "Renew the credential; a file is read again when it changes, and the source is polled at once."
        case .notFound: "Correct url, or remove the source."
        case .throttled: "Nothing to do: polling goes on by itself. To avoid it, raise interval."
        case .status: "Look at the upstream's own log; polling goes on by itself."
        case .redirect: "Use the new address in url, or list its origin in redirects."
        case .policy: "Configure the address in url itself, or list its origin in redirects."
        case .internal: "Look at the gateway's log: memory or file descriptors are used up."
        }
    }
}
