// What a token may cost before anybody knows whose it is.

/// Bounds on what a request presents.
package enum TokenLimits {
    /// The longest credential, in bytes: the largest token that real identity providers issue, twice.
    package static let maxBytes = 8192
    /// The most values and names in a header or in the claims.
    static let maxNodes = 2048
    /// The longest `sub`, `jti` or `kid`, and the longest `id` of a key, in bytes.
    package static let maxNameBytes = 255
    /// How far `nbf` and `iat` may lie in the future. `exp` has no leeway (CONTRACT §8).
    static let leeway = Duration.seconds(60)
}
