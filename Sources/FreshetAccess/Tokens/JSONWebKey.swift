// One key of a key set, as far as it can verify a signature (RFC 7517, RFC 7518 §6, RFC 8037 §2).

import Base64
import Crypto
import Foundation
import FreshetCore
import JSON
import JWTKit

/// A key that may verify signatures, and with which algorithms.
struct JSONWebKey: Sendable {
    /// The key itself. Which algorithms it fits follows from its kind, never from what a token says.
    enum Material: Sendable {
        case p256(ES256PublicKey)
        case p384(ES384PublicKey)
        case p521(ES512PublicKey)
        case rsa(JWTKit.Insecure.RSA.PublicKey)
        case ed25519(EdDSA.PublicKey)
        case secret([UInt8])
    }

    /// Why a key of a set is not used.
    enum Unusable: Error, Hashable, Sendable {
        /// No object, or a member of the wrong type or length.
        case malformed
        /// `kty`, `crv` or `alg` that is not supported, or that do not fit each other.
        case unsupported
        /// `use` or `key_ops` say that it is for something else.
        case otherUse
        /// It has a private part: whoever has read it can sign.
        case isPrivate
        /// No point of its curve, an RSA key below 2048 or above 8192 bits or with a known factorization, a secret that is
        /// too short.
        case weak
        /// A secret in a set that also has public keys: what is published is no secret.
        case published
        /// Another key of the set has the same `kid` and algorithm: neither is used.
        case ambiguous
        /// The set has more keys than ``KeySet/maxKeys``.
        case tooMany
    }

    var isSecret: Bool {
        switch self.material {
        case .secret: true
        case .p256, .p384, .p521, .rsa, .ed25519: false
        }
    }

    /// `kid`, byte for byte.
    let keyID: [UInt8]?
    /// The only algorithm that the key itself allows; `nil` leaves it to the configuration.
    let algorithm: TokenAlgorithm?
    let material: Material
    /// Of the key alone, so that a renamed key is the same one.
    let fingerprint: Fingerprint

    /// A shared secret, with the name that a set would give it.
    init(secret: [UInt8]) {
        self.keyID = nil
        self.algorithm = nil
        self.material = .secret(secret)
        self.fingerprint = SecretHash(of: secret).fingerprint
    }

    init(_ value: Value) throws(Unusable) {
        guard value.kind == .object, let type = value["kty"]?.string else { throw .malformed }
        try Self.checkUse(value)
        self.keyID = try Self.keyID(value)
        if let name = value["alg"] {
            guard let text = name.string else { throw .malformed }
            guard let algorithm = TokenAlgorithm(rawValue: text) else { throw .unsupported }
            self.algorithm = algorithm
        } else {
            self.algorithm = nil
        }
        (self.material, self.fingerprint) =
            switch type {
            case "EC": try Self.elliptic(value)
            case "RSA": try Self.rsa(value)
            case "OKP": try Self.edwards(value)
            case "oct": try Self.secret(value)
            default: throw .unsupported
            }
        if let algorithm, !self.fits(algorithm) { throw .unsupported }
    }

    /// Whether the kind of key and its own `alg` allow the algorithm.
    func fits(_ algorithm: TokenAlgorithm) -> Bool {
        guard self.algorithm == nil || self.algorithm == algorithm else { return false }
        return switch self.material {
        case .p256: algorithm == .es256
        case .p384: algorithm == .es384
        case .p521: algorithm == .es512
        case .rsa: algorithm.family == .rsa
        case .ed25519: algorithm == .edDSA
        case .secret(let bytes): algorithm.family == .hmac && bytes.count >= algorithm.minSecretBytes
        }
    }

    private static func keyID(_ value: Value) throws(Unusable) -> [UInt8]? {
        guard let keyID = value["kid"] else { return nil }
        guard let bytes = keyID.utf8, bytes.count <= TokenLimits.maxNameBytes else { throw .malformed }
        return bytes
    }

