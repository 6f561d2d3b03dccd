// One request of HTTP/2, from its head to its answer, or to the stream that it becomes.

import FreshetAccess
import FreshetCore
import FreshetStreaming
import HTTP2
import HTTPFields
import Logging
import NIOCore
import System

/// Does what ``ConnectionHandler`` does for a request that is there whole. Confined to the event loop of its gate.
final class HTTP2RequestHandler {
    private let request: HTTP2Request
    private let gate: HTTP2Gate
    private var gateway: Gateway { self.gate.gateway }
    private var responder: Responder { self.gate.responder }
    private var client: PeerAddress
    /// What the answer waits for. Cancelled where the client goes.
    private var task: Task<Void, Never>?
    /// With where the wait is kept: at the end of the gateway that is not to be found any more.
    private var parked: (request: IncomingRequest, wait: ChangeWait, waits: LoopWaits)?
    private var deadline = DeadlineTimer()
    /// What follows the head, where the answer comes in parts.
    private var parts: (any AnswerParts)?
    private var isWaiting = false
    private var isDone = false
    /// The gateway goes: what there is is answered.
    private var isHurried = false

    init(_ request: HTTP2Request, of gate: HTTP2Gate) {
        self.request = request
        self.gate = gate
        self.client = request.client.peer
    }

    func begin() {
        let bound = NIOLoopBound(self, eventLoop: self.gate.eventLoop)
        let eventLoop = self.gate.eventLoop
        self.request.exchange.whenClosed { eventLoop.execute { bound.value.clientLeft() } }
        self.request.exchange.whenHurried { eventLoop.execute { bound.value.hurry() } }
        do throws(Problem) {
            try self.read()
        } catch {
            self.answer(error.answer, to: nil)
        }
    }

    private func read() throws(Problem) {
        let settings = self.gateway.settings
        guard !self.request.head.isTooLarge else {
            throw .fieldsTooLarge(bytes: settings.maxHeaderBytes, count: settings.maxHeaderFields)
        }
        let head = try RequestHead(
            self.request.head,
            hasBody: !self.request.head.isWhole,
            maxTargetBytes: settings.maxTargetBytes
        )
        if let refusal = self.gateway.access.hostRefusal(of: head, by: self.gate.listener) { throw refusal }
        if self.gate.isFromProxy { self.client = settings.trustedProxies.client(of: head, from: self.client) }
        guard self.gateway.pace.take(self.client) || OperationRoutes.isProbe(head) else { throw RequestPace.problem }
        let plan = self.responder.plan(head, by: self.gate.listener, certificate: self.gate.certificate)
        guard case .unverified(let credentials) = plan.identity else { return self.planned(plan) }
        let bound = NIOLoopBound(self, eventLoop: self.gate.eventLoop)
        let (access, eventLoop) = (self.gateway.access, self.gate.eventLoop)
        self.task = Task {
            let identity = await access.verify(credentials, of: head)
            eventLoop.execute {
                var plan = plan
                plan.identity = identity
                bound.value.planned(plan)
            }
        }
    }

    private func planned(_ plan: RequestPlan) {
        guard !self.isDone else { return }
        self.task = nil
        if !OperationRoutes.isProbe(plan.head), case .known(let principal) = plan.identity,
            let problem = self.gateway.callers.request(by: principal)
        {
            return self.answer(self.responder.allow(plan.head, problem.answer), to: plan.head)
        }
        if let refusal = self.responder.refusal(of: plan, by: self.gate.listener) {
            return self.answer(refusal.answer, to: plan.head)
        }
        guard !self.request.isBodyTooLong else {
            return self.answer(Problem.bodyTooLarge(limit: self.responder.bodyLimit(plan)).answer, to: plan.head)
        }
        if let route = plan.route, case .stream = route.action, !plan.head.isTunnel { return self.stream(plan, route) }
        if let route = plan.route, case .socket = route.action { return self.openSocket(plan, route) }
        // 200 would open the tunnel.
        guard !plan.head.isTunnel else { return self.answer(Problem.noSuchRoute.answer, to: plan.head) }
        self.respond(
            to: IncomingRequest(
                plan: plan,
                body: ByteBuffer(bytes: self.request.body),
                client: self.client,
                listener: self.gate.listener,
                eventLoop: self.gate.eventLoop
            )
        )
    }

    private func respond(to request: IncomingRequest) {
        let bound = NIOLoopBound(self, eventLoop: self.gate.eventLoop)
        let (responder, eventLoop) = (self.responder, self.gate.eventLoop)
        self.task = Task(executorPreference: LoopExecutor(eventLoop)) {
            let response = await responder.respond(to: request)
            eventLoop.execute { bound.value.responded(response, to: request) }
        }
    }

    private func responded(_ response: RouteResponse, to request: IncomingRequest) {
        guard !self.isDone else { return }
        self.task = nil
        switch response {
        case .answer(let answer):
            if let parts = answer.parts, request.head.method != "HEAD" {
                self.send(answer, inParts: parts, to: request.head)
            } else {
                self.answer(answer, to: request.head)
            }
        case .wait(let change): self.park(request, awaiting: change)
        }
    }

