// What makes a subscription or a key unusable.

/// Why something of Web Push cannot be read or made. Holds nothing of a key.
package enum WebPushError: Error, Hashable, Sendable, CustomStringConvertible {
    /// `keys.p256dh` is not a point of P-256 in uncompressed form, as base64url.
    case publicKey
    /// `keys.auth` is not 16 bytes, as base64url.
    case secret
    /// The content of a message is longer than ``MessageEncryption/maxContentBytes``.
    case contentTooLong
    /// Not a private key of P-256 in PEM, PKCS #8 or SEC 1.
    case serverKey
    /// The library refused to compute, which no valid key makes it do.
    case computation

    package var description: String {
        switch self {
        case .publicKey: "keys.p256dh is not a public key of P-256, uncompressed, as base64url"
        case .secret: "keys.auth is not 16 bytes as base64url"
        case .contentTooLong: "the message is longer than \(MessageEncryption.maxContentBytes) bytes"
        case .serverKey: "not a private key of P-256 in PEM"
        case .computation: "the computation failed"
        }
    }
}
