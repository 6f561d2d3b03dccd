// What administrators, clocks and listeners do to a source between its polls.

extension SourceStateMachine {
    /// An administrator stops the polls.
    package mutating func pauseRequested(wall: WallTime) -> SourceState? {
        self.nextPoll = .distantFuture
        self.status.nextPollAt = nil
        self.status.intervalReason = "paused by an administrator"
        return self.enter(.paused, wall: wall)
    }

    /// An administrator lets the polls go on, the first at once. Also where the upstream was gone.
    package mutating func resumeRequested(now: MonotonicTime, wall: WallTime) -> SourceState? {
        let isGone = self.status.warnings.contains { $0.kind == .gone }
        guard self.status.state == .paused || isGone else { return nil }
        if self.configuration.isPolled {
            self.nextPoll = now
            self.status.nextPollAt = wall
            self.status.intervalReason = "resumed by an administrator"
        } else {
            self.status.intervalReason = Self.isOnlyPushed
        }
        return self.enter(self.condition(now: now), wall: wall)
    }

    /// The machine slept, or this process was stopped. A poll that is late by more than its interval has missed its turn
    /// and takes the next one, so that the sources stay spread and do not all poll at the moment of waking
    /// (FAULTS F80).
    ///
    /// - Returns: Whether the next poll is at another time now.
    package mutating func machineSlept(now: MonotonicTime, wall: WallTime) -> Bool {
        guard self.nextPoll < now, now - self.nextPoll > self.status.interval else { return false }
        self.nextPoll = self.schedule.afterSleep(now: now, interval: self.status.interval)
        let wait = max((self.nextPoll - now).milliseconds, 0)
        self.status.nextPollAt = WallTime(milliseconds: wall.milliseconds + wait)
        return true
    }

    /// Someone wants a poll now; a pause is not ended by it.
    package mutating func pollRequested(now: MonotonicTime) {
        self.nextPoll = now
    }

    /// The upstream said that something changed: the next poll is soon, once for all calls that come together. Where a
    /// poll is under way it may be too late for that, and another one follows it. A paused source, and one whose upstream
    /// is gone, is not polled by it.
    ///
    /// - Returns: Whether the next poll is at another time now.
    package mutating func hookReceived(now: MonotonicTime, wall: WallTime) -> Bool {
        guard self.status.state != .paused, !self.status.warnings.contains(where: { $0.kind == .gone }) else {
            return false
        }
        let wasDue = self.hooks.due
        self.hooks.called(
            now: now,
            lastPoll: self.schedule.startedAt,
            minInterval: self.configuration.effectiveMinInterval
        )
        guard let due = self.hooks.due, self.nextPoll != .distantFuture, due < self.nextPoll || self.nextPoll == wasDue
        else { return false }
        self.nextPoll = due
        self.status.intervalReason = Self.calledReason
        self.status.nextPollAt = WallTime(milliseconds: wall.milliseconds + max((due - now).milliseconds, 0))
        return true
    }

    /// The last value may not be this source's: the next poll is now, without a validator. The answer of a poll under way
    /// is dropped.
    package mutating func valueDoubted(now: MonotonicTime) {
        self.trust.forget()
        self.current.valueArrived()
        if self.nextPoll != .distantFuture { self.nextPoll = now }
    }

    /// The poll that is due waits, for what the source shares with others: `wait` from now, where that is known.
    package mutating func heldBack(for wait: Duration?, reason: String, wall: WallTime) {
        self.status.intervalReason = reason
        self.status.nextPollAt = wait.map { WallTime(milliseconds: wall.milliseconds + $0.milliseconds) }
    }

    /// A source that is polled only for subscribers has none.
    package mutating func fellAsleep() {
        self.status.intervalReason = "no subscribers; polled while there is one"
        self.status.nextPollAt = nil
    }

    /// The credentials were read again and are others now; `configuration` differs in nothing else. `polls`: ask with them
    /// at once.
    package mutating func credentialsRenewed(_ configuration: SourceConfiguration, polls: Bool, now: MonotonicTime) {
        self.configuration = configuration
        guard polls, self.status.state != .paused else { return }
        self.nextPoll = now
        self.status.intervalReason = "credentials changed; polling now"
    }

    /// The token that the requests carry is another one, after the last was refused: ask with it at once.
    package mutating func tokenRenewed(now: MonotonicTime) {
        guard self.status.state != .paused else { return }
        self.nextPoll = now
        self.status.intervalReason = "there is a new token"
    }
}