    // MARK: Waiting

    private func park(_ request: IncomingRequest, awaiting change: AwaitedChange) {
        if !self.isWaiting {
            if let refusal = self.gateway.waits.enter(self.client) {
                let answer = self.responder.allow(request.head, refusal.problem.answer)
                return self.answer(answer, to: request.head)
            }
            self.isWaiting = true
        }
        var request = request
        request.awaited = change
        request.body = ByteBuffer()
        guard !self.isHurried else { return self.answerNow(request) }
        let wait = ChangeWait(for: change.sources) { [weak self] in self?.resume() }
        let waits = self.gateway.waits.waits(on: self.gate.eventLoop)
        guard waits.begin(wait, after: change.after) else {
            return self.respond(to: request)
        }
        self.parked = (request, wait, waits)
        let bound = NIOLoopBound(self, eventLoop: self.gate.eventLoop)
        let left = max(0, (change.deadline - .now()).nanoseconds)
        self.deadline.set(.nanoseconds(left), on: self.gate.eventLoop) { bound.value.resume() }
    }

    private func resume() {
        guard let request = self.unpark() else { return }
        self.respond(to: request)
    }

    private func answerNow(_ request: IncomingRequest) {
        var request = request
        request.awaited?.deadline = .now()
        self.respond(to: request)
    }

    private func hurry() {
        self.isHurried = true
        if let request = self.unpark() { self.answerNow(request) }
    }

    private func unpark() -> IncomingRequest? {
        guard let parked else { return nil }
        self.parked = nil
        parked.waits.end(parked.wait)
        self.deadline.cancel()
        return parked.request
    }

    /// The client has gone, or has reset the stream.
    private func clientLeft() {
        self.task?.cancel()
        self.finish()
    }

    private func finish() {
        self.isDone = true
        self.task = nil
        self.parts?.end()
        self.parts = nil
        _ = self.unpark()
        guard self.isWaiting else { return }
        self.isWaiting = false
        self.gateway.waits.leave(self.client)
    }

    // MARK: Answering

    /// Sends the head, and then what comes, for as long as the client listens: the next part is asked for once the kernel has
    /// the one before, as over HTTP/1.1.
    private func send(_ answer: Answer, inParts parts: any AnswerParts, to head: RequestHead) {
        self.parts = parts
        self.gateway.counters.answered(answer.status)
        self.log(head, status: answer.status)
        let bound = NIOLoopBound(self, eventLoop: self.gate.eventLoop)
        let eventLoop = self.gate.eventLoop
        let begun = HTTP2Answer(status: answer.status, fields: Self.fields(of: answer), body: nil)
        self.request.exchange.begin(begun) { eventLoop.execute { bound.value.awaitPart() } }
    }

    private func awaitPart() {
        guard !self.isDone, self.task == nil, let parts else { return }
        let bound = NIOLoopBound(self, eventLoop: self.gate.eventLoop)
        let eventLoop = self.gate.eventLoop
        self.task = Task {
            let part = await parts.next()
            eventLoop.execute { bound.value.partCame(part) }
        }
    }

    private func partCame(_ part: [UInt8]?) {
        guard !self.isDone else { return }
        self.task = nil
        guard let part else {
            self.finish()
            return self.request.exchange.add(HTTP2Part([], isLast: true))
        }
        self.request.exchange.add(HTTP2Part(part))
    }

    private func answer(_ answer: Answer, to head: RequestHead?) {
        guard !self.isDone else { return }
        self.finish()
        var answer = answer
        let hasBody = answer.status != 204 && answer.status != 304 && !answer.isStream && answer.parts == nil
        let sendsBody = hasBody && head?.method != "HEAD"
        var held: UnsentTicket?
        if sendsBody, answer.body.count > 0 {
            // Copied, and so shared with nobody.
            var copy = HeldBytes()
            copy.own = answer.body.count
            do throws(UnsentRefusal) {
                held = try self.gateway.unread.desk.hold(copy, for: self.client.readClient)
            } catch {
                self.gateway.unread.makeRoom(for: self.client.readClient, after: error)
                answer = Problem.unsent(error).answer
            }
        }
        self.gateway.counters.answered(answer.status)
        self.log(head, status: answer.status)
        var fields = Self.fields(of: answer)
        if hasBody { fields.append(Self.field("content-length", String(answer.body.count))) }
        var body: [UInt8] = []
        if sendsBody {
            body.reserveCapacity(answer.body.count)
            while let slice = answer.body.take(upTo: 64 << 10) { body.append(contentsOf: slice.readableBytesView) }
        }
        self.request.exchange.answer(
            HTTP2Answer(status: answer.status, fields: fields, body: sendsBody ? body : nil, held: held)
        )
    }

    /// With the date; a value with a control character in it is left out, as ``AnswerHead`` does.
    private static func fields(of answer: Answer) -> [HTTP2Field] {
        [HTTP2Field(name: Array("date".utf8), value: Array(WallClock.now.httpDate.bytes))]
            + answer.fields.filter { field in
                // Of a connection of HTTP/1.1 (RFC 9113 §8.2.2).
                field.name != "Connection" && field.name != "Upgrade"
                    && field.value.utf8.allSatisfy { $0 >= 0x20 && $0 != 0x7F || $0 == 0x09 }
            }.map { Self.field($0.name.lowercased(), $0.value) }
    }

