// One endpoint: what of the log it is sent next, what becomes of refusals, and what a later process has to know.

import HeapModule

/// A cursor over the log, and the few events behind it that are under way. Performs no I/O and reads no clock; its owner
/// carries out what ``next(now:limit:)`` says and reports what came of it.
///
/// A message is sent until it is answered with 2xx, always with the same id and body. At least once: what was answered
/// after the last row that was kept is sent again by a later process.
package struct WebhookStateMachine: Sendable {
    /// What the endpoint gets.
    package enum State: String, CaseIterable, Hashable, Sendable {
        /// What there is. ``WebhookStateMachine/isFailing`` where something was refused. Next: any.
        case active
        /// Nothing, until somebody resumes it. Next: `.active`.
        case paused
        /// Nothing, since it answered 410. Next: `.active`, when somebody resumes it.
        case disabled
    }

    /// What the owner is to do.
    package enum Order: Hashable, Sendable {
        /// Read the log, and report by ``eventsRead(_:after:through:isComplete:)`` or ``gapFound(_:after:head:sources:)``.
        case read(after: UInt64, limit: Int)
        /// Send a message, and report by ``tryEnded(_:_:now:jitter:at:)``.
        case send(WebhookTry)
    }

    let limits: WebhookLimits
    package let configuration: WebhookConfiguration
    package internal(set) var state: State
    /// Of the numbering that the cursor belongs to.
    var epoch: Epoch
    /// The log was read up to here.
    var readThrough: UInt64
    var window = WebhookWindow()
    /// The log may hold more than was read.
    private var hasMore = true
    private var isReading = false
    /// Something changed while the log was read, and may not be in what was read.
    private var changedMeanwhile = false
    /// Events that wait for nothing but their turn.
    var ready = Heap<UInt64>()
    private var retries = Heap<Retry>()
    private var inFlight: Set<UInt64> = []
    /// How many may be under way: one after a failure, one more with each message that is delivered.
    private var width: Int
    /// How often in a row it was unavailable.
    private var failures = 0
    /// It gets nothing before.
    private var restsUntil = MonotonicTime(nanoseconds: .min)
    /// What an earlier process, or a time before a pause, knew of events that are not read again yet.
    var remembered = WebhookMemory()
    package internal(set) var figures = WebhookFigures()
    package private(set) var tries: [WebhookTryReport] = []
    /// When the state was entered.
    package private(set) var stateSince: WallTime

    /// Counts what a later process has to know.
    package internal(set) var revision: UInt64 = 0
    /// The revision that is on the disk, or as good as it will be.
    private var keptRevision: UInt64 = 0
    /// Events whose bodies are on their way to the disk, each with the revision that holds it.
    private var keeping: [(sequence: UInt64, revision: UInt64)] = []

    private struct Retry: Comparable {
        var time: MonotonicTime
        var sequence: UInt64

        static func < (one: Retry, other: Retry) -> Bool {
            (one.time, one.sequence) < (other.time, other.sequence)
        }
    }

    /// Begins where an earlier process was, by what ``row(now:wall:)`` gave, or, without a row, at `head`, the position after
    /// the newest change. `sources`: the names of the sources now, for the message of a gap.
    package init(
        _ configuration: WebhookConfiguration,
        limits: WebhookLimits = WebhookLimits(),
        row: WebhookRow? = nil,
        head: Cursor,
        sources: [String] = [],
        now: MonotonicTime,
        wall: WallTime
    ) {
        self.configuration = configuration
        self.limits = limits
        self.width = configuration.maxInFlight
        self.epoch = head.epoch
        self.stateSince = row?.since ?? wall
        self.state = row?.state ?? .active
        self.readThrough = row?.cursor.sequence ?? head.sequence
        guard let row else {
            self.revision = 1
            return
        }
        self.keptRevision = self.revision
        // A gap that is ahead of the log would have it read from behind its end.
        let last = max(row.cursor.sequence, row.gap?.cursor.sequence ?? 0)
        let reason: GapReason? = row.cursor.epoch != head.epoch ? .epoch : last > head.sequence ? .future : nil
        if let reason {
            self.readThrough = head.sequence - min(head.sequence, 1)
            self.addGap(WebhookGap(reason, at: head, sources: sources, of: self.configuration))
            return
        }
        self.remembered = WebhookMemory(row, now: now, wall: wall)
        self.restoreGap()
    }

    /// Begins with the gap that was not delivered before.
    private mutating func restoreGap() {
        guard let gap = self.remembered.gap else { return }
        self.remembered.gap = nil
        self.addGap(gap, isKept: true)
    }

    // MARK: What is known of it

    /// Everything up to here is delivered, or is nothing that it gets.
    package var cursor: Cursor {
        Cursor(epoch: self.epoch, sequence: self.window.entries.first?.base ?? self.readThrough)
    }

    /// Something was refused and is not delivered since.
    package var isFailing: Bool { self.failures > 0 || self.refusedCount > 0 }

    /// Messages that were refused and are not delivered since.
    package var refusedCount: Int { self.window.refused + self.remembered.refusals.count }
    /// Messages under way.
    package var inFlightCount: Int { self.inFlight.count }
    /// Events that are delivered ahead of one that is not.
    package var aheadCount: Int { self.window.entries.reduce(0) { $0 + ($1.isDelivered ? 1 : 0) } }
    package var heldBytes: Int { self.window.heldBytes }
    /// What is to be kept differs from what is.
    package var isDirty: Bool { self.keptRevision < self.revision }
    /// Something is not sent before what is to be kept is kept.
    package var isUrgent: Bool { !self.keeping.isEmpty }

    /// When ``next(now:limit:)`` may have something to do again; `nil` for no time.
    package var deadline: MonotonicTime? {
        guard self.state == .active, self.inFlight.count < self.width else { return nil }
        if !self.ready.isEmpty { return self.restsUntil }
        return self.retries.min.map { max($0.time, self.restsUntil) }
    }

    /// When the next message is sent that was refused; `nil` where none is, or where nothing is sent.
    package var nextRetry: MonotonicTime? {
        self.state == .active ? self.retries.min.map { max($0.time, self.restsUntil) } : nil
    }
}

