// What requests ask: who calls, and what a stream's caller may still do.

package import FreshetCore
import Synchronization

extension Authenticator {
    /// Who calls, where that takes neither a signature nor a request to an issuer: anonymous callers, API keys,
    /// certificates, and tokens that were verified already. `nil` where ``authenticate(_:)`` has to be asked. Never blocks.
    package func authenticateNow(_ credentials: Credentials) -> Result<Principal, CredentialProblem>? {
        let credential: Credentials.Credential?
        do throws(CredentialProblem) {
            credential = try credentials.credential()
        } catch {
            return self.count(.failure(error))
        }
        switch credential {
        case nil: return .success(.anonymous(self.state.withLock { $0.tables.anonymous }))
        case .bearer(let secret), .queryToken(let secret), .cookie(let secret):
            return self.authenticateNow(secret, mayBeToken: true)
        case .apiKey(let secret): return self.authenticateNow(secret, mayBeToken: false)
        case .certificate(let subject): return self.count(self.authenticate(certificate: subject))
        case .ticket: return self.count(.failure(CredentialProblem(.ticket)))
        }
    }

    /// Who calls. Verifies tokens on the caller's executor, some 0.1 ms each, and waits for the issuer's keys where they are
    /// not at hand: not for event loops.
    package func authenticate(_ credentials: Credentials) async -> Result<Principal, CredentialProblem> {
        if let result = self.authenticateNow(credentials) { return result }
        switch try? credentials.credential() {
        case .bearer(let token), .queryToken(let token), .cookie(let token):
            return self.count(await self.verify(token))
        case nil, .apiKey, .ticket, .certificate:
            return self.count(.failure(CredentialProblem(.unknown)))
        }
    }

    /// Whether the credential of a running stream, or behind a ticket, is still good, and what its caller may now. Never
    /// blocks; asks for no signature.
    package func standing(of principal: Principal) -> Standing {
        let now = self.clock()
        return self.state.withLock { state in
            guard !principal.isExpired(at: now) else { return .expired }
            guard !state.denyList.denies(principal) else { return .revoked }
            switch principal.kind {
            case .administrator:
                return .valid(.administrator)
            case .anonymous:
                return .valid(.anonymous(state.tables.anonymous))
            case .key:
                guard let key = principal.fingerprint, let found = state.tables.keys.principal(key, now: now)
                else { return .revoked }
                switch found {
                case .success(let present): return .valid(present)
                case .failure(let problem): return problem.reason == .expired ? .expired : .revoked
                }
            case .certificate:
                guard let grants = state.tables.certificates[Array(principal.id.utf8)] else { return .revoked }
                return .valid(Self.certificateHolder(principal.id, grants))
            case .jwt:
                guard let key = principal.fingerprint, let keys = state.tables.verifier.keys(of: principal.issuer),
                    !keys.isWithdrawn(key), principal.audience.utf8.elementsEqual(keys.issuer.audience.utf8)
                else { return .revoked }
                return .valid(principal)
            }
        }
    }

    /// A ticket for streams of these sources, in the name of a caller.
    ///
    /// - Parameters:
    ///   - principal: who holds it.
    ///   - sources: as the client wrote it; a valid selector.
    /// - Returns: the ticket, which one stream can open for `auth.ticket_ttl`.
    /// - Throws: `TicketProblem`, where a bound is reached.
    package func issueTicket(for principal: Principal, sources: String) throws(TicketProblem) -> Ticket {
        let ttl = self.state.withLock { $0.tables.ticketTTL }
        return try self.mint.issue(for: principal, sources: sources, now: self.clock(), ttl: ttl)
    }

    /// Whether ``claim(_:suffix:)`` is to be called before a ticket is redeemed: another gateway may have issued or used it.
    package var mustClaimTickets: Bool { self.mint.isShared }

    /// Has this gateway be the one at which a ticket opens its stream, where no other has been it. A request that resumes needs
    /// no claim.
    ///
    /// - Returns: Whether ``redeem(_:sources:suffix:)`` can say what the ticket is good for.
    package func claim(_ ticket: Secret, suffix: String?) async -> Bool {
        await self.mint.claim(String(decoding: ticket.bytes, as: UTF8.self), suffix: suffix, now: self.clock())
    }

    /// From here on tickets are sealed with this key, which all gateways of the cluster have. Those that were sealed with the
    /// one of before are good as well.
    package func adopt(_ ticketKey: TicketKey) {
        self.mint.adopt(ticketKey)
    }

    /// Another gateway has ended a ticket: it resumes no stream any more.
    package func ticketRevoked(_ ticket: Fingerprint) {
        self.mint.revoke(ticket)
    }

    /// What a ticket is good for that a stream request presents.
    ///
    /// - Parameters:
    ///   - ticket: as it was presented.
    ///   - sources: what the request names; more than the ticket names is `invalid`.
    ///   - suffix: what follows the cursor in `Last-Event-ID`; `nil` if absent.
    /// - Returns: the stream that it opens or resumes, or the reason for the refusal.
    package func redeem(_ ticket: Secret, sources: SourceSelector, suffix: String?) -> Redemption {
        let text = String(decoding: ticket.bytes, as: UTF8.self)
        return self.mint.redeem(text, sources: sources, suffix: suffix, now: self.clock(), standing: self.standing(of:))
    }

