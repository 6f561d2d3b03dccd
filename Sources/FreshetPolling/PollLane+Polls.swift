// The way of one poll through the poll thread: due, admitted, ended, published, due again.

import FreshetCore
import FreshetUpstream
import Synchronization
import Tracing

extension PollLane {
    /// How often the store hears of what an adaptive source has learned, where nothing else changed.
    private static let keepInterval = Duration.seconds(60)

    /// Queues a source for the time that its machine wants.
    func schedule(_ source: PolledSource, now: MonotonicTime) {
        if self.sleepsWithoutListeners(source) { return self.fallAsleep(source, now: now) }
        self.leaveLine(source)
        source.activity = .scheduled
        source.due = source.machine.nextPoll
        self.queue.set(source.id, due: source.due)
    }

    /// Begins every poll whose time has come and for which there is room.
    func startDue(now: MonotonicTime) {
        while self.inFlight < self.configuration.maxConcurrentPolls, let first = self.queue.first, first.due <= now,
            self.budgetTime(now: now) <= now
        {
            self.queue.remove(first.source)
            guard let source = self.sources[first.source] else { continue }
            self.startIfAdmitted(source, now: now)
        }
        self.noteBudget(now: now)
    }

    /// Lets the source that is next say that it waits for the budget, once.
    private func noteBudget(now: MonotonicTime) {
        guard self.budget != nil, let first = self.queue.first, let source = self.sources[first.source] else { return }
        let due = max(now, first.due)
        let start = self.budgetTime(now: due)
        let reason = "delayed: polling.requests_per_hour is used up"
        // A moment is not worth a word.
        guard start - due > .milliseconds(100), source.machine.status.intervalReason != reason else { return }
        source.machine.heldBack(for: start - now, reason: reason, wall: .now)
        self.hub.report(source.machine.status, of: source.id)
    }

    private func startIfAdmitted(_ source: PolledSource, now: MonotonicTime) {
        if !source.isUrgent, source.reading == nil, self.sleepsWithoutListeners(source) {
            return self.fallAsleep(source, now: now)
        }
        if self.waitsForWrites(source, now: now) { return }
        guard self.hasToken(source, now: now) else { return self.awaitToken(source, now: now) }
        if self.rides(source, now: now) { return }
        switch source.host.queue.admit(source.id, now: now) {
        case .proceed(let isProbe):
            self.start(source, isCounted: true, isProbe: isProbe, now: now)
            self.release(source.host)
        case .wait where source.isUrgent,
            .waitForOthers where source.isUrgent && source.host.queue.isHeldBack(now: now):
            source.host.queue.forget(source.id)
            self.release(source.host)
            self.start(source, isCounted: false, isProbe: false, now: now)
        case .wait(let until):
            source.activity = .inLine
            // Always later than now, whatever is lost in rounding: this very loop would meet it again.
            let wait = max(.microseconds(1), Duration(clampingSeconds: until - now.axisSeconds))
            self.queue.set(source.id, due: now + wait)
            self.held(source, for: wait)
        case .waitForOthers:
            source.activity = .inLine
            let wait = source.host.queue.wait(now: now)
            if source.host.queue.isOpen { self.held(source, for: nil) } else { self.held(source, for: wait) }
        }
    }

    /// Lets the status say that the source waits for its host, and until when if that is known; a moment is not worth
    /// a word.
    func held(_ source: PolledSource, for wait: Duration?) {
        guard wait ?? .seconds(1) >= .seconds(1) else { return }
        source.machine.heldBack(for: wait, reason: source.host.queue.reasonToWait, wall: .now)
        self.hub.report(source.machine.status, of: source.id)
    }

    private func start(_ source: PolledSource, isCounted: Bool, isProbe: Bool, now: MonotonicTime) {
        if var budget = self.budget {
            _ = budget.take(due: source.due.axisSeconds, now: now.axisSeconds)
            self.budget = budget
        }
        source.activity = .polling(since: now, isCounted: isCounted, isProbe: isProbe)
        source.tokenNumber = source.credential?.lease?.number ?? 0
        self.inFlight += 1
        let isNew = source.reading == nil
        if isNew {
            source.isUrgent = false
            source.asksAlone = false
            self.inbox.metrics.withLock { $0.pollStarted(lateness: now - source.due) }
            source.request = source.machine.pollStarted(now: now, wall: .now)
            // One that was given up has no end of its own.
            source.traced?.span.end()
            source.traced = self.tracer.map { TracedPoll(of: source.machine.configuration, by: $0) }
        }
        if let pagination = source.machine.configuration.paginate {
            self.startPage(source, pagination, now: now)
        } else {
            var request = ExchangeRequest(source.request, of: source.machine.configuration)
            if let traced = source.traced { request.fields = traced.fields }
            self.transport.start(ExchangeID(source.id), request, now: now)
        }
        if isNew { self.takeAlong(with: source, now: now) }
    }

