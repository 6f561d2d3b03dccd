// Who may do what. An address proves nothing (CONTRACT §3): what a request presents does, or the listener that it came over.

import FreshetAccess
import FreshetCore
import FreshetStreaming

/// What a request proves about its sender.
enum Identity: Sendable {
    case known(Principal)
    /// It presents something that proves nothing, and why.
    case refused(Problem)
    /// It takes a signature, the keys of an issuer, or the other gateways of a cluster, to know.
    case unverified(Credentials)
    /// A ticket: the route of streams redeems it.
    case ticket(Secret)

    /// Somebody without a credential and without any right.
    static let nobody = Identity.known(.anonymous(Grants()))
}

/// Decides about requests by their head and their listener.
struct AccessRule: Sendable {
    /// Knows the credentials of `auth`; `nil` without it.
    let authenticator: Authenticator?
    let credentials: CredentialReader
    /// Without it no main listener serves administration.
    let adminKey: AdminKey?
    /// What those may do who present no credential, without ``authenticator``.
    let anonymous: Grants
    let hostRule: HostRule
    let crossOrigin: CrossOrigin

    /// What the request proves. A second credential beside the first proves nothing. Never blocks. `certificate` is the
    /// subject of the client certificate that the connection's handshake verified, as RFC 4514 writes it. `ignoresForeign`:
    /// without `auth`, a credential that is not the gateway's is none.
    func identity(
        of head: RequestHead,
        by listener: IncomingRequest.Listener,
        certificate: String? = nil,
        ignoresForeign: Bool = false
    ) -> Identity {
        if listener.purpose == .administration { return .known(.administrator) }
        let values = head.values(of: "authorization")
        if values.count == 1, let value = values.first, let adminKey, let token = CredentialReader.bearerToken(value),
            adminKey.matches(token)
        {
            return .known(.administrator)
        }
        guard let authenticator else {
            return values.isEmpty || ignoresForeign ? .known(.anonymous(self.anonymous)) : .refused(.invalidCredential)
        }
        switch self.credentials.read(head) {
        case .malformed: return .refused(.invalidCredential)
        case .credentials(var credentials):
            if let certificate { credentials.present(.certificate(subject: certificate)) }
            if case .ticket(let ticket)? = try? credentials.credential() { return .ticket(ticket) }
            guard let result = authenticator.authenticateNow(credentials) else { return .unverified(credentials) }
            return self.identity(result, of: head)
        }
    }

    /// A ticket that opens a stream or a socket, where other gateways may have used it.
    func unclaimed(_ identity: Identity, for route: Route) -> Identity {
        guard case .ticket(let ticket) = identity, self.authenticator?.mustClaimTickets == true else { return identity }
        return switch route.action {
        case .stream, .socket: .unverified(Credentials(.ticket(ticket)))
        case _: identity
        }
    }

    /// Verifies what ``identity(of:by:)`` could not know. May wait for the issuer's keys, or for the other gateways.
    func verify(_ credentials: Credentials, of head: RequestHead) async -> Identity {
        guard let authenticator else { return .refused(.invalidCredential) }
        if case .ticket(let ticket)? = try? credentials.credential() {
            let suffix = head.value(of: "last-event-id").flatMap { EventID($0).suffix }
            let isKnown = await authenticator.claim(ticket, suffix: suffix.map(String.init))
            return isKnown ? .ticket(ticket) : .refused(.ticketUnavailable)
        }
        return self.identity(await authenticator.authenticate(credentials), of: head)
    }

    private func identity(_ result: Result<Principal, CredentialProblem>, of head: RequestHead) -> Identity {
        switch result {
        case .failure(let problem): return .refused(Problem(problem))
        case .success(var principal):
            // A browser sends a cookie whoever made it ask, and a URL ends up in logs: neither administers (FAULTS S4, S8).
            if head.value(of: "authorization") == nil, head.value(of: "x-api-key") == nil, principal.grants.admin,
                principal.kind != .certificate
            {
                principal.grants.admin = false
            }
            return .known(principal)
        }
    }

    /// Why the listener does not answer to the host that the request names; `nil` where it does.
    func hostRefusal(of head: RequestHead, by listener: IncomingRequest.Listener) -> Problem? {
        guard listener.checksHost, !self.hostRule.accepts(head.authority) else { return nil }
        return .unknownHost
    }

    /// The caller, where it may use a route with this access.
    ///
    /// - Throws: 401 or 403, and why.
    func principal(
        _ identity: Identity,
        of head: RequestHead,
        by listener: IncomingRequest.Listener,
        for access: Route.Access
    ) throws(Problem) -> Principal {
        switch access {
        case .everybody, .probe:
            return .anonymous(Grants())
        case .caller:
            switch identity {
            case .known(let principal): return try self.present(principal)
            // Without `auth` clients may send fields that are meant for others.
            case .refused where self.authenticator == nil: return .anonymous(self.anonymous)
            case .refused(let problem): throw problem
            case .unverified: throw .invalidCredential
            case .ticket: throw self.ticketRefusal
            }
        case .administrator:
            return try self.administrator(identity, of: head, by: listener)
        }
    }

