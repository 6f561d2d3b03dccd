// What stands between the gateway and its clients: proxies that hold events back, and fields that pages need.

/// What was seen of a gateway through the URL that its clients use.
package struct ThroughReading: Hashable, Sendable {
    /// How a stream began.
    package enum Stream: Hashable, Sendable {
        /// Its first bytes came at once.
        case began
        /// The head came, and no event within this time.
        case headOnly(Duration)
        /// Nothing came within this time.
        case silent(Duration)
        /// It was refused.
        case refused(Int)
        case failed(UpstreamError)
    }

    /// A page's origin, and whether its pages may read.
    package struct Origin: Hashable, Sendable {
        package var origin: String
        /// `Access-Control-Allow-Origin` of the answer.
        package var allowed: String?
        /// `cors.origins` has it.
        package var isConfigured: Bool

        package init(origin: String, allowed: String?, isConfigured: Bool) {
            self.origin = origin
            self.allowed = allowed
            self.isConfigured = isConfigured
        }
    }

    package var url: String
    /// Why an ordinary request was not answered; `nil` where it was.
    package var failure: String?
    package var stream: Stream
    package var origins: [Origin]
    /// `Server` of the answer.
    package var server: String?

    package init(url: String, failure: String?, stream: Stream, origins: [Origin], server: String?) {
        self.url = url
        self.failure = failure
        self.stream = stream
        self.origins = origins
        self.server = server
    }
}

/// Findings about the way from clients to the gateway.
package enum ThroughFindings {
    /// - Returns: None for a way that lets everything through at once.
    package static func all(_ reading: ThroughReading) -> [Finding] {
        if let failure = reading.failure {
            return [
                Finding(
                    .unreachable,
                    reading.url,
                    failure,
                    advice: "Check that the proxy and the gateway run, and the URL."
                )
            ]
        }
        return (self.stream(reading).map { [$0] } ?? []) + self.origins(reading)
    }

    private static func stream(_ reading: ThroughReading) -> Finding? {
        switch reading.stream {
        case .began: return nil
        case .refused(let status):
            let advice =
                status == 401
                ? "Give a key along: --header \"Authorization: Bearer KEY\"."
                : "Name a source that the gateway has."
            return Finding(.unreachable, reading.url, "the stream is refused with \(status)", advice: advice)
        case .failed(let error):
            return Finding(.unreachable, reading.url, "the stream fails (\(error.kind.rawValue)): \(error.message)")
        case .headOnly(let waited), .silent(let waited):
            let (line, advice) = self.unbuffered(reading.server)
            return Finding(
                .buffering,
                reading.url,
                "no event came within \(DurationText.describe(waited)), though the gateway sends one at once: a proxy holds "
                    + "events back",
                line: line,
                advice: advice
            )
        }
    }

    /// What the server that answered has to be told.
    private static func unbuffered(_ server: String?) -> (line: String, advice: String) {
        let name = server?.lowercased() ?? ""
        if name.contains("caddy") { return ("flush_interval -1", "In `reverse_proxy` of the Caddyfile.") }
        if name.contains("haproxy") {
            return ("no option http-buffer-response", "In the backend; and no `compression` of text/event-stream.")
        }
        if name.contains("apache") {
            return ("SetEnv proxy-sendchunked 1", "And no mod_deflate for text/event-stream.")
        }
        return (
            "proxy_buffering off;",
            "In nginx, in the location of the gateway; and no `proxy_ignore_headers X-Accel-Buffering`."
        )
    }

    private static func origins(_ reading: ThroughReading) -> [Finding] {
        reading.origins.compactMap { origin in
            guard origin.allowed != origin.origin, origin.allowed != "*" else { return nil }
            let what = "pages of \(origin.origin) may not read: the answer has no Access-Control-Allow-Origin for them"
            guard origin.isConfigured else {
                let line = "cors: { origins: [\(SourceProposal.quoted(origin.origin))] }"
                return Finding(.cors, reading.url, what, line: line)
            }
            return Finding(
                .cors,
                reading.url,
                what + ", though cors.origins lists it: a proxy takes the field away",
                line: "add_header Access-Control-Allow-Origin \"\(origin.origin)\" always;",
                advice: "In nginx; or remove the `proxy_hide_header` that takes the field away."
            )
        }
    }
}
