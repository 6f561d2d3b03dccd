// Sources whose requests carry a token of OAuth 2: no token, no request.

import FreshetCore
import FreshetUpstream
import Synchronization

/// A credential with the token that there is for it at the moment. Confined to the poll thread.
final class TokenHolder {
    let credential: OAuth2
    var lease: TokenLease?
    var sources: [PolledSource] = []

    init(credential: OAuth2) {
        self.credential = credential
    }
}

extension PollLane {
    /// What the requests of a source are made by, its token included.
    func exchange(of source: PolledSource) -> ExchangeConfiguration {
        var configuration = ExchangeConfiguration(source.machine.configuration)
        if let lease = source.credential?.lease {
            configuration.headers.append(.init(name: "Authorization", value: "Bearer \(lease.token)"))
        }
        return configuration
    }

    func joinCredential(_ source: PolledSource) {
        guard let credential = source.machine.configuration.oauth2 else { return }
        let holder = self.tokens[credential] ?? TokenHolder(credential: credential)
        self.tokens[credential] = holder
        holder.sources.append(source)
        source.credential = holder
    }

    func leaveCredential(_ source: PolledSource) {
        guard let holder = source.credential else { return }
        source.credential = nil
        holder.sources.removeAll { $0 === source }
        guard holder.sources.isEmpty else { return }
        self.tokens[holder.credential] = nil
        self.keeper.forget(holder.credential)
    }

    /// Whether there is what a request of the source needs. Sees to a new token in good time.
    func hasToken(_ source: PolledSource, now: MonotonicTime) -> Bool {
        guard let holder = source.credential else { return true }
        if holder.lease.map({ now >= $0.renewsAt }) ?? true { self.keeper.want(holder.credential, now: now) }
        return holder.lease.map { now < $0.endsAt } ?? false
    }

    func awaitToken(_ source: PolledSource, now: MonotonicTime) {
        self.leaveLine(source)
        source.activity = .awaitingToken
        self.releaseRiders(of: source.group, now: now)
        source.machine.heldBack(for: nil, reason: "waits for a token from the endpoint at `token_url`", wall: .now)
        self.hub.report(source.machine.status, of: source.id)
    }

    /// The keeper has a token, or an endpoint grants none.
    func tokenArrived(_ credential: OAuth2, _ result: Result<TokenLease, UpstreamError>, now: MonotonicTime) {
        guard let holder = self.tokens[credential] else { return }
        switch result {
        case .success(let lease):
            holder.lease = lease
            for source in holder.sources { self.take(lease, source, now: now) }
        case .failure(let error):
            let hasEnded = holder.lease.map { now >= $0.endsAt } ?? true
            for source in holder.sources where hasEnded && source.activity == .awaitingToken {
                self.tokenFailed(source, error, now: now)
            }
        }
    }

    private func take(_ lease: TokenLease, _ source: PolledSource, now: MonotonicTime) {
        self.transport.renew(ExchangeID(source.id), self.exchange(of: source))
        if source.activity == .awaitingToken {
            source.activity = .scheduled
            self.queue.set(source.id, due: max(source.due, now))
        } else if source.wasTokenRefused, !source.isPolling, source.machine.status.state != .paused {
            source.machine.tokenRenewed(now: now)
            self.dormant.remove(source.id)
            self.schedule(source, now: now)
        }
    }

    private func tokenFailed(_ source: PolledSource, _ error: UpstreamError, now: MonotonicTime) {
        if source.reading != nil {
            source.reading = nil
            self.inbox.metrics.withLock { $0.pollAbandoned() }
            self.releaseFollowers(of: source, now: now)
        }
        let verdict = source.machine.pollFailed(error, now: now, wall: .now, using: &self.generator)
        source.machine.heldBack(for: nil, reason: "waits for a token from the endpoint at `token_url`", wall: .now)
        self.watchStaleness(source)
        self.deliver(verdict, of: source, now: now)
        source.resumeWaiters(.failure(error))
    }

    /// A poll has ended: a token that was refused is replaced, once until one is accepted.
    func reviewToken(
        of source: PolledSource,
        after result: Result<ExchangeResponse, UpstreamError>,
        isGood: Bool,
        now: MonotonicTime
    ) {
        guard let holder = source.credential else { return }
        if isGood { source.wasTokenRefused = false }
        guard case .success(let response) = result, response.status == 401, !source.wasTokenRefused else { return }
        source.wasTokenRefused = true
        if let lease = holder.lease, lease.number != source.tokenNumber {
            source.machine.tokenRenewed(now: now)
        } else {
            self.keeper.refused(holder.credential, number: source.tokenNumber)
        }
    }
}
