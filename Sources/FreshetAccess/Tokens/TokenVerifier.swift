// What a token proves: the order of the checks, cheap ones first.

import FreshetCore

/// Verifies tokens of the configured issuers. A value; any thread.
struct TokenVerifier: Sendable {
    enum Outcome {
        case verified(Principal)
        case refused(CredentialProblem)
        /// The issuer's keys have to be loaded before anything can be said.
        case mustLoad(IssuerKeys)
    }

    /// By `iss`, byte for byte. The keys of two issuers are never pooled.
    private let issuers: [[UInt8]: IssuerKeys]

    init(_ issuers: [IssuerKeys]) {
        self.issuers = Dictionary(issuers.map { (Array($0.issuer.issuer.utf8), $0) }) { first, _ in first }
    }

    /// The keys of an issuer; `nil` where it is not configured.
    func keys(of issuer: String) -> IssuerKeys? {
        self.issuers[Array(issuer.utf8)]
    }

    /// What the token proves. Takes some 0.1 ms of the thread for the signature; nothing else is slow.
    ///
    /// Time and audience are checked before the signature: a client that knocks with a token of last year must cost
    /// neither an elliptic curve nor a request to the issuer.
    func verify(_ token: [UInt8], now: WallTime) -> Outcome {
        do throws(CredentialProblem) {
            let text = try SignedText(token)
            let claims = try TokenClaims(text)
            guard let keys = self.issuers[claims.issuer] else { throw CredentialProblem(.issuer) }
            guard let algorithm = text.algorithm, keys.issuer.algorithms.contains(algorithm) else {
                throw CredentialProblem(.algorithm)
            }
            var principal = try claims.principal(audience: keys.issuer.audience, now: now)
            switch keys.key(text.keyID, algorithm, now: now) {
            case .found(let key):
                guard key.verifies(text.signature, of: text.signedBytes) else { throw CredentialProblem(.signature) }
                principal.fingerprint = key.fingerprint
                principal.audience = keys.issuer.audience
                return .verified(principal)
            case .mustLoad: return .mustLoad(keys)
            case .unknown: throw CredentialProblem(.key)
            case .unavailable: throw CredentialProblem(.unavailable)
            }
        } catch {
            return .refused(error)
        }
    }
}
