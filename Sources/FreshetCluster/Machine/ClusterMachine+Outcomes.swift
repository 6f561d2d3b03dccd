// What became of publishes.

package import FreshetCore

extension ClusterMachine {
    package mutating func published(_ id: PublishID, _ outcome: PublishOutcome, now: MonotonicTime) {
        if case .unknown = outcome { self.figures.unknown += 1 }
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
