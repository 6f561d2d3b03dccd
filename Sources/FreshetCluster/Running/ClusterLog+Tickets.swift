// Tickets over the shared log: who uses one first, and what all are to know of it.

package import FreshetCore

extension ClusterLog: TicketSharing {
    package func take(_ ticket: Fingerprint) async -> TicketTaking {
        let subject = self.settings.subjects.subject(of: .ticketUsed(ticket))
        let message = self.message(subject, keptFor: TicketRecord.useTime)
        return await withCheckedContinuation { continuation in
            self.stream.publish([message], expecting: StreamExpectation(subject, at: 0)) { outcome in
                switch outcome {
                case .stored: continuation.resume(returning: .taken)
                case .refused(.fenced): continuation.resume(returning: .gone)
                case .refused, .unknown: continuation.resume(returning: .unavailable)
                }
            }
        }
    }

    package func resumed(_ ticket: Fingerprint) {
        let subject = self.settings.subjects.subject(of: .ticketResumed(ticket))
        self.stream.publish([self.message(subject, keptFor: TicketRecord.resumptionTime)], expecting: nil) { _ in }
    }

    package func revoke(_ ticket: Fingerprint) {
        let subject = self.settings.subjects.subject(of: .ticketRevoked(ticket))
        self.stream.publish([self.message(subject, keptFor: TicketRecord.revocationTime)], expecting: nil) { _ in }
    }

    private func message(_ subject: String, keptFor time: Duration) -> StreamMessage {
        let record = TicketRecord(incarnation: self.settings.incarnation)
        return StreamMessage(subject: subject, payload: record.encoded, timeToLive: time)
    }

    /// The message that holds the ticket key; `nil` if there is none.
    package func readTicketKey(_ done: @escaping @Sendable (Result<StoredMessage?, StreamFailure>) -> Void) {
        self.stream.lastMessage(of: self.settings.subjects.subject(of: .ticketKey), done: done)
    }

    /// Writes the ticket key, unless there is one already.
    package func writeTicketKey(_ record: [UInt8], done: @escaping @Sendable (PublishOutcome) -> Void) {
        let subject = self.settings.subjects.subject(of: .ticketKey)
        let message = StreamMessage(subject: subject, payload: record)
        self.stream.publish([message], expecting: StreamExpectation(subject, at: 0), done: done)
    }
}
