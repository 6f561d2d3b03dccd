// Who may do what. An address proves nothing (CONTRACT §3): what a request presents does, or the listener that it came over.

import FreshetCore

/// What a request proves about its sender.
enum Identity: Hashable, Sendable {
    case known(Principal)
    /// It presents something that proves nothing, and why.
    case refused(Problem)

    /// Somebody without a credential and without any right.
    static let nobody = Identity.known(.anonymous(Grants()))
}

/// Decides about requests by their head and their listener. Performs no I/O.
struct AccessRule: Sendable {
    /// Without it no main listener serves administration.
    let adminKey: AdminKey?
    /// What those may do who present no credential.
    let anonymous: Grants
    /// Whether a credential that is not known is ignored where none is needed: so it is without `auth`, when clients may
    /// send fields that are meant for others.
    let ignoresUnknown: Bool
    let hostRule: HostRule
    let crossOrigin: CrossOrigin

    /// What the request proves. A second `Authorization` or a second credential in one proves nothing.
    func identity(of head: RequestHead, by listener: IncomingRequest.Listener) -> Identity {
        if listener.purpose == .administration { return .known(.administrator) }
        let values = head.values(of: "authorization")
        guard let value = values.first else { return .known(.anonymous(self.anonymous)) }
        guard values.count == 1, let token = Self.bearerToken(value), let adminKey, adminKey.matches(token) else {
            return .refused(.invalidCredential)
        }
        return .known(.administrator)
    }

    /// The token of `Bearer TOKEN` (RFC 6750 §2.1).
    private static func bearerToken(_ value: String) -> Substring? {
        let parts = value.split(separator: " ", maxSplits: 1, omittingEmptySubsequences: true)
        guard parts.count == 2, parts[0].utf8.equals(ignoringCase: "bearer") else { return nil }
        return parts[1].drop { $0 == " " }
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
        case .everybody:
            return .anonymous(Grants())
        case .caller:
            switch identity {
            case .known(let principal): return principal
            case .refused where self.ignoresUnknown: return .anonymous(self.anonymous)
            case .refused(let problem): throw problem
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
            // Whoever reaches the listener for administration may, unless somebody else's web page sends them.
            guard listener.purpose == .main || self.crossOrigin.mayChange(head) else { throw .crossOrigin }
            return principal
        case .known(let principal):
            throw principal.kind == .anonymous ? .adminKeyRequired : .notGranted
        case .refused(let problem):
            throw problem
        }
    }
}

extension Problem {
    static let unknownHost = Problem(
        421,
        "unknown_host",
        "This gateway does not answer to this host name; admin.host_names lists those that it answers to."
    )

    static let crossOrigin = Problem.forbidden("cross_origin", "A web page of another origin may not do this.")

    /// RFC 6750 §3: the challenge to a request without a credential names no error.
    static let adminKeyRequired = Problem(
        401,
        "admin_key_required",
        "This needs the key that the gateway wrote to admin.key, as Authorization: Bearer KEY, or admin.listen.",
        fields: [AnswerField("WWW-Authenticate", #"Bearer realm="freshet""#)]
    )

    /// What anonymous callers may not read, whether it exists or not.
    static let credentialRequired = Problem(
        401,
        "credential_required",
        "This needs a credential, such as Authorization: Bearer KEY.",
        fields: [AnswerField("WWW-Authenticate", #"Bearer realm="freshet""#)]
    )

    static let invalidCredential = Problem(
        401,
        "invalid_credential",
        "The credential is not known; the gateway makes a new admin.key at each start.",
        fields: [AnswerField("WWW-Authenticate", #"Bearer realm="freshet", error="invalid_token""#)]
    )

    /// RFC 6750 §3.1: a credential that is good, and not for this.
    static let notGranted = Problem(
        403,
        "not_granted",
        "The credential does not have the grant that this needs.",
        fields: [AnswerField("WWW-Authenticate", #"Bearer realm="freshet", error="insufficient_scope""#)]
    )
}