    /// Takes the result of a request to the machine, and the machine's verdict to everybody who is concerned; or, where
    /// more pages come, asks for the next.
    func pollEnded(_ completion: ExchangeCompletion, now: MonotonicTime, wall: WallTime) {
        guard let source = self.sources[SourceID(completion.id)], source.leader == nil,
            case .polling(let since, let isCounted, _) = source.activity
        else { return }
        self.inFlight -= 1
        self.inbox.metrics.withLock { $0.connections += UInt64(clamping: completion.connects) }
        let begun = source.reading?.since ?? since
        guard let end = self.pageEnded(source, completion.result, now: now) else {
            if isCounted { self.hostFinished(source.host, .answered, now: now) }
            return self.queuePage(source, now: now)
        }
        let poll = AnsweredPoll(
            end: end,
            trace: completion.trace,
            duration: now - begun - completion.held,
            group: source.group,
            version: source.group.version
        )
        if self.readsElsewhere(source, poll, isCounted: isCounted, now: now, wall: wall) { return }
        self.conclude(source, poll, isCounted: isCounted, bodies: SourceMap(), wall: wall, now: now)
    }

    /// Ends a poll for every source that it was made for. `bodies`: as read for each, where others have done that.
    func conclude(
        _ source: PolledSource,
        _ poll: AnsweredPoll,
        isCounted: Bool,
        bodies: SourceMap<ReadBody>,
        wall: WallTime,
        now: MonotonicTime
    ) {
        let followers = source.followers
        source.followers = []
        self.conclude(source, poll, bodies[source.id], wall: wall, now: now) { verdict, response in
            source.traced?.end(verdict.outcome, status: response?.status, error: verdict.error)
            self.inbox.metrics.withLock { metrics in
                metrics.pollEnded(
                    source,
                    verdict.outcome,
                    duration: poll.duration,
                    wire: response?.wireBytes ?? 0,
                    body: response?.body.count ?? 0
                )
            }
            if isCounted { self.hostFinished(source.host, verdict.host, now: now) }
        }
        source.traced?.span.end()
        source.traced = nil
        for follower in followers where follower.leader === source {
            guard self.leaves(follower, poll.end, now: now) else { continue }
            self.conclude(follower, poll, bodies[follower.id], wall: wall, now: now) { verdict, _ in
                self.inbox.metrics.withLock { $0.sharedPollEnded(follower, verdict.outcome) }
            }
        }
    }

    /// Ends the poll of a source. `account` is called with the verdict, before it is told to anybody.
    private func conclude(
        _ source: PolledSource,
        _ poll: AnsweredPoll,
        _ body: ReadBody?,
        wall: WallTime,
        now: MonotonicTime,
        account: (SourceStateMachine.Verdict, ExchangeResponse?) -> Void
    ) {
        let result = poll.end.result(isConfirmation: source.holdsPages(of: poll))
        let verdict = self.verdict(of: source, on: result, body, now: now, wall: wall)
        let response = try? result.get()
        source.machine.pollRecorded(
            PollRecord(at: wall, outcome: verdict.outcome, bytes: response?.wireBytes ?? 0, trace: poll.trace)
        )
        if case .pages = poll.end {
            let holds = response.map { $0.status == 304 || source.machine.holds($0.body) } ?? false
            source.pagesVersion = verdict.error == nil && holds && source.group === poll.group ? poll.version : nil
        }
        account(verdict, response)
        self.reviewToken(of: source, after: result, isGood: verdict.error == nil, now: now)
        // Who waits for the poll waits for the one that takes its place.
        let isAwaited = verdict.outcome == .superseded && !source.waiters.isEmpty
        if isAwaited {
            source.isUrgent = true
            source.machine.pollRequested(now: now)
        }
        self.schedule(source, now: now)
        self.watchStaleness(source)
        let waiters = isAwaited ? [] : source.takeWaiters()
        self.deliver(verdict, of: source, now: now) {
            for waiter in waiters { waiter(verdict.error.map { .failure($0) } ?? .success(verdict.outcome)) }
        }
    }

