// Idempotency keys: stored as changes are, under the source's owner record, and read by all in the same order; and what is said
// of tickets.

package import FreshetCore

extension ClusterMachine {
    /// A record of a key is to go into the stream: under the fence of its source, or not at all. Answered once by
    /// `.keyStored`. Without an answer of the broker it may be stored all the same, which does no harm: it says that a write
    /// may have been done.
    package mutating func keySubmitted(_ request: UInt64, _ payload: [UInt8], of name: String, now: MonotonicTime) {
        let message = StreamMessage(
            subject: self.settings.subjects.subject(of: .key(source: name)),
            payload: payload,
            timeToLive: IdempotencyTable.lifetime
        )
        self.rowsSubmitted(request, [message], of: name, now: now)
    }

    mutating func keyPublished(_ request: UInt64, _ outcome: PublishOutcome) {
        switch outcome {
        case .stored: self.actions.append(.keyStored(request, isStored: true))
        case .refused, .unknown: self.actions.append(.keyStored(request, isStored: false))
        }
    }

    mutating func keyRead(_ message: StoredMessage) {
        // A key whose time is over leaves an empty message.
        guard let record = KeyRecord(message.payload), record.incarnation != self.settings.incarnation else { return }
        self.actions.append(.learn(record))
    }

    mutating func ticketRead(_ message: StoredMessage, _ notice: TicketNotice) {
        // A message whose time is over leaves an empty one.
        guard let record = TicketRecord(message.payload), record.incarnation != self.settings.incarnation else {
            return
        }
        self.actions.append(.ticket(notice))
    }
}
