// The section `auth` of the configuration, with the content of its secret files (CONTRACT §8).

package import FreshetCore

/// Who may do what, and how it is proved. A value; checked by ``problems()`` before it is used.
package struct AccessConfiguration: Hashable, Sendable {
    /// What somebody without a credential may.
    package var anonymous: Grants
    package var keys: [APIKey]
    package var issuers: [TokenIssuer]
    package var certificates: [CertificateHolder]
    /// The path of `deny_file`.
    package var denyFile: String?
    /// How long an unused ticket can open a stream. The default is 30 s.
    package var ticketTTL: Duration

    package init(
        anonymous: Grants = Grants(),
        keys: [APIKey] = [],
        issuers: [TokenIssuer] = [],
        certificates: [CertificateHolder] = [],
        denyFile: String? = nil,
        ticketTTL: Duration = .seconds(30)
    ) {
        self.anonymous = anonymous
        self.keys = keys
        self.issuers = issuers
        self.certificates = certificates
        self.denyFile = denyFile
        self.ticketTTL = ticketTTL
    }
}

/// An entry of `auth.keys`. Several may have one `id`: they are one caller, which changes its secret without a pause.
package struct APIKey: Hashable, Sendable {
    package var id: String
    package var secret: Secret
    package var grants: Grants
    package var notBefore: WallTime?
    /// Dead from then on.
    package var notAfter: WallTime?

    package init(
        id: String,
        secret: Secret,
        grants: Grants,
        notBefore: WallTime? = nil,
        notAfter: WallTime? = nil
    ) {
        self.id = id
        self.secret = secret
        self.grants = grants
        self.notBefore = notBefore
        self.notAfter = notAfter
    }
}

/// An entry of `auth.jwt`. One issuer has one entry.
package struct TokenIssuer: Hashable, Sendable {
    /// Where the keys of an issuer are.
    package enum Keys: Hashable, Sendable {
        /// `jwks_url`: https, or http to a loopback host.
        case url(String)
        /// `jwks_file`: the path of a file with a key set. Read again as an URL is.
        case file(String)
        /// `secret_file`: one secret for HS256, HS384 or HS512, which every `kid` names.
        case secret(Secret)
    }

    /// What `iss` must be, byte for byte.
    package var issuer: String
    /// What `aud` must be or contain, byte for byte.
    package var audience: String
    package var algorithms: Set<TokenAlgorithm>
    package var keys: Keys

    package init(issuer: String, audience: String, algorithms: Set<TokenAlgorithm>, keys: Keys) {
        self.issuer = issuer
        self.audience = audience
        self.algorithms = algorithms
        self.keys = keys
    }
}

/// An entry of `auth.certificates`.
package struct CertificateHolder: Hashable, Sendable {
    /// As RFC 4514 writes it; compared byte for byte.
    package var subject: String
    package var grants: Grants

    package init(subject: String, grants: Grants) {
        self.subject = subject
        self.grants = grants
    }
}

/// One mistake in ``AccessConfiguration``. No secret is in it.
package struct AccessProblem: Hashable, Sendable, CustomStringConvertible {
    /// Such as `auth.keys[0].secret_file`.
    package var path: String
    /// What is wrong, why, and what to write instead.
    package var text: String

    package var description: String { "\(self.path): \(self.text)" }
}

/// Every mistake of a configuration.
package struct AccessProblems: Error, CustomStringConvertible {
    package var problems: [AccessProblem]

    package var description: String { self.problems.map(\.description).joined(separator: "\n") }
}
