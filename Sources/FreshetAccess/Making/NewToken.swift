// A token as `freshet token new` makes it: the claims that a gateway asks for, and a signature.

import Base64
package import FreshetCore
package import JSON

/// What a new token says. A value; signed by ``signed(by:with:keyID:)``.
package struct NewToken: Hashable, Sendable {
    package var issuer: String
    package var audience: String
    /// `sub`; `nil` for none.
    package var subject: String?
    /// `jti`, by which the one token can be denied; `nil` for none.
    package var tokenID: String?
    package var issuedAt: WallTime
    /// Dead from then on; whole seconds, the rest is cut off.
    package var expiresAt: WallTime
    package var grants: Grants

    package init(
        issuer: String,
        audience: String,
        subject: String?,
        tokenID: String? = nil,
        issuedAt: WallTime,
        expiresAt: WallTime,
        grants: Grants
    ) {
        self.issuer = issuer
        self.audience = audience
        self.subject = subject
        self.tokenID = tokenID
        self.issuedAt = issuedAt
        self.expiresAt = expiresAt
        self.grants = grants
    }

    /// The claims as JSON.
    package var claims: [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("iss", self.issuer)
            json.member("aud", self.audience)
            if let subject { json.member("sub", subject) }
            json.member("iat", self.issuedAt.milliseconds / 1000)
            json.member("exp", self.expiresAt.milliseconds / 1000)
            if let tokenID { json.member("jti", tokenID) }
            json.name("freshet")
            json.object { Self.write(self.grants, to: &$0) }
        }
        return json.text
    }

    private static func write(_ grants: Grants, to json: inout JSONWriter) {
        for (name, pattern) in [("read", grants.read), ("write", grants.write), ("publish", grants.publish)]
        where !pattern.terms.isEmpty {
            json.name(name)
            json.array { json in pattern.terms.forEach { json.string($0.description) } }
        }
        if grants.admin { json.member("admin", true) }
        guard !grants.parameters.isEmpty else { return }
        json.name("parameters")
        json.object { json in
            for (name, value) in grants.parameters.sorted(by: { $0.key < $1.key }) { json.member(name, value) }
        }
    }

    /// Signs the token.
    ///
    /// - Parameters:
    ///   - key: what signs it.
    ///   - algorithm: one of the key's.
    ///   - keyID: `kid`, where the issuer has several keys.
    /// - Returns: the token in compact serialization (RFC 7515 §7.1).
    /// - Throws: why no gateway would take it: `tooLong`, `claims` and the like; `algorithm` where it is not the key's.
    package func signed(
        by key: SigningKey,
        with algorithm: TokenAlgorithm,
        keyID: String? = nil
    ) async throws(CredentialProblem) -> String {
        var header = JSONWriter()
        header.object { json in
            json.member("alg", algorithm.rawValue)
            json.member("typ", "JWT")
            if let keyID { json.member("kid", keyID) }
        }
        let text = Base64URL.encode(header.text) + [UInt8(ascii: ".")] + Base64URL.encode(self.claims)
        guard let signature = await key.signature(of: text, with: algorithm) else {
            throw CredentialProblem(.algorithm)
        }
        let token = text + [UInt8(ascii: ".")] + Base64URL.encode(signature)
        // What is wrong with it is said here, and not by the gateway tomorrow.
        _ = try TokenClaims(SignedText(token)).principal(audience: self.audience, now: self.issuedAt)
        return String(decoding: token, as: UTF8.self)
    }
}

/// What a token says of itself. Nothing of it is verified; the signature is not in it.
package struct ReadToken: Sendable {
    /// Its header, and its claims, as JSON without white space.
    package let header: Document
    package let claims: Document

    /// - Throws: `tooLong`, `malformed`, `critical`.
    package init(_ token: Secret) throws(CredentialProblem) {
        let text = try SignedText(token.bytes)
        let first = token.bytes.prefix { $0 != UInt8(ascii: ".") }
        guard let header = Base64URL.decode(first).flatMap(StrictJSON.tokenPart),
            let claims = StrictJSON.tokenPart(text.payload)
        else { throw CredentialProblem(.malformed) }
        self.header = header.document
        self.claims = claims.document
    }

    /// A claim that is a time; `nil` if it is not.
    package func time(_ claim: String) -> WallTime? {
        guard let seconds = self.claims.root[claim]?.double, abs(seconds) < 9e12 else { return nil }
        return WallTime(milliseconds: Int64((seconds * 1000).rounded(.down)))
    }
}
