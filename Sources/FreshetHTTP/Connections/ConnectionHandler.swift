// One connection, from its first byte to its end, or until a stream takes it over.

import FreshetCore
import FreshetStreaming
import HTTPFields
import Logging
import NIOCore
import System

/// Takes requests off a connection, one at a time, and writes the answers. Confined to the event loop of its channel.
///
/// A request is only looked at when the answer before it has left for the kernel: so pipelining needs no queue, and
/// whatever the connection is handed over for, nothing of an earlier answer is still waiting here.
final class ConnectionHandler: ChannelDuplexHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    enum Phase {
        /// No byte of a request is there. Next: `.readingHead`, or the end.
        case idle
        /// Next: `.readingBody`, `.answering` with a refusal.
        case readingHead
        /// A signature is verified, or the keys of its issuer are awaited. Next: `.readingBody`, `.answering` with a
        /// refusal.
        case identifying
        /// Next: `.answering`.
        case readingBody(RequestPlan)
        /// A request is with the routes, or its answer is on its way out. Next: `.idle`, `.lingering`, `.ended` where a
        /// stream takes the connection.
        case answering
        /// The last answer has left; what the client still sends is dropped, so that the answer is not lost to a
        /// reset (RFC 9112 §9.6). Next: `.ended`.
        case lingering
        /// Closed, or handed over. Final.
        case ended
    }

    let gateway: Gateway
    let responder: Responder
    let listener: IncomingRequest.Listener
    /// Opens and seals what the connection carries; `nil` without TLS.
    let tls: TLSHandler?
    let registry: ConnectionRegistry
    private(set) var peer = PeerAddress.unknown
    /// Who sent the request under way: the peer, or whom a trusted proxy names.
    private(set) var client = PeerAddress.unknown
    /// The subject of the certificate that the client proved in its handshake; `nil` without one.
    private(set) var certificate: String?
    /// The peer is a trusted proxy: the connection is counted as the client's whose request it carries.
    private(set) var isFromProxy = false
    /// What the connection is counted by, if anything.
    private(set) var network: PeerAddress?

    var phase = Phase.idle
    private var parser: RequestParser
    var buffer = ByteBuffer()
    var deadline = DeadlineTimer()
    /// What the answer under way waits for. Cancelled where the client goes.
    var task: Task<Void, Never>?
    private var isCounted = false
    /// Set where all ordinary places are taken: only a probe is answered.
    private(set) var refusal: ConnectionRefusal?
    /// The request under way, while it waits for a change.
    var parked: Parked?
    /// Whether the request under way is counted as one that waits.
    var isWaiting = false
    /// The client has sent its last byte.
    private(set) var isInputClosed = false
    /// Nothing follows the answer under way.
    var closesAfterAnswer = false
    /// A read was asked for while nothing could be taken.
    private var holdsRead = false
    private var isProcessing = false
    /// The client asks too often: the request under way gets this answer, and after it nothing is read for a while.
    private var overRate: Problem?
    var isPaused = false
    /// When lingering ends, whatever comes; and whether something came since that was last looked at.
    var lingerEnd = NIODeadline.now()
    var hasDropped = false
    /// What the kernel has not been given of the answer under way.
    var sending = AnswerSending()

    /// A client that sends nothing for so long has read the last answer, or never will.
    static let lingerPause = Duration.seconds(1)
    /// From the connection to the end of the header, where only a probe is answered.
    private static let probeTimeout = Duration.seconds(1)

    init(
        gateway: Gateway,
        responder: Responder,
        registry: ConnectionRegistry,
        listener: IncomingRequest.Listener,
        tls: TLSHandler? = nil
    ) {
        self.tls = tls
        self.gateway = gateway
        self.responder = responder
        self.registry = registry
        self.listener = listener
        let settings = gateway.settings
        let limits = RequestParser.Limits(
            maxTargetBytes: settings.maxTargetBytes,
            maxFieldBytes: settings.maxHeaderBytes,
            maxFields: settings.maxHeaderFields
        )
        self.parser = RequestParser(limits: limits, bodyLimit: Responder.shortBodyBytes)
    }

    // MARK: The channel's life

    func channelActive(context: ChannelHandlerContext) {
        if self.listener.isUnixSocket {
            self.peer = .local
        } else if let address = context.remoteAddress, let text = address.ipAddress {
            self.peer = PeerAddress(text, port: address.port ?? 0)
        }
        guard self.peer != .unknown else {
            // Reset before it was accepted: its bytes may still be there, and no client waits for an answer.
            self.phase = .ended
            self.gateway.counters.refused(.noPeer)
            return context.close(promise: nil)
        }
        self.client = self.peer
        self.isFromProxy = self.gateway.settings.trustedProxies.trusts(self.peer)
        self.network = self.isFromProxy ? nil : self.peer.countedNetwork
        self.isCounted = true
        switch self.registry.enter(context.channel, network: self.network) {
        case .ordinary:
            self.gateway.counters.accepted()
            // From the connection on, and not from its first byte: who says nothing holds a descriptor as well.
            self.setDeadline(self.gateway.settings.headerTimeout, context: context)
        case .probe(let refusal):
            self.refusal = refusal
            self.closesAfterAnswer = true
            self.setDeadline(min(self.gateway.settings.headerTimeout, Self.probeTimeout), context: context)
        }
        context.fireChannelActive()
    }

    func channelInactive(context: ChannelHandlerContext) {
        self.finish(context)
        context.fireChannelInactive()
    }

    func handlerRemoved(context: ChannelHandlerContext) {
        self.finish(context)
    }

    private func finish(_ context: ChannelHandlerContext) {
        self.phase = .ended
        self.deadline.cancel()
        self.task?.cancel()
        self.task = nil
        self.buffer = ByteBuffer()
        self.stopSending(context)
        self.endWaiting(context)
        guard self.isCounted else { return }
        self.isCounted = false
        self.registry.leave(context.channel)
        if self.refusal == nil { self.gateway.counters.closed() }
    }

    func errorCaught(context: ChannelHandlerContext, error: any Error) {
        // The connection broke: no answer can be sent.
        context.close(promise: nil)
    }

    func userInboundEventTriggered(context: ChannelHandlerContext, event: Any) {
        switch event {
        case ChannelEvent.inputClosed:
            self.isInputClosed = true
            switch self.phase {
            case .idle, .readingHead, .identifying, .readingBody, .lingering: context.close(promise: nil)
            // It may be gone for good, and a wait would hold its place; what is ready is still sent.
            case .answering: self.endWait(context)
            case .ended: break
            }
        case let event as ClientCertificateEvent:
            self.certificate = event.subject
        case is EvictionEvent:
            self.gateway.counters.evicted()
            switch self.phase {
            case .idle, .readingHead, .identifying, .readingBody, .lingering: context.close(promise: nil)
            case .answering: self.closesAfterAnswer = true
            case .ended: break
            }
        case let agreed as HTTP2Agreed:
            self.leaveAsHTTP2(agreed.received, context: context)
        case is QuiesceEvent:
            self.closesAfterAnswer = true
            switch self.phase {
            case .idle: context.close(promise: nil)
            case .answering: self.endWait(context)
            case .readingHead, .identifying, .readingBody, .lingering, .ended: break
            }
        default:
            context.fireUserInboundEventTriggered(event)
        }
    }

    /// Has the request under way answered with what there is.
    private func endWait(_ context: ChannelHandlerContext) {
        if self.sending.parts != nil, self.isInputClosed { return context.close(promise: nil) }
        self.task?.cancel()
        self.resumeWithoutWait(context)
    }

    // MARK: Reading

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        var part = self.unwrapInboundIn(data)
        switch self.phase {
        case .ended:
            return
        case .lingering:
            self.hasDropped = true
            if self.refusal != nil { context.close(promise: nil) }
            return
        case .idle, .readingHead, .identifying, .readingBody, .answering:
            // While an answer is under way nothing is read: at most what one turn of reading gives comes beside it, four
            // times 64 KiB.
            if self.buffer.readableBytes == 0 { self.buffer = part } else { self.buffer.writeBuffer(&part) }
        }
        self.process(context)
    }

    func read(context: ChannelHandlerContext) {
        switch self.phase {
        case .answering, .identifying: self.holdsRead = true
        case _ where self.isPaused: self.holdsRead = true
        case .idle, .readingHead, .readingBody, .lingering, .ended: context.read()
        }
    }

    /// Takes what the buffer holds, until an answer is under way or bytes are missing. Never calls itself: an answer
    /// that leaves at once comes back here through ``answerLeft(_:)`` while the loop runs.
    func process(_ context: ChannelHandlerContext) {
        guard !self.isProcessing, !self.isPaused else { return }
        self.isProcessing = true
        defer { self.isProcessing = false }
        while true {
            switch self.phase {
            case .identifying, .answering, .lingering, .ended: return
            case .idle, .readingHead, .readingBody: break
            }
            switch self.parser.next(&self.buffer) {
            case .needsMore:
                // After the client's last byte, what is not a whole request never will be one.
                guard !self.isInputClosed else { return context.close(promise: nil) }
                self.buffer.discardReadBytes()
                if case .idle = self.phase, self.buffer.readableBytes > 0 || self.parser.isInsideMessage {
                    self.phase = .readingHead
                    self.registry.activityChanged(of: context.channel, to: .unfinished)
                    if self.deadline.isIdle { self.setDeadline(self.gateway.settings.headerTimeout, context: context) }
                }
                self.resumeReading(context)
                return
            case .head(let head): self.headRead(head, context: context)
            case .end(let body): self.requestRead(body, context: context)
            case .failed(let problem): self.end(with: problem, context: context)
            }
        }
    }

    private func headRead(_ head: RequestHead, context: ChannelHandlerContext) {
        if let refusal = self.gateway.access.hostRefusal(of: head, by: self.listener) {
            return self.end(with: refusal, to: head, context: context)
        }
        if self.isFromProxy {
            self.client = self.gateway.settings.trustedProxies.client(of: head, from: self.peer)
            if let refusal = self.count(context.channel, for: self.client.countedNetwork) {
                self.gateway.counters.refused(refusal)
                return self.end(with: refusal.problem, to: head, context: context)
            }
        }
        if !self.gateway.pace.take(self.client) {
            let problem = RequestPace.problem
            self.overRate = problem
            guard head.framing == .none else { return self.end(with: problem, to: head, context: context) }
        }
        if let refusal = self.refusal, !OperationRoutes.isProbe(head) {
            self.gateway.counters.refused(refusal)
            return self.end(with: refusal.problem, to: head, context: context)
        }
        let plan = self.responder.plan(head, by: self.listener, certificate: self.certificate)
        // Of a request that is answered with 429 no signature is looked at.
        guard case .unverified(let credentials) = plan.identity, self.overRate == nil else {
            return self.planned(plan, context: context)
        }
        self.identify(credentials, of: plan, context: context)
    }

    /// Goes on with a request whose sender is known.
    func planned(_ plan: RequestPlan, context: ChannelHandlerContext) {
        let head = plan.head
        if self.overRate == nil, !OperationRoutes.isProbe(head), case .known(let principal) = plan.identity,
            let problem = self.gateway.callers.request(by: principal)
        {
            self.overRate = problem
            guard head.framing == .none else { return self.end(with: problem, to: head, context: context) }
        }
        if let refusal = self.responder.refusal(of: plan, by: self.listener) {
            return self.end(with: refusal, to: head, context: context)
        }
        self.parser.bodyLimit = self.responder.bodyLimit(plan)
        if let refusal = self.parser.refusal(of: head) { return self.end(with: refusal, to: head, context: context) }
        self.phase = .readingBody(plan)
        guard head.framing != .none else { return }
        self.setDeadline(self.gateway.settings.bodyTimeout, context: context)
        guard head.expectsContinue, self.buffer.readableBytes == 0 else { return }
        let interim = ByteBuffer(string: "HTTP/1.1 100 Continue\r\n\r\n")
        context.writeAndFlush(self.wrapOutboundOut(interim), promise: nil)
    }

    /// Counts the connection for another client.
    private func count(_ channel: any Channel, for network: PeerAddress?) -> ConnectionRefusal? {
        if let refusal = self.registry.recount(channel, as: network) { return refusal }
        self.network = network
        return nil
    }

    private func requestRead(_ body: ByteBuffer, context: ChannelHandlerContext) {
        guard case .readingBody(let plan) = self.phase else { return }
        self.deadline.cancel()
        self.phase = .answering
        self.registry.activityChanged(of: context.channel, to: .busy)
        if let overRate, !OperationRoutes.isProbe(plan.head) {
            return self.answer(self.responder.allow(plan.head, overRate.answer), to: plan.head, context: context)
        }
        if let route = plan.route, case .stream = route.action {
            return self.stream(plan, route, context: context)
        }
        if let route = plan.route, case .socket = route.action {
            return self.openSocket(plan, route, context: context)
        }
        let request = IncomingRequest(
            plan: plan,
            body: body,
            client: self.client,
            listener: self.listener,
            eventLoop: context.eventLoop
        )
        self.respond(to: request, context: context)
    }

    /// Has a request answered by its route.
    func respond(to request: IncomingRequest, context: ChannelHandlerContext) {
        let bound = NIOLoopBound((self, context), eventLoop: context.eventLoop)
        let responder = self.responder
        let eventLoop = context.eventLoop
        self.task = Task(executorPreference: LoopExecutor(eventLoop)) {
            let response = await responder.respond(to: request)
            eventLoop.execute {
                let (handler, context) = bound.value
                handler.responded(response, to: request, context: context)
            }
        }
    }

    private func responded(_ response: RouteResponse, to request: IncomingRequest, context: ChannelHandlerContext) {
        guard case .answering = self.phase else { return }
        self.task = nil
        switch response {
        case .answer(let answer): self.answer(answer, to: request.head, context: context)
        case .wait(let change): self.park(request, awaiting: change, context: context)
        }
    }

    // MARK: Answering

    /// Whether a request has yet to be answered.
    var isAnswering: Bool {
        if case .answering = self.phase { return true }
        return false
    }

    /// Sends the answer of the request under way, and goes on with the connection.
    func answer(_ answer: Answer, to head: RequestHead, context: ChannelHandlerContext) {
        guard case .answering = self.phase else { return }
        self.endWaiting(context)
        self.closesAfterAnswer = self.closesAfterAnswer || !head.keepsAlive
        self.log(head, status: answer.status, isRefused: answer.isRefusal)
        if let parts = answer.parts {
            guard !self.isInputClosed else { return context.close(promise: nil) }
            if head.method != "HEAD" { return self.send(answer, inParts: parts, to: head, context: context) }
        }
        self.send(answer, head: head, context: context)
    }

    /// Sends an answer to what could not be understood, took too long, or is refused before its body. Nothing can follow
    /// it.
    func end(with problem: Problem, to head: RequestHead? = nil, context: ChannelHandlerContext) {
        self.phase = .answering
        self.closesAfterAnswer = true
        self.buffer = ByteBuffer()
        if let head { self.log(head, status: problem.statusCode) }
        self.send(problem.answer, head: head, context: context)
    }

    /// The kernel has the whole answer.
    func answerLeft(_ context: ChannelHandlerContext) {
        guard case .answering = self.phase else { return }
        self.stopSending(context)
        guard !self.closesAfterAnswer, !self.registry.isQuiescing else { return self.linger(context) }
        if self.isFromProxy { _ = self.count(context.channel, for: nil) }
        self.phase = .idle
        self.registry.activityChanged(of: context.channel, to: .idle)
        guard self.overRate == nil else {
            self.overRate = nil
            self.isPaused = true
            return self.setDeadline(self.gateway.settings.overRatePause, context: context)
        }
        self.waitForRequest(context)
    }

    func waitForRequest(_ context: ChannelHandlerContext) {
        self.setDeadline(self.gateway.settings.keepAliveTimeout, context: context)
        self.deadline.isIdle = true
        // Reads on only once the requests that came already are answered.
        self.process(context)
    }

    func resumeReading(_ context: ChannelHandlerContext) {
        guard self.holdsRead else { return }
        self.holdsRead = false
        context.read()
    }

    /// Gives the memory back that holds no byte any more.
    func releaseReadBytes() {
        if self.buffer.readableBytes == 0 { self.buffer = ByteBuffer() }
    }

    // MARK: The end by a stream

    /// Gives the connection up: its descriptor has been duplicated. The channel closes its own, and the connection
    /// lives on.
    func leave(_ context: ChannelHandlerContext) {
        self.finish(context)
        context.close(promise: nil)
    }
}
