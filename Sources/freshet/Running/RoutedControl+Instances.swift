// Requests that read an instance which nobody has read for a while: they wait for the poll of the gateway that owns it.

import FreshetCluster
import FreshetCore
import FreshetPolling

extension RoutedControl {
    /// Between two looks whether an instance has an owner by now. Nothing tells when all of it is known.
    private static let look = Duration.milliseconds(10)

    /// Returns once an instance had the poll that was due, wherever that is, and what came of it can be read here; or after
    /// ``timeout``. Whoever waits may give up before.
    func settleInstance(_ id: SourceID) async {
        let deadline = ContinuousClock.now + Self.timeout
        while ContinuousClock.now < deadline {
            guard let report = self.hub.report(of: id) else { return }
            if self.cluster.log.owns(report.name) {
                await withCheckedContinuation { continuation in
                    self.poller.settle(id) { continuation.resume() }
                }
                // Before the poller was given it there is nothing to wait for, and what it has found may be on its way.
                if let now = self.hub.report(of: id),
                    now.version != nil || ![.starting, .ok].contains(now.status.state)
                {
                    return
                }
            } else if await self.settleElsewhere(report, before: deadline) {
                return
            }
            // The owner may be another one by then, which no event tells here; `deadline` bounds it.
            try? await Task.sleep(for: Self.look)
        }
    }

    private func settleElsewhere(_ report: SourceReport, before deadline: ContinuousClock.Instant) async -> Bool {
        let snapshot = self.cluster.log.snapshot
        // What was read before the broker was lost is served as it is.
        guard snapshot.state == .connected || report.version == nil else { return true }
        guard let owner = snapshot.owners[report.name], owner != snapshot.node else { return false }
        let result = await withCheckedContinuation { continuation in
            self.cluster.log.call(
                .settle,
                of: report.name,
                at: owner,
                timeout: ContinuousClock.now.duration(to: deadline)
            ) {
                continuation.resume(returning: $0)
            }
        }
        guard case .success(.settled(let state, let cursor, let failure)) = result, state != .starting else {
            return false
        }
        _ = await self.cluster.log.hasRead(cursor, within: ContinuousClock.now.duration(to: deadline))
        if let failure { self.note(failure, state, of: report.id) }
        return failure != nil || self.hub.version(of: report.id) != nil
    }

    /// What a request without a value is told.
    private func note(_ failure: UpstreamError, _ state: SourceState, of id: SourceID) {
        guard var status = self.hub.report(of: id)?.status else { return }
        let transition = status.state == state ? nil : state
        status.state = state
        if transition != nil { status.stateSince = .now }
        status.noteFailure(failure, at: .now)
        self.hub.report(status, of: id, transition: transition)
    }
}

extension SourceStatus {
    /// Takes note of a failure of the gateway that polls the source.
    mutating func noteFailure(_ failure: UpstreamError, at: WallTime) {
        self.failures += 1
        self.failuresInARow += 1
        self.lastError = ReportedError(error: failure, at: at)
    }
}
