// libcurl's side of the exchanges with one URL: the easy handle that is kept between them, and what the one under way has
// received.

import CCurl
import FreshetCore

/// The exchanges with one URL, one at a time. Confined to the poll thread; libcurl calls back on the same thread.
final class CurlTransfer {
    /// Redirects that one poll follows.
    static let maxRedirects = 3
    /// Body bytes of a response that will not be used (an error page, a redirect) which are read so that the
    /// connection can be used again; beyond that it is closed.
    static let maxDiscardedBytes = 256 << 10
    /// URLs whose last answers are known: pages.
    static let maxMarks = 256

    let id: ExchangeID
    let easy: UnsafeMutableRawPointer
    let url: UpstreamURL
    private(set) var configuration: ExchangeConfiguration
    /// The handle has options of an earlier configuration.
    private var isOutOfDate = false

    /// Request fields as libcurl wants them, and what they were made for.
    var requestFields: UnsafeMutablePointer<curl_slist>?
    var sentFields: SentFields?
    /// Those of them that the configuration says, and what they were made for.
    var configuredFields: (fields: SentFields, lines: [FieldLine])?
    /// The same fields as they may be shown.
    var shownFields: [ExchangeTrace.Field] = [] { didSet { self.shownRequest = nil } }
    /// With the method and the target; made when it is first asked for.
    var shownRequest: [ExchangeTrace.Field]?
    /// Of the last request of the exchange that ended.
    private(set) var trace: ExchangeTrace?
    let errorText = UnsafeMutablePointer<CChar>.allocate(capacity: Int(CURL_ERROR_SIZE))
    let scratch: UnsafeMutableBufferPointer<UInt8>
    let store: ConnectionStore
    let turn: ReceiveTurn
    let redirectRule: RedirectRule
    let acceptedByDefault: [String]

    /// The handle is in the multi handle. Kept by ``CurlTransport``.
    var isRunning = false

    // The poll under way.
    private var deadline = MonotonicTime.distantFuture
    var request = ExchangeRequest()
    var hop: UpstreamURL { didSet { self.shownRequest = nil } }
    /// Where the poll under way begins: the URL of the exchange, or a page.
    var start: UpstreamURL
    var target = RedirectRule.Target.home
    var redirects = 0
    var policy: HopPolicy
    /// Connections opened for the poll under way.
    private(set) var connects = 0
    /// Some of a request of the poll under way may have left.
    var wasEverSent = false
    /// How long answers of the poll under way were held.
    private(set) var heldFor = Duration.zero
    /// The pool of the hop, once it was looked up.
    var hopPool: ConnectionPool?
    /// The pools of this poll's hops, and those of earlier polls, the pool of the configured URL first.
    private var pools: [ConnectionPool] = []
    // The hop under way.
    var connection: (pool: ConnectionPool, kept: KeptConnection)?
    /// The hop was asked before, over a connection that was not in order.
    var isRetry = false
    private var answer: HeldAnswer?
    /// The last answers taken, by hop, of each URL that polls began with.
    var marksByStart: [String: [AnswerMark]] = [:]
    /// An answer of this hop that was not believed.
    private var disbelieved: AnswerMark?
    // The response under way.
    var head = ResponseHead()
    var body: BodyCollector?
    var audit: FramingAudit?
    var discardedBytes = 0
    var handshakeBegan = false
    var requestWasSent = false
    var sentAt = MonotonicTime(nanoseconds: 0)
    var failure: UpstreamError?
    /// An earlier request used the connection, whose answers bear no number.
    var isOverUsedConnection = false
    /// What arrived cannot be distinguished from the answer to another request.
    var isDoubtful = false
    /// Something followed the end of the answer.
    var hasExcess = false
    /// The transfer was ended here, at the end of the answer.
    var isWhole = false
    /// Set where the address policy refused an address.
    var refusedAddress: String?

    /// `scratch` is room for decoding, shared by all transfers of the thread as `turn` is; it must outlive this one.
    /// `store` must outlive all connections, which outlive the transfer that opened them.
    ///
    /// - Throws: ``UpstreamError`` of kind `internal` where libcurl has no memory or lacks an option.
    init(
        id: ExchangeID,
        url: UpstreamURL,
        configuration: ExchangeConfiguration,
        transport: CurlTransport.Configuration,
        store: ConnectionStore,
        turn: ReceiveTurn,
        scratch: UnsafeMutableBufferPointer<UInt8>
    ) throws(UpstreamError) {
        guard let easy = curl_easy_init() else { throw UpstreamError(.internal, "no memory for a transfer") }
        self.id = id
        self.easy = easy
        self.url = url
        self.hop = url
        self.start = url
        self.configuration = configuration
        self.policy = HopPolicy(deniesPrivate: configuration.denyPrivate)
        self.scratch = scratch
        self.store = store
        self.turn = turn
        self.redirectRule = RedirectRule(configuration.redirects, home: url.origin)
        self.acceptedByDefault = Self.defaultFields(besides: configuration)
        self.errorText.initialize(repeating: 0, count: Int(CURL_ERROR_SIZE))
        let options = CurlOptions(easy: easy)
        try options.applyPolicy(userAgent: transport.userAgent, maxConnectionAge: transport.maxConnectionAge)
        try options.applyCallbacks(of: self, errorText: self.errorText)
        try options.applyLimits(of: configuration)
        try options.set(CURLOPT_URL, self.dialledURL)
    }

