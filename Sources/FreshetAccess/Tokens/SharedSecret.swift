// What may be a secret for HMAC (RFC 7518 §3.2, RFC 8725 §3.5).

/// Checks the bytes of a shared secret.
enum SharedSecret {
    /// Why the bytes are no secret for these algorithms; `nil` where they are one.
    static func weakness(of bytes: [UInt8], for algorithms: Set<TokenAlgorithm>) -> String? {
        guard !self.isKeyFile(bytes) else {
            return "the file holds a PEM or SSH key, which others know: HS… needs a secret of random bytes"
        }
        let minimum = algorithms.map(\.minSecretBytes).max() ?? 0
        guard bytes.count >= minimum else {
            return "\(bytes.count) bytes; the algorithms need at least \(minimum) (RFC 7518 §3.2)"
        }
        guard Set(bytes).count >= 6 else { return "the same few bytes again and again, which can be guessed" }
        return nil
    }

    /// Whether it is a key of another kind. A public key as the secret lets everybody sign.
    static func isKeyFile(_ bytes: [UInt8]) -> Bool {
        let marks = ["-----BEGIN", "ssh-rsa ", "ssh-ed25519 ", "ecdsa-sha2-"]
        let text = bytes.drop(while: Secret.isWhiteSpace)
        return marks.contains { text.starts(with: $0.utf8) } || bytes.contains(Array(marks[0].utf8))
    }
}