    private static func checkUse(_ value: Value) throws(Unusable) {
        if let use = value["use"], use.string != "sig" { throw .otherUse }
        guard let operations = value["key_ops"] else { return }
        guard operations.kind == .array else { throw .malformed }
        let names = operations.elements.map(\.string)
        guard !names.contains(nil), Set(names).count == names.count else { throw .malformed }
        guard names.contains("verify") else { throw .otherUse }
    }

    /// A member in base64url; its length is bounded by that of the whole set.
    private static func bytes(_ value: Value, _ name: String) throws(Unusable) -> [UInt8] {
        guard let text = value[name]?.utf8, let bytes = Base64URL.decode(text) else { throw .malformed }
        return bytes
    }

    private static func elliptic(_ value: Value) throws(Unusable) -> (Material, Fingerprint) {
        guard value["d"] == nil else { throw .isPrivate }
        let lengths = ["P-256": 32, "P-384": 48, "P-521": 66]
        guard let curve = value["crv"]?.string else { throw .malformed }
        guard let length = lengths[curve] else { throw .unsupported }
        let point = [0x04] + (try self.coordinate(value, "x", length)) + (try self.coordinate(value, "y", length))
        do {
            // Each of these checks that the point is on the curve.
            let material: Material =
                switch curve {
                case "P-256": .p256(try ES256PublicKey(backing: P256.Signing.PublicKey(x963Representation: point)))
                case "P-384": .p384(try ES384PublicKey(backing: P384.Signing.PublicKey(x963Representation: point)))
                default: .p521(try ES512PublicKey(backing: P521.Signing.PublicKey(x963Representation: point)))
                }
            return (material, SecretHash(of: point).fingerprint)
        } catch {
            throw .weak
        }
    }

    /// A coordinate in its full length. RFC 7518 §6.2.1.2 asks for zeros in front, and libraries leave them out.
    private static func coordinate(_ value: Value, _ name: String, _ length: Int) throws(Unusable) -> [UInt8] {
        let bytes = try self.bytes(value, name)
        guard !bytes.isEmpty, bytes.count <= length else { throw .malformed }
        return [UInt8](repeating: 0, count: length - bytes.count) + bytes
    }

    private static func rsa(_ value: Value) throws(Unusable) -> (Material, Fingerprint) {
        guard ["d", "p", "q", "dp", "dq", "qi"].allSatisfy({ value[$0] == nil }) else { throw .isPrivate }
        let (modulus, exponent) = (try self.bytes(value, "n"), try self.bytes(value, "e"))
        // A longer modulus or exponent makes each verification slow.
        let length = modulus.drop { $0 == 0 }.count
        guard (256...1024).contains(length), (1...4).contains(exponent.count), !WeakModulus.isOfROCA(modulus) else {
            throw .weak
        }
        do {
            let key = try JWTKit.Insecure.RSA.PublicKey(
                modulus: Base64URL.text(modulus),
                exponent: Base64URL.text(exponent)
            )
            return (.rsa(key), SecretHash(of: modulus + [0] + exponent).fingerprint)
        } catch {
            throw .weak
        }
    }

    private static func edwards(_ value: Value) throws(Unusable) -> (Material, Fingerprint) {
        guard value["d"] == nil else { throw .isPrivate }
        guard let curve = value["crv"]?.string else { throw .malformed }
        guard curve == "Ed25519" else { throw .unsupported }
        let point = try self.bytes(value, "x")
        guard point.count == 32 else { throw .malformed }
        guard let key = try? Curve25519.Signing.PublicKey(rawRepresentation: point) else { throw .weak }
        return (.ed25519(EdDSA.PublicKey(backing: key)), SecretHash(of: point).fingerprint)
    }

    private static func secret(_ value: Value) throws(Unusable) -> (Material, Fingerprint) {
        let bytes = try self.bytes(value, "k")
        guard SharedSecret.weakness(of: bytes, for: [.hs256]) == nil else { throw .weak }
        return (.secret(bytes), SecretHash(of: bytes).fingerprint)
    }
}
