// A stream that is opened with a ticket (CONTRACT §8, FAULTS S8).

import FreshetAccess
import FreshetCore
import Synchronization

/// The right to one stream that a request's ticket gave it. Where no stream comes of the request, the ticket is good again
/// when the last reference is gone, so that no path can forget it. Any thread.
final class TicketClaim: Sendable {
    let principal: Principal
    let mark: TicketMark
    private let stream: TicketStream
    private let authenticator: Authenticator
    private let isUsed = Atomic<Bool>(false)

    init(_ stream: TicketStream, mark: TicketMark, authenticator: Authenticator) {
        self.principal = stream.principal
        self.mark = mark
        self.stream = stream
        self.authenticator = authenticator
    }

    deinit {
        if !self.isUsed.load(ordering: .relaxed) { self.authenticator.giveBack(self.stream) }
    }

    /// The stream was opened.
    func use() {
        self.isUsed.store(true, ordering: .relaxed)
    }
}

/// Who asks for a stream.
enum StreamOpener: Sendable {
    case principal(Principal)
    case ticket(TicketClaim)
    /// The credential behind the ticket has ended: 204 ends the loop of EventSource, which comes back after anything else.
    case dead
}

extension AccessRule {
    /// What a ticket gives to a request for a stream of these sources.
    ///
    /// Only the field `Last-Event-ID` can show that the request resumes the ticket's own stream: an id in the URL would
    /// make a line of somebody's log the whole secret.
    ///
    /// - Parameters:
    ///   - ticket: as it was presented.
    ///   - head: the request.
    ///   - names: the part of the path that names the sources.
    /// - Returns: who asks.
    /// - Throws: 401 where it gives nothing.
    func redeem(_ ticket: Secret, for head: RequestHead, names: some Collection<UInt8>) throws(Problem) -> StreamOpener
    {
        guard let authenticator, head.method == "GET", let sources = try SourceSelection.selector(names) else {
            throw Problem(CredentialProblem(.ticket))
        }
        let suffix = head.value(of: "last-event-id").flatMap { EventID($0).suffix }
        switch authenticator.redeem(ticket, sources: sources, suffix: suffix.map(String.init)) {
        case .opened(let stream), .resumed(let stream):
            guard let mark = TicketMark(ticket: stream.ticket, suffix: Array(stream.suffix.utf8)) else {
                throw .internalError
            }
            return .ticket(TicketClaim(stream, mark: mark, authenticator: authenticator))
        case .dead: return .dead
        case .spent, .invalid: throw Problem(CredentialProblem(.ticket))
        }
    }
}
