// What metrics and the administrator's page show of access.

package import FreshetCore

/// How it stands with the keys of an issuer.
package struct IssuerStatus: Hashable, Sendable {
    package var issuer: String
    /// How many keys can verify.
    package var keys = 0
    /// Keys of the set that are not used, or not for every algorithm.
    package var skipped = 0
    /// When the keys were read last.
    package var loadedAt: WallTime?
    /// How often they were asked for.
    package var attempts: UInt64 = 0
    package var failures: UInt64 = 0
    /// Why the last attempt failed; `nil` where it did not.
    package var failure: String?
}

/// What happened since the start, and what is held now. Its labels are from the configuration and from
/// ``CredentialProblem/Reason`` alone (FAULTS S24).
package struct AccessSnapshot: Hashable, Sendable {
    /// Requests with an API key that was good.
    package var keysAccepted: UInt64 = 0
    /// Requests with a token that was found in the cache.
    package var tokenHits: UInt64 = 0
    /// Requests with a token that had to be verified, good or not.
    package var tokenMisses: UInt64 = 0
    package var refusals: [CredentialProblem.Reason: UInt64] = [:]
    package var tickets = TicketCounts()

    /// Verified tokens in the cache, of which ``VerifiedTokens/maxCost`` is the bound.
    package var cachedTokens = 0
    package var issuers: [IssuerStatus] = []
    /// Lines of the deny list in force.
    package var denied = 0
    /// Why `auth.deny_file` could not be read last; the earlier lines are in force.
    package var denyFileProblem: String?
    package var revision: UInt64 = 0
}

/// What happened to tickets since the start.
package struct TicketCounts: Hashable, Sendable {
    package var issued: UInt64 = 0
    package var opened: UInt64 = 0
    package var resumed: UInt64 = 0
    /// Presented again, too late, or without an id of their stream.
    package var spent: UInt64 = 0
    /// Presented when their credential had ended.
    package var dead: UInt64 = 0
    package var invalid: UInt64 = 0
    /// Not issued, because of a bound of ``TicketLimits``.
    package var declined: UInt64 = 0
    /// Issued, and neither used nor expired.
    package var unused = 0
}
