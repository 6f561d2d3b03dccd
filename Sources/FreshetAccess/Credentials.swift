// What a request presents, before anybody believes it (CONTRACT §8).

/// The credentials of one request, as the HTTP room found them. A value; any thread.
///
/// A client chooses to send `Authorization`, `X-API-Key`, a ticket or `access_token`: of these at most one may be there, at
/// most once (RFC 6750 §2), so that no two readers of a request see two callers. A browser sends its cookie, and a
/// connection its certificate, whether the client wants it or not: they count only where nothing else was sent, the cookie
/// before the certificate.
package struct Credentials: Sendable {
    package enum Credential: Sendable {
        /// `Authorization: Bearer`, without the scheme: an API key or a token.
        case bearer(Secret)
        /// `X-API-Key`.
        case apiKey(Secret)
        /// `?access_token=`, where `auth.query_token` allows it: as `bearer`.
        case queryToken(Secret)
        /// `?ticket=`, which opens streams only.
        case ticket(Secret)
        /// The cookie of `auth.cookie`, where the `Origin` allows it: as `bearer`.
        case cookie(Secret)
        /// The subject of a client certificate that the listener has verified, as RFC 4514 writes it.
        case certificate(subject: String)
    }

    private var chosen: Credential?
    private var cookie: Credential?
    private var certificate: Credential?
    private var isAmbiguous = false

    package init() {}

    package init(_ credential: Credential) {
        self.present(credential)
    }

    /// Notes a credential that the request has. Two cookies, or two certificates, are ambiguous as well.
    package mutating func present(_ credential: Credential) {
        switch credential {
        case .bearer, .apiKey, .queryToken, .ticket: self.note(credential, in: \.chosen)
        case .cookie: self.note(credential, in: \.cookie)
        case .certificate: self.note(credential, in: \.certificate)
        }
    }

    private mutating func note(_ credential: Credential, in place: WritableKeyPath<Self, Credential?>) {
        if self[keyPath: place] != nil { self.isAmbiguous = true }
        self[keyPath: place] = credential
    }

    /// The one that counts; `nil` where nothing was presented.
    ///
    /// - Throws: `several`.
    package func credential() throws(CredentialProblem) -> Credential? {
        guard !self.isAmbiguous else { throw CredentialProblem(.several) }
        return self.chosen ?? self.cookie ?? self.certificate
    }
}
