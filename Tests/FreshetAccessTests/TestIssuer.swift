import Base64
import Crypto
import Foundation
import FreshetCore

@testable import FreshetAccess

/// An issuer with P-256 keys, which signs whatever a test wants.
struct TestIssuer {
    static let name = "https://id.example.com"
    static let audience = "freshet"

    /// By `kid`.
    var keys: [(id: String, key: P256.Signing.PrivateKey)]

    init(_ ids: String...) {
        self.keys = ids.map { ($0, P256.Signing.PrivateKey()) }
    }

    /// The set that it publishes.
    var keySet: [UInt8] {
        let keys = self.keys.map { Self.jwk($0.key.publicKey, id: $0.id) }
        return Array(#"{"keys":[\#(keys.joined(separator: ","))]}"#.utf8)
    }

    static func jwk(_ key: P256.Signing.PublicKey, id: String, more: String = #","use":"sig","alg":"ES256""#) -> String
    {
        let point = key.rawRepresentation
        return
            #"{"kty":"EC","crv":"P-256","kid":"\#(id)","x":"\#(text(point.prefix(32)))","y":"\#(text(point.suffix(32)))"\#(more)}"#
    }

    /// Claims that are good for an hour.
    static func claims(_ clock: TestClock, subject: String = "alice", more: String = "") -> String {
        #"{"iss":"\#(name)","aud":"\#(audience)","sub":"\#(subject)","exp":\#(clock.seconds + 3600)\#(more)}"#
    }

    /// A token by the key with this id, with any header and claims.
    func token(_ claims: String, keyID: String? = nil, header: String? = nil) throws -> Secret {
        let id = keyID ?? self.keys[0].id
        let key = self.keys.first { $0.id == id }?.key ?? self.keys[0].key
        let header = header ?? #"{"alg":"ES256","typ":"JWT","kid":"\#(id)"}"#
        let signed = "\(text(header.utf8)).\(text(claims.utf8))"
        let signature = try key.signature(for: Array(signed.utf8)).rawRepresentation
        return Secret("\(signed).\(text(signature))")
    }
}

/// base64url.
func text(_ bytes: some Collection<UInt8>) -> String {
    Base64URL.text(bytes)
}
