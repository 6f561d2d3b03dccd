// What became of publishes.

package import FreshetCore

extension ClusterMachine {
    package mutating func published(_ id: PublishID, _ outcome: PublishOutcome, now: MonotonicTime) {
        if case .unknown = outcome { self.figures.unknown += 1 }
        self.weigh(outcome, of: self.publishes[id], now: now)
        switch self.publishes.removeValue(forKey: id) {
        case .heartbeat: if self.heartbeat?.id == id { self.heartbeatPublished(outcome, now: now) }
        case .epoch: self.epochPublished(id, outcome, now: now)
        case .owner(let name): self.ownerPublished(id, outcome, of: name, now: now)
        case .batch(let name): self.batchPublished(id, outcome, of: name, now: now)
        case .key(let request): self.keyPublished(request, outcome)
        case nil: break
        }
        if self.isLeaving { self.reviewAll(now: now) }
    }

    /// Without its heartbeat, and without the record of an epoch, a node polls nothing: whoever asks is to learn why.
    private mutating func weigh(_ outcome: PublishOutcome, of purpose: Purpose?, now: MonotonicTime) {
        guard purpose == .heartbeat || purpose == .epoch else { return }
        switch outcome {
        case .stored, .refused(.fenced): self.refusal = nil
        case .refused, .unknown:
            let (reason, before) = (outcome.reason, self.refusal)
            self.refusal = reason
            // One alone is an election of the broker, or a moment of too much; many a second are one line a minute.
            guard before != nil, self.link != .down, now >= self.nextRefusalNote else { return }
            self.nextRefusalNote = now + Self.refusalInterval
            self.note(.notAcknowledged(reason))
        }
    }

    private mutating func ownerPublished(
        _ id: PublishID,
        _ outcome: PublishOutcome,
        of name: String,
        now: MonotonicTime
    ) {
        guard let role = self.sources[name]?.role, !self.instancePublished(id, outcome, of: name, now: now) else {
            return
        }
        let isHanding = role == .handing(id)
        let isRefencing = role == .refencing(id)
        guard role == .acquiring(id) || isHanding || isRefencing else { return }
        switch outcome {
        case .stored:
            // It counts when it is read.
            break
        case .refused(.fenced):
            self.figures.fenced += role == .acquiring(id) ? 0 : 1
            self.lose(name)
            self.sources[name]?.isOwnerKnown = false
            self.askOwner(name)
        case .refused, .unknown:
            if isRefencing || isHanding {
                self.sources[name]?.role = .refencing(nil)
            } else {
                self.sources[name]?.role = .other
            }
            self.sources[name]?.isOwnerKnown = false
            self.retry(now: now)
        }
    }
}

extension PublishOutcome {
    /// Why nothing is known to be stored, for a log; "" where it is.
    var reason: String {
        switch self {
        case .stored: ""
        case .unknown(let reason): reason
        case .refused(.fenced): "another gateway was first"
        case .refused(.tooLarge): "the message is too large for the broker"
        case .refused(.full): "the stream or the broker's disk is full"
        case .refused(.unavailable(let reason)), .refused(.other(_, let reason)): reason
        }
    }
}