    /// What a ticket is good for that the handshake of a socket presents, which names sources later: it is to be kept to those
    /// of the ticket.
    package func redeem(_ ticket: Secret) -> Redemption {
        let text = String(decoding: ticket.bytes, as: UTF8.self)
        return self.mint.redeem(text, sources: nil, suffix: nil, now: self.clock(), standing: self.standing(of:))
    }

    /// Puts a ticket back that ``redeem(_:sources:suffix:)`` used up, since its stream was not opened after all: it opens one
    /// until its time is over.
    package func giveBack(_ stream: TicketStream) {
        self.mint.giveBack(stream)
    }

    /// Has a ticket resume no stream any more: its client gets what it gets at the end of the credential. Holds until the
    /// process ends, for the last ``TicketLimits/maxRevoked`` of them, at all gateways of a cluster.
    package func revokeTicket(_ ticket: Fingerprint) {
        self.mint.revoke(ticket)
        self.mint.sharing?.revoke(ticket)
    }

    private func authenticateNow(_ secret: Secret, mayBeToken: Bool) -> Result<Principal, CredentialProblem>? {
        guard secret.bytes.count <= TokenLimits.maxBytes else {
            return self.count(.failure(CredentialProblem(.tooLong)))
        }
        let hash = SecretHash(of: secret)
        let now = self.clock()
        let revision = self.revision
        let result = self.state.withLock { state -> Result<Principal, CredentialProblem>? in
            if let result = state.tables.keys.principal(hash, now: now) {
                let checked = state.denyList.checking(result)
                if case .success = checked { state.counts.keysAccepted += 1 }
                return checked
            }
            guard mayBeToken, !state.tables.issuers.isEmpty else { return .failure(CredentialProblem(.unknown)) }
            state.forgetTokens(before: revision)
            if let principal = state.tokens.principal(hash) {
                guard principal.isExpired(at: now) else {
                    state.counts.tokenHits += 1
                    return .success(principal)
                }
                state.tokens.remove(hash)
                return .failure(CredentialProblem(.expired))
            }
            let dots = secret.bytes.count { $0 == UInt8(ascii: ".") }
            return dots == 2 ? nil : .failure(CredentialProblem(.unknown))
        }
        return result.map(self.count)
    }

    private func verify(_ token: Secret) async -> Result<Principal, CredentialProblem> {
        self.state.withLock { $0.counts.tokenMisses += 1 }
        for _ in 0..<2 {
            // Before the keys are looked up: what changes from here on makes the outcome too old for the cache.
            let revision = self.revision
            let verifier = self.state.withLock { $0.tables.verifier }
            switch verifier.verify(token.bytes, now: self.clock()) {
            case .verified(let principal): return self.keep(principal, token, verifiedIn: revision)
            case .refused(let problem): return .failure(problem)
            case .mustLoad(let keys): await keys.load(now: self.clock())
            }
        }
        return .failure(CredentialProblem(.unavailable))
    }

    /// Puts a verified token into the cache, unless something changed while it was verified.
    private func keep(
        _ principal: Principal,
        _ token: Secret,
        verifiedIn revision: UInt64
    ) -> Result<Principal, CredentialProblem> {
        let hash = SecretHash(of: token)
        return self.state.withLock { state in
            let checked = state.denyList.checking(.success(principal))
            guard case .success = checked, revision == self.revision else { return checked }
            state.forgetTokens(before: revision)
            state.tokens.insert(principal, hash, tokenBytes: token.bytes.count)
            return checked
        }
    }

    private func authenticate(certificate subject: String) -> Result<Principal, CredentialProblem> {
        self.state.withLock { state in
            guard let grants = state.tables.certificates[Array(subject.utf8)] else {
                return .failure(CredentialProblem(.certificate))
            }
            return state.denyList.checking(.success(Self.certificateHolder(subject, grants)))
        }
    }

    private static func certificateHolder(_ subject: String, _ grants: Grants) -> Principal {
        Principal(kind: .certificate, id: subject, grants: grants)
    }

    /// Counts a refusal.
    private func count(_ result: Result<Principal, CredentialProblem>) -> Result<Principal, CredentialProblem> {
        if case .failure(let problem) = result {
            self.state.withLock { $0.counts.refusals[problem.reason, default: 0] += 1 }
        }
        return result
    }
}

extension Authenticator.State {
    /// Empties the cache where something changed since it was filled.
    fileprivate mutating func forgetTokens(before revision: UInt64) {
        guard self.tokensRevision != revision else { return }
        self.tokens.removeAll()
        self.tokensRevision = revision
    }
}

extension DenyList {
    fileprivate func checking(_ result: Result<Principal, CredentialProblem>) -> Result<Principal, CredentialProblem> {
        result.flatMap { self.denies($0) ? .failure(CredentialProblem(.denied)) : .success($0) }
    }
}
