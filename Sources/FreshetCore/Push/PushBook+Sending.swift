// Whose turn it is to be sent something, and what becomes of it.

import DequeModule
import HeapModule

/// What became of a subscription after a send.
package enum PushAftermath: Hashable, Sendable {
    case goesOn
    /// Nothing is sent until it is renewed, and why.
    case paused(String)
    /// The push service does not know it any more.
    case ended
}

extension PushBook {
    /// Failures of a host in a row, with an answer, after which it is left alone for a while.
    private static let failuresOfHost = 3
    /// Refusals in a row after which nothing more is sent to a subscription.
    private static let refusalsInRow = 5
    /// The longest wait of a subscription, and of a host.
    private static let longestWait = 3600.0
    private static let longestWaitOfHost = 600.0

    /// When somebody's wait is over; `nil` where nobody waits.
    package var nextWake: MonotonicTime? { self.wakes.min?.time }

    /// The next message to be sent; `nil` where there is none, or no room for another send. Has to be followed by
    /// ``ended(_:_:now:wall:using:)``.
    package mutating func next(now: MonotonicTime, wall: WallTime) -> PushSend? {
        self.wake(now)
        for isProven in [true, false] {
            let room = isProven ? Defaults.Push.maxSends : Defaults.Push.maxUnprovenSends
            while self.underWay[isProven, default: 0] < room,
                let host = self.lanesInTurn[isProven, default: []].popFirst()
            {
                self.lanes[host]?.isListed = false
                guard let lane = self.lanes[host], lane.isProven == isProven else {
                    self.list(host)
                    continue
                }
                let send = self.next(from: host, wall: wall)
                self.list(host)
                self.forgetLane(host)
                if let send { return send }
            }
        }
        return nil
    }

    /// The next message to one host.
    private mutating func next(from host: String, wall: WallTime) -> PushSend? {
        guard let lane = self.lanes[host], lane.notBefore == nil, lane.underWay < Self.room(in: lane) else {
            return nil
        }
        while let id = self.lanes[host]?.ready.popFirst() {
            guard var entry = self.entries[id], entry.isQueued, entry.subscription.host == host else { continue }
            entry.isQueued = false
            let oldest = wall + .seconds(-max(60, entry.subscription.ttl))
            while let first = entry.waiting.first, first.at < oldest {
                entry.waiting.removeFirst()
                self.contentBytes -= first.content?.count ?? 0
                self.counts.outdated += 1
            }
            guard entry.underWay == nil, entry.state == .active, !entry.waiting.isEmpty else {
                self.entries[id] = entry
                continue
            }
            let message = entry.waiting.removeFirst()
            self.contentBytes -= message.content?.count ?? 0
            entry.underWay = message
            self.entries[id] = entry
            self.lanes[host]?.underWay += 1
            self.underWay[lane.isProven, default: 0] += 1
            return PushSend(subscription: entry.subscription, message: message, isProven: lane.isProven)
        }
        return nil
    }

    private static func room(in lane: Lane) -> Int { lane.isProven ? Defaults.Push.maxSendsPerHost : 1 }

    /// Takes note of how a send ended.
    ///
    /// - Returns: What became of its subscription.
    package mutating func ended(
        _ send: PushSend,
        _ outcome: PushOutcome,
        now: MonotonicTime,
        wall: WallTime,
        using generator: inout some RandomNumberGenerator
    ) -> PushAftermath {
        self.counts.outcomes[outcome.label, default: 0] += 1
        let host = send.subscription.host
        self.underWay[send.isProven, default: 1] -= 1
        self.lanes[host]?.underWay -= 1
        self.note(outcome, of: host, now: now, using: &generator)
        defer {
            self.forgetLane(host)
            self.list(host)
        }
        let id = send.subscription.id
        // Ended or renewed meanwhile: the message was that of another subscription.
        guard var entry = self.entries[id], entry.underWay == send.message else { return .goesOn }
        entry.underWay = nil
        entry.lastFailure = outcome.failure
        switch outcome {
        case .delivered:
            entry.failures = 0
            entry.lastDeliveredAt = wall
        case .withheld: break
        case .gone:
            self.remove(id, because: .gone)
            return .ended
        case .tooLarge:
            // Once more, as a cursor.
            if send.message.content != nil {
                var short = send.message
                short.content = nil
                self.putBack(short, in: &entry)
            }
        case .throttled(let wait), .unavailable(_, let wait):
            entry.failures += 1
            self.putBack(send.message, in: &entry)
            let least = min(Self.longestWait, max(1, wait?.inSeconds ?? 1))
            let delay = Backoff.delay(
                failures: min(entry.failures, 20),
                minimum: least,
                longest: Self.longestWait,
                using: &generator
            )
            self.wait(&entry, until: now + Duration(clampingSeconds: delay))
        case .failed:
            // The host waits, and with it everybody behind it.
            self.putBack(send.message, in: &entry)
        case .forbidden: self.pause(&entry)
        case .refused(let status):
            entry.failures += 1
            if status == 401 || status == 403 || entry.failures >= Self.refusalsInRow { self.pause(&entry) }
        }
        self.entries[id] = entry
        self.line(up: id)
        return entry.state == .refused ? .paused(entry.lastFailure ?? "") : .goesOn
    }

