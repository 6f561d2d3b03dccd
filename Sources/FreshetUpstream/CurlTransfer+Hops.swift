// Where the requests of a transfer go: the URL, a page, where redirects lead; and what they take along.

import CCurl
import FreshetCore

extension CurlTransfer {
    /// The URL of the hop with the secret parameters, which only the configured origin is told.
    var dialledURL: String {
        guard self.target == .home, !self.configuration.query.isEmpty else { return self.hop.text }
        return self.configuration.query.reduce(self.hop.text) { URLQuery.setting($1.name, to: $1.value, in: $0) }
    }

    /// Another origin gets no body, is not reached through a socket file, and behind a proxy nobody sees its address.
    func checkOrigin(_ origin: Origin) throws(UpstreamError) {
        guard self.request.body.isEmpty else {
            throw UpstreamError(.redirect, "led to another origin, \(origin), which no body is sent to")
        }
        switch self.configuration.route {
        case .direct: return
        case .unixSocket:
            throw UpstreamError(.redirect, "led to another origin, \(origin), although the source has a `unix` socket")
        case .proxy:
            guard self.target == .chosen else { return }
            throw UpstreamError(
                .redirect,
                "led to another origin, \(origin), whose address is not seen behind a proxy; if that is right, list it "
                    + "under `redirects`"
            )
        }
    }

    var marks: [AnswerMark] {
        get { self.marksByStart[self.start.text] ?? [] }
        set {
            if self.marksByStart.count >= Self.maxMarks, self.marksByStart[self.start.text] == nil {
                self.marksByStart.removeAll()
            }
            self.marksByStart[self.start.text] = newValue
        }
    }

    func redirectLocation(of response: ExchangeResponse) -> [UInt8]? {
        guard self.redirectRule.follows, self.request.isRepeatable else { return nil }
        switch response.status {
        // These turn a POST into a GET, which is another question.
        case 301 where self.request.method == .get, 302 where self.request.method == .get,
            303 where self.request.method == .get, 307, 308:
            return response.value(of: "location")
        case _: return nil
        }
    }

    func follow(_ location: [UInt8]) throws(UpstreamError) {
        self.redirects += 1
        guard self.redirects <= Self.maxRedirects else {
            throw UpstreamError(.redirect, "more than \(Self.maxRedirects) redirects")
        }
        let next = try self.hop.redirected(to: location)
        self.target = try self.redirectRule.target(next.origin)
        if next.origin != self.url.origin { try self.checkOrigin(next.origin) }
        self.policy.redirected(by: CurlOptions(easy: self.easy).peer, to: self.target)
        self.hop = next
        self.hopPool = nil
        self.isRetry = false
        try CurlOptions(easy: self.easy).set(CURLOPT_URL, self.dialledURL)
    }
}
