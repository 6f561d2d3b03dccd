// Subscriptions of a socket: each is a stream of its own, with a cursor of its own.

import FreshetCore
import FreshetStreaming

extension SocketSession {
    func subscribe(_ message: SocketMessage, on exchange: WebSocketExchange) throws(Problem) {
        let limit = max(1, self.gateway.settings.sockets.maxSubscriptions)
        guard self.subscriptions.count < limit else {
            throw Problem(
                429,
                "too_many_subscriptions",
                "A socket has at most limits.max_subscriptions_per_socket subscriptions, \(limit); name several sources in one."
            )
        }
        let names = try message.string("sources")
        let request = try self.request(message, names)
        guard let selector = try SourceSelection.selector(names.utf8) else { throw .unknownSource() }
        guard self.subscriptions.values.allSatisfy({ $0.pattern.intersection(request.pattern) == .none }) else {
            throw Problem(409, "already_subscribed", "A source is subscribed once per socket.")
        }
        if request.position.readsLog { try self.gateway.callers.checkReplay(by: request.principal) }
        guard let place = self.ticket.part(sourceSet: request.sourceSet) else {
            throw .tooManySourceSets(retryAfter: Int64.random(in: 1...10))
        }
        self.nextSubscription += 1
        let number = self.nextSubscription
        self.subscriptions[number] = Held(terms: SourcePattern(selector).terms, pattern: request.pattern)
        let re = message.re
        guard self.gateway.hub.isToBeLocated(request.position) else {
            return self.open(request, at: .success(request.position), number, place, re, on: exchange)
        }
        let (hub, client) = (self.gateway.hub, self.client.readClient)
        self.wait(on: exchange) {
            do throws(ReadRefusal) {
                let needs = PastNeed.events(request.format.wire)
                return .success(
                    try await hub.locate(request.position, of: request.sources, needs: needs, for: client)
                )
            } catch {
                return .failure(error)
            }
        } then: { (session, located: Result<StreamPosition, ReadRefusal>) in
            session.open(request, at: located, number, place, re, on: exchange)
        }
    }

    /// The request for a stream that a message stands for.
    private func request(_ message: SocketMessage, _ names: String) throws(Problem) -> StreamRequest {
        var head = self.head
        head.query = message.query
        head.fields = [RequestHead.Field(name: "accept", value: MediaType.jsonLines.rawValue)]
        var request = try StreamRequest(
            head,
            names: names.utf8,
            hub: self.gateway.hub,
            principal: self.present(),
            from: self.client
        )
        // A source that may not be compressed, or may come to be one of them, is not.
        let mayCompress = self.deflates && self.gateway.compression.mayCompress(request.pattern)
        request.format.wire.form = mayCompress ? .deflatedMessages : .messages
        return request
    }

    private func open(
        _ request: StreamRequest,
        at position: Result<StreamPosition, ReadRefusal>,
        _ number: UInt64,
        _ place: AdmissionTicket,
        _ re: [UInt8],
        on exchange: WebSocketExchange
    ) {
        do throws(Problem) {
            let located: StreamPosition
            switch position {
            case .success(let position): located = position
            case .failure(let refusal): throw .unread(refusal)
            }
            let held = try self.gateway.hold(located, for: self.client)
            self.gateway.streams.adopt(
                StreamHandover(
                    connection: exchange.subscription(
                        number,
                        answer: SocketAnswer.live(re),
                        end: SocketAnswer.ended(re)
                    ),
                    sources: request.sources,
                    pattern: request.pattern,
                    format: request.format,
                    view: request.view,
                    position: located,
                    head: [],
                    framing: .closeDelimited,
                    ticket: place,
                    held: held,
                    owner: self.gateway.access.owner(of: request),
                    holds: request.holds
                )
            )
        } catch {
            self.subscriptions[number] = nil
            exchange.answer(SocketAnswer.problem(re, error))
        }
    }

    func unsubscribe(_ message: SocketMessage, on exchange: WebSocketExchange) throws(Problem) {
        let names = try message.string("sources")
        guard let selector = try SourceSelection.selector(names.utf8) else { throw .unknownSource() }
        let terms = SourcePattern(selector).terms
        let affected = self.subscriptions.filter { $0.value.terms.contains(where: terms.contains) }
        let known = affected.values.flatMap(\.terms)
        guard !affected.isEmpty, terms.allSatisfy(known.contains) else {
            let detail = "The sources are named as a subscription of this socket names them."
            throw Problem(404, "not_subscribed", detail)
        }
        let principal = try self.present()
        var left = affected.count
        for (number, held) in affected {
            left -= 1
            self.unsettled.insert(number)
            let answer = left == 0 ? SocketAnswer.ok(message.re) : nil
            let kept = held.terms.filter { !terms.contains($0) }
            guard !kept.isEmpty else {
                exchange.unsubscribe(number, answer: answer)
                continue
            }
            let pattern = SourcePattern(kept).intersection(principal.grants.read)
            self.subscriptions[number] = Held(terms: kept, pattern: pattern)
            exchange.narrow(number, to: pattern, answer: answer)
        }
    }
}
