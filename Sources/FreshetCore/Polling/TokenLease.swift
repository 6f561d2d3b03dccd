// A token of OAuth 2 between its grant and its end, and when to ask for another. One value for all sources that share the
// credentials, so that they ask once (CONTRACT §10).

import JSON

/// What a token endpoint granted (RFC 6749 §5.1).
package struct TokenGrant: Hashable, Sendable {
    package var token: String
    package var life: Duration

    /// The longest token that is sent.
    package static let maxTokenBytes = 16 << 10
    /// Of a token whose grant does not say.
    private static let unknownLife = Duration.seconds(3600)
    private static let maxSeconds = 31_536_000.0

    /// Reads the answer of a token endpoint.
    ///
    /// - Throws: ``UpstreamError``, which says nothing of what the answer held but the error codes of RFC 6749 §5.2.
    package init(status: Int, body: [UInt8]) throws(UpstreamError) {
        let document = try? Document(
            parsing: body,
            limits: ParseLimits(maxBytes: 64 << 10, maxDepth: 16, maxNodes: 4096)
        )
        guard status == 200 else {
            let code = document?.root["error"]?.string.flatMap { Self.codes.contains($0) ? " (\($0))" : nil } ?? ""
            let kind: UpstreamError.Kind =
                switch status {
                case 400, 401, 403: .auth
                case 429, 503: .throttled
                case _: .status
                }
            throw UpstreamError(kind, "the token endpoint answered \(status)\(code)")
        }
        guard let root = document?.root, let token = root["access_token"]?.string, !token.isEmpty,
            token.utf8.count <= Self.maxTokenBytes, token.utf8.allSatisfy({ (0x21...0x7E).contains($0) })
        else {
            throw UpstreamError(.unexpected, "the token endpoint answered without an `access_token` that can be sent")
        }
        guard root["token_type"]?.string.map({ $0.lowercased() == "bearer" }) ?? true else {
            throw UpstreamError(.unexpected, "the token endpoint granted a token of another type than Bearer")
        }
        self.token = token
        guard let written = root["expires_in"], !written.isNull else {
            self.life = Self.unknownLife
            return
        }
        guard let seconds = written.double ?? written.string.flatMap(Double.init), seconds > 0 else {
            throw UpstreamError(.unexpected, "the token endpoint granted a token that has ended already (expires_in)")
        }
        self.life = .milliseconds(Int64(min(seconds, Self.maxSeconds) * 1000))
    }

    private static let codes: Set<String> = [
        "invalid_request", "invalid_client", "invalid_grant", "unauthorized_client", "unsupported_grant_type",
        "invalid_scope",
    ]
}

/// A token as the polls use it.
package struct TokenLease: Hashable, Sendable {
    package var token: String
    /// Tells the tokens of one credential apart.
    package var number: Int
    /// From then on another one is asked for, by whoever polls.
    package var renewsAt: MonotonicTime
    /// No poll begins with it from then on.
    package var endsAt: MonotonicTime

    /// How long before its end a token is replaced, at most; for a short life a tenth of that, and never before half of it.
    private static let longestMargin = Duration.seconds(60)
    private static let shortestMargin = Duration.milliseconds(250)

    /// `askedAt`: when the request for it was sent, from which its life counts.
    package init(_ grant: TokenGrant, number: Int, askedAt: MonotonicTime) {
        self.token = grant.token
        self.number = number
        let life = grant.life
        let margin = min(max(life / 10, Self.shortestMargin), Self.longestMargin, life / 2)
        self.renewsAt = askedAt + (life - margin)
        self.endsAt = askedAt + (life - margin / 4)
    }
}

/// Decides when a token endpoint is asked: by one at a time, and by all the less often the longer it fails.
package struct TokenStateMachine: Sendable {
    private var lease: TokenLease?
    /// A request is under way, or waits for its turn after a failure.
    private var isAsking = false
    private var askedAt = MonotonicTime(nanoseconds: 0)
    private var failures = 0
    private var number = 0

    /// Bounds of the wait after a failure, in seconds.
    private static let shortestWait = 1.0
    private static let longestWait = 60.0

    package init() {}

    /// Somebody polls and has no token, or one that is to be replaced.
    ///
    /// - Returns: Whether to ask the endpoint now.
    package mutating func wanted(now: MonotonicTime) -> Bool {
        guard !self.isAsking, self.lease.map({ now >= $0.renewsAt }) ?? true else { return false }
        self.isAsking = true
        return true
    }

    /// The upstream refused the token of this number (401). Another one of the same credential may be there already.
    ///
    /// - Returns: Whether to ask the endpoint now.
    package mutating func refused(number: Int) -> Bool {
        guard !self.isAsking, self.lease?.number == number else { return false }
        self.lease = nil
        self.isAsking = true
        return true
    }

    /// A request is sent.
    package mutating func asked(now: MonotonicTime) { self.askedAt = now }

    package mutating func granted(_ grant: TokenGrant) -> TokenLease {
        self.number &+= 1
        self.isAsking = false
        self.failures = 0
        let lease = TokenLease(grant, number: self.number, askedAt: self.askedAt)
        self.lease = lease
        return lease
    }

    /// The endpoint granted nothing.
    ///
    /// - Returns: How long to wait before it is asked again, by whoever shares the credentials.
    package mutating func failed(retryAfter: Duration?, using generator: inout some RandomNumberGenerator) -> Duration {
        self.failures = min(self.failures + 1, 32)
        let delay = Backoff.delay(
            failures: self.failures,
            minimum: Self.shortestWait,
            base: Self.shortestWait,
            longest: Self.longestWait,
            using: &generator
        )
        return max(Duration(clampingSeconds: delay), retryAfter ?? .zero)
    }

    /// Nobody needs the token any more.
    package mutating func stopped() { self.isAsking = false }
}