    deinit {
        curl_easy_cleanup(self.easy)
        curl_slist_free_all(self.requestFields)
        self.errorText.deallocate()
    }
}

// MARK: the life of a poll

extension CurlTransfer {
    /// What is to be done with a transfer that has ended.
    enum Next {
        /// Run the handle again: a redirect, or the one retry over a fresh connection.
        case runAgain
        /// Call ``holdEnded(now:)`` at this time, or sooner when the connection is disturbed.
        case hold(until: MonotonicTime)
        case done(Result<ExchangeResponse, UpstreamError>)
    }

    /// The answer is there, and is held. Nothing may start.
    var isHolding: Bool { self.answer != nil }

    /// Prepares the handle for a poll; the caller then gives it to the multi handle.
    func prepare(_ request: ExchangeRequest, now: MonotonicTime) throws(UpstreamError) {
        self.deadline = now + self.configuration.timeout
        self.redirects = 0
        self.isRetry = false
        self.disbelieved = nil
        self.policy = HopPolicy(deniesPrivate: self.configuration.denyPrivate)
        self.connects = 0
        self.wasEverSent = false
        self.trace = nil
        self.heldFor = .zero
        let options = CurlOptions(easy: self.easy)
        let isRenewed = self.isOutOfDate
        if isRenewed {
            try options.applyLimits(of: self.configuration)
            self.isOutOfDate = false
        }
        if request.fields != self.request.fields { self.sentFields = nil }
        if request.method != self.request.method || request.body != self.request.body {
            try options.setMethod(request.method, body: request.body)
        }
        self.request = request
        self.start = request.page ?? self.url
        // What would go wrong below leaves a transfer that begins anew the next time.
        let isElsewhere = self.start.origin != self.url.origin
        let target = try isElsewhere ? self.redirectRule.target(self.start.origin) : .home
        if isRenewed || self.hop != self.start || self.target != target {
            (self.hop, self.target, self.hopPool) = (self.start, target, nil)
            try options.set(CURLOPT_URL, self.dialledURL)
        }
        if isElsewhere {
            self.policy.redirected(by: nil, to: target)
            try self.checkOrigin(self.start.origin)
        }
        try self.prepareHop(options, now: now)
    }

    /// Works by this configuration from the next poll on, which differs from the one before in credentials alone. The poll
    /// under way goes on with those it began with.
    func renew(_ configuration: ExchangeConfiguration) {
        self.isOutOfDate = true
        self.configuration = configuration
        self.sentFields = nil
        self.configuredFields = nil
        self.hopPool = nil
    }

    /// Lets go of everything that outlives the transfer. The handle is out of the multi handle by now, and is of no use
    /// afterwards.
    func close(now: MonotonicTime) {
        self.connection?.kept.isSpent = true
        self.giveBackConnection(now: now)
        self.answer = nil
        for pool in self.pools { self.store.leave(pool) }
        self.pools = []
        self.hopPool = nil
    }