    /// Bytes arrived over a connection although no request had asked for them. The connection is closed by now.
    func bytesArrived(_ bytes: UnsolicitedBytes, now: MonotonicTime) {
        self.inbox.metrics.withLock { $0.unsolicited += 1 }
        for id in bytes.suspects { self.askAgain(SourceID(id), now: now) }
        guard bytes.isNew else { return }
        self.notify(
            .warning(
                "\(bytes.origin) sent an unsolicited response; each poll of it now opens a "
                    + "connection of its own. Fix the upstream, or the proxy in front of it."
            )
        )
    }

    /// The last value may have been the answer to another request; so may that of all who took it.
    private func askAgain(_ id: SourceID, now: MonotonicTime) {
        guard let group = self.sources[id]?.group else { return }
        group.doubt()
        for source in group.members {
            source.machine.valueDoubted(now: now)
            source.pagesVersion = nil
            guard source.activity == .scheduled, source.machine.nextPoll != .distantFuture else { continue }
            self.schedule(source, now: now)
        }
    }

    private func verdict(
        of source: PolledSource,
        on result: Result<ExchangeResponse, UpstreamError>,
        _ body: ReadBody?,
        now: MonotonicTime,
        wall: WallTime
    ) -> SourceStateMachine.Verdict {
        if source.machine.configuration.interval == .adaptive {
            let subscribers = self.hub.subscriberCount(of: source.id)
            source.machine.price = PollPrice(theta: self.budget?.theta ?? 0, weight: Double(max(1, subscribers)))
        }
        switch result {
        case .success(let response):
            return source.machine.responseReceived(response, read: body, now: now, wall: wall, using: &self.generator)
        case .failure(let error):
            return source.machine.pollFailed(error, now: now, wall: wall, using: &self.generator)
        }
    }

    /// `done` is called once what the poll brought is readable: on this thread, or on the one that makes it so.
    func deliver(
        _ verdict: SourceStateMachine.Verdict,
        of source: PolledSource,
        now: MonotonicTime,
        done: @escaping @Sendable () -> Void = {}
    ) {
        // The status first: who reads the value's event finds the source in its new state.
        self.report(source, transition: verdict.transition)
        if let change = verdict.change {
            let published = source.traced?.publish()
            self.publish(change, of: source) { cursor in
                published?.end(cursor)
                done()
            }
            source.keptValidators = source.machine.status.validators
        } else if verdict.error == nil {
            self.keep(source, now: now)
        }
        if let error = verdict.error { self.notify(.failed(source.id, name: source.name, error)) }
        if verdict.change == nil { done() }
    }

    /// Tells the store what a poll without a change taught.
    private func keep(_ source: PolledSource, now: MonotonicTime) {
        let validators = source.machine.status.validators
        let isDue = source.machine.configuration.interval == .adaptive && now - source.keptAt >= Self.keepInterval
        guard validators != source.keptValidators || isDue else { return }
        source.keptValidators = validators
        source.keptAt = now
        self.hub.keep(validators: validators, learned: source.machine.learned, of: source.id)
    }

    /// Sees to it that the source is looked at when its value becomes stale. An entry that is too early is put off when
    /// its time comes, so that a poll costs nothing here.
    func watchStaleness(_ source: PolledSource) {
        let deadline = source.machine.staleDeadline
        guard deadline < source.staleWatch else { return }
        source.staleWatch = deadline
        self.staleQueue.set(source.id, due: deadline)
    }

    /// Marks the values that nothing has confirmed for too long.
    func noticeStaleness(now: MonotonicTime) {
        while let first = self.staleQueue.first, first.due <= now {
            self.staleQueue.remove(first.source)
            guard let source = self.sources[first.source] else { continue }
            source.staleWatch = .distantFuture
            if source.machine.staleDeadline <= now {
                self.report(source, transition: source.machine.timePassed(now: now, wall: .now))
            }
            self.watchStaleness(source)
        }
    }

    /// Tells the hub, and the shell where the state is another.
    func report(_ source: PolledSource, transition: SourceState?) {
        self.hub.report(source.machine.status, of: source.id, transition: transition)
        if let transition { self.notify(.entered(source.id, name: source.name, transition)) }
    }
}