// MARK: - What is done next

extension WebhookStateMachine {
    /// What to do now: at most one reading, and at most `limit` messages.
    package mutating func next(now: MonotonicTime, limit: Int = .max) -> [Order] {
        guard self.state == .active else { return [] }
        var orders: [Order] = []
        while let first = self.retries.min, first.time <= now {
            self.retries.removeMin()
            self.ready.insert(first.sequence)
        }
        while self.restsUntil <= now, orders.count < limit, self.inFlight.count < self.width,
            let sequence = self.ready.popMin()
        {
            guard let entry = self.window[sequence], entry.maySend else { continue }
            guard !entry.mustBeKept || entry.isKept else {
                self.window.update(sequence) { $0.phase = .keeping }
                self.revision += 1
                self.keeping.append((sequence, self.revision))
                continue
            }
            self.window.update(sequence) { $0.phase = .inFlight }
            self.inFlight.insert(sequence)
            orders.append(
                .send(
                    WebhookTry(
                        sequence: sequence,
                        cursor: entry.cursor,
                        id: self.configuration.messageID(entry.gap == nil ? "msg" : "gap", at: entry.cursor),
                        body: entry.body,
                        number: entry.refusals + 1
                    )
                )
            )
        }
        if let order = self.nextReading() { orders.append(order) }
        return orders
    }

    private mutating func nextReading() -> Order? {
        let room = 1 + self.limits.ahead - self.window.count
        guard self.hasMore, !self.isReading, room > 0, self.window.heldBytes < self.limits.heldBytes else { return nil }
        // Near a bound a reading brings little for what it costs: as long as there is something else to send, and it is
        // taken, it is put off.
        let isRoomy = room >= self.limits.eventsPerReading && self.window.heldBytes <= self.limits.heldBytes / 2
        guard isRoomy || self.ready.isEmpty || self.failures > 0 else { return nil }
        self.isReading = true
        self.changedMeanwhile = false
        return .read(after: self.readThrough, limit: min(room, self.limits.eventsPerReading))
    }

