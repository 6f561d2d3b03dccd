// How a push service knows who sends (RFC 8292, VAPID): a signature by the key that the subscription was made for.

import Base64
import Crypto
import JSON

/// The key pair of the gateway as an application server. No description shows the private key. Any thread.
package struct ApplicationServerKey: Sendable, CustomStringConvertible {
    private let key: P256.Signing.PrivateKey

    /// The longest file that is a key.
    package static let maxFileBytes = 16 << 10

    private init(_ key: P256.Signing.PrivateKey) {
        self.key = key
    }

    /// A new key.
    package static func random() -> ApplicationServerKey {
        ApplicationServerKey(P256.Signing.PrivateKey())
    }

    /// The key in a PEM file: PKCS #8 (`PRIVATE KEY`) or SEC 1 (`EC PRIVATE KEY`), as openssl writes them; what stands
    /// before and after it is skipped.
    ///
    /// - Throws: ``WebPushError/serverKey`` for anything else.
    package init(pem: [UInt8]) throws(WebPushError) {
        guard pem.count <= Self.maxFileBytes, let text = String(validating: pem, as: UTF8.self) else {
            throw .serverKey
        }
        let lines = text.split(whereSeparator: \.isNewline)
        let labels = ["PRIVATE KEY", "EC PRIVATE KEY"]
        guard let start = lines.firstIndex(where: { line in labels.contains { line == "-----BEGIN \($0)-----" } }),
            let end = lines[start...].firstIndex(where: { $0.hasPrefix("-----END ") }),
            let key = try? P256.Signing.PrivateKey(pemRepresentation: lines[start...end].joined(separator: "\n"))
        else { throw .serverKey }
        self.init(key)
    }

    /// The key as PKCS #8 in PEM, which ``init(pem:)`` reads.
    package var pem: String { self.key.pemRepresentation + "\n" }

    package var description: String { "(redacted)" }

    /// The public key as pages hand it to `pushManager.subscribe` as `applicationServerKey`: 65 bytes, uncompressed, as
    /// base64url.
    package var publicText: String { Base64URL.text(self.key.publicKey.x963Representation) }

    /// The value of `Authorization` (RFC 8292 §3) for messages to one push service.
    ///
    /// `audience` is the origin of the endpoint as a browser writes it, without a port that is the scheme's own. `subject`
    /// is a `mailto:` or `https:` URL at which the operator is found; Apple refuses a message without one. `expiresAt` is in
    /// seconds since 1970, and at most 24 hours from now (§2).
    ///
    /// - Throws: ``WebPushError/computation`` where the library does not sign.
    package func authorization(
        audience: String,
        subject: String,
        expiresAt: Int64
    ) throws(WebPushError) -> String {
        var claims = JSONWriter()
        claims.object { claims in
            claims.member("aud", audience)
            claims.member("exp", expiresAt)
            claims.member("sub", subject)
        }
        let header = Base64URL.text(Array(#"{"typ":"JWT","alg":"ES256"}"#.utf8))
        let signed = "\(header).\(Base64URL.text(claims.text))"
        guard let signature = try? self.key.signature(for: Array(signed.utf8)) else { throw .computation }
        // ES256 is the two numbers one after the other, and not their DER (RFC 7518 §3.4).
        return "vapid t=\(signed).\(Base64URL.text(signature.rawRepresentation)), k=\(self.publicText)"
    }
}
