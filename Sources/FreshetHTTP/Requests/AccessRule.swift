// Who may do what. An address proves nothing (CONTRACT §3): what a request presents does, or the listener that it came over.

/// Who sent a request. The keys and tokens of `auth` become further cases.
enum Caller: Hashable, Sendable {
    /// Presents nothing.
    case anonymous
    /// Presents a credential that this gateway does not know.
    case unknown
    /// Presents the gateway's key.
    case administrator
}

/// Decides about requests by their head and their listener. Performs no I/O.
struct AccessRule: Sendable {
    /// Without it no main listener serves administration.
    let adminKey: AdminKey?
    let hostRule: HostRule
    let crossOrigin: CrossOrigin

    /// What the request proves. A second `Authorization` or a second credential in one makes the caller unknown.
    func caller(of head: RequestHead) -> Caller {
        let values = head.values(of: "authorization")
        guard let value = values.first else { return .anonymous }
        guard values.count == 1, let token = Self.bearerToken(value), let adminKey, adminKey.matches(token) else {
            return .unknown
        }
        return .administrator
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

    /// Why the request may not use a route; `nil` where it may.
    func refusal(of head: RequestHead, by listener: IncomingRequest.Listener, to access: Route.Access) -> Problem? {
        switch access {
        case .anyone: return nil
        case .administrator: break
        }
        switch listener.purpose {
        case .administration:
            // Whoever reaches this listener may, unless somebody else's web page sends them.
            return self.crossOrigin.mayChange(head) ? nil : .crossOrigin
        case .main:
            switch self.caller(of: head) {
            case .administrator: return nil
            case .anonymous: return .adminKeyRequired
            case .unknown: return .invalidCredential
            }
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

    static let invalidCredential = Problem(
        401,
        "invalid_credential",
        "The credential is not known; the gateway makes a new admin.key at each start.",
        fields: [AnswerField("WWW-Authenticate", #"Bearer realm="freshet", error="invalid_token""#)]
    )
}