    // MARK: What came of it

    /// One of its sources has changed, or has come or gone.
    package mutating func logChanged() {
        self.hasMore = true
        self.changedMeanwhile = true
    }

    /// The log was read: `events` are all after `after`, as far as `through`.
    package mutating func eventsRead(
        _ events: [WebhookEvent],
        after: UInt64,
        through: UInt64,
        isComplete: Bool
    ) {
        guard self.isReading else { return }
        self.isReading = false
        // Read before it was paused, say: it is read again.
        guard after == self.readThrough else { return }
        let before = self.cursor
        self.hasMore = !isComplete || self.changedMeanwhile
        var isWhole = true
        for event in events where event.cursor.sequence > self.readThrough {
            guard self.window.count <= self.limits.ahead,
                self.window.isEmpty || self.window.heldBytes < self.limits.heldBytes
            else {
                self.hasMore = true
                isWhole = false
                break
            }
            self.readThrough = event.cursor.sequence
            self.admit(event)
        }
        if isWhole { self.readThrough = max(self.readThrough, through) }
        self.remembered.forget(through: self.readThrough)
        if self.cursor != before { self.revision += 1 }
    }

    private mutating func admit(_ event: WebhookEvent) {
        guard let body = event.body else { return }
        // A log that failed goes on in another one.
        self.epoch = event.cursor.epoch
        let sequence = event.cursor.sequence
        let known = self.remembered.take(sequence)
        if known.isDelivered {
            self.window.append(WebhookWindow.Entry(event, body: [], mustBeKept: false), isDelivered: true)
            return
        }
        var entry = WebhookWindow.Entry(event, body: known.body ?? body, mustBeKept: !event.isReproducible)
        entry.isKept = known.body != nil
        entry.refusals = known.refusals
        if self.window.append(entry) { self.schedule(sequence, at: known.due) }
    }

    /// The log no longer holds what comes after `after`: the endpoint gets a message that says so and points to the values of
    /// `sources`, and goes on at `head`.
    package mutating func gapFound(_ reason: GapReason, after: UInt64, head: Cursor, sources: [String]) {
        guard self.isReading else { return }
        self.isReading = false
        guard after == self.readThrough else { return }
        self.hasMore = true
        self.epoch = head.epoch
        self.addGap(WebhookGap(reason, at: head, sources: sources, of: self.configuration))
    }

    private mutating func addGap(_ gap: WebhookGap, isKept: Bool = false) {
        var entry = WebhookWindow.Entry(gap, after: self.readThrough, isKept: isKept)
        let known = self.remembered.take(gap.cursor.sequence)
        entry.refusals = known.refusals
        self.remembered.forget(through: gap.cursor.sequence)
        // Events before it, whose bodies are held, come first.
        let isFree = self.window.append(entry)
        self.readThrough = max(self.readThrough, gap.cursor.sequence)
        self.figures.gaps += isKept ? 0 : 1
        self.revision += isKept ? 0 : 1
        guard isFree else { return }
        self.schedule(gap.cursor.sequence, at: known.due)
    }

    /// Has an event that waits for no other sent at a time, or at once.
    private mutating func schedule(_ sequence: UInt64, at due: MonotonicTime?) {
        guard let due else {
            self.ready.insert(sequence)
            return
        }
        self.window.update(sequence) { $0.phase = .refused(until: due) }
        self.retries.insert(Retry(time: due, sequence: sequence))
    }

