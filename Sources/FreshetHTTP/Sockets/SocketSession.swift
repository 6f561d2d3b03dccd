// What a socket's client may do, and what it has asked for: one request after the other.

import FreshetAccess
import FreshetCore
import FreshetStreaming
import JSON
import NIOCore
import System

/// Carries out the requests of one socket. Confined to the event loop of its gate.
///
/// Requests are begun in their order: one that has to wait, for an issuer's keys or for a position on the disk, holds up those
/// behind it, of which a shard gives no more than ``WebSocketLimits/maxUnanswered``. Subscriptions are answered by their shard.
final class SocketSession {
    /// A subscription that was not ended.
    struct Held {
        /// As the client named its sources.
        var terms: [SourceSelector.Term]
        /// As far as the caller may read.
        var pattern: SourcePattern
    }

    let gateway: Gateway
    /// The handshake.
    let head: RequestHead
    let listener: IncomingRequest.Listener
    let client: PeerAddress
    let eventLoop: any EventLoop
    let ticket: AdmissionTicket
    let deflates: Bool
    var caller: SocketCaller
    var subscriptions: [UInt64: Held] = [:]
    var nextSubscription: UInt64 = 0
    /// Subscriptions of which something ends: requests wait until nothing more comes of it.
    var unsettled: Set<UInt64> = []
    private var exchange: WebSocketExchange?
    private var queue: [[UInt8]] = []
    /// A request is under way that those behind it wait for.
    private var isBusy = false
    private var task: Task<Void, Never>?
    private var isClosed = false

    init(
        gateway: Gateway,
        head: RequestHead,
        opening: SocketOpening,
        listener: IncomingRequest.Listener,
        client: PeerAddress,
        eventLoop: any EventLoop
    ) {
        self.gateway = gateway
        self.head = head
        self.listener = listener
        self.client = client
        self.eventLoop = eventLoop
        self.ticket = opening.ticket
        self.deflates = opening.handshake.deflates
        self.caller = opening.caller
        self.caller.claim = nil
    }

    /// Takes a message.
    func take(_ text: [UInt8], on exchange: WebSocketExchange) {
        guard !self.isClosed else { return }
        self.exchange = exchange
        self.queue.append(text)
        self.work(exchange)
    }

    private func work(_ exchange: WebSocketExchange) {
        while !self.isBusy, self.unsettled.isEmpty, !self.isClosed, !self.queue.isEmpty {
            let text = self.queue.removeFirst()
            do throws(SocketMessage.Refusal) {
                self.carryOut(try SocketMessage(text), on: exchange)
            } catch {
                exchange.answer(SocketAnswer.problem(error.re, error.problem))
            }
        }
    }

    private func carryOut(_ message: SocketMessage, on exchange: WebSocketExchange) {
        do throws(Problem) {
            if let problem = self.gateway.callers.request(by: self.caller.principal) { throw problem }
            guard message.operation == .auth || !self.caller.mustAuthenticate else { throw .credentialRequired }
            switch message.operation {
            case .subscribe: try self.subscribe(message, on: exchange)
            case .unsubscribe: try self.unsubscribe(message, on: exchange)
            case .auth: try self.authenticate(message, on: exchange)
            case .write: try self.write(message, on: exchange)
            case .ping: exchange.answer(SocketAnswer.ok(message.re))
            }
        } catch {
            exchange.answer(SocketAnswer.problem(message.re, error))
        }
    }

    /// Does something elsewhere while those behind it wait.
    func wait<Result: Sendable>(
        on exchange: WebSocketExchange,
        for work: @escaping @Sendable () async -> Result,
        then finish: @escaping (SocketSession, Result) -> Void
    ) {
        self.isBusy = true
        let bound = NIOLoopBound((self, finish), eventLoop: self.eventLoop)
        let eventLoop = self.eventLoop
        self.task = Task(executorPreference: LoopExecutor(eventLoop)) {
            let result = await work()
            eventLoop.execute {
                let (session, finish) = bound.value
                session.task = nil
                session.isBusy = false
                guard !session.isClosed else { return }
                finish(session, result)
                session.work(exchange)
            }
        }
    }

    /// The caller as it stands now.
    ///
    /// - Throws: 401 where its credential has ended.
    func present() throws(Problem) -> Principal {
        var principal = try self.gateway.access.principal(
            .known(self.caller.principal),
            of: self.head,
            by: self.listener,
            for: .caller
        )
        principal.grants.read = principal.grants.read.intersection(self.caller.bound)
        return principal
    }

    /// A subscription has ended.
    func ended(_ subscription: UInt64) {
        self.subscriptions[subscription] = nil
        self.settled(subscription)
    }

    /// What was to end of a subscription has ended.
    func settled(_ subscription: UInt64) {
        guard self.unsettled.remove(subscription) != nil, let exchange else { return }
        self.work(exchange)
    }

    /// The socket is no more.
    func close() {
        self.isClosed = true
        self.queue = []
        self.task?.cancel()
        self.task = nil
    }

    // MARK: Credentials

    private func authenticate(_ message: SocketMessage, on exchange: WebSocketExchange) throws(Problem) {
        let token = try message.string("token")
        var head = self.head
        head.query = ""
        head.fields = [RequestHead.Field(name: "authorization", value: "Bearer \(token)")]
        let request = head
        let re = message.re
        let access = self.gateway.access
        let identity = access.identity(of: request, by: self.listener)
        guard case .unverified(let credentials) = identity else {
            return try self.authenticated(identity, re, on: exchange)
        }
        self.wait(on: exchange) {
            await access.verify(credentials, of: request)
        } then: { session, identity in
            do throws(Problem) {
                try session.authenticated(identity, re, on: exchange)
            } catch {
                exchange.answer(SocketAnswer.problem(re, error))
            }
        }
    }

    private func authenticated(_ identity: Identity, _ re: [UInt8], on exchange: WebSocketExchange) throws(Problem) {
        let access = self.gateway.access
        let principal = try access.principal(identity, of: self.head, by: self.listener, for: .caller)
        let before = self.caller.principal
        guard before.kind == .anonymous || before.account == principal.account else {
            throw Problem(403, "other_subject", "A socket keeps its subject; open another socket for another one.")
        }
        self.caller.principal = principal
        self.caller.bound = .all
        self.caller.mustAuthenticate = false
        self.caller.mayOnlyRead = false
        // What sets a token itself is no page's cookie.
        self.caller.mayChange = true
        for (number, held) in self.subscriptions {
            self.subscriptions[number]?.pattern = held.pattern.intersection(principal.grants.read)
        }
        let answer = SocketAnswer.ok(re) { json in
            json.member("id", principal.id)
            json.member("expires_at", optional: principal.validUntil?.description)
        }
        exchange.renew(StreamOwner(principal: principal, pattern: principal.grants.read), answer: answer)
    }
}
