// What a poll's result means for one source: changed or not, well or not, and when to ask again.

package import JSON

/// Decides everything about one source. Performs no I/O and reads no clock; owned by the poll thread.
///
/// A result that fails in any way (transport, framing, decoding, size, content) never replaces the last good value
/// and never makes a change. What counts as a change is decided by the bytes and the document, whatever the
/// validators say (CONTRACT §5).
package struct SourceStateMachine: Sendable {
    package internal(set) var configuration: SourceConfiguration
    package internal(set) var status: SourceStatus
    /// When to poll next; `.distantFuture` while paused, while a poll is under way, or where the upstream is gone.
    package private(set) var nextPoll: MonotonicTime

    /// What a poll may cost; set by the shell before a result is handed in. For the adaptive policy.
    package var price = PollPrice()
    /// What the adaptive policy has learned, to be kept over a restart.
    package var learned: [UInt8] { self.schedule.learned }

    /// The last good value, and what new ones are measured by.
    var value: SourceValue
    var trust: ValidatorTrust
    private var schedule: PollSchedule
    private var staleness: Staleness
    /// What the last poll sent.
    private var sent = Validators()
    /// A 304 came although nothing could be unmodified; the one unconditional retry is spent.
    private var retriedUnconditionally = false
    /// The fields of the last good answer that say how long it is fresh, as 304s renewed them (RFC 9111 §3.2).
    private var lifetimeFields = StoredFields(received: [])

    /// `phase` is in 0..<1, from a hash of the source's name: sources of equal intervals are spread by it. The first poll
    /// is due from `now` on. `learned` is what ``learned`` gave in an earlier process.
    package init(
        configuration: SourceConfiguration,
        phase: Double,
        now: MonotonicTime,
        wall: WallTime,
        learned: [UInt8] = []
    ) {
        self.configuration = configuration
        self.schedule = PollSchedule(configuration: configuration, phase: phase, now: now, wall: wall, learned: learned)
        self.staleness = Staleness(configuration: configuration)
        self.trust = ValidatorTrust(verifyEvery: configuration.verifyEvery)
        self.value = SourceValue(configuration: configuration)
        let first = self.schedule.first(now: now)
        self.nextPoll = first.at
        self.status = SourceStatus(stateSince: wall, interval: first.interval, intervalReason: first.reason)
        self.status.nextPollAt = wall
        self.status.collection = self.value.collection
        self.status.setWarning(.insecure, configuration.tls.isInsecure)
    }

    /// Takes over the value of an earlier process: the next poll is conditional, and only a difference is a change.
    package mutating func restored(_ document: Document, validators: Validators, at wall: WallTime) {
        self.value.restored(document)
        self.trust.restored(validators)
        self.status.validators = validators
        self.status.lastSuccessAt = wall
        self.status.collection = self.value.collection
        // How old the value is, nobody knows: it counts from now.
        let start = self.schedule.startedAt
        self.staleness.confirmed(at: start, interval: self.configuration.nominalInterval, freshness: nil)
        _ = self.enter(.ok, wall: wall)
    }

    /// The machine of this source by another configuration (FAULTS F73).
    ///
    /// Where the value means the same by both, it is kept with its validators, its figures and its state: the next poll
    /// is conditional, and only a difference is a change. Else the source begins anew. A poll under way has no result.
    package func reconfigured(
        _ configuration: SourceConfiguration,
        phase: Double,
        now: MonotonicTime,
        wall: WallTime
    ) -> SourceStateMachine {
        guard configuration.identity == self.configuration.identity else {
            return SourceStateMachine(configuration: configuration, phase: phase, now: now, wall: wall)
        }
        var machine = SourceStateMachine(
            configuration: configuration,
            phase: phase,
            now: now,
            wall: wall,
            learned: self.learned
        )
        machine.value = self.value.reconfigured(configuration)
        machine.trust = self.trust
        machine.trust.reconfigured(
            verifyEvery: configuration.verifyEvery,
            isOtherRequest: configuration.headers != self.configuration.headers
        )
        machine.lifetimeFields = self.lifetimeFields
        let fresh = machine.status
        machine.staleness = self.staleness.reconfigured(configuration, interval: fresh.interval)
        machine.status = self.status
        machine.status.validators = machine.trust.validators
        machine.status.collection = machine.value.collection
        machine.status.setWarning(.insecure, configuration.tls.isInsecure)
        machine.status.setWarning(.gone, false)
        if self.status.state == .paused {
            machine.nextPoll = .distantFuture
        } else {
            machine.status.interval = fresh.interval
            machine.status.intervalReason = fresh.intervalReason
            machine.status.nextPollAt = fresh.nextPollAt
        }
        return machine
    }

    /// What the shell has to do after a result.
    package struct Verdict: Sendable {
        package var outcome: PollOutcome
        /// Set where ``outcome`` is a failure.
        package var error: PollError?
        /// To be published.
        package var change: Change?
        /// The state that the source has entered; `nil` where it is as before.
        package var transition: SourceState?
    }

    // MARK: Inputs

    /// A poll begins.
    package mutating func pollStarted(now: MonotonicTime, wall: WallTime) -> PollRequest {
        self.nextPoll = .distantFuture
        self.schedule.started(now: now)
        self.status.polls += 1
        self.status.nextPollAt = nil
        self.sent = self.value.document == nil ? Validators() : self.trust.request()
        return PollRequest(validators: self.sent)
    }

    /// A complete response arrived.
    package mutating func responseReceived(
        _ response: PollResponse,
        now: MonotonicTime,
        wall: WallTime,
        using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        self.status.bytes += UInt64(clamping: response.wireBytes)
        let answer = self.freshness(of: response, wall: wall)
        do throws(PollError) {
            switch response.status {
            case 200, 203:
                let change = try self.representationReceived(response, freshness: answer, wall: wall)
                return self.succeeded(change: change, status: 200, answer, now: now, wall: wall, using: &generator)
            case 204 where self.configuration.allowEmpty:
                let change = try self.representationReceived(response, freshness: answer, wall: wall)
                return self.succeeded(change: change, status: 204, answer, now: now, wall: wall, using: &generator)
            case 304:
                if self.sent.isEmpty, !self.retriedUnconditionally { return self.retryUnconditionally(now: now) }
                guard !self.sent.isEmpty else {
                    throw PollError(.protocol, "304 to a request without validators: nothing can be unmodified")
                }
                self.notModified()
                return self.succeeded(change: nil, status: 304, answer, now: now, wall: wall, using: &generator)
            case 404, 410:
                guard let change = self.valueMissed(freshness: answer, wall: wall) else { fallthrough }
                return self.succeeded(
                    change: change.published,
                    status: 404,
                    answer,
                    now: now,
                    wall: wall,
                    using: &generator
                )
            case _:
                throw PollError(status: response.status, asksToWait: response.value(of: "retry-after") != nil)
            }
        } catch {
            return self.failed(
                error,
                isGone: response.status == 410,
                retryAfter: answer.retryAfter,
                now: now,
                wall: wall,
                using: &generator
            )
        }
    }

    /// No complete response came.
    package mutating func pollFailed(
        _ error: PollError,
        now: MonotonicTime,
        wall: WallTime,
        using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        self.failed(error, retryAfter: nil, now: now, wall: wall, using: &generator)
    }

    /// The upstream, or an administrator, sent a representation of its own accord. It takes the path of a poll's body,
    /// but for what waits to be seen twice: who pushes means it. The next poll stays when it was.
    package mutating func valuePushed(
        body: [UInt8],
        contentType: [UInt8]?,
        now: MonotonicTime,
        wall: WallTime
    ) -> Verdict {
        let fields = contentType.map { [HeaderField(name: Array("content-type".utf8), value: $0)] } ?? []
        let response = PollResponse(status: 200, fields: fields, body: body, wireBytes: body.count)
        self.status.bytes += UInt64(clamping: body.count)
        let freshness = ResponseFreshness(fields: fields, wallNow: Int(wall.seconds))
        do throws(PollError) {
            let change = try self.representationReceived(response, freshness: freshness, wall: wall, isPush: true)
            self.status.lastSuccessAt = wall
            self.status.changes += change == nil ? 0 : 1
            self.status.failuresInARow = 0
            self.staleness.confirmed(at: now, interval: self.status.interval, freshness: nil)
            return Verdict(
                outcome: change == nil ? .unchanged : .changed,
                change: change,
                transition: self.enterCondition(now: now, wall: wall)
            )
        } catch {
            return Verdict(outcome: .failed(error.kind), error: error)
        }
    }

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
        self.nextPoll = now
        self.status.nextPollAt = wall
        self.status.intervalReason = "resumed by an administrator"
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

    /// The poll that is due waits, for what the source shares with others: `wait` from now, where that is known.
    package mutating func heldBack(for wait: Duration?, reason: String, wall: WallTime) {
        self.status.intervalReason = reason
        self.status.nextPollAt = wait.map { WallTime(milliseconds: wall.milliseconds + $0.milliseconds) }
    }

    /// Nobody listens to a source that is polled for listeners only.
    package mutating func fellAsleep() {
        self.status.intervalReason = "nobody listens; polled when somebody does"
        self.status.nextPollAt = nil
    }

    /// The credentials were read again and are others now: poll with them at once.
    package mutating func credentialsRenewed(_ headers: [SourceConfiguration.Field], now: MonotonicTime) {
        self.configuration.headers = headers
        guard self.status.state != .paused else { return }
        self.nextPoll = now
        self.status.intervalReason = "the credentials were read again and are others now"
    }

    // MARK: Staleness

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
    private func condition(now: MonotonicTime) -> SourceState {
        let isFailing = self.status.failuresInARow > 0
        let hasValue = self.value.document != nil
        if hasValue, now >= self.staleness.deadline(isFailing: isFailing) { return .stale }
        guard isFailing else { return hasValue ? .ok : .starting }
        return self.status.lastError?.error.kind == .throttled ? .backoff : .failing
    }

    private mutating func enterCondition(now: MonotonicTime, wall: WallTime) -> SourceState? {
        self.status.state == .paused ? nil : self.enter(self.condition(now: now), wall: wall)
    }

    // MARK: Answers

    /// What the answer says about time. A 304 leaves out what it does not renew, and that stays in force.
    private mutating func freshness(of response: PollResponse, wall: WallTime) -> ResponseFreshness {
        let wallNow = Int(wall.seconds)
        let countsShared = self.configuration.respectCache == .shared
        guard response.status == 200 || response.status == 203 || response.status == 304 else {
            return ResponseFreshness(
                fields: response.fields,
                status: response.status,
                wallNow: wallNow,
                countsShared: countsShared
            )
        }
        guard response.status == 304, !self.saysSame(response), !self.isForeign(response) else {
            return ResponseFreshness(fields: response.fields, wallNow: wallNow, countsShared: countsShared)
        }
        let renewed = response.fields.filter(\.isAboutLifetime)
        self.lifetimeFields.notModified(received: renewed)
        let others = response.fields.filter { !$0.isAboutLifetime }
        return ResponseFreshness(
            fields: self.lifetimeFields.fields + others,
            wallNow: wallNow,
            countsShared: countsShared
        )
    }

    /// Whether an answer says of its lifetime what is known already.
    private func saysSame(_ response: PollResponse) -> Bool {
        response.fields.lazy.filter(\.isAboutLifetime).elementsEqual(self.lifetimeFields.fields)
    }

    /// Whether a 304 speaks of another representation than ours (FAULTS F23).
    private func isForeign(_ response: PollResponse) -> Bool {
        guard let etag = response.value(of: "etag"), let ours = self.trust.validators.etag else { return false }
        func opaque(_ tag: [UInt8]) -> ArraySlice<UInt8> { tag.starts(with: "W/".utf8) ? tag.dropFirst(2) : tag[...] }
        return opaque(etag) != opaque(ours)
    }

    private mutating func notModified() {
        self.trust.notModified()
        self.presentValueReceived()
    }

    /// Hands an answer with a body to the value, and what it says to the validators.
    private mutating func representationReceived(
        _ response: PollResponse,
        freshness: ResponseFreshness,
        wall: WallTime,
        isPush: Bool = false
    ) throws(PollError) -> Change? {
        let (change, comparison, isAdopted) = try self.take(response, wall: wall, freshness: freshness, isPush: isPush)
        if isPush {
            if change != nil { self.trust.forget() }
        } else {
            self.trust.representationReceived(
                response.validators,
                sent: self.sent,
                comparison: comparison,
                dateTellsApart: freshness.lastModifiedIsValidator(wallNow: Int(wall.seconds)),
                isAdopted: isAdopted
            )
            if isAdopted, !self.saysSame(response) {
                self.lifetimeFields = StoredFields(received: response.fields.filter(\.isAboutLifetime))
            }
        }
        return change
    }

    // MARK: Outcomes

    private mutating func succeeded(
        change: Change?,
        status: Int,
        _ freshness: ResponseFreshness,
        now: MonotonicTime,
        wall: WallTime,
        using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        self.retriedUnconditionally = false
        self.status.failuresInARow = 0
        self.status.validators = self.trust.validators
        self.status.notModified += status == 304 ? 1 : 0
        self.status.unchanged += status != 304 && change == nil ? 1 : 0
        self.status.changes += change == nil ? 0 : 1
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
            self.status.intervalReason += "; a new value waits to be seen again"
        } else {
            self.status.lastSuccessAt = wall
            self.status.caching = CachePolicy(freshness)
            self.staleness.confirmed(at: now, interval: next.interval, freshness: freshness)
        }
        self.reviewWarnings()
        return Verdict(
            outcome: status == 304 ? .notModified : (change == nil ? .unchanged : .changed),
            change: change,
            transition: self.enterCondition(now: now, wall: wall)
        )
    }

    private mutating func failed(
        _ error: PollError,
        isGone: Bool = false,
        retryAfter: Duration?,
        now: MonotonicTime,
        wall: WallTime,
        using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        self.retriedUnconditionally = false
        self.status.failuresInARow += 1
        self.status.failures += 1
        self.status.lastError = ReportedError(error: error, at: wall)
        let next = self.schedule.pollFailed(
            error.kind,
            failures: self.status.failuresInARow,
            hints: PollHints(retryAfter: retryAfter?.inSeconds),
            now: now,
            using: &generator
        )
        self.plan(next, now: now, wall: wall)
        self.status.setWarning(.gone, isGone)
        if isGone {
            self.nextPoll = .distantFuture
            self.status.nextPollAt = nil
            self.status.intervalReason = "the upstream says 410 Gone: not polled until it is resumed or asked for"
        }
        return Verdict(
            outcome: .failed(error.kind),
            error: error,
            transition: self.enterCondition(now: now, wall: wall)
        )
    }

    /// A 304 where no validator was sent: once, ask again (FAULTS F22).
    private mutating func retryUnconditionally(now: MonotonicTime) -> Verdict {
        self.retriedUnconditionally = true
        self.trust.forget()
        self.nextPoll = now
        self.status.intervalReason = "304 to a request without validators; asking once more"
        return Verdict(outcome: .unchanged)
    }

    private mutating func plan(_ next: PollSchedule.Plan, now: MonotonicTime, wall: WallTime) {
        self.status.interval = next.interval
        guard self.status.state != .paused else { return }
        self.status.intervalReason = next.reason
        self.nextPoll = next.at
        let wait = max((next.at - now).milliseconds, 0)
        self.status.nextPollAt = WallTime(milliseconds: wall.milliseconds + wait)
    }

    /// - Returns: The state, where it is another than before.
    private mutating func enter(_ state: SourceState, wall: WallTime) -> SourceState? {
        guard self.status.state != state else { return nil }
        self.status.state = state
        self.status.stateSince = wall
        return state
    }
}

