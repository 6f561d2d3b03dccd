// The claims that every token needs, and what they say about now (RFC 7519 §4.1, RFC 8725 §3).

import FreshetCore
import JSON

/// The claims of a token. They are true once the signature is.
struct TokenClaims {
    let issuer: [UInt8]
    private let claims: Value

    /// The claims in what a JWS signs.
    ///
    /// - Throws: `type`, `malformed`, `issuer`.
    init(_ text: SignedText) throws(CredentialProblem) {
        guard Self.isAccessToken(text.type) else { throw CredentialProblem(.type) }
        guard let claims = StrictJSON.tokenPart(text.payload) else { throw CredentialProblem(.malformed) }
        guard let issuer = claims["iss"]?.utf8 else { throw CredentialProblem(.issuer) }
        self.issuer = issuer
        self.claims = claims
    }

    /// The caller that the claims tell of, where they are for this audience and valid now.
    ///
    /// - Throws: `audience`, `claims`, `notYetValid`, `expired`, `grants`.
    func principal(audience: String, now: WallTime) throws(CredentialProblem) -> Principal {
        guard self.names(audience: Array(audience.utf8)) else { throw CredentialProblem(.audience) }
        guard let end = try self.time("exp") else { throw CredentialProblem(.claims) }
        guard now < end else { throw CredentialProblem(.expired) }
        for claim in ["nbf", "iat"] {
            guard let start = try self.time(claim) else { continue }
            // No overflow: `time` is bounded.
            guard start.milliseconds - TokenLimits.leeway.milliseconds <= now.milliseconds else {
                throw CredentialProblem(.notYetValid)
            }
        }
        return Principal(
            kind: .jwt,
            id: try self.name("sub") ?? "",
            issuer: String(decoding: self.issuer, as: UTF8.self),
            tokenID: try self.name("jti"),
            grants: try Grants(claim: self.claims["freshet"]),
            validUntil: end
        )
    }

    /// `JWT`, `at+jwt`, with or without `application/`, in any case; or no `typ` at all (RFC 7519 §5.1, RFC 9068 §4).
    private static func isAccessToken(_ type: Value?) -> Bool {
        guard let type else { return true }
        guard let text = type.string?.lowercased() else { return false }
        return ["jwt", "at+jwt", "application/jwt", "application/at+jwt"].contains(text)
    }

    /// Whether `aud` is the audience, or an array of strings with it.
    private func names(audience: [UInt8]) -> Bool {
        guard let value = self.claims["aud"] else { return false }
        if let single = value.utf8 { return single == audience }
        let all = value.elements.map(\.utf8)
        return value.kind == .array && !all.contains(nil) && all.contains(audience)
    }

    /// A NumericDate, fractions of a millisecond cut off; `nil` where there is no such claim.
    private func time(_ claim: String) throws(CredentialProblem) -> WallTime? {
        guard let value = self.claims[claim] else { return nil }
        // The bound is the year 287,396: what lies behind it is milliseconds by mistake, or an attempt at an overflow.
        guard let seconds = value.double, abs(seconds) < 9e12 else { throw CredentialProblem(.claims) }
        return WallTime(milliseconds: Int64((seconds * 1000).rounded(.down)))
    }

    private func name(_ claim: String) throws(CredentialProblem) -> String? {
        guard let value = self.claims[claim] else { return nil }
        guard let text = value.string, text.utf8.count <= TokenLimits.maxNameBytes else {
            throw CredentialProblem(.claims)
        }
        return text
    }
}