    /// A try ended. `at`: the time of it for people.
    package mutating func tryEnded(
        _ message: WebhookTry,
        _ outcome: WebhookOutcome,
        took: Duration = .zero,
        now: MonotonicTime,
        jitter: Double,
        at wall: WallTime
    ) {
        guard self.inFlight.remove(message.sequence) != nil else { return }
        self.note(message, outcome, took: took, at: wall)
        self.revision += 1
        switch outcome.verdict {
        case .delivered:
            self.failures = 0
            self.width = min(self.width + 1, self.configuration.maxInFlight)
            for sequence in self.window.delivered(message.sequence) { self.ready.insert(sequence) }
        case .refused:
            self.refuse(message.sequence, outcome, now: now, jitter: jitter)
        case .unavailable:
            self.failures = min(self.failures + 1, 1000)
            self.width = 1
            let rest = WebhookRetry.rest(failures: self.failures, requested: outcome.requested)
            self.restsUntil = max(self.restsUntil, now + rest)
            self.refuse(message.sequence, outcome, now: now, jitter: jitter)
        case .gone:
            self.refuse(message.sequence, outcome, now: now, jitter: jitter)
            self.enter(.disabled, at: wall)
        }
        self.unloadIfIdle(now: now)
    }

    private mutating func refuse(_ sequence: UInt64, _ outcome: WebhookOutcome, now: MonotonicTime, jitter: Double) {
        guard let entry = self.window[sequence] else { return }
        let refusals = min(entry.refusals + 1, WebhookRetry.maxRefusals)
        let wait = WebhookRetry.delay(refusals: refusals, jitter: jitter, requested: outcome.requested)
        self.window.update(sequence) { entry in
            entry.refusals = refusals
            entry.phase = .refused(until: now + wait)
        }
        self.retries.insert(Retry(time: now + wait, sequence: sequence))
    }

    /// Takes note of a try for the list, and for the figures.
    package mutating func note(_ message: WebhookTry, _ outcome: WebhookOutcome, took: Duration, at wall: WallTime) {
        self.figures.tries[outcome.verdict, default: 0] += 1
        if message.number > 1 { self.figures.retries += 1 }
        if self.tries.count >= self.limits.tries { self.tries.removeFirst() }
        self.tries.append(WebhookTryReport(message, outcome, took: took, at: wall))
    }

    /// What ``row(now:wall:)`` gave at this revision is on the disk, or will never be.
    package mutating func rowKept(_ revision: UInt64) {
        self.keptRevision = max(self.keptRevision, min(revision, self.revision))
        guard !self.keeping.isEmpty else { return }
        let kept = self.keeping.filter { $0.revision <= self.keptRevision }
        self.keeping.removeAll { $0.revision <= self.keptRevision }
        for (sequence, _) in kept {
            self.window.update(sequence) { entry in
                entry.isKept = true
                entry.phase = .waiting
            }
            if self.window[sequence] != nil { self.ready.insert(sequence) }
        }
    }

    /// What there is to be kept has to be kept again: the disk has begun anew.
    package mutating func rowLost() {
        self.revision += 1
    }

    // MARK: By people

    /// Sends nothing more. What is under way ends.
    package mutating func pause(now: MonotonicTime, at wall: WallTime) {
        guard self.state == .active else { return }
        self.enter(.paused, at: wall)
        self.unloadIfIdle(now: now)
    }

    /// Sends again, at once: what was refused does not wait for its time.
    package mutating func resume(now: MonotonicTime, at wall: WallTime) {
        if self.state != .active { self.enter(.active, at: wall) }
        self.failures = 0
        self.restsUntil = MonotonicTime(nanoseconds: .min)
        self.hasMore = true
        self.remembered.hurry()
        while let retry = self.retries.popMin() { self.ready.insert(retry.sequence) }
        self.revision += 1
    }

    private mutating func enter(_ state: State, at wall: WallTime) {
        self.state = state
        self.stateSince = wall
        self.revision += 1
    }

    /// Gives up what is in memory where nothing is sent: from then on it is a row.
    private mutating func unloadIfIdle(now: MonotonicTime) {
        guard self.state != .active, self.inFlight.isEmpty else { return }
        self.remembered = self.memory(isWritten: false)
        self.readThrough = self.cursor.sequence
        self.window = WebhookWindow()
        self.ready = Heap()
        self.retries = Heap()
        self.keeping = []
        self.isReading = false
        self.hasMore = true
        self.width = self.configuration.maxInFlight
        self.restoreGap()
    }
}