extension HeaderField {
    /// The fields of an answer that a 304 may leave out because they have not changed.
    fileprivate var isAboutLifetime: Bool {
        // By length first: this is asked of every field of every answer.
        switch self.name.count {
        case 13: self.name.elementsEqual("cache-control".utf8)
        case 7: self.name.elementsEqual("expires".utf8)
        case 4: self.name.elementsEqual("vary".utf8)
        case _: false
        }
    }
}

extension PollResponse {
    /// The validators, byte-exact; an empty field counts as absent.
    var validators: Validators {
        Validators(
            etag: self.value(of: "etag").flatMap { $0.isEmpty ? nil : $0 },
            lastModified: self.value(of: "last-modified").flatMap { $0.isEmpty ? nil : $0 }
        )
    }
}

extension PollError {
    /// What a status other than 200 and 304 means.
    ///
    /// It `asksToWait` where it has `Retry-After`.
    init(status: Int, asksToWait: Bool) {
        switch status {
        case 401, 403: self.init(.auth, "the upstream answered \(status): check the source's credentials")
        case 404, 410: self.init(.notFound, "the upstream answered \(status): there is nothing at this URL")
        case 429: self.init(.throttled, "the upstream answered 429 Too Many Requests")
        case 503 where asksToWait: self.init(.throttled, "the upstream answered 503 and asks to be left alone")
        case 300..<400: self.init(.redirect, "the upstream redirects (\(status)) to a place that is not followed")
        case 204: self.init(.status, "the upstream answered 204 No Content; `allow_empty: true` takes that for null")
        case 206: self.init(.status, "the upstream answered 206 Partial Content, though no part was asked for")
        case _: self.init(.status, "the upstream answered \(status)")
        }
    }

    /// Why a body is not a document.
    init(_ error: ParseError) {
        let kind: Kind =
            switch error.reason {
            case .invalidUTF8, .loneSurrogate: .encoding
            case .tooLong, .tooDeep, .tooManyNodes: .tooLarge
            case .unexpectedEnd, .unexpectedCharacter, .invalidNumber, .invalidEscape, .controlCharacter,
                .trailingContent:
                .malformed
            }
        self.init(kind, "the body is not JSON that can be taken: \(error)")
    }
}
