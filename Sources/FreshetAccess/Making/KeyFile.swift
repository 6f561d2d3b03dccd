// A file that holds a key, and what kind of key it is: PEM, a key set, or a secret.

import Base64
import Crypto
import Foundation
import FreshetCore
import JSON
import JWTKit

/// What a key file holds. No description shows the secret part of it.
package enum KeyFile: Sendable {
    /// A private key in PEM (PKCS #8, SEC 1 or PKCS #1): it signs tokens.
    case signing(SigningKey)
    /// A public key in PEM: it verifies tokens.
    case verifying(PublicKey)
    /// A JSON Web Key Set, as `jwks_file` takes it.
    case keySet([SetEntry])
    /// Any other text: an API key, or what HS256 shares with the issuer.
    case secret(Secret)

    /// One key of a set: the key, or why it is not used.
    package enum SetEntry: Sendable {
        case usable(PublicKey)
        case skipped(String)
    }

    /// Why a file is no key.
    package struct Problem: Error, Hashable, Sendable, CustomStringConvertible {
        package let description: String
    }

    /// The longest file, in bytes.
    package static let maxBytes = KeySet.maxBytes

    /// - Throws: where it is PEM, and not of a key that can sign or verify, or empty.
    package init(_ content: [UInt8]) throws(Problem) {
        let text = String(decoding: content, as: UTF8.self)
        if text.contains("-----BEGIN") {
            if let key = SigningKey(pem: text) {
                self = .signing(key)
            } else if let key = PublicKey(pem: text) {
                self = .verifying(key)
            } else {
                let kinds = "EC (P-256, P-384, P-521), Ed25519 and RSA from 2048 bits on, not encrypted"
                throw Problem(description: "no key that tokens can be signed with; these are read: \(kinds)")
            }
            return
        }
        if let set = KeySet(content) {
            let usable = set.keys.map { key in PublicKey(key).map(SetEntry.usable) ?? .skipped("a shared secret") }
            self = .keySet(usable + set.skipped.map { .skipped("\($0.reason)") })
            return
        }
        let secret = Secret(fileContent: content)
        guard !secret.bytes.isEmpty else { throw Problem(description: "the file is empty") }
        self = .secret(secret)
    }
}

/// A key that verifies tokens, with what a key set says of it.
package struct PublicKey: Sendable {
    /// Such as `P-256`, `RSA, 2048 bits`.
    package let name: String
    /// With which it verifies, the usual one first.
    package let algorithms: [TokenAlgorithm]
    /// Its `kid`; `nil` where it has none.
    package let keyID: String?
    /// The members of RFC 7518 §6 without `kid`, sorted, without white space: what RFC 7638 hashes.
    private let members: String

    /// The name that its content gives it (RFC 7638): a good `kid`.
    package var thumbprint: String {
        Base64URL.text(Array(SHA256.hash(data: Array(self.members.utf8))))
    }

    /// A JSON Web Key with this `kid`, its thumbprint by default.
    package func webKey(keyID: String? = nil) -> [UInt8] {
        var json = JSONWriter()
        json.object { json in
            json.member("kid", keyID ?? self.keyID ?? self.thumbprint)
            json.member("use", "sig")
            if self.algorithms.count == 1, let algorithm = self.algorithms.first {
                json.member("alg", algorithm.rawValue)
            }
            if let document = try? Document(parsing: Array(self.members.utf8)) {
                for member in document.root.members { json.member(member.name, raw: member.value.text) }
            }
        }
        return json.text
    }

    init?(_ key: JSONWebKey) {
        let keyID = key.keyID.map { String(decoding: $0, as: UTF8.self) }
        switch key.material {
        case .p256(let key):
            self.init(
                .es256,
                "P-256",
                point: key.point(P256.Signing.PublicKey.init(pemRepresentation:), \.rawRepresentation),
                keyID: keyID
            )
        case .p384(let key):
            self.init(
                .es384,
                "P-384",
                point: key.point(P384.Signing.PublicKey.init(pemRepresentation:), \.rawRepresentation),
                keyID: keyID
            )
        case .p521(let key):
            self.init(
                .es512,
                "P-521",
                point: key.point(P521.Signing.PublicKey.init(pemRepresentation:), \.rawRepresentation),
                keyID: keyID
            )
        case .ed25519(let key): self.init(edwards: Array(key.rawRepresentation), keyID: keyID)
        case .rsa(let key): self.init(rsa: key, keyID: keyID)
        case .secret: return nil
        }
    }

    init?(pem: String) {
        if let key = try? P256.Signing.PublicKey(pemRepresentation: pem) {
            self.init(.es256, "P-256", point: Array(key.rawRepresentation))
        } else if let key = try? P384.Signing.PublicKey(pemRepresentation: pem) {
            self.init(.es384, "P-384", point: Array(key.rawRepresentation))
        } else if let key = try? P521.Signing.PublicKey(pemRepresentation: pem) {
            self.init(.es512, "P-521", point: Array(key.rawRepresentation))
        } else if let key = try? EdDSA.PublicKey(pem: pem) {
            self.init(edwards: Array(key.rawRepresentation))
        } else if let key = try? JWTKit.Insecure.RSA.PublicKey(pem: pem) {
            self.init(rsa: key)
        } else {
            return nil
        }
    }

    /// `point`: both coordinates in their full length, one behind the other.
    init?(_ algorithm: TokenAlgorithm, _ curve: String, point: [UInt8]?, keyID: String? = nil) {
        guard let point, !point.isEmpty, point.count.isMultiple(of: 2) else { return nil }
        let half = point.count / 2
        self.name = curve
        self.algorithms = [algorithm]
        self.keyID = keyID
        let (x, y) = (Self.text(point.prefix(half)), Self.text(point.suffix(half)))
        self.members = #"{"crv":"\#(curve)","kty":"EC","x":"\#(x)","y":"\#(y)"}"#
    }

    init(edwards point: [UInt8], keyID: String? = nil) {
        self.name = "Ed25519"
        self.algorithms = [.edDSA]
        self.keyID = keyID
        self.members = #"{"crv":"Ed25519","kty":"OKP","x":"\#(Self.text(point))"}"#
    }

    init?(rsa key: JWTKit.Insecure.RSA.PublicKey, keyID: String? = nil) {
        guard let (modulus, exponent) = try? key.getKeyPrimitives() else { return nil }
        let number = Array(modulus).drop { $0 == 0 }
        self.name = "RSA, \(number.count * 8 - (number.first?.leadingZeroBitCount ?? 0)) bits"
        self.algorithms = [.rs256, .ps256, .rs384, .rs512, .ps384, .ps512]
        self.keyID = keyID
        let power = Array(exponent).drop { $0 == 0 }
        self.members = #"{"e":"\#(Self.text(power))","kty":"RSA","n":"\#(Self.text(number))"}"#
    }

    private static func text(_ bytes: some Collection<UInt8>) -> String {
        Base64URL.text(bytes)
    }
}

extension ECDSA.PublicKey {
    /// Both coordinates. JWTKit shows a key as PEM alone.
    fileprivate func point<Key>(_ read: (String) throws -> Key, _ bytes: KeyPath<Key, Data>) -> [UInt8]? {
        (try? read(self.pemRepresentation)).map { Array($0[keyPath: bytes]) }
    }
}