    private func administrator(
        _ identity: Identity,
        of head: RequestHead,
        by listener: IncomingRequest.Listener
    ) throws(Problem) -> Principal {
        switch identity {
        case .known(let principal) where principal.grants.admin:
            // Whoever reaches the listener for administration may, or holds a certificate, unless somebody else's web page
            // sends them.
            let isMeant = listener.purpose == .main && principal.kind != .certificate
            guard isMeant || self.crossOrigin.mayChange(head) else { throw .crossOrigin }
            return try self.present(principal)
        case .known(let principal):
            throw principal.kind == .anonymous ? .adminKeyRequired : .notGranted
        case .refused(let problem):
            throw problem
        case .unverified:
            throw .invalidCredential
        case .ticket:
            throw self.ticketRefusal
        }
    }

    /// The answer to a ticket that is presented for anything but a stream. It is counted as every refusal.
    private var ticketRefusal: Problem {
        let problem = CredentialProblem(.ticket)
        _ = self.authenticator?.authenticateNow(Credentials(.ticket(Secret(""))))
        return Problem(problem)
    }

    /// Whose stream a request opens; `nil` for those whose rights do not end: everybody's without `auth`, and the
    /// administrator's.
    func owner(of request: StreamRequest) -> StreamOwner? {
        guard self.authenticator != nil, request.claim != nil || request.principal.kind != .administrator else {
            return nil
        }
        return StreamOwner(principal: request.principal, pattern: request.pattern, mark: request.claim?.mark)
    }

    /// The caller as it stands now: a request may have waited since its credential was looked at.
    func present(_ principal: Principal) throws(Problem) -> Principal {
        guard principal.kind != .anonymous, let authenticator else { return principal }
        switch authenticator.standing(of: principal) {
        case .valid(var present):
            present.grants.admin = present.grants.admin && principal.grants.admin
            return present
        case .expired: throw Problem(CredentialProblem(.expired))
        case .revoked: throw Problem(CredentialProblem(.denied))
        }
    }
}

extension Problem {
    /// RFC 6750 §3.1, and 503 for what may be good a little later.
    init(_ problem: CredentialProblem) {
        switch problem.reason {
        case .several:
            let challenge = #"Bearer realm="freshet", error="invalid_request""#
            self.init(
                400,
                "several_credentials",
                problem.description,
                fields: [AnswerField("WWW-Authenticate", challenge)]
            )
        case .unavailable:
            self = .busy("issuer_unavailable", problem.description, retryAfter: Int64.random(in: 5...30))
        case _:
            let challenge =
                #"Bearer realm="freshet", error="invalid_token", error_description="\#(problem.description)""#
            self.init(
                401,
                "invalid_credential",
                problem.description,
                fields: [AnswerField("WWW-Authenticate", challenge)]
            )
        }
    }

    static let unknownHost = Problem(
        421,
        "unknown_host",
        "This gateway does not answer to this host name; admin.host_names lists those that it answers to."
    )

    static let crossOrigin = Problem.forbidden("cross_origin", "Web pages of other origins may not do this.")

    /// RFC 6750 §3: the challenge to a request without a credential names no error.
    static let adminKeyRequired = Problem(
        401,
        "admin_key_required",
        "Administration needs the key in admin.key, as Authorization: Bearer KEY, or the listener admin.listen.",
        fields: [AnswerField("WWW-Authenticate", #"Bearer realm="freshet""#)]
    )

    /// What anonymous callers may not read, whether it exists or not.
    static let credentialRequired = Problem(
        401,
        "credential_required",
        "A credential is required, such as Authorization: Bearer KEY.",
        fields: [AnswerField("WWW-Authenticate", #"Bearer realm="freshet""#)]
    )

    static let invalidCredential = Problem(
        401,
        "invalid_credential",
        "The credential is unknown; the gateway writes a new admin.key at each start.",
        fields: [AnswerField("WWW-Authenticate", #"Bearer realm="freshet", error="invalid_token""#)]
    )

    /// The cluster cannot say at the moment whether another gateway has used the ticket.
    static let ticketUnavailable = Problem.busy(
        "ticket_unavailable",
        "The cluster's broker does not answer, which knows whether the ticket was used; try again.",
        retryAfter: 1
    )

    /// RFC 6750 §3.1: a credential that is good, and not for this.
    static let notGranted = Problem(
        403,
        "not_granted",
        "The credential lacks the required grant.",
        fields: [AnswerField("WWW-Authenticate", #"Bearer realm="freshet", error="insufficient_scope""#)]
    )
}