    /// What an answer says about its host.
    private mutating func note(
        _ outcome: PushOutcome,
        of host: String,
        now: MonotonicTime,
        using generator: inout some RandomNumberGenerator
    ) {
        guard var lane = self.lanes[host] else { return }
        switch outcome {
        case .delivered:
            lane.isProven = true
            lane.failures = 0
        case .throttled: lane.isProven = false
        case .unavailable, .failed:
            lane.failures += 1
            var isDown = lane.failures >= Self.failuresOfHost
            if case .failed = outcome { isDown = true }
            if isDown {
                lane.isProven = false
                let delay = Backoff.delay(
                    failures: min(lane.failures, 20),
                    minimum: 1,
                    longest: Self.longestWaitOfHost,
                    using: &generator
                )
                let end = now + Duration(clampingSeconds: delay)
                lane.notBefore = end
                self.wakes.insert(Wake(time: end, sleeper: .lane(host)))
            }
        case .gone, .tooLarge, .refused, .forbidden, .withheld: break
        }
        self.lanes[host] = lane
    }

    /// Sends nothing more until the subscription is renewed.
    private mutating func pause(_ entry: inout Entry) {
        entry.state = .refused
        self.contentBytes -= entry.waiting.reduce(0) { $0 + ($1.content?.count ?? 0) }
        entry.waiting = []
    }

    private mutating func wait(_ entry: inout Entry, until time: MonotonicTime) {
        entry.notBefore = time
        self.wakes.insert(Wake(time: time, sleeper: .subscription(entry.subscription.id)))
    }

    /// Ends the waits that are over.
    private mutating func wake(_ now: MonotonicTime) {
        while let wake = self.wakes.min, wake.time <= now {
            self.wakes.removeMin()
            switch wake.sleeper {
            case .lane(let host):
                guard let end = self.lanes[host]?.notBefore, end <= now else { continue }
                self.lanes[host]?.notBefore = nil
                self.list(host)
            case .subscription(let id):
                guard let end = self.entries[id]?.notBefore, end <= now else { continue }
                self.entries[id]?.notBefore = nil
                self.line(up: id)
            }
        }
    }

    // MARK: Queues

    /// Puts a subscription into the queue of its host, where it has something to send.
    mutating func line(up id: PushID) {
        guard let entry = self.entries[id], !entry.isQueued, entry.underWay == nil, entry.notBefore == nil,
            entry.state == .active, !entry.waiting.isEmpty
        else { return }
        let host = entry.subscription.host
        self.entries[id]?.isQueued = true
        self.lanes[host, default: Lane()].ready.append(id)
        self.list(host)
    }

    /// Gives a host its turn, where it may send something.
    private mutating func list(_ host: String) {
        guard let lane = self.lanes[host], !lane.isListed, lane.notBefore == nil, !lane.ready.isEmpty,
            lane.underWay < Self.room(in: lane)
        else { return }
        self.lanes[host]?.isListed = true
        self.lanesInTurn[lane.isProven, default: []].append(host)
    }

    /// Lets go of a host without subscriptions.
    mutating func forgetLane(_ host: String) {
        guard self.byHost[host] == nil, let lane = self.lanes[host], lane.underWay == 0, !lane.isListed else { return }
        self.lanes[host] = nil
    }
}
