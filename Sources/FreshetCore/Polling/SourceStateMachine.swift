// What a poll's result means for one source: changed or not, well or not, and when to ask again.

package import JSON

/// Decides everything about one source. Performs no I/O and reads no clock; owned by the poll thread.
///
/// A result that fails in any way (transport, framing, decoding, size, content) never replaces the last good value
/// and never makes a change. What counts as a change is decided by the bytes and the document, whatever the
/// validators say (CONTRACT §5).
package struct SourceStateMachine: Sendable {
    package private(set) var configuration: SourceConfiguration
    package private(set) var status: SourceStatus
    /// When to poll next; `.distantFuture` while paused or while a poll is under way.
    package private(set) var nextPoll: MonotonicTime

    /// Of the last response that was good; sent with the next poll.
    private var validators = Validators()
    /// The last good value.
    private var document: Document?
    /// The body that ``document`` came from, where it is not the document's own text.
    private var body: [UInt8]?
    /// The format, once one response has settled it.
    private var format: SourceConfiguration.Format?
    private var items: ItemRule?
    private var schedule: PollSchedule
    /// What a poll may cost; set by the shell before a result is handed in. For the adaptive policy.
    package var price = PollPrice()
    /// What the adaptive policy has learned, to be kept over a restart.
    package var learned: [UInt8] { self.schedule.learned }
    private var failures = 0
    private var isUnconditional = true
    /// A 304 came although nothing could be unmodified; the one unconditional retry is spent.
    private var retriedUnconditionally = false
    /// The hash of a value that lost most of its items, waiting for a second response that says the same.
    private var unconfirmed: UInt64?
    private let limits: ParseLimits

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
        self.limits = ParseLimits(maxBytes: configuration.maxBodyBytes)
        self.format = configuration.format
        self.items = configuration.itemRule
        let first = self.schedule.first(now: now)
        self.nextPoll = first.at
        self.status = SourceStatus(stateSince: wall, interval: first.interval, intervalReason: first.reason)
        self.status.nextPollAt = wall
    }

    /// Takes over the value of an earlier process: the next poll is conditional, and only a difference is a change.
    package mutating func restored(_ document: Document, validators: Validators, at wall: WallTime) {
        self.document = document
        self.validators = validators
        self.status.validators = validators
        self.status.lastSuccessAt = wall
        if self.items == nil {
            self.items = ItemKeyGuess.rule(for: document)
        }
        _ = self.enter(.ok, wall: wall)
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
        self.isUnconditional = self.document == nil || self.validators.isEmpty
        return PollRequest(validators: self.isUnconditional ? Validators() : self.validators)
    }

    /// A complete response arrived.
    package mutating func responseReceived(
        _ response: PollResponse,
        now: MonotonicTime,
        wall: WallTime,
        using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        self.status.bytes += UInt64(clamping: response.wireBytes)
        do throws(PollError) {
            switch response.status {
            case 200, 203:
                let change = try self.representationReceived(response, wall: wall)
                return self.succeeded(change: change, response: response, now: now, wall: wall, using: &generator)
            case 304:
                if self.isUnconditional, !self.retriedUnconditionally { return self.retryUnconditionally(now: now) }
                guard !self.isUnconditional else {
                    throw PollError(.protocol, "304 to a request without validators: nothing can be unmodified")
                }
                return self.succeeded(change: nil, response: response, now: now, wall: wall, using: &generator)
            case _:
                throw PollError(status: response.status, asksToWait: response.value(of: "retry-after") != nil)
            }
        } catch {
            let freshness = response.freshness(wall: wall)
            return self.failed(error, retryAfter: freshness.retryAfter, now: now, wall: wall, using: &generator)
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
    /// but for the guard against mass deletion: who pushes means it. The next poll stays when it was.
    package mutating func valuePushed(body: [UInt8], contentType: [UInt8]?, wall: WallTime) -> Verdict {
        let fields = contentType.map { [HeaderField(name: Array("content-type".utf8), value: $0)] } ?? []
        let response = PollResponse(status: 200, fields: fields, body: body, wireBytes: body.count)
        self.status.bytes += UInt64(clamping: body.count)
        do throws(PollError) {
            let change = try self.representationReceived(response, wall: wall, isPush: true)
            self.status.lastSuccessAt = wall
            self.status.changes += change == nil ? 0 : 1
            return Verdict(
                outcome: change == nil ? .unchanged : .changed,
                change: change,
                transition: self.status.state == .paused ? nil : self.enter(.ok, wall: wall)
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

    /// An administrator lets the polls go on, the first at once.
    package mutating func resumeRequested(now: MonotonicTime, wall: WallTime) -> SourceState? {
        guard self.status.state == .paused else { return nil }
        self.nextPoll = now
        self.status.nextPollAt = wall
        self.status.intervalReason = "resumed by an administrator"
        return self.enter(self.document == nil ? .starting : .ok, wall: wall)
    }

    /// Someone wants a poll now; a pause is not ended by it.
    package mutating func pollRequested(now: MonotonicTime) {
        self.nextPoll = now
    }

    // MARK: Representations

    /// Compares a representation with the last good one, and takes it where it is good.
    ///
    /// - Returns: The change, or `nil` where the value is the same.
    private mutating func representationReceived(
        _ response: PollResponse,
        wall: WallTime,
        isPush: Bool = false
    ) throws(PollError) -> Change? {
        if response.isCloseDelimited, !self.configuration.allowCloseDelimited {
            throw PollError(
                .framing,
                "the body ends with the connection, so a cut one cannot be told from a whole one; "
                    + "set `allow_close_delimited: true` to accept that"
            )
        }
        if let document = self.document, response.body == self.body ?? document.text {
            if !isPush {
                self.validators = response.validators
            }
            self.unconfirmed = nil
            return nil
        }
        let new = try self.document(from: response)
        guard let old = self.document else {
            self.adopt(new, from: response, isPush: isPush)
            return self.firstChange(wall: wall, response: response)
        }
        guard old.hash(ignoring: self.configuration.ignore) != new.hash(ignoring: self.configuration.ignore) else {
            return self.unchanged(by: response, isPush: isPush)
        }
        if !isPush, self.needsConfirmation(from: old, to: new) { return nil }
        let patch = old.patch(to: new, items: self.items)
        guard !patch.isEmpty else { return self.unchanged(by: response, isPush: isPush) }
        let change = self.change(from: old, to: new, patch: patch.text, wall: wall, response: response)
        self.adopt(new, from: response, isPush: isPush)
        return change
    }

    /// Takes the validators of a response whose value is the one we have. The document stays as it is: its text is
    /// what subscribers have, even where the upstream now writes the same value otherwise.
    private mutating func unchanged(by response: PollResponse, isPush: Bool) -> Change? {
        self.unconfirmed = nil
        self.body = response.body
        if !isPush {
            self.validators = response.validators
        }
        return nil
    }

    private mutating func document(from response: PollResponse) throws(PollError) -> Document {
        let format = try self.format(of: response)
        let document = try Representation.document(from: response.body, format: format, limits: self.limits)
        guard let root = self.configuration.root else { return document }
        guard let value = document.extracting(root) else {
            throw PollError(.unexpected, "the payload has nothing at `root` \(root)")
        }
        return value
    }

    private mutating func format(of response: PollResponse) throws(PollError) -> SourceConfiguration.Format {
        if let format = self.format { return format }
        let found = try Representation.format(ofContentType: response.value(of: "content-type")).get()
        guard found == .text else { return found }
        // Much JSON is served as text/plain. The first body decides, so that a broken one later is an error and not
        // a text.
        let isJSON = (try? Document(parsing: response.body, limits: self.limits)) != nil
        self.format = isJSON ? .json : .text
        return isJSON ? .json : .text
    }

    private mutating func adopt(_ document: Document, from response: PollResponse, isPush: Bool) {
        self.unconfirmed = nil
        self.document = document
        self.body = response.body == document.text ? nil : response.body
        self.validators = isPush ? Validators() : response.validators
        if self.items == nil {
            self.items = ItemKeyGuess.rule(for: document)
        }
    }

    // MARK: Changes

    private func firstChange(wall: WallTime, response: PollResponse) -> Change? {
        self.document.map {
            Change(
                document: $0,
                at: wall,
                validators: response.validators,
                freshness: response.freshness(wall: wall).freshFor ?? .zero
            )
        }
    }

    private func change(
        from old: Document,
        to new: Document,
        patch: [UInt8],
        wall: WallTime,
        response: PollResponse
    ) -> Change {
        let size = new.text.count
        let merge = old.mergePatch(to: new).flatMap { $0.count < size ? $0 : nil }
        let items = self.items.flatMap { old.itemChanges(to: new, items: $0) }
        return Change(
            document: new,
            patch: patch.count < size ? patch : nil,
            merge: merge,
            items: items.flatMap { $0.text.count < size ? $0.text : nil },
            at: wall,
            validators: response.validators,
            freshness: response.freshness(wall: wall).freshFor ?? .zero
        )
    }

    /// Whether a value lost so much that one response is not believed (FAULTS F33). The validators stay those of the
    /// old value, so that the next poll brings the new one again.
    private mutating func needsConfirmation(from old: Document, to new: Document) -> Bool {
        guard self.isMassDeletion(from: old, to: new), self.unconfirmed != new.hash else { return false }
        self.unconfirmed = new.hash
        return true
    }

    /// Most items of a collection are gone, or most bytes of a value whose collection is small or unknown.
    private func isMassDeletion(from old: Document, to new: Document) -> Bool {
        let ratio = self.configuration.maxDeleteRatio
        guard ratio < 1 else { return false }
        let (before, after) = (self.itemCount(of: old), self.itemCount(of: new))
        if before >= Self.massDeletionItems, Double(before - after) > Double(before) * ratio { return true }
        let (bytes, left) = (old.text.count, new.text.count)
        return bytes >= Self.massDeletionBytes && Double(bytes - left) > Double(bytes) * max(ratio, Self.byteRatio)
    }

    /// Collections with fewer items than this are judged by the value's bytes.
    private static let massDeletionItems = 20
    /// Values with fewer bytes than this may shrink at once.
    private static let massDeletionBytes = 1024
    /// Real shrinks of faulty upstreams lose at least this share of the bytes; ordinary changes hardly ever do.
    private static let byteRatio = 0.7

    private func itemCount(of document: Document) -> Int {
        let pointer = self.items?.items ?? Pointer()
        return document.value(at: pointer)?.count ?? 0
    }

    // MARK: Outcomes

    private mutating func succeeded(
        change: Change?,
        response: PollResponse,
        now: MonotonicTime,
        wall: WallTime,
        using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        self.failures = 0
        self.retriedUnconditionally = false
        self.status.lastSuccessAt = wall
        self.status.validators = self.validators
        let isNotModified = response.status == 304
        self.status.notModified += isNotModified ? 1 : 0
        self.status.unchanged += !isNotModified && change == nil ? 1 : 0
        self.status.changes += change == nil ? 0 : 1
        let next = self.schedule.responseReceived(
            changed: change != nil,
            freshness: response.freshness(wall: wall),
            price: self.price,
            now: now,
            using: &generator
        )
        self.plan(next, now: now, wall: wall)
        if self.unconfirmed != nil {
            self.status.intervalReason += "; a value that lost most of its items waits to be confirmed"
        }
        return Verdict(
            outcome: isNotModified ? .notModified : (change == nil ? .unchanged : .changed),
            change: change,
            transition: self.status.state == .paused ? nil : self.enter(.ok, wall: wall)
        )
    }

    private mutating func failed(
        _ error: PollError,
        retryAfter: Duration?,
        now: MonotonicTime,
        wall: WallTime,
        using generator: inout some RandomNumberGenerator
    ) -> Verdict {
        self.failures += 1
        self.retriedUnconditionally = false
        self.status.failures += 1
        self.status.lastError = ReportedError(error: error, at: wall)
        let next = self.schedule.pollFailed(
            error.kind,
            failures: self.failures,
            retryAfter: retryAfter,
            now: now,
            using: &generator
        )
        self.plan(next, now: now, wall: wall)
        let state: SourceState = error.kind == .throttled ? .backoff : .failing
        return Verdict(
            outcome: .failed(error.kind),
            error: error,
            transition: self.status.state == .paused ? nil : self.enter(state, wall: wall)
        )
    }

    /// A 304 where no validator was sent: once, ask again (FAULTS F22).
    private mutating func retryUnconditionally(now: MonotonicTime) -> Verdict {
        self.retriedUnconditionally = true
        self.validators = Validators()
        self.nextPoll = now
        self.status.intervalReason = "304 to a request without validators; asking once more"
        return Verdict(outcome: .unchanged)
    }

    private mutating func plan(_ next: PollSchedule.Plan, now: MonotonicTime, wall: WallTime) {
        self.status.interval = next.interval
        self.status.intervalReason = next.reason
        guard self.status.state != .paused else { return }
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

extension PollResponse {
    fileprivate func freshness(wall: WallTime) -> ResponseFreshness {
        ResponseFreshness(fields: self.fields, status: self.status, wallNow: Int(wall.seconds))
    }

    /// The validators, byte-exact; an empty field counts as absent.
    fileprivate var validators: Validators {
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
        case 404, 410: self.init(.notFound, "the upstream answered \(status): the last good value is kept")
        case 429: self.init(.throttled, "the upstream answered 429 Too Many Requests")
        case 503 where asksToWait: self.init(.throttled, "the upstream answered 503 and asks to be left alone")
        case 300..<400: self.init(.redirect, "the upstream redirects (\(status)) to a place that is not followed")
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
