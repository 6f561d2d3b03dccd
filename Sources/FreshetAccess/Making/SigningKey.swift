// A key that signs tokens: what `freshet token new` has, and a gateway never does.

import Crypto
import Foundation
import FreshetCore
import JWTKit

/// A private key, or a secret that is shared with the gateway. No description or reflection shows it.
package struct SigningKey: Sendable, CustomStringConvertible, CustomReflectable {
    private enum Material: Sendable {
        case p256(ES256PrivateKey)
        case p384(ES384PrivateKey)
        case p521(ES512PrivateKey)
        case ed25519(EdDSA.PrivateKey)
        case rsa(JWTKit.Insecure.RSA.PrivateKey)
        case secret([UInt8])
    }

    private let material: Material
    /// With which it signs, the usual one first.
    package let algorithms: [TokenAlgorithm]
    /// What verifies its signatures; `nil` for a shared secret, which does so itself.
    package let publicKey: PublicKey?

    /// A private key in PEM; `nil` if its kind is not supported, or it is encrypted.
    init?(pem: String) {
        if let key = try? P256.Signing.PrivateKey(pemRepresentation: pem),
            let signer = try? ES256PrivateKey(backing: key)
        {
            self.init(.p256(signer), PublicKey(.es256, "P-256", point: Array(key.publicKey.rawRepresentation)))
        } else if let key = try? P384.Signing.PrivateKey(pemRepresentation: pem),
            let signer = try? ES384PrivateKey(backing: key)
        {
            self.init(.p384(signer), PublicKey(.es384, "P-384", point: Array(key.publicKey.rawRepresentation)))
        } else if let key = try? P521.Signing.PrivateKey(pemRepresentation: pem),
            let signer = try? ES512PrivateKey(backing: key)
        {
            self.init(.p521(signer), PublicKey(.es512, "P-521", point: Array(key.publicKey.rawRepresentation)))
        } else if let key = try? EdDSA.PrivateKey(pem: pem) {
            self.init(.ed25519(key), PublicKey(edwards: Array(key.publicKey.rawRepresentation)))
        } else if let key = try? JWTKit.Insecure.RSA.PrivateKey(pem: pem) {
            self.init(.rsa(key), PublicKey(rsa: key.publicKey))
        } else {
            return nil
        }
    }

    private init?(_ material: Material, _ publicKey: PublicKey?) {
        guard let publicKey else { return nil }
        self.material = material
        self.publicKey = publicKey
        self.algorithms = publicKey.algorithms
    }

    /// A shared secret, for each HS… that it is long enough for; `nil` if it is too short for all.
    package init?(_ secret: Secret) {
        let fitting = [TokenAlgorithm.hs256, .hs384, .hs512].filter {
            SharedSecret.weakness(of: secret.bytes, for: [$0]) == nil
        }
        guard !fitting.isEmpty else { return nil }
        self.material = .secret(secret.bytes)
        self.publicKey = nil
        self.algorithms = fitting
    }

    /// The signature of some bytes; `nil` if the algorithm is not one of ``algorithms``.
    func signature(of text: [UInt8], with algorithm: TokenAlgorithm) async -> [UInt8]? {
        guard self.algorithms.contains(algorithm) else { return nil }
        // As VerificationKey: JWTKit gives out what signs only by way of a collection.
        let collection = JWTKeyCollection()
        switch self.material {
        case .p256(let key): await collection.add(ecdsa: key)
        case .p384(let key): await collection.add(ecdsa: key)
        case .p521(let key): await collection.add(ecdsa: key)
        case .ed25519(let key): await collection.add(eddsa: key)
        case .rsa(let key) where algorithm.isPSS: await collection.add(pss: key, digestAlgorithm: algorithm.digest)
        case .rsa(let key): await collection.add(rsa: key, digestAlgorithm: algorithm.digest)
        case .secret(let bytes):
            await collection.add(hmac: HMACKey(from: bytes), digestAlgorithm: algorithm.digest)
        }
        return try? await collection.getKey().sign(text)
    }

    package var description: String { "(redacted)" }
    package var customMirror: Mirror { Mirror(self, children: []) }
}
