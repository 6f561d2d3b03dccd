// Tickets at several gateways: one key, and one use wherever it is.

/// What became of the one use of a ticket.
package enum TicketTaking: Hashable, Sendable {
    /// It is this gateway's.
    case taken
    /// It was taken before.
    case gone
    /// The cluster does not answer at the moment.
    case unavailable
}

/// What the gateways of a cluster say to each other of tickets. Implemented over the cluster's stream. Any thread.
package protocol TicketSharing: AnyObject, Sendable {
    /// Takes the use of a ticket for this gateway, where no other has taken it.
    func take(_ ticket: Fingerprint) async -> TicketTaking

    /// A stream of the ticket is resumed here: an earlier one at another gateway ends.
    func resumed(_ ticket: Fingerprint)

    /// No gateway is to resume a stream of the ticket any more.
    func revoke(_ ticket: Fingerprint)
}

/// What another gateway says of a ticket.
package enum TicketNotice: Hashable, Sendable {
    case resumed(Fingerprint)
    case revoked(Fingerprint)
}
