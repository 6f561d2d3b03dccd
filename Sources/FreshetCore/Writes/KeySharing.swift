// Idempotency keys that several gateways know: what one of them begins, no other begins again.

/// What became of a record that all gateways are to know.
package enum KeySharingOutcome: Hashable, Sendable {
    /// It is stored, and every gateway that may write to the source later has read it by then.
    case shared
    /// This gateway may not write to the source any more, or the broker does not say that it stored the record.
    case refused
    /// It is longer than the broker takes.
    case tooLarge
}

/// Has the other gateways of a cluster know what this one knows of a key. Implemented over the cluster's stream. Any thread.
package protocol KeySharing: AnyObject, Sendable {
    /// Whether this gateway is to write to the source at this moment.
    func mayWrite(to source: String) -> Bool

    /// Stores a record, under this gateway's ownership of the source; `nil` frees the key.
    func share(_ scope: IdempotencyScope, _ record: IdempotencyRecord?, of source: String) async -> KeySharingOutcome
}

extension IdempotencyRecord {
    /// The same record with less in it, for where the whole is too long; `nil` where nothing can be left out.
    ///
    /// Of an answer the value goes, as with `Prefer: return=minimal`. Of an attempt it is what the upstream is compared with: a
    /// repeated request then gets that the outcome is unknown more often.
    package var reduced: IdempotencyRecord? {
        var record = self
        switch self.state {
        case .begun: return nil
        case .attempted(var attempt):
            guard attempt.intended != nil else { return nil }
            attempt.intended = nil
            record.state = .attempted(attempt)
        case .answered(let answer):
            guard let reduced = answer.reduced else { return nil }
            record.state = .answered(reduced)
        }
        return record
    }
}

extension WriteAnswer {
    /// The answer without values; `nil` where it has none.
    package var reduced: WriteAnswer? {
        var answer = self
        answer.value = nil
        if answer.status == 200 { answer.status = 204 }
        answer.problem?.members.removeAll { ["current", "conflicts", "errors"].contains($0.name) }
        return answer == self ? nil : answer
    }
}
