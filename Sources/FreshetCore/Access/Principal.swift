// Who asks: the one value that travels from a request's credential to the subscriber.

/// A caller, as its credential proves it, and what it may do. A value; any thread.
package struct Principal: Hashable, Sendable {
    /// By what it is known. The raw values are those of `GET /v1/me`.
    package enum Kind: String, Hashable, Sendable {
        /// It presented no credential.
        case anonymous
        /// An API key of `auth.keys`.
        case key
        /// A JSON Web Token of an issuer in `auth.jwt`.
        case jwt
        /// A client certificate of `auth.certificates`.
        case certificate
        /// The key that the process made at its start, or the listener for administration.
        case administrator
    }

    package var kind: Kind
    /// The key's `id`, the token's `sub`, the certificate's subject. Never a secret.
    package var id: String
    /// Who vouches for ``id``: a token's `iss`; empty for other kinds. The same `id` of two issuers is two callers.
    package var issuer: String
    /// The token's `jti`, by which one token can be denied.
    package var tokenID: String?
    /// The audience that the token was accepted for; empty for other kinds.
    package var audience: String
    package var grants: Grants
    /// The credential is dead from then on, and so are the streams that it opened; `nil` for no end.
    package var validUntil: WallTime?
    /// What proved it: the API key, or the key that signed its token; `nil` for other kinds.
    package var fingerprint: Fingerprint?

    package init(
        kind: Kind,
        id: String,
        issuer: String = "",
        tokenID: String? = nil,
        audience: String = "",
        grants: Grants,
        validUntil: WallTime? = nil,
        fingerprint: Fingerprint? = nil
    ) {
        self.kind = kind
        self.id = id
        self.issuer = issuer
        self.tokenID = tokenID
        self.audience = audience
        self.grants = grants
        self.validUntil = validUntil
        self.fingerprint = fingerprint
    }

    /// Somebody without a credential.
    package static func anonymous(_ grants: Grants) -> Principal {
        Principal(kind: .anonymous, id: "anonymous", grants: grants)
    }

    /// Whoever holds the key of the process, or reaches the listener for administration.
    package static let administrator = Principal(kind: .administrator, id: "administrator", grants: .administrator)

    /// Whether the credential is dead.
    package func isExpired(at now: WallTime) -> Bool {
        self.validUntil.map { $0 <= now } ?? false
    }

    /// What the credential says under this name: `sub`, or a parameter of the claim `freshet`; `nil` where it says nothing.
    /// What a source's parameter is bound to (CONTRACT §10).
    package func claim(_ name: String) -> String? {
        guard name == "sub" else { return self.grants.parameters[name] }
        return self.kind == .anonymous || self.id.isEmpty ? nil : self.id
    }

    /// What limits per caller count by: two credentials of one caller count together.
    package var account: Account {
        Account(kind: self.kind, issuer: self.issuer, id: self.id)
    }

    /// A caller without what its present credential adds.
    package struct Account: Hashable, Sendable {
        package var kind: Kind
        package var issuer: String
        package var id: String

        package init(kind: Kind, issuer: String, id: String) {
            self.kind = kind
            self.issuer = issuer
            self.id = id
        }
    }
}
