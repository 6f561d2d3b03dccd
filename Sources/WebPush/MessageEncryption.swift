// A message for one subscriber: keys by RFC 8291, content coding by RFC 8188.

import Crypto

/// Encrypts messages. Any thread.
package enum MessageEncryption {
    /// The record size that is announced. Push services have to take messages of 4,096 bytes, and no longer ones
    /// (RFC 8030 §7.2, RFC 8291 §4).
    static let recordBytes: UInt32 = 4096
    /// The header with its salt and the sender's key, the delimiter, and the tag.
    private static let overhead = 16 + 4 + 1 + 65 + 1 + 16
    /// The longest content whose message every push service has to take: 3,993 bytes.
    package static let maxContentBytes = 4096 - overhead

    /// The body of a request to the push service, whose `Content-Encoding` is `aes128gcm`. Each call makes a key pair and a
    /// salt of its own.
    ///
    /// - Throws: ``WebPushError/contentTooLong`` above ``maxContentBytes``.
    package static func encrypt(_ content: [UInt8], for keys: SubscriberKeys) throws(WebPushError) -> [UInt8] {
        var generator = SystemRandomNumberGenerator()
        let salt = (0..<16).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        return try self.encrypt(content, for: keys, from: P256.KeyAgreement.PrivateKey(), salt: salt)
    }

    /// `sender` and `salt` are used for one message and never again.
    static func encrypt(
        _ content: [UInt8],
        for keys: SubscriberKeys,
        from sender: P256.KeyAgreement.PrivateKey,
        salt: [UInt8]
    ) throws(WebPushError) -> [UInt8] {
        guard content.count <= self.maxContentBytes else { throw .contentTooLong }
        let senderKey = Array(sender.publicKey.x963Representation)
        do {
            let receiver = try P256.KeyAgreement.PublicKey(x963Representation: keys.publicKey)
            // RFC 8291 §3.3 and §3.4: what sender and receiver share, bound to both keys and to the secret.
            let shared = try sender.sharedSecretFromKeyAgreement(with: receiver)
            let input = shared.hkdfDerivedSymmetricKey(
                using: SHA256.self,
                salt: keys.secret,
                sharedInfo: Array("WebPush: info".utf8) + [0] + keys.publicKey + senderKey,
                outputByteCount: 32
            )
            // RFC 8188 §2.2 and §2.3.
            let key = self.derived(input, salt, "aes128gcm", bytes: 16)
            let nonce = self.derived(input, salt, "nonce", bytes: 12).withUnsafeBytes { Array($0) }
            // 2 ends the content of the last record, and there is one record (RFC 8291 §4).
            let box = try AES.GCM.seal(content + [2], using: key, nonce: AES.GCM.Nonce(data: nonce))
            let size = (0..<4).map { UInt8(truncatingIfNeeded: self.recordBytes >> UInt32(24 - 8 * $0)) }
            return salt + size + [UInt8(senderKey.count)] + senderKey + box.ciphertext + box.tag
        } catch {
            throw .computation
        }
    }

    private static func derived(_ input: SymmetricKey, _ salt: [UInt8], _ name: String, bytes: Int) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: input,
            salt: salt,
            info: Array("Content-Encoding: \(name)".utf8) + [0],
            outputByteCount: bytes
        )
    }
}
