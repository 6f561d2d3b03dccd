// The signature algorithms that a configuration may name (RFC 7518 §3, RFC 8037). `none` is not one of them.

/// An `alg` of JSON Web Signatures, compared letter for letter.
package enum TokenAlgorithm: String, CaseIterable, Hashable, Sendable {
    case es256 = "ES256"
    case es384 = "ES384"
    case es512 = "ES512"
    case rs256 = "RS256"
    case rs384 = "RS384"
    case rs512 = "RS512"
    case ps256 = "PS256"
    case ps384 = "PS384"
    case ps512 = "PS512"
    case edDSA = "EdDSA"
    case hs256 = "HS256"
    case hs384 = "HS384"
    case hs512 = "HS512"

    /// The kind of key that it needs.
    package enum Family: Hashable, Sendable {
        case ecdsa
        case rsa
        case ed25519
        case hmac
    }

    package var family: Family {
        switch self {
        case .es256, .es384, .es512: .ecdsa
        case .rs256, .rs384, .rs512, .ps256, .ps384, .ps512: .rsa
        case .edDSA: .ed25519
        case .hs256, .hs384, .hs512: .hmac
        }
    }

    /// The fewest bytes that a shared secret must have (RFC 7518 §3.2); 0 for other families.
    var minSecretBytes: Int {
        switch self {
        case .hs256: 32
        case .hs384: 48
        case .hs512: 64
        case .es256, .es384, .es512, .rs256, .rs384, .rs512, .ps256, .ps384, .ps512, .edDSA: 0
        }
    }
}
