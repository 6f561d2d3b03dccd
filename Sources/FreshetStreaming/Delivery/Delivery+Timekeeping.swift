// What happens by the clock: heartbeats, write deadlines, and a drain that spreads its closes.

package import FreshetCore
import System

/// Closes that are spread over a time.
struct DrainPlan {
    /// In the order of closing.
    var order: [SlotKey]
    var next = 0
    var start: Int64
    var nanoseconds: Int64
    var hasSuccessor = false
    /// Called once, when all are closed.
    var done: [@Sendable () -> Void]

    /// How often the drain has to be looked at, in nanoseconds.
    var step: Int64 {
        guard !self.done.isEmpty else { return .max }
        return min(max(1_000_000, self.nanoseconds / 256), 50_000_000)
    }

    /// How many are to be closed by now.
    func target(at now: Int64) -> Int {
        let elapsed = max(0, now &- self.start)
        guard elapsed < self.nanoseconds else { return self.order.count }
        return Int(Double(self.order.count) * (Double(elapsed) / Double(self.nanoseconds)))
    }

    /// A turn closes no more than `TurnLimits.ends`: what is due beyond that is for the next one, without a wait. With a wait
    /// of `step` between turns, a drain closed 4,096 in its time, however long that is.
    func isBehind(at now: Int64) -> Bool {
        !self.done.isEmpty && self.next < self.target(at: now)
    }

    func isOver(at now: Int64) -> Bool { now &- self.start >= self.nanoseconds }

    /// What a client is asked to wait whose stream ends now, in milliseconds, where a successor has the listener. Until
    /// this process has ended, connections wait there; who comes back before would come back to a crowd. So the waits end
    /// after the drain, evenly over as long again, and over no less than `retry`.
    func wait(at now: Int64, retry: Int64, using random: inout some RandomNumberGenerator) -> Int64 {
        let length = self.nanoseconds / 1_000_000
        let left = min(max(0, length - max(0, now &- self.start) / 1_000_000), length)
        return left + retry / 2 + Int64.random(in: 0...max(retry, length, 1), using: &random)
    }
}

extension Delivery {
    /// Once a tick.
    func keepTime() {
        self.closeSlow()
        self.tellHeldStatuses()
        self.deliverRestedCheckpoints()
        self.sendHeartbeats()
    }

    /// Closes those whose socket took nothing for too long, in the next turns.
    private func closeSlow() {
        // Those that were found before come first.
        guard !self.backlogs.isEmpty, self.nextEnd == self.pendingEnds.count else { return }
        let stuck = self.backlogs.filter { self.isStuck($0.value) }.sorted { $0.key < $1.key }
        for (index, backlog) in stuck {
            self.endLater(index, backlog.closing ?? .slow, isStuck: true)
        }
    }

    func isStuck(_ backlog: Backlog) -> Bool {
        !backlog.isQueued && !backlog.isFetching
            && self.clock.tick &- backlog.progressTick > self.clock.writeTicks
    }

    /// Sends a heartbeat to each live subscriber that was sent nothing for a while.
    private func sendHeartbeats() {
        let schedule = HeartbeatSchedule(interval: self.clock.heartbeatTicks)
        let tick = self.clock.tick
        var due: [Int32] = []
        for index in 0..<self.table.end {
            let slot = self.table.slots + Int(index)
            let quiet = tick &- slot.pointee.lastSend
            guard quiet >= schedule.earliest, slot.pointee.isUsed, slot.pointee.machine.isLive else {
                continue
            }
            let isBeating = self.table.record(index).lastHeartbeat == slot.pointee.lastSend
            if schedule.isDue(after: quiet, isBeating: isBeating, number: index) { due.append(index) }
        }
        for index in due {
            self.sendHeartbeat(to: index)
        }
    }

    /// Those in step with a run are sent theirs together, as a part of it: else the first heartbeat would end the run.
    private func sendHeartbeatInStep(with index: Int32, in group: SubscriberGroup, _ heartbeat: Frame) {
        let members = Array(group.live[..<group.inStep])
        for member in members { self.table.updateRecord(member) { $0.lastHeartbeat = self.clock.tick } }
        self.sendToLive(members, heartbeat, in: group)
    }

