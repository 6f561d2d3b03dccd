// From a handshake to a socket on a shard, whatever connection it came on.

import FreshetAccess
import FreshetCore
import FreshetStreaming
import NIOCore
import System

/// A socket that may be opened.
struct SocketOpening: Sendable {
    let handshake: SocketHandshake
    let caller: SocketCaller
    let ticket: AdmissionTicket
}

/// Who speaks on a socket.
struct SocketCaller: Sendable {
    var principal: Principal
    /// Nothing else is shown: what its ticket names.
    var bound = SourcePattern.all
    /// The ticket that opens the socket; `nil` where the credential came with the handshake, or there was none.
    var claim: TicketClaim?
    /// It has no right before it says who it is.
    var mustAuthenticate = false
    /// A ticket opened it: that gives nothing but streams, until the socket says who it is.
    var mayOnlyRead = false
    /// Somebody means what it changes: it is no page of a foreign origin.
    var mayChange: Bool

    /// What it may read.
    var readable: SourcePattern { self.principal.grants.read.intersection(self.bound) }
}

extension Responder {
    /// Who asks for a socket, and a place for it.
    ///
    /// - Throws: 4xx and 503, and why.
    func openSocket(
        _ plan: RequestPlan,
        by listener: IncomingRequest.Listener,
        for route: Route,
        from client: PeerAddress
    ) throws(Problem) -> SocketOpening {
        let head = plan.head
        let handshake = try SocketHandshake(head, mayCompress: self.gateway.settings.compressesStreams)
        guard self.gateway.crossOrigin.mayOpenSocket(head) else { throw .crossOrigin }
        let access = self.gateway.access
        var caller = SocketCaller(
            principal: .anonymous(Grants()),
            mayChange: self.gateway.crossOrigin.mayWrite(head)
        )
        if case .ticket(let ticket) = plan.identity {
            let (claim, sources) = try access.redeem(ticket)
            caller.principal = claim.principal
            caller.bound = sources
            caller.claim = claim
            caller.mayOnlyRead = true
        } else {
            caller.principal = try self.principal(plan, by: listener, for: route)
            let isNobody = caller.principal.kind == .anonymous && caller.principal.grants.read == .none
            caller.mustAuthenticate = isNobody && access.authenticator != nil
        }
        let ticket = try self.gateway.admit(caller.principal, sourceSet: nil, from: client)
        return SocketOpening(handshake: handshake, caller: caller, ticket: ticket)
    }

    /// The socket as a shard takes it.
    func arrival(
        of opening: SocketOpening,
        _ head: RequestHead,
        by listener: IncomingRequest.Listener,
        from client: PeerAddress,
        on eventLoop: any EventLoop,
        connection: Socket,
        answer: [UInt8],
        received: [UInt8]
    ) -> WebSocketArrival {
        let session = SocketSession(
            gateway: self.gateway,
            head: head,
            opening: opening,
            listener: listener,
            client: client,
            eventLoop: eventLoop
        )
        opening.caller.claim?.use()
        return WebSocketArrival(
            connection: connection,
            head: answer,
            received: received,
            deflates: opening.handshake.deflates,
            limits: self.gateway.settings.sockets,
            ticket: opening.ticket,
            owner: self.gateway.access.owner(of: opening.caller),
            mustAuthenticate: opening.caller.mustAuthenticate,
            requests: SocketGate(session, on: eventLoop)
        )
    }
}

extension AccessRule {
    /// What a ticket gives to a socket, which names sources later.
    ///
    /// - Throws: 401 where it gives nothing, also where its credential has ended: no browser asks again by itself.
    func redeem(_ ticket: Secret) throws(Problem) -> (TicketClaim, SourcePattern) {
        guard let authenticator else { throw Problem(CredentialProblem(.ticket)) }
        switch authenticator.redeem(ticket) {
        case .opened(let stream), .resumed(let stream):
            guard let mark = TicketMark(ticket: stream.ticket, suffix: Array(stream.suffix.utf8)) else {
                throw .internalError
            }
            return (TicketClaim(stream, mark: mark, authenticator: authenticator), stream.sources)
        case .dead, .spent, .invalid: throw Problem(CredentialProblem(.ticket))
        }
    }

    /// Whose socket it is; `nil` for those whose rights do not end.
    func owner(of caller: SocketCaller) -> StreamOwner? {
        guard self.authenticator != nil, caller.principal.kind != .administrator || caller.claim != nil else {
            return nil
        }
        return StreamOwner(principal: caller.principal, pattern: caller.readable)
    }
}

/// Gives the messages of a socket to its session. Any thread.
final class SocketGate: WebSocketRequests {
    private let session: NIOLoopBound<SocketSession>
    private let eventLoop: any EventLoop

    init(_ session: sending SocketSession, on eventLoop: any EventLoop) {
        self.session = NIOLoopBound(session, eventLoop: eventLoop)
        self.eventLoop = eventLoop
    }

    func take(_ message: [UInt8], on exchange: WebSocketExchange) {
        self.eventLoop.execute { [session] in session.value.take(message, on: exchange) }
    }

    func ended(_ subscription: UInt64) {
        self.eventLoop.execute { [session] in session.value.ended(subscription) }
    }

    func narrowed(_ subscription: UInt64) {
        self.eventLoop.execute { [session] in session.value.settled(subscription) }
    }

    func closed() {
        self.eventLoop.execute { [session] in session.value.close() }
    }
}
