// Requests under way on one thread, and who waits for each of them.

package import FreshetCore

/// Carries single requests out and answers each once. Confined to the thread that sleeps in its ``Reactor``.
package final class RequestTable {
    /// Called once, on this thread, in ``work(now:)``; or inside of the call that a request cannot begin with.
    package typealias Reply = (ExchangeEnd) -> Void

    /// Exchanges of lines that are kept for their next request; beyond it they are given up.
    static let maxResting = 256
    /// How long one is kept, as long as its connection.
    static let maxRest = CurlOptions.maxConnectionIdle

    private let transport: CurlTransport
    private let maxUnderWay: Int
    private var replies: [ExchangeID: Reply] = [:]
    /// The line of each exchange that has one.
    private var lines: [ExchangeID: UpstreamLine] = [:]
    /// Exchanges that wait for the next request over their line, the one that rested longest first.
    private var resting: [ObjectIdentifier: [(id: ExchangeID, since: MonotonicTime)]] = [:]
    private var restingCount = 0
    /// When ``resting`` is looked through.
    private var reapDeadline = MonotonicTime.distantFuture
    /// Exchanges of lines are numbered from the other end, apart from those that callers number.
    private var lastLineID = 0

    /// `maxUnderWay`: requests at one time; one more is refused.
    ///
    /// - Throws: ``UpstreamError`` of kind `internal` where libcurl cannot be used.
    package init(
        reactor: Reactor,
        configuration: CurlTransport.Configuration,
        maxUnderWay: Int
    ) throws(UpstreamError) {
        self.maxUnderWay = maxUnderWay
        self.transport = try CurlTransport(reactor: reactor, configuration: configuration)
    }

    /// Until when the thread may sleep.
    package var deadline: MonotonicTime { min(self.transport.deadline, self.reapDeadline) }

    /// What ``Reactor/wait(until:now:ready:disturbed:)`` reports of a descriptor.
    package func socketReady(_ descriptor: Int32, _ readiness: Reactor.Readiness) {
        self.transport.socketReady(descriptor, readiness)
    }

    /// As ``socketReady(_:_:)``, of a connection that rests.
    ///
    /// - Returns: Whether to go on watching it.
    package func socketDisturbed(_ descriptor: Int32) -> Bool {
        self.transport.socketDisturbed(descriptor)
    }

    /// Does what is due, and calls the replies of the requests that have ended.
    package func work(now: MonotonicTime) {
        if self.transport.deadline <= now { self.transport.timerFired(now: now) }
        for completion in self.transport.takeCompletions(now: now) { self.end(completion, now: now) }
        // A single request has no earlier value to doubt; the connection is closed already.
        _ = self.transport.takeUnsolicited()
        if self.reapDeadline <= now { self.reap(now: now) }
    }

    /// Begins a request of its own exchange, whose number the caller has given to no other.
    func send(
        _ request: ExchangeRequest,
        to url: UpstreamURL,
        _ configuration: ExchangeConfiguration,
        as id: ExchangeID,
        then reply: @escaping Reply
    ) {
        guard self.hasRoom(for: reply) else { return }
        do throws(UpstreamError) {
            try self.transport.add(id, url: url, configuration: configuration)
        } catch {
            return reply(ExchangeEnd(result: .failure(error), wasSent: false))
        }
        self.replies[id] = reply
        self.transport.start(id, request, now: .now)
    }

    /// Begins a request over a line: what was set up for an earlier one that has ended serves it.
    package func send(_ request: ExchangeRequest, over line: UpstreamLine, then reply: @escaping Reply) {
        guard self.hasRoom(for: reply) else { return }
        do throws(UpstreamError) {
            let id = try self.exchange(over: line)
            self.replies[id] = reply
            self.transport.start(id, request, now: .now)
        } catch {
            reply(ExchangeEnd(result: .failure(error), wasSent: false))
        }
    }

    /// Ends a request with an error, if it is under way still.
    func cancel(_ id: ExchangeID) {
        self.giveUp(id, UpstreamError(.internal, "the request was cancelled"))
    }

    /// Ends all requests with an error.
    package func stop() {
        for id in self.replies.keys { self.giveUp(id, .stopping) }
    }

    private func hasRoom(for reply: Reply) -> Bool {
        guard self.replies.count >= self.maxUnderWay else { return true }
        let text = "\(self.maxUnderWay) requests to upstreams are under way already"
        reply(ExchangeEnd(result: .failure(UpstreamError(.internal, text)), wasSent: false))
        return false
    }

    private func giveUp(_ id: ExchangeID, _ error: UpstreamError) {
        guard let reply = self.replies.removeValue(forKey: id) else { return }
        self.transport.remove(id)
        self.lines[id] = nil
        // What is given up in the middle may have left.
        reply(ExchangeEnd(result: .failure(error), wasSent: true))
    }

    private func end(_ completion: ExchangeCompletion, now: MonotonicTime) {
        guard let reply = self.replies.removeValue(forKey: completion.id) else { return }
        if let line = self.lines[completion.id] {
            self.rest(completion.id, of: line, now: now)
        } else {
            self.transport.remove(completion.id)
        }
        reply(ExchangeEnd(result: completion.result, wasSent: completion.wasSent, trace: completion.trace))
    }

    // MARK: Lines

    /// An exchange of the line without a request: the one that was used last, or a new one.
    private func exchange(over line: UpstreamLine) throws(UpstreamError) -> ExchangeID {
        if let id = self.resting[ObjectIdentifier(line)]?.popLast()?.id {
            self.restingCount -= 1
            return id
        }
        self.lastLineID -= 1
        let id = ExchangeID(rawValue: self.lastLineID)
        try self.transport.add(id, url: line.url, configuration: line.configuration)
        self.lines[id] = line
        return id
    }

    private func rest(_ id: ExchangeID, of line: UpstreamLine, now: MonotonicTime) {
        guard self.restingCount < Self.maxResting else {
            self.lines[id] = nil
            return self.transport.remove(id)
        }
        self.resting[ObjectIdentifier(line), default: []].append((id, now))
        self.restingCount += 1
        if self.reapDeadline == .distantFuture { self.reapDeadline = now + Self.maxRest }
    }

    /// Gives up the exchanges that rested too long, and with the last of a line what is known of it.
    private func reap(now: MonotonicTime) {
        for (line, exchanges) in self.resting {
            let old = exchanges.prefix { now - $0.since > Self.maxRest }
            for (id, _) in old {
                self.lines[id] = nil
                self.transport.remove(id)
            }
            self.restingCount -= old.count
            self.resting[line] = old.count == exchanges.count ? nil : Array(exchanges.dropFirst(old.count))
        }
        self.reapDeadline = self.restingCount == 0 ? .distantFuture : now + Self.maxRest
    }
}

extension UpstreamError {
    static let stopping = UpstreamError(.internal, "the gateway is stopping")
}
