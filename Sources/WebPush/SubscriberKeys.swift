// The keys that a browser or an app makes for a subscription (RFC 8291 §3.1): with them a message is readable at its
// receiver and nowhere on the way.

import Base64
import Crypto

/// The keys of one subscription. A value; any thread.
package struct SubscriberKeys: Hashable, Sendable {
    /// A point of P-256 in uncompressed form: 65 bytes, the first of which is 4.
    package let publicKey: [UInt8]
    /// The authentication secret: 16 bytes.
    package let secret: [UInt8]

    /// The members `keys.p256dh` and `keys.auth` of `PushSubscription.toJSON()`.
    ///
    /// - Throws: ``WebPushError`` where one of them is not what the protocol allows.
    package init(p256dh: String, auth: String) throws(WebPushError) {
        guard let publicKey = Self.bytes(of: p256dh) else { throw .publicKey }
        guard let secret = Self.bytes(of: auth) else { throw .secret }
        try self.init(publicKey: publicKey, secret: secret)
    }

    /// Some libraries write the padding that RFC 8291 leaves out.
    private static func bytes(of text: String) -> [UInt8]? {
        let unpadded = text.utf8.reversed().prefix(2).prefix { $0 == UInt8(ascii: "=") }.count
        return Base64URL.decode(text.utf8.dropLast(unpadded))
    }

    /// - Throws: ``WebPushError/publicKey`` for anything but 65 bytes of a point on the curve, ``WebPushError/secret`` for
    ///   anything but 16 bytes.
    package init(publicKey: [UInt8], secret: [UInt8]) throws(WebPushError) {
        guard publicKey.count == 65, (try? P256.KeyAgreement.PublicKey(x963Representation: publicKey)) != nil else {
            throw .publicKey
        }
        guard secret.count == 16 else { throw .secret }
        self.publicKey = publicKey
        self.secret = secret
    }

    /// The value of the field `Topic` (RFC 8030 §5.4) for messages about one thing: 32 characters of base64url. The push
    /// service keeps the last message of a topic for a receiver that is away, and cannot tell from it what it is about.
    package func topic(of name: [UInt8]) -> String {
        let code = HMAC<SHA256>.authenticationCode(for: name, using: SymmetricKey(data: self.secret))
        return Base64URL.text(Array(code.prefix(24)))
    }
}