    private func sendHeartbeat(to index: Int32) {
        guard let group = self.group(of: index) else { return }
        // It was sent one since with those that it is in step with, or that did not go.
        guard self.table.slot(index).pointee.lastSend != self.clock.tick, self.table.record(index).livePosition >= 0
        else { return }
        if self.isInStep(index, in: group), let heartbeat = self.heartbeats[group.wire] {
            return self.sendHeartbeatInStep(with: index, in: group, heartbeat)
        }
        self.table.updateRecord(index) { $0.lastHeartbeat = self.clock.tick }
        guard let heartbeat = self.heartbeats[group.wire] else {
            return self.table.slot(index).pointee.lastSend = self.clock.tick
        }
        self.sendToLive(index, heartbeat, in: group)
    }
}

// MARK: - Drain

extension Delivery {
    func startDrain(over duration: Duration, hasSuccessor: Bool, done: @escaping @Sendable () -> Void) {
        let order = (0..<self.table.end).filter { self.table.isUsed($0) }.map { self.table.key(of: $0) }
        let waiting = self.drain?.done ?? []
        self.drain = DrainPlan(
            order: order.shuffled(using: &self.transport.random),
            start: self.clock.now,
            nanoseconds: max(0, duration.clampedNanoseconds),
            hasSuccessor: hasSuccessor || self.drain?.hasSuccessor ?? false,
            done: waiting + [done]
        )
    }

    /// Closes as many as are due. At the end of the time those who do not take their `bye` are closed without.
    func continueDrain() {
        guard var plan = self.drain, !plan.done.isEmpty else { return }
        let target = min(plan.target(at: self.clock.now), plan.next + TurnLimits.ends)
        while plan.next < target {
            let key = plan.order[plan.next]
            plan.next += 1
            guard self.table.holds(key) else { continue }
            let siblings = self.transport.siblings(of: self.table.slot(key.index).pointee.connection)
            self.end(key.index, .drain)
            for sibling in siblings where self.table.holds(sibling) { self.end(sibling.index, .drain) }
        }
        self.drain = plan
        guard plan.isOver(at: self.clock.now), plan.next == plan.order.count else { return }
        // The last of them received `bye` in this turn.
        self.transport.flush()
        for index in 0..<self.table.end where self.table.isUsed(index) {
            self.release(index, .told(.drain))
        }
        guard self.nextArrival == self.arrivals.count else { return }
        self.finishDrain()
    }

    /// Tells those who wait for the drain, who find its closes in the figures.
    func finishDrain() {
        self.publishFigures()
        let done = self.drain?.done ?? []
        self.drain?.done = []
        for call in done {
            call()
        }
    }
}

// MARK: - Administration

extension Delivery {
    func list(limit: Int) -> [SubscriberReport] {
        var reports: [SubscriberReport] = []
        for index in 0..<self.table.end where self.table.isUsed(index) {
            guard reports.count < limit else { break }
            if let report = self.report(of: self.table.key(of: index)) { reports.append(report) }
        }
        return reports
    }

    /// `nil` where the subscriber is gone.
    package func report(of key: SlotKey) -> SubscriberReport? {
        guard self.table.holds(key), let group = self.group(of: key.index) else { return nil }
        let record = self.table.record(key.index)
        let backlog = self.backlogs[key.index]
        return SubscriberReport(
            id: SubscriberID(shard: self.number, key: key),
            peer: record.ticket?.address ?? .local,
            subject: self.owners[key.index]?.principal.id,
            sources: group.subscription.sources,
            format: group.subscription.format,
            sequence: self.table.slot(key.index).pointee.machine.sequence,
            state: backlog == nil ? .live : backlog?.closing == nil ? .behind : .closing,
            unsentFrames: backlog?.unsentCount ?? 0,
            since: WallTime(milliseconds: record.since)
        )
    }

    /// Changes where a subscriber stands: for simulations, which plant a mistake in the cursor rule.
    package func updateMachine(of key: SlotKey, _ body: (inout SubscriberStateMachine) -> Void) {
        guard self.table.holds(key) else { return }
        body(&self.table.slot(key.index).pointee.machine)
    }

    /// `first` is told whose stream it is, before its client is told of the end.
    ///
    /// - Returns: Whether the subscriber was there.
    func close(_ id: SubscriberID, _ reason: CloseReason, first: (StreamOwner) -> Void) -> Bool {
        guard self.table.isUsed(id.slot), self.table.slot(id.slot).pointee.generation & 0xFF_FFFF == id.generation
        else { return false }
        if let owner = self.owners[id.slot] { first(owner) }
        self.end(id.slot, reason)
        return true
    }
}