    /// Decides what the end of the transfer means. The handle is out of the multi handle by now.
    func ended(_ code: CURLcode, now: MonotonicTime) -> Next {
        let options = CurlOptions(easy: self.easy)
        options.setCache(nil)
        let opened = options.long(CURLINFO_NUM_CONNECTS)
        self.connects += opened
        self.trace = self.configuration.keepsTrace ? self.makeTrace() : nil
        let isReused = opened == 0
        if self.hasExcess { self.connection?.kept.isSpent = true }
        if isReused, !self.isRetry, self.request.isRepeatable, self.shouldRetry(after: code) {
            return self.retry(now: now)
        }
        guard let (pool, kept) = self.connection, !kept.isMultiplexed, self.request.holdsAnswer else {
            return self.endWithoutDoubt(code, now: now)
        }
        let isBelieved = !isReused || pool.trusts(kept, now: self.sentAt)
        if self.head.hasBegun { kept.forms.insert(AnswerForms(of: self.head)) }
        let usualEnd = pool.doubtEnds(sentAt: self.sentAt, now: now)
        let result = Result { () throws(UpstreamError) in try self.response(code) }
        let mark = (try? result.get()).map(self.mark(of:))
        // The first answer of a connection is ours, and one that says nothing new does no harm.
        guard isReused, mark?.isNew ?? (self.head.hasBegun && result.mayBeOfAnotherAnswer)
        else { return self.take(result, mark, now: now) }
        if self.hasMoreBytes(kept, now: now) { return self.retry(now: now) }
        if self.store.isSingleUse(kept.origin, now: now) { return self.disbelieve(mark, now: now) }
        let isWatched = !kept.isSpent && kept.socket != nil
        if mark?.isError ?? true {
            // A failure has time, and a failing upstream is not to be asked twice.
            guard isWatched else { return self.take(result, mark, now: now) }
            let end = isBelieved ? usualEnd : max(usualEnd, now + ConnectionPool.errorDoubt)
            self.answer = HeldAnswer(result: result, mark: mark, endedAt: now, doubtEnds: end)
        } else {
            guard isBelieved, isWatched else { return self.disbelieve(mark, now: now) }
            self.answer = HeldAnswer(result: result, mark: mark, endedAt: now, doubtEnds: usualEnd)
        }
        return .hold(until: self.answer?.doubtEnds ?? now)
    }

    /// The end of a transfer whose answer bears a number, or is believed without, or that got no connection.
    private func endWithoutDoubt(_ code: CURLcode, now: MonotonicTime) -> Next {
        do {
            return self.take(try self.response(code), now: now)
        } catch {
            return self.done(.failure(error), now: now)
        }
    }

    /// Goes on with an answer that was held.
    func holdEnded(now: MonotonicTime) -> Next {
        guard let answer = self.answer, let kept = self.connection?.kept else {
            return self.done(.failure(UpstreamError(.internal, "no answer was held")), now: now)
        }
        let isDisturbed =
            switch kept.disturbance {
            case .bytes: true
            // Upstreams close connections after errors.
            case .ended: answer.mark?.isError == false
            case .silent, nil: self.store.isSingleUse(kept.origin, now: now)
            }
        guard isDisturbed || answer.doubtEnds <= now else { return .hold(until: answer.doubtEnds) }
        self.answer = nil
        self.heldFor += now - answer.endedAt
        if isDisturbed { return self.retry(now: now) }
        if kept.disturbance != nil { kept.isSpent = true }
        kept.brought(self.id)
        return self.take(answer.result, answer.mark, now: now)
    }

    private func mark(of response: ExchangeResponse) -> AnswerMark {
        AnswerMark(
            response,
            after: self.redirects < self.marks.count ? self.marks[self.redirects] : nil,
            isConditional: self.sentFields?.validators != Validators()
        )
    }

    /// Asks again for what a connection that was used before brought. That connection stays open, so that a second
    /// answer is noticed.
    private func disbelieve(_ mark: AnswerMark?, now: MonotonicTime) -> Next {
        self.connection?.kept.isSetAside = true
        let next = self.retry(now: now)
        self.disbelieved = mark
        return next
    }

    private func take(_ result: Result<ExchangeResponse, UpstreamError>, _ mark: AnswerMark?, now: MonotonicTime)
        -> Next
    {
        guard let response = try? result.get(), let mark else { return self.done(result, now: now) }
        if let disbelieved = self.disbelieved, !disbelieved.isEqual(to: mark) {
            self.connection?.pool.answersDiffered()
        }
        self.disbelieved = nil
        if self.redirects < self.marks.count {
            self.marks[self.redirects] = mark
        } else {
            self.marks.append(mark)
        }
        return self.take(response, now: now)
    }

    private func take(_ response: ExchangeResponse, now: MonotonicTime) -> Next {
        do {
            guard let location = self.redirectLocation(of: response) else {
                return self.done(.success(response), now: now)
            }
            self.giveBackConnection(now: now)
            try self.follow(location)
            return self.runAgain(now: now)
        } catch {
            return self.done(.failure(error), now: now)
        }
    }

    private func done(_ result: Result<ExchangeResponse, UpstreamError>, now: MonotonicTime) -> Next {
        self.giveBackConnection(now: now)
        self.forgetResponse()
        return .done(result)
    }

    /// Asks again over a connection that no request used before. That costs the source nothing: it is the connection's
    /// fault (F18).
    private func retry(now: MonotonicTime) -> Next {
        if let kept = self.connection?.kept, !kept.isMultiplexed, !kept.isSetAside { kept.isSpent = true }
        self.giveBackConnection(now: now)
        self.isRetry = true
        // Not the source's fault, so it has its whole time again.
        self.deadline = max(self.deadline, now + self.configuration.timeout)
        return self.runAgain(now: now)
    }

    private func runAgain(now: MonotonicTime) -> Next {
        do {
            try self.prepareHop(CurlOptions(easy: self.easy), now: now)
            return .runAgain
        } catch {
            return self.done(.failure(error), now: now)
        }
    }