    private static func field(_ name: String, _ value: String) -> HTTP2Field {
        HTTP2Field(name: Array(name.utf8), value: Array(value.utf8))
    }

    private func log(_ head: RequestHead?, status: Int) {
        guard let head, self.gateway.logger.logLevel <= .debug else { return }
        self.gateway.logger.debug(
            "request",
            metadata: [
                "method": "\(head.method)", "path": "\(head.path)", "status": "\(status)", "peer": "\(self.client)",
            ]
        )
    }

    // MARK: Sockets

    private func openSocket(_ plan: RequestPlan, _ route: Route) {
        let head = plan.head
        do throws(Problem) {
            let opening = try self.responder.openSocket(plan, by: self.gate.listener, for: route, from: self.client)
            var answer = Answer(200)
            answer.fields = opening.handshake.fields
            let arrival = self.responder.arrival(
                of: opening,
                head,
                by: self.gate.listener,
                from: self.client,
                on: self.gate.eventLoop,
                connection: self.request.exchange.stream(Self.fields(of: answer)),
                answer: [],
                received: []
            )
            self.log(head, status: 200)
            self.gateway.counters.handedOver()
            self.finish()
            self.gateway.streams.adopt(arrival)
        } catch {
            self.answer(self.responder.allow(head, error.answer), to: head)
        }
    }

    // MARK: Streams

    private func stream(_ plan: RequestPlan, _ route: Route) {
        let head = plan.head
        let names = (plan.match?.parameters[StreamRequest.parameter] ?? "").utf8
        do throws(Problem) {
            let hub = self.gateway.hub
            switch try self.responder.streamCaller(plan, names: names, by: self.gate.listener, for: route) {
            case .principal(let principal):
                try self.open(
                    StreamRequest(head, names: names, hub: hub, principal: principal, from: self.client),
                    head
                )
            case .ticket(let claim):
                try self.open(
                    StreamRequest(
                        head,
                        names: names,
                        hub: hub,
                        principal: claim.principal,
                        from: self.client,
                        claim: claim
                    ),
                    head
                )
            case .dead:
                let answer = Answer(204, fields: [AnswerField("Cache-Control", "no-store")])
                self.answer(self.responder.allow(head, answer), to: head)
            }
        } catch {
            self.answer(self.responder.allow(head, error.answer), to: head)
        }
    }

    private func open(_ request: StreamRequest, _ head: RequestHead) throws(Problem) {
        let request = self.gateway.compressing(request, head)
        guard head.method == "GET" else {
            var answer = self.responder.allow(head, request.answer)
            answer.isStream = true
            return self.answer(answer, to: head)
        }
        let ticket = try self.gateway.admit(request, from: self.client)
        guard self.gateway.hub.isToBeLocated(request.position) else {
            return try self.handOver(request, at: request.position, head, ticket)
        }
        let bound = NIOLoopBound(self, eventLoop: self.gate.eventLoop)
        let (hub, client, eventLoop) = (self.gateway.hub, self.client.readClient, self.gate.eventLoop)
        self.task = Task(executorPreference: LoopExecutor(eventLoop)) {
            let located: Result<StreamPosition, ReadRefusal>
            do throws(ReadRefusal) {
                let (sources, needs) = (request.sources, PastNeed.events(request.format.wire))
                located = .success(
                    try await hub.locate(request.position, of: sources, in: request.view, needs: needs, for: client)
                )
            } catch {
                located = .failure(error)
            }
            eventLoop.execute { bound.value.located(located, request, head, ticket) }
        }
    }

    private func located(
        _ position: Result<StreamPosition, ReadRefusal>,
        _ request: StreamRequest,
        _ head: RequestHead,
        _ ticket: AdmissionTicket
    ) {
        guard !self.isDone else { return }
        self.task = nil
        do throws(Problem) {
            switch position {
            case .success(let position): try self.handOver(request, at: position, head, ticket)
            case .failure(let refusal): throw .unread(refusal)
            }
        } catch {
            self.answer(self.responder.allow(head, error.answer), to: head)
        }
    }

    private func handOver(
        _ request: StreamRequest,
        at position: StreamPosition,
        _ head: RequestHead,
        _ ticket: AdmissionTicket
    ) throws(Problem) {
        let held = try self.gateway.hold(position, for: self.client)
        let fields = Self.fields(of: self.responder.allow(head, request.answer))
        request.claim?.use()
        self.log(head, status: 200)
        self.gateway.counters.handedOver()
        self.finish()
        self.gateway.streams.adopt(
            StreamHandover(
                connection: self.request.exchange.stream(fields),
                sources: request.sources,
                pattern: request.pattern,
                format: request.format,
                view: request.view,
                position: position,
                head: [],
                framing: .closeDelimited,
                coding: request.coding,
                ticket: ticket,
                held: held,
                owner: self.gateway.access.owner(of: request),
                holds: request.holds
            )
        )
    }
}
