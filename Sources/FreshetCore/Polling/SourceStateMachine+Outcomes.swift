// How a poll's end shows: in the state, in the times of the next polls, in the figures.

extension SourceStateMachine {
    mutating func succeeded(
        change: Change?,
        status: Int,
        _ freshness: ResponseFreshness,
        now: MonotonicTime,
        wall: WallTime,
        using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        if let refused = self.current.ended() { self.trust.conditionRefused(refused) }
        self.status.failuresInARow = 0
        self.status.validators = self.trust.validators
        self.status.notModified += status == 304 ? 1 : 0
        self.status.unchanged += status != 304 && change == nil ? 1 : 0
        self.status.changes += change == nil ? 0 : 1
        if change?.summary != nil { self.status.changesPerHour.add(at: wall) }
        let next = self.schedule.responseReceived(
            changed: change != nil,
            waiting: self.value.wait,
            freshness: freshness,
            price: self.price,
            now: now,
            using: &generator
        )
        self.plan(next, now: now, wall: wall)
        if self.value.wait != nil {
            // The answer says nothing about the value that is served.
            self.status.intervalReason += "; a new value is waiting for confirmation"
        } else {
            self.status.lastSuccessAt = wall
            self.status.caching = CachePolicy(freshness)
            self.staleness.confirmed(at: now, interval: next.interval, freshness: freshness)
        }
        self.reviewWarnings()
        var change = change
        change?.learned = self.learned
        return Verdict(
            outcome: status == 304 ? .notModified : (change == nil ? .unchanged : .changed),
            change: change,
            transition: self.enterCondition(now: now, wall: wall)
        )
    }

    mutating func failed(
        _ error: UpstreamError,
        isGone: Bool = false,
        hints: PollHints,
        now: MonotonicTime,
        wall: WallTime,
        using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        self.current.ended()
        self.status.failuresInARow += 1
        self.status.failures += 1
        self.status.failuresPerHour.add(at: wall)
        self.status.lastError = ReportedError(error: error, at: wall)
        let next = self.schedule.pollFailed(
            error.kind,
            failures: self.status.failuresInARow,
            hints: hints,
            now: now,
            using: &generator
        )
        self.plan(next, now: now, wall: wall)
        self.status.setWarning(.gone, isGone)
        if isGone {
            self.nextPoll = .distantFuture
            self.status.nextPollAt = nil
            self.status.intervalReason =
                "the upstream answered 410 Gone: not polled until it is resumed or a poll is requested"
        }
        return Verdict(
            outcome: .failed(error.kind),
            error: error,
            transition: self.enterCondition(now: now, wall: wall)
        )
    }

    /// The answer cannot be used, and the upstream is asked once more at once, without a condition.
    mutating func repeated(because reason: CurrentPoll.Repeat, now: MonotonicTime, wall: WallTime) -> Verdict {
        self.current.repeats = reason
        return self.supersede(at: now, wall: wall, because: reason.description, now: now)
    }

    /// A value arrived by another way after the poll had begun. Its answer may be older, and is dropped.
    mutating func pollOvertaken(now: MonotonicTime, wall: WallTime) -> Verdict {
        let wait = self.current.dropped(interval: self.configuration.nominalInterval)
        let reason = "a value was pushed during the last poll; polling again"
        return self.supersede(at: now + wait, wall: wall, because: reason, now: now)
    }

    private mutating func supersede(
        at time: MonotonicTime,
        wall: WallTime,
        because reason: String,
        now: MonotonicTime
    ) -> Verdict {
        self.plan(PollSchedule.Plan(at: time, interval: self.status.interval, reason: reason), now: now, wall: wall)
        return Verdict(outcome: .superseded)
    }

    private mutating func plan(_ next: PollSchedule.Plan, now: MonotonicTime, wall: WallTime) {
        self.status.interval = next.interval
        guard self.status.state != .paused else { return }
        var next = next
        if let due = self.hooks.due, due < next.at { (next.at, next.reason) = (due, Self.calledReason) }
        self.status.intervalReason = next.reason
        self.nextPoll = next.at
        let wait = max((next.at - now).milliseconds, 0)
        self.status.nextPollAt = WallTime(milliseconds: wall.milliseconds + wait)
    }

    static let calledReason = "the upstream said that something changed"

    /// - Returns: The state, where it is another than before.
    mutating func enter(_ state: SourceState, wall: WallTime) -> SourceState? {
        guard self.status.state != state else { return nil }
        self.status.state = state
        self.status.stateSince = wall
        return state
    }

    // MARK: States

    /// When ``timePassed(now:wall:)`` has something to say, if nothing happens before; `.distantFuture` for never.
    package var staleDeadline: MonotonicTime {
        guard self.value.document != nil, self.status.state != .paused, self.status.state != .stale else {
            return .distantFuture
        }
        return self.staleness.deadline(isFailing: self.status.failuresInARow > 0)
    }

    /// Notices that the value has become stale.
    ///
    /// - Returns: The state that the source has entered; `nil` where it is as before.
    package mutating func timePassed(now: MonotonicTime, wall: WallTime) -> SourceState? {
        self.enterCondition(now: now, wall: wall)
    }

    /// The state that the facts amount to, a pause aside. A value that is too old matters more to who reads it than
    /// why it is.
    func condition(now: MonotonicTime) -> SourceState {
        let isFailing = self.status.failuresInARow > 0
        let hasValue = self.value.document != nil
        if hasValue, now >= self.staleness.deadline(isFailing: isFailing) { return .stale }
        guard isFailing else { return hasValue ? .ok : .starting }
        return self.status.lastError?.error.kind == .throttled ? .backoff : .failing
    }

    mutating func enterCondition(now: MonotonicTime, wall: WallTime) -> SourceState? {
        self.status.state == .paused ? nil : self.enter(self.condition(now: now), wall: wall)
    }
}