    private func prepareHop(_ options: borrowing CurlOptions, now: MonotonicTime) throws(UpstreamError) {
        self.forgetResponse()
        let left = self.deadline - now
        guard left > .zero else {
            throw UpstreamError(.timeout, "no complete response within \(self.configuration.timeout)")
        }
        let fields = SentFields(
            validators: self.request.validators.applying(to: self.redirectedURL),
            isHome: self.target == .home,
            hasBody: !self.request.body.isEmpty || self.request.method == .post
        )
        if self.sentFields != fields { try self.makeRequestFields(fields) }
        let pool = self.pool()
        let expectsChange = self.redirects < self.marks.count ? self.marks[self.redirects].isReplacement : true
        // What cannot be asked twice goes where its answer is certain to be its own.
        let isFresh = self.isRetry || !self.request.isRepeatable
        let kept = try pool.take(fresh: isFresh, expectsChange: expectsChange, now: now)
        self.connection = (pool, kept)
        options.setCache(kept.cache)
        // Over HTTP/2 every answer bears a number.
        let opensNew = self.isRetry || isFresh && !kept.isMultiplexed
        try options.beginHop(timeLeft: left, onFreshConnection: opensNew)
        // Polls that begin together wait until the first handshake has shown whether one HTTP/2 connection carries them
        // all.
        try options.set(CURLOPT_PIPEWAIT, self.hop.origin.scheme == "https" ? 1 : 0)
    }

    /// Where redirects have led; `nil` at the URL that the poll began with.
    var redirectedURL: String? { self.hop == self.start ? nil : self.hop.text }

    /// The pool of the hop. Those of redirects are kept, so that the next poll finds its connections.
    private func pool() -> ConnectionPool {
        if let pool = self.hopPool { return pool }
        let key = ConnectionKey(
            origin: self.hop.origin,
            fields: RedirectRule.fields(self.configuration.headers, to: self.target),
            query: self.target == .home ? self.configuration.query : [],
            tls: self.configuration.tls,
            route: self.configuration.route,
            denyPrivate: self.configuration.denyPrivate
        )
        let known = self.pools.first { $0.key == key }
        let pool = known ?? self.store.join(key)
        self.hopPool = pool
        guard known == nil else { return pool }
        self.pools.append(pool)
        if self.pools.count > 1 + Self.maxRedirects { self.store.leave(self.pools.removeFirst()) }
        return pool
    }

    private func giveBackConnection(now: MonotonicTime) {
        guard let (pool, kept) = self.connection else { return }
        self.connection = nil
        CurlOptions(easy: self.easy).setCache(nil)
        pool.giveBack(kept, now: now)
    }

    private func forgetResponse() {
        self.head = ResponseHead(isLenient: self.configuration.lenientHTTP)
        self.body = nil
        self.audit = nil
        self.discardedBytes = 0
        self.handshakeBegan = false
        self.requestWasSent = false
        self.failure = nil
        self.isOverUsedConnection = false
        self.isDoubtful = false
        self.hasExcess = false
        self.isWhole = false
        self.refusedAddress = nil
        self.errorText.pointee = 0
    }

    /// Looks whether anything followed the answer, which then may not have been ours, and is the last of its connection.
    /// Where that does not matter now, it is found before the next request.
    private func hasMoreBytes(_ kept: KeptConnection, now: MonotonicTime) -> Bool {
        guard kept.socket != nil else { return false }
        let condition = kept.condition()
        if condition != .silent { kept.isSpent = true }
        self.store.note(condition, over: kept, now: now)
        if case .bytes = condition { return true }
        return false
    }

    /// Whether the end of a request over a used connection says something about the connection alone: the upstream
    /// closed it at the moment it was used again (F18; libcurl retries most of these itself), or something other than
    /// our answer arrived, such as what belongs to an earlier answer or the 408 that ends an idle connection.
    private func shouldRetry(after code: CURLcode) -> Bool {
        switch code {
        case CURLE_GOT_NOTHING, CURLE_RECV_ERROR, CURLE_SEND_ERROR, CURLE_HTTP2, CURLE_HTTP2_STREAM:
            if self.failure == nil, !self.head.hasBegun { return true }
        case CURLE_WEIRD_SERVER_REPLY, CURLE_UNSUPPORTED_PROTOCOL:
            if !self.head.isComplete { return true }
        case _: break
        }
        guard self.connection?.kept.isMultiplexed == false else { return false }
        if self.isDoubtful || self.hasExcess || self.audit?.violation != nil { return true }
        switch self.failure?.kind {
        case .framing, .protocol: return true
        case _: return self.head.isComplete && self.head.status == 408
        }
    }
}
