// What tickets may cost.

/// Bounds on tickets.
package enum TicketLimits {
    /// The longest ticket, in bytes of its text: a request line has to carry it.
    package static let maxBytes = 4096
    /// The most tickets that were issued and neither used nor expired.
    package static let maxUnused = 100_000
    /// As ``maxUnused``, of one account.
    package static let maxUnusedPerAccount = 1000
    /// The most tickets of closed streams that are remembered as such; past it the oldest is forgotten.
    package static let maxRevoked = 10_000
    /// The shortest and the longest `auth.ticket_ttl`.
    package static let minTTL = Duration.seconds(1)
    package static let maxTTL = Duration.seconds(600)
}
