// What a poll's result means for one source: changed or not, well or not, and when to ask again.

import HTTPFields
package import JSON

/// Decides everything about one source. Performs no I/O and reads no clock; owned by the poll thread.
///
/// A result that fails in any way (transport, framing, decoding, size, content) never replaces the last good value
/// and never makes a change. What counts as a change is decided by the bytes and the document, whatever the
/// validators say (CONTRACT §5).
package struct SourceStateMachine: Sendable {
    package internal(set) var configuration: SourceConfiguration
    package internal(set) var status: SourceStatus
    /// When to poll next; `.distantFuture` while paused, while a poll is under way, or where there is no upstream, or none
    /// any more.
    package internal(set) var nextPoll: MonotonicTime

    /// What a poll may cost; set by the shell before a result is handed in. For the adaptive policy.
    package var price = PollPrice()
    /// What the adaptive policy has learned, where lists are, and the guessed key, to be kept over a restart.
    package var learned: [UInt8] {
        LearnedState(schedule: self.schedule.learned, lists: self.value.lists, guess: self.value.guess).encoded
    }

    /// The last good value, and what new ones are measured by.
    var value: SourceValue
    var trust: ValidatorTrust
    var schedule: PollSchedule
    var staleness: Staleness
    var lifetime = AnswerLifetime()
    /// The poll under way, or the last one.
    var current = CurrentPoll()
    /// Calls of the upstream that no poll has answered yet.
    var hooks = HookPace()
    /// Writes that are at the upstream.
    var writing = WritesUnderWay()

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
        let learned = LearnedState(encoded: learned)
        self.schedule = PollSchedule(
            configuration: configuration,
            phase: phase,
            now: now,
            wall: wall,
            learned: learned.schedule
        )
        self.staleness = Staleness(configuration: configuration)
        self.trust = ValidatorTrust(verifyEvery: configuration.verifyEvery)
        self.value = SourceValue(configuration: configuration)
        self.value.learned(lists: learned.lists, guess: learned.guess)
        let first = self.schedule.first(now: now)
        self.nextPoll = configuration.isPolled ? first.at : .distantFuture
        let reason = configuration.isPolled ? first.reason : Self.isOnlyPushed
        self.status = SourceStatus(stateSince: wall, interval: first.interval, intervalReason: reason)
        self.status.isPolled = configuration.isPolled
        self.status.url = URLRedaction.redacted(configuration.url, wholly: true)
        self.status.nextPollAt = configuration.isPolled ? wall : nil
        self.status.collection = self.value.collection
        self.status.setWarning(.insecure, configuration.tls.isInsecure)
        self.status.schema = configuration.schema
        self.status.write = configuration.write
    }

    /// The `interval_reason` of a source without an upstream.
    package static let isOnlyPushed = "there is no url to poll; values are pushed"

    /// Takes over the value of an earlier process: the next poll is conditional, and only a difference is a change.
    package mutating func restored(_ document: Document, validators: Validators, at wall: WallTime) {
        self.value.restored(document)
        self.trust.restored(validators)
        self.status.validators = validators
        self.status.lastSuccessAt = wall
        self.status.collection = self.value.collection
        // The value's age is unknown: it counts from now.
        let start = self.schedule.startedAt
        self.staleness.confirmed(at: start, interval: self.configuration.nominalInterval, freshness: nil)
        _ = self.enter(.ok, wall: wall)
    }

    /// The process before this one polled the source up to a moment ago: the next poll is that which it would have made,
    /// and the restart costs the upstream no request. An adaptive source, whose times are drawn, is polled at once.
    package mutating func resumed(now: MonotonicTime, wall: WallTime) {
        guard self.configuration.isPolled, let plan = self.schedule.resumed(now: now) else { return }
        self.nextPoll = plan.at
        self.status.intervalReason = plan.reason
        self.status.nextPollAt = WallTime(milliseconds: wall.milliseconds + (plan.at - now).milliseconds)
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
                || configuration.query != self.configuration.query
        )
        if configuration.schema != self.configuration.schema {
            // The value stays, but it has to come again to be checked.
            machine.trust.forget()
            machine.value.schemaReplaced()
        }
        machine.lifetime = self.lifetime
        let fresh = machine.status
        machine.staleness = self.staleness.reconfigured(configuration, interval: fresh.interval)
        machine.status = self.status
        machine.status.url = fresh.url
        machine.status.validators = machine.trust.validators
        machine.status.collection = machine.value.collection
        machine.status.setWarning(.insecure, configuration.tls.isInsecure)
        machine.status.setWarning(.gone, false)
        machine.status.schema = configuration.schema
        machine.status.write = configuration.write
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
        package var error: UpstreamError?
        /// To be published.
        package var change: Change?
        /// The state that the source has entered; `nil` where it is as before.
        package var transition: SourceState?
        /// What the answer says about the host, for all sources that live there.
        package var host: HostGate.Outcome = .answered
    }

    // MARK: Inputs

    /// A poll begins.
    package mutating func pollStarted(now: MonotonicTime, wall: WallTime) -> PollRequest {
        self.nextPoll = .distantFuture
        self.hooks.pollStarted()
        self.schedule.started(now: now)
        self.status.polls += 1
        self.status.nextPollAt = nil
        self.current.began(sending: self.condition)
        return PollRequest(validators: self.current.sent)
    }

    /// A poll begins that another source makes too, with this request.
    package mutating func pollShared(_ request: PollRequest, now: MonotonicTime, wall: WallTime) {
        _ = self.pollStarted(now: now, wall: wall)
        self.current.began(sending: request.validators)
    }

    /// What a poll that began now would be sent with.
    package var nextRequest: PollRequest {
        PollRequest(validators: self.current.repeats == nil ? self.condition : Validators())
    }

    /// Whether the present value came from this very body, or is written so by the upstream now.
    package func holds(_ body: [UInt8]) -> Bool { self.value.isSame(body) }

    /// There is a last good value.
    package var hasValue: Bool { self.value.document != nil }

    private var condition: Validators {
        self.value.document == nil || !self.configuration.isConditional ? Validators() : self.trust.request()
    }

    /// A complete response arrived. `read`: what reading its body elsewhere came to (``reading(of:wall:)``).
    package mutating func responseReceived(
        _ response: ExchangeResponse,
        read: ReadBody? = nil,
        now: MonotonicTime,
        wall: WallTime,
        using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        self.status.bytes += UInt64(clamping: response.wireBytes)
        self.current.answered(from: response.url)
        let answer = self.freshness(of: response, wall: wall)
        var verdict: Verdict
        do throws(UpstreamError) {
            verdict = try self.judge(response, read, answer, now: now, wall: wall, using: &generator)
        } catch {
            let isGone = response.status == 410
            verdict = self.failed(error, isGone: isGone, hints: answer.hints, now: now, wall: wall, using: &generator)
        }
        verdict.host = HostGate.Outcome(
            status: response.status,
            answer,
            longestQuotaWait: self.configuration.effectiveMaxInterval
        )
        return verdict
    }

    /// - Throws: Why the answer neither brings nor confirms a value.
    private mutating func judge(
        _ response: ExchangeResponse,
        _ read: ReadBody?,
        _ answer: ResponseFreshness,
        now: MonotonicTime,
        wall: WallTime,
        using generator: inout some RandomNumberGenerator
    ) throws(UpstreamError) -> Verdict {
        let meaning = AnswerMeaning(response, to: self.current.sent, configuration: self.configuration)
        var isOvertaken = self.current.isOvertaken
        // That nothing changed is said of the value before the writes; and of a whole value that is being written, nobody
        // knows which of the two answers is the newer.
        if case .representation = meaning {} else { isOvertaken = isOvertaken || !self.current.writtenKeys.isEmpty }
        isOvertaken = isOvertaken || self.writing.isWhole
        if isOvertaken, meaning.isAboutValue { return self.pollOvertaken(now: now, wall: wall) }
        let change: Change?
        var status = response.status
        switch meaning {
        case .representation:
            change = try self.representationReceived(response, read: read, freshness: answer, now: now, wall: wall)
        case .unchanged:
            self.trust.notModified(at: now, wall: wall, interval: self.status.interval)
            self.presentValueReceived()
            change = nil
            status = 304
        case .missing:
            change = self.valueMissed(freshness: answer, wall: wall)
        case .unasked:
            guard self.current.repeats == nil else {
                throw UpstreamError(.protocol, "304 to an unconditional request")
            }
            self.trust.forget()
            return self.repeated(because: .unasked, now: now, wall: wall)
        case .refusedCondition:
            return self.repeated(because: .refusedCondition(self.current.sent), now: now, wall: wall)
        case .refusal:
            throw UpstreamError(status: response.status, answer)
        }
        return self.succeeded(change: change, status: status, answer, now: now, wall: wall, using: &generator)
    }

    /// No complete response came.
    package mutating func pollFailed(
        _ error: UpstreamError,
        now: MonotonicTime,
        wall: WallTime,
        using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        var verdict = self.failed(error, hints: PollHints(), now: now, wall: wall, using: &generator)
        verdict.host = HostGate.Outcome(error.kind)
        return verdict
    }

    /// The upstream, or an administrator, sent a representation of its own accord. It takes the path of a poll's body,
    /// but for what waits to be seen twice: who pushes means it. The next poll stays when it was. The answer of a poll
    /// under way may be older than what was pushed: it is dropped, and the upstream is asked again.
    package mutating func valuePushed(
        body: [UInt8],
        contentType: [UInt8]?,
        read: ReadBody? = nil,
        now: MonotonicTime,
        wall: WallTime
    ) -> Verdict {
        let response = ExchangeResponse(pushed: body, contentType: contentType)
        self.status.bytes += UInt64(clamping: body.count)
        let freshness = ResponseFreshness(fields: response.fields, wallNow: Int(wall.seconds))
        do throws(UpstreamError) {
            var change = try self.representationReceived(
                response,
                read: read,
                freshness: freshness,
                now: now,
                wall: wall,
                isPush: true
            )
            change?.learned = self.learned
            self.current.valueArrived()
            self.status.lastSuccessAt = wall
            self.status.changes += change == nil ? 0 : 1
            if change?.summary != nil { self.status.changesPerHour.add(at: wall) }
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

    /// What the answer says about time. A 304 leaves out what it does not renew, and that stays in force.
    private mutating func freshness(of response: ExchangeResponse, wall: WallTime) -> ResponseFreshness {
        guard response.status == 304, !self.trust.isForeign(response.validators) else {
            return self.freshnessOfValue(in: response, wall: wall)
        }
        return self.freshness(self.lifetime.renewed(by: response.fields), status: response.status, wall: wall)
    }

    /// The same of an answer that says all there is to say.
    func freshnessOfValue(in response: ExchangeResponse, wall: WallTime) -> ResponseFreshness {
        self.freshness(response.fields, status: response.status, wall: wall)
    }

    private func freshness(_ fields: [HeaderField], status: Int, wall: WallTime) -> ResponseFreshness {
        ResponseFreshness(
            fields: fields,
            status: status == 203 || status == 304 ? 200 : status,
            wallNow: Int(wall.seconds),
            countsShared: self.configuration.respectCache == .shared
        )
    }

    /// Hands an answer with a body to the value, and what it says to the validators.
    private mutating func representationReceived(
        _ response: ExchangeResponse,
        read: ReadBody? = nil,
        freshness: ResponseFreshness,
        now: MonotonicTime,
        wall: WallTime,
        isPush: Bool = false
    ) throws(UpstreamError) -> Change? {
        let taken = try self.take(response, read: read, wall: wall, freshness: freshness, isPush: isPush)
        if isPush {
            if taken.change != nil { self.trust.forget() }
        } else if !self.heldKeys.isEmpty {
            // Its validators are those of a value with or without what is written meanwhile.
            self.trust.forget()
        } else {
            self.trust.representationReceived(
                response.validators,
                sent: self.current.sent,
                comparison: taken.comparison,
                dateTellsApart: freshness.lastModifiedIsValidator(wallNow: Int(wall.seconds)),
                isAdopted: taken.isAdopted
            )
            let isCaught = self.trust.bodyCompared(
                change: taken.comparison == .differs,
                sent: self.current.sent,
                at: now,
                wall: wall,
                interval: self.status.interval
            )
            if isCaught { self.status.validatorCaughtAt = wall }
            if taken.isAdopted { self.lifetime.replaced(by: response.fields) }
        }
        return taken.change
    }
}
