// The hosts of a lane, whose polls stand in line, and the sources that sleep until somebody listens.

import FreshetCore
import FreshetUpstream
import System

extension PollLane {
    func host(of origin: Origin) -> PolledHost {
        if let host = self.hosts[origin] { return host }
        let host = PolledHost(origin: origin, queue: HostQueue(self.limits(of: origin)))
        self.hosts[origin] = host
        return host
    }

    private func limits(of origin: Origin) -> HostQueue.Limits {
        let whole = HostQueue.Limits(
            concurrency: self.configuration.maxConcurrentPollsPerHost,
            gap: self.configuration.hostGap
        )
        return whole.part(self.share, of: origin)
    }

    /// Keeps to another part of the limits from now on.
    func use(_ share: PollShare, now: MonotonicTime) {
        self.share = share
        self.budget?.use(share: share.rate, now: now.axisSeconds)
        for host in self.hosts.values {
            host.queue.limit(self.limits(of: host.origin))
            self.release(host)
        }
    }

    func hostFinished(_ host: PolledHost, _ outcome: HostGate.Outcome, now: MonotonicTime) {
        let wasOpen = host.queue.isOpen
        host.queue.finished(outcome, now: now, using: &self.generator)
        if host.queue.isOpen, !wasOpen {
            for id in host.queue.inLine {
                if let source = self.sources[id] { self.held(source, for: nil) }
            }
        }
        self.release(host)
    }

    /// Lets those at the head of the line ask, in the order of their due times among all that are due.
    func release(_ host: PolledHost) {
        for id in host.queue.released() {
            if let source = self.sources[id] { self.queue.set(id, due: source.due) }
        }
    }

    /// Takes a source out of the line of its host, and lets the next come forward.
    func leaveLine(_ source: PolledSource) {
        guard source.activity == .inLine else { return }
        source.host.queue.forget(source.id)
        self.release(source.host)
    }
}

// MARK: - Listeners

extension PollLane {
    /// Whether the source is to sleep until somebody listens.
    func sleepsWithoutListeners(_ source: PolledSource) -> Bool {
        source.machine.configuration.when == .subscribed && source.machine.configuration.isPolled && !source.isUrgent
            && !self.hub.isListenedTo(source.id)
    }

    func fallAsleep(_ source: PolledSource, now: MonotonicTime) {
        self.leaveLine(source)
        source.activity = .dormant
        self.releaseRiders(of: source.group, now: now)
        self.queue.remove(source.id)
        if self.dormant.isEmpty { self.nextDormantCheck = now + Self.dormantInterval }
        self.dormant.insert(source.id)
        source.machine.fellAsleep()
        self.hub.report(source.machine.status, of: source.id)
    }

    func wake(_ id: SourceID, now: MonotonicTime) {
        guard self.dormant.contains(id), let source = self.sources[id], !self.sleepsWithoutListeners(source) else {
            return
        }
        self.dormant.remove(id)
        self.schedule(source, now: now)
    }

    /// Replies once a source that somebody has begun to read has had its poll, or at once where none is to come soon.
    func settle(_ id: SourceID, reply: @escaping @Sendable () -> Void, now: MonotonicTime) {
        guard let source = self.sources[id], source.machine.configuration.isPolled else { return reply() }
        self.wake(id, now: now)
        guard source.isAwaited(wall: .now) else { return reply() }
        switch source.activity {
        case .dormant: return reply()
        case .scheduled where source.reading == nil && source.due > now: return reply()
        case .scheduled, .inLine, .riding, .awaitingToken, .polling, .readingBody:
            source.waiters.append { _ in reply() }
        }
    }

    func wakeListenedTo(now: MonotonicTime) {
        for id in self.dormant { self.wake(id, now: now) }
        self.nextDormantCheck = self.dormant.isEmpty ? .distantFuture : now + Self.dormantInterval
    }
}
