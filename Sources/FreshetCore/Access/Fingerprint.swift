// Which credential it was, without the credential.

/// The API key that a caller presented, or the issuer's key that signed its token: 128 bits of a SHA-256.
///
/// It finds a credential again in a configuration that was read since; it proves nothing.
package struct Fingerprint: Hashable, Sendable {
    package var first: UInt64
    package var second: UInt64

    package init(first: UInt64, second: UInt64) {
        self.first = first
        self.second = second
    }
}
