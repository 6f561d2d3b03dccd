// A JSON Web Signature as text, of which nothing is believed (RFC 7515 §5.2).

import Base64
import JSON

/// A JWS in compact serialization. Only its form is checked.
struct SignedText {
    /// What the signature is of: the first two parts and the dot between them.
    let signedBytes: ArraySlice<UInt8>
    let signature: [UInt8]
    let payload: [UInt8]
    /// `nil` for an algorithm that a configuration cannot name, such as `none`.
    let algorithm: TokenAlgorithm?
    /// `kid`, byte for byte.
    let keyID: [UInt8]?
    /// `typ`.
    let type: Value?

    /// - Throws: `tooLong`, `malformed`, `critical`.
    init(_ text: [UInt8]) throws(CredentialProblem) {
        guard text.count <= TokenLimits.maxBytes else { throw CredentialProblem(.tooLong) }
        let parts = text.split(separator: UInt8(ascii: "."), maxSplits: 3, omittingEmptySubsequences: false)
        guard parts.count == 3, let header = Base64URL.decode(parts[0]).flatMap(StrictJSON.tokenPart),
            let payload = Base64URL.decode(parts[1]), let signature = Base64URL.decode(parts[2])
        else { throw CredentialProblem(.malformed) }
        // `b64` changes what is signed (RFC 7797), and is one of the extensions that `crit` would have to name.
        guard header["crit"] == nil, header["b64"] == nil else { throw CredentialProblem(.critical) }
        guard let algorithm = header["alg"]?.string else { throw CredentialProblem(.malformed) }
        if let keyID = header["kid"] {
            guard let bytes = keyID.utf8, bytes.count <= TokenLimits.maxNameBytes else {
                throw CredentialProblem(.malformed)
            }
            self.keyID = bytes
        } else {
            self.keyID = nil
        }
        self.signedBytes = text[..<parts[1].endIndex]
        self.signature = signature
        self.payload = payload
        self.algorithm = TokenAlgorithm(rawValue: algorithm)
        self.type = header["typ"]
    }
}
