// Why a credential proves nothing.

/// Why a credential was refused. Nothing of the credential is in it.
package struct CredentialProblem: Error, Hashable, Sendable {
    /// The raw values are labels of metrics; there are no others.
    package enum Reason: String, CaseIterable, Sendable {
        /// More than one credential, or one twice: 400 `invalid_request`.
        case several
        /// Longer than `TokenLimits.maxBytes`.
        case tooLong = "too_long"
        /// Neither an API key of the configuration nor the text of a token.
        case unknown
        /// Looks like a token but is invalid: base64url, JSON, members, types.
        case malformed
        /// Before `not_before`, or `nbf` or `iat` lie in the future.
        case notYetValid = "not_yet_valid"
        /// At or after `not_after` or `exp`.
        case expired
        /// No `iss`, or none that is configured.
        case issuer
        /// An `alg` that is not configured for the issuer.
        case algorithm
        /// A `typ` that is no access token's.
        case type
        /// `crit`: extensions that must be understood.
        case critical
        /// No key of the issuer has this `kid` and fits `alg`.
        case key
        case signature
        /// `aud` does not name this gateway.
        case audience
        /// `exp`, `nbf`, `iat`, `sub` or `jti` are missing or of the wrong type.
        case claims
        /// The claim `freshet` cannot be read.
        case grants
        /// The subject or the `jti` is in `auth.deny_file`.
        case denied
        /// The keys of the issuer could not be fetched: 503, and a later attempt may succeed.
        case unavailable
        /// A ticket where only streams take one, or one that is no ticket of this gateway.
        case ticket
        /// A certificate whose subject has no entry in `auth.certificates`.
        case certificate
    }

    package var reason: Reason

    package init(_ reason: Reason) {
        self.reason = reason
    }

    /// Whether the same credential may be good a little later.
    package var isTemporary: Bool { self.reason == .unavailable }
}

extension CredentialProblem: CustomStringConvertible {
    /// One sentence for the answer and the log.
    package var description: String {
        switch self.reason {
        case .several: "The request has more than one credential; send one."
        case .tooLong: "The credential is longer than \(TokenLimits.maxBytes) bytes."
        case .unknown: "The credential is unknown."
        case .malformed: "The token is malformed."
        case .notYetValid: "The credential is not valid yet."
        case .expired: "The credential has expired."
        case .issuer: "The token's issuer is not configured."
        case .algorithm: "The token's algorithm is not configured for its issuer."
        case .type: "The token's type is not JWT or at+jwt."
        case .critical: "The token has critical extensions, which are not supported."
        case .key: "No key of the issuer fits the token's kid and alg."
        case .signature: "The token's signature is wrong."
        case .audience: "The token is for another audience."
        case .claims: "The token's claims exp, nbf, iat, sub or jti are missing or of the wrong type."
        case .grants: "The token's claim freshet is malformed."
        case .denied: "The credential was revoked."
        case .unavailable: "The issuer's keys cannot be fetched at present; try again."
        case .ticket: "The ticket is not valid for this request."
        case .certificate: "The client certificate's subject is not configured."
        }
    }
}
