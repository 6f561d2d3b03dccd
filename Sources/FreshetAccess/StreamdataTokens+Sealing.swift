// What a request of the Streamdata.io SDK asks for, on its way to another gateway: through a stream that others can read.

import Crypto
import Foundation
package import FreshetCore

extension StreamdataTokens {
    private static let saltBytes = 32
    private static let tagBytes = 16

    /// The key that seals what is asked for with a token. Whoever has the token can make it, and nobody else.
    static func sealingKey(of token: [UInt8]) -> Secret {
        let code = HMAC<SHA256>.authenticationCode(
            for: Array("freshet streamdata instance 1".utf8),
            using: SymmetricKey(data: token)
        )
        return Secret(Array(code))
    }

    /// What is asked for, its URL and its fields, for those who have the token.
    ///
    /// It is `salt ‖ ciphertext ‖ tag`: a random salt of 32 bytes; the text under AES-256-GCM, with a key derived from the token's
    /// and the salt (HKDF-SHA-256) and a nonce of zeros, since that key seals nothing else. The name of the instance is
    /// authenticated with it.
    ///
    /// - Returns: `nil` where the token is unknown.
    package func seal(_ target: StreamdataTarget) -> [UInt8]? {
        guard let key = self.sealing[target.token], let nonce = Self.nonce else { return nil }
        var generator = SystemRandomNumberGenerator()
        let salt = (0..<Self.saltBytes).map { _ in UInt8.random(in: .min ... .max, using: &generator) }
        let box = try? AES.GCM.seal(
            target.text,
            using: Self.key(key, salt),
            nonce: nonce,
            authenticating: Array(target.name.text.utf8)
        )
        return box.map { salt + $0.ciphertext + $0.tag }
    }

    /// The target that ``seal(_:)`` has sealed, of the instance with this name.
    ///
    /// - Returns: `nil` where the token is unknown, the bytes are none that it sealed for this name, or the address is not below
    ///   any of `allow`.
    package func open(_ sealed: [UInt8], of name: InstanceName, allow: TargetList) -> StreamdataTarget? {
        guard let token = StreamdataTarget.token(of: name), let key = self.sealing[token], let nonce = Self.nonce,
            sealed.count > Self.saltBytes + Self.tagBytes
        else { return nil }
        let rest = sealed[Self.saltBytes...]
        guard
            let box = try? AES.GCM.SealedBox(
                nonce: nonce,
                ciphertext: rest.dropLast(Self.tagBytes),
                tag: rest.suffix(Self.tagBytes)
            ),
            let text = try? AES.GCM.open(
                box,
                using: Self.key(key, Array(sealed.prefix(Self.saltBytes))),
                authenticating: Array(name.text.utf8)
            )
        else { return nil }
        return StreamdataTarget([UInt8](text), named: name, allow: allow, hash: Self.fingerprint)
    }

    private static func key(_ key: Secret, _ salt: [UInt8]) -> SymmetricKey {
        HKDF<SHA256>.deriveKey(
            inputKeyMaterial: SymmetricKey(data: key.bytes),
            salt: salt,
            info: Array("freshet streamdata instance 1".utf8),
            outputByteCount: 32
        )
    }

    private static var nonce: AES.GCM.Nonce? { try? AES.GCM.Nonce(data: [UInt8](repeating: 0, count: 12)) }
}

/// A hash of who an instance is counted for, which is the same at all gateways.
package enum CallerHash {
    package static func of(_ text: String) -> Fingerprint { SecretHash(of: Array(text.utf8)).fingerprint }
}
