// Signs messages as Standard Webhooks 1.0 says, so that a receiver knows whose they are.

import Crypto
import Foundation
package import FreshetCore

/// The secrets of one endpoint, ready to sign with. A value; any thread.
package struct WebhookSigner: Sendable {
    private enum Key: Sendable {
        case shared(SymmetricKey)
        case ed25519(Curve25519.Signing.PrivateKey)
    }

    private let keys: [Key]

    /// A secret that is no key at all is left out; the configuration admits none.
    package init(_ secrets: [WebhookConfiguration.Secret]) {
        self.keys = secrets.compactMap { secret in
            switch secret {
            case .shared(let bytes): .shared(SymmetricKey(data: bytes))
            case .ed25519(let seed): (try? Curve25519.Signing.PrivateKey(rawRepresentation: seed)).map(Key.ed25519)
            }
        }
    }

    /// The value of `webhook-signature`: one signature for each secret, over `ID.TIMESTAMP.BODY`, with the seconds since 1970
    /// that `webhook-timestamp` has.
    package func signature(id: String, timestamp: Int64, body: [UInt8]) -> String {
        let text = Array("\(id).\(timestamp).".utf8) + body
        return self.keys.compactMap { key in
            switch key {
            case .shared(let secret):
                return "v1," + Data(HMAC<SHA256>.authenticationCode(for: text, using: secret)).base64EncodedString()
            case .ed25519(let secret):
                return (try? secret.signature(for: text)).map { "v1a," + $0.base64EncodedString() }
            }
        }.joined(separator: " ")
    }
}
