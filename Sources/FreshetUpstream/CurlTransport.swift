// Carries exchanges out: libcurl's multi interface, driven by the poll thread's epoll.

import CCurl
package import FreshetCore

/// An exchange that has ended, one way or the other.
package struct ExchangeCompletion {
    package var id: ExchangeID
    package var result: Result<ExchangeResponse, UpstreamError>
    /// Connections opened for it; none where one that was kept would do.
    package var connects = 0
    /// How long the answer was held because it might have been the answer to another request.
    package var held = Duration.zero
    /// Some of a request may have left. False only where certainly nothing has.
    package var wasSent = false
    /// What the last request took, and what was said; `nil` where none was made.
    package var trace: ExchangeTrace?
}

/// The transfers of one poll thread. Confined to that thread.
///
/// `curl_multi_socket_action` looks only at what is ready, where `curl_multi_poll` looks at every transfer each time.
package final class CurlTransport {
    /// What holds for all transfers together.
    package struct Configuration: Hashable, Sendable {
        /// The value of `User-Agent`.
        package var userAgent = "freshet"
        /// Connections to one host at a time, with one credential.
        package var maxConnectionsPerHost = 6
        /// Connections in all, idle ones included.
        package var maxConnections = 1024
        /// How long a connection is kept, so that a change of the host's addresses is noticed (F19).
        package var maxConnectionAge = Duration.seconds(600)
        /// Answers that nothing followed, until a change that comes over a connection which was used before is believed;
        /// 0 believes from the start.
        package var minSilentAnswers = ConnectionTrust.minAnswers

        package init() {}
    }

    /// When ``timerFired(now:)`` and ``takeCompletions(now:)`` are due.
    package var deadline: MonotonicTime { min(self.timerDeadline, self.holdDeadline, self.store.reapDeadline) }

    /// When libcurl wants to be called.
    private var timerDeadline = MonotonicTime.distantFuture
    /// When the first of ``holding`` is over.
    private var holdDeadline = MonotonicTime.distantFuture
    private let store: ConnectionStore
    private let multi: UnsafeMutableRawPointer
    private let reactor: Reactor
    private let configuration: Configuration
    private let turn = ReceiveTurn()
    private let scratch = UnsafeMutableBufferPointer<UInt8>.allocate(capacity: 64 << 10)
    private var transfers: [ExchangeID: CurlTransfer] = [:]
    /// Transfers that have an answer and wait whether a second one comes.
    private var holding: [CurlTransfer] = []
    private var completions: [ExchangeCompletion] = []

    /// - Throws: ``UpstreamError`` of kind `internal` where libcurl cannot be used: no memory, or too old.
    package init(reactor: Reactor, configuration: Configuration = Configuration()) throws(UpstreamError) {
        try CurlLibrary.prepare()
        guard let multi = curl_multi_init() else { throw UpstreamError(.internal, "no memory for libcurl") }
        self.multi = multi
        self.reactor = reactor
        self.configuration = configuration
        self.store = ConnectionStore(
            reactor: reactor,
            maxIdle: configuration.maxConnectionsPerHost,
            maxConnections: configuration.maxConnections,
            minSilentAnswers: configuration.minSilentAnswers
        )
        let user = Unmanaged.passUnretained(self).toOpaque()
        ccurl_multi_set_socket_function(multi, socketFunction)
        ccurl_multi_set_pointer(multi, CURLMOPT_SOCKETDATA, user)
        ccurl_multi_set_timer_function(multi, timerFunction)
        ccurl_multi_set_pointer(multi, CURLMOPT_TIMERDATA, user)
        // For HTTP/2, whose connections share a cache; ``ConnectionStore`` counts the others.
        ccurl_multi_set_long(multi, CURLMOPT_MAX_HOST_CONNECTIONS, configuration.maxConnectionsPerHost)
        // By default a cache holds four connections per running transfer, and idle sources have none.
        ccurl_multi_set_long(multi, CURLMOPT_MAXCONNECTS, configuration.maxConnections)
        ccurl_multi_set_long(multi, CURLMOPT_PIPELINING, Int(CURLPIPE_MULTIPLEX))
    }

    deinit {
        for transfer in self.transfers.values {
            if transfer.isRunning { curl_multi_remove_handle(self.multi, transfer.easy) }
            transfer.close(now: .now)
        }
        self.transfers.removeAll()
        self.store.closeAll()
        curl_multi_cleanup(self.multi)
        self.scratch.deallocate()
    }

    /// Makes an exchange known. One that already is must be removed first.
    ///
    /// - Throws: ``UpstreamError`` of kind `internal` where libcurl has no memory for it.
    package func add(_ id: ExchangeID, url: UpstreamURL, configuration: ExchangeConfiguration) throws(UpstreamError) {
        precondition(self.transfers[id] == nil, "add(_:url:configuration:) of an exchange that is known")
        self.transfers[id] = try CurlTransfer(
            id: id,
            url: url,
            configuration: configuration,
            transport: self.configuration,
            store: self.store,
            turn: self.turn,
            scratch: self.scratch
        )
    }

    /// Forgets an exchange. A request under way ends without completion.
    package func remove(_ id: ExchangeID) {
        guard let transfer = self.transfers[id] else { return }
        if transfer.isRunning { curl_multi_remove_handle(self.multi, transfer.easy) }
        self.holding.removeAll { $0 === transfer }
        self.turn.forget(transfer)
        transfer.close(now: .now)
        self.transfers[id] = nil
    }

    /// Carries an exchange's requests out by this configuration from the next one on. It differs from the one before in
    /// credentials alone.
    package func renew(_ id: ExchangeID, _ configuration: ExchangeConfiguration) {
        self.transfers[id]?.renew(configuration)
    }

    /// Begins a request; its end is among ``takeCompletions()`` later, and at once where it cannot begin.
    package func start(_ id: ExchangeID, _ request: ExchangeRequest, now: MonotonicTime) {
        guard let transfer = self.transfers[id], !transfer.isRunning, !transfer.isHolding else {
            return self.complete(id, .failure(UpstreamError(.internal, "the exchange is unknown or under way")))
        }
        do {
            try transfer.prepare(request, now: now)
            self.run(transfer)
        } catch {
            self.complete(id, .failure(error))
        }
    }

    /// Ends a request that was not begun, as if it had failed.
    package func fail(_ id: ExchangeID, _ error: UpstreamError) {
        self.complete(id, .failure(error))
    }

    /// A descriptor that libcurl asked to watch is ready.
    package func socketReady(_ descriptor: Int32, _ readiness: Reactor.Readiness) {
        var bits: Int32 = 0
        if readiness.contains(.readable) { bits |= Int32(CURL_CSELECT_IN) }
        if readiness.contains(.writable) { bits |= Int32(CURL_CSELECT_OUT) }
        if readiness.contains(.broken) { bits |= Int32(CURL_CSELECT_ERR) }
        self.act(on: descriptor, bits)
    }

    /// Something arrived over a connection that rests, or it was closed.
    ///
    /// - Returns: Whether to go on watching it.
    package func socketDisturbed(_ descriptor: Int32) -> Bool {
        self.store.disturbed(descriptor, now: .now)
    }

    /// The ``deadline`` has come.
    package func timerFired(now: MonotonicTime) {
        if self.store.reapDeadline <= now { self.store.reap(now: now) }
        guard self.timerDeadline <= now else { return }
        self.timerDeadline = .distantFuture
        self.act(on: ccurl_socket_timeout, 0)
    }

    /// What arrived since the last call although no request had asked for it.
    package func takeUnsolicited() -> [UnsolicitedBytes] { self.store.takeUnsolicited() }

    /// The exchanges that have ended since the last call. To be called before the thread sleeps: large bodies, of which
    /// no more than ``ReceiveTurn/bytes`` were taken since the last call, go on after it.
    package func takeCompletions(now: MonotonicTime) -> [ExchangeCompletion] {
        self.readMessages(now: now)
        self.endHolds(now: now)
        self.beginTurn(now: now)
        guard !self.completions.isEmpty else { return [] }
        defer { self.completions.removeAll(keepingCapacity: true) }
        return self.completions
    }

    private func run(_ transfer: CurlTransfer) {
        let code = curl_multi_add_handle(self.multi, transfer.easy)
        guard code == CURLM_OK else {
            return self.complete(transfer.id, .failure(UpstreamError(.internal, "libcurl does not take a transfer")))
        }
        transfer.isRunning = true
    }

    private func act(on descriptor: Int32, _ bits: Int32) {
        var running: Int32 = 0
        // Failures are reported per transfer; a result other than CURLM_OK here names a descriptor that libcurl
        // has closed meanwhile.
        curl_multi_socket_action(self.multi, descriptor, bits, &running)
    }

    private func readMessages(now: MonotonicTime) {
        var left: Int32 = 0
        while let message = curl_multi_info_read(self.multi, &left) {
            guard message.pointee.msg == CURLMSG_DONE, let easy = message.pointee.easy_handle,
                let transfer = CurlOptions(easy: easy).transfer
            else { continue }
            // The message dies with the removal.
            self.end(transfer, ccurl_message_result(message), now: now)
        }
    }

    private func end(_ transfer: CurlTransfer, _ code: CURLcode, now: MonotonicTime) {
        curl_multi_remove_handle(self.multi, transfer.easy)
        transfer.isRunning = false
        self.turn.forget(transfer)
        self.go(on: transfer, transfer.ended(code, now: now))
    }

    /// Lets the bodies go on that had to wait. Sockets of paused transfers count as resting, where nothing may arrive:
    /// none is paused while the thread sleeps.
    private func beginTurn(now: MonotonicTime) {
        for transfer in self.turn.next() where transfer.isRunning {
            let code = curl_easy_pause(transfer.easy, CURLPAUSE_CONT)
            // What it kept was refused; nothing more may come that would tell it so.
            if code != CURLE_OK { self.end(transfer, code, now: now) }
        }
    }

    private func go(on transfer: CurlTransfer, _ next: CurlTransfer.Next) {
        switch next {
        case .runAgain:
            self.run(transfer)
        case .hold(let end):
            self.holding.append(transfer)
            self.holdDeadline = min(self.holdDeadline, end)
        case .done(let result):
            self.completions.append(
                ExchangeCompletion(
                    id: transfer.id,
                    result: result,
                    connects: transfer.connects,
                    held: transfer.heldFor,
                    wasSent: transfer.wasEverSent,
                    trace: transfer.trace
                )
            )
        }
    }

    /// Goes on with the answers that are no longer in doubt, and with those that have turned out to be doubtful.
    private func endHolds(now: MonotonicTime) {
        let isDisturbed = self.store.takeDisturbance()
        guard isDisturbed || self.holdDeadline <= now else { return }
        let holding = self.holding
        self.holding.removeAll(keepingCapacity: true)
        self.holdDeadline = .distantFuture
        for transfer in holding { self.go(on: transfer, transfer.holdEnded(now: now)) }
    }

    private func complete(_ id: ExchangeID, _ result: Result<ExchangeResponse, UpstreamError>) {
        self.completions.append(ExchangeCompletion(id: id, result: result))
    }

    fileprivate func socketChanged(_ descriptor: Int32, _ what: Int32) {
        switch what {
        case Int32(CURL_POLL_REMOVE): self.reactor.unwatch(descriptor)
        case Int32(CURL_POLL_IN): self.reactor.watch(descriptor, for: .readable)
        case Int32(CURL_POLL_OUT): self.reactor.watch(descriptor, for: .writable)
        case Int32(CURL_POLL_INOUT): self.reactor.watch(descriptor, for: [.readable, .writable])
        case _: break
        }
    }

    fileprivate func timerChanged(milliseconds: Int) {
        switch milliseconds {
        case ..<0: self.timerDeadline = .distantFuture
        // At once: in the past, so that this turn of the thread still sees to it.
        case 0: self.timerDeadline = MonotonicTime(nanoseconds: 0)
        case _: self.timerDeadline = .now + .milliseconds(milliseconds)
        }
    }
}

private let socketFunction: ccurl_socket_function = { _, descriptor, what, user, _ in
    guard let user else { return 0 }
    Unmanaged<CurlTransport>.fromOpaque(user).takeUnretainedValue().socketChanged(descriptor, what)
    return 0
}

private let timerFunction: ccurl_timer_function = { _, milliseconds, user in
    guard let user else { return 0 }
    Unmanaged<CurlTransport>.fromOpaque(user).takeUnretainedValue().timerChanged(milliseconds: milliseconds)
    return 0
}
