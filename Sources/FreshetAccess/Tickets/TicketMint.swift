// Tickets: a way to open one stream where a client can send no field (CONTRACT §8, FAULTS S8).

import Base64
package import FreshetCore
import Synchronization

/// What `POST /v1/tickets` answers.
package struct Ticket: Sendable {
    /// For `?ticket=`.
    package let text: String
    /// When it can open a stream no more.
    package let expiresAt: WallTime
}

/// Why no ticket was issued.
package enum TicketProblem: Error, Hashable, Sendable {
    /// As many are unused as ``TicketLimits`` allow, of this account or of all: 429, and a later attempt may succeed.
    case tooMany
    /// The selector and the grants of the caller make a longer ticket than a URL can carry: 400.
    case tooLong
}

/// A ticket's stream.
package struct TicketStream: Sendable {
    /// With what it may read now.
    package let principal: Principal
    /// The same for every stream of the ticket, by which an earlier one is found and closed.
    package let ticket: Fingerprint
    /// What every id of the stream carries after its cursor: 22 characters of base64url. With the URL it resumes the stream,
    /// so it is half a secret.
    package let suffix: String
    /// What the ticket names: nothing else is shown with it.
    package let sources: SourcePattern
    /// What it is given back as; `nil` where the stream was resumed.
    fileprivate let unused: TicketMint.Unused?
}

/// What a ticket that was presented is good for.
package enum Redemption: Sendable {
    /// The first stream.
    case opened(TicketStream)
    /// The browser's own reconnect.
    case resumed(TicketStream)
    /// The URL without an id of its stream, after it opened one or `auth.ticket_ttl` later: 401.
    case spent
    /// Its credential has ended: 204, which ends EventSource's loop.
    case dead
    /// No ticket of this gateway, or one for other sources: 401.
    case invalid
}

/// Issues tickets and takes them. Any thread; its state is behind one mutex.
///
/// Only tickets that can still open a stream are remembered. A ticket of an earlier process is not among them: it resumes
/// its stream, and opens none, or it would open two.
final class TicketMint: Sendable {
    fileprivate struct Unused {
        let account: Principal.Account
        let expiresAt: WallTime
        /// Of a gateway that is not alone: no other one can use it any more.
        var isTaken = false
    }

    private struct State {
        /// What seals a ticket, and behind it what has sealed some before.
        var keys: [TicketKey]
        var unused: [Fingerprint: Unused] = [:]
        /// Of which the other gateways are being asked.
        var taking: Set<Fingerprint> = []
        var perAccount: [Principal.Account: Int] = [:]
        /// Tickets of streams that an administrator closed, and the same in order.
        var revoked: Set<Fingerprint> = []
        var revokedInOrder: [Fingerprint] = []
        var sweptAt: WallTime?
        var counts = TicketCounts()
    }

    /// `nil` for a gateway that is alone.
    let sharing: (any TicketSharing)?
    /// Stands in for the key of administration, which ends with the process as well.
    private let process: Fingerprint
    private let state: Mutex<State>

    init(key: TicketKey, sharing: (any TicketSharing)? = nil) {
        self.sharing = sharing
        self.state = Mutex(State(keys: [key]))
        var generator = SystemRandomNumberGenerator()
        self.process = Fingerprint(first: generator.next(), second: generator.next())
    }

    var counts: TicketCounts {
        self.state.withLock { state in
            var counts = state.counts
            counts.unused = state.unused.count
            return counts
        }
    }

    var isShared: Bool { self.sharing != nil }

    /// Seals with this key from here on.
    func adopt(_ key: TicketKey) {
        self.state.withLock { state in
            state.keys.removeAll { equalInConstantTime($0.bytes, key.bytes) }
            // Tickets of this process that are older are good until they are resumed no more.
            state.keys = [key] + state.keys.prefix(1)
        }
    }

    /// The ticket that the text is, and the key that has sealed it.
    private func unsealed(_ text: String) -> (ticket: SealedTicket, key: TicketKey)? {
        for key in self.state.withLock({ $0.keys }) {
            if let ticket = SealedTicket(text, key: key) { return (ticket, key) }
        }
        return nil
    }

    /// Takes a ticket that no gateway has used yet for this one, so that it opens its stream here.
    ///
    /// - Returns: Whether it is known what the ticket is good for.
    func claim(_ text: String, suffix: String?, now: WallTime) async -> Bool {
        guard let sharing = self.sharing, let (sealed, key) = self.unsealed(text), let expiresAt = sealed.expiresAt,
            now < expiresAt
        else { return true }
        if let suffix, equalInConstantTime(suffix.utf8, Base64URL.encode(key.suffix(sealed.id))) { return true }
        let ticket = sealed.fingerprint
        let isFirst = self.state.withLock { state in
            state.unused[ticket]?.isTaken != true && state.taking.insert(ticket).inserted
        }
        guard isFirst else { return true }
        let taking = await sharing.take(ticket)
        self.state.withLock { state in
            state.taking.remove(ticket)
            switch taking {
            case .taken:
                let account = sealed.principal.account
                let earlier = state.unused.updateValue(
                    Unused(account: account, expiresAt: expiresAt, isTaken: true),
                    forKey: ticket
                )
                if earlier == nil { state.perAccount[account, default: 0] += 1 }
            case .gone:
                if let unused = state.unused.removeValue(forKey: ticket) { Self.release(unused.account, &state) }
            case .unavailable: break
            }
        }
        return taking != .unavailable
    }

    func issue(
        for principal: Principal,
        sources: String,
        now: WallTime,
        ttl: Duration
    ) throws(TicketProblem) -> Ticket {
        var holder = principal
        holder.grants = principal.grants.forStreams
        if principal.kind == .administrator { holder.fingerprint = self.process }
        // What the configuration knows is looked up again, and need not be in a URL.
        if principal.kind != .jwt { holder.grants = Grants() }
        let expiresAt = WallTime(milliseconds: now.milliseconds + ttl.milliseconds)
        let sealed = SealedTicket(principal: holder, sources: sources, expiresAt: expiresAt)
        let text = self.state.withLock { $0.keys.first }.flatMap { sealed.text(key: $0) }
        let problem = self.state.withLock { state -> TicketProblem? in
            let problem = text == nil ? .tooLong : Self.admit(principal.account, now: now, &state)
            guard problem == nil else {
                state.counts.declined += 1
                return problem
            }
            state.counts.issued += 1
            state.unused[sealed.fingerprint] = Unused(account: principal.account, expiresAt: expiresAt)
            state.perAccount[principal.account, default: 0] += 1
            return nil
        }
        if let problem { throw problem }
        guard let text else { throw .tooLong }
        return Ticket(text: text, expiresAt: expiresAt)
    }

    /// What a ticket is good for now. Whatever opens a stream uses it up.
    ///
    /// - Parameters:
    ///   - text: the ticket.
    ///   - sources: what the request names; it must not go beyond what the ticket names. `nil` for a socket, which names
    ///     sources later.
    ///   - suffix: what follows the cursor in `Last-Event-ID`; `nil` if absent.
    ///   - now: the time of day.
    ///   - standing: whether the credential is still good, and what it may now.
    /// - Returns: the stream that it opens or resumes, or the reason for the refusal.
    func redeem(
        _ text: String,
        sources: SourceSelector?,
        suffix: String?,
        now: WallTime,
        standing: (Principal) -> Standing
    ) -> Redemption {
        guard let (sealed, key) = self.unsealed(text), let named = SourceSelector(sealed.sources),
            sources?.terms.allSatisfy(SourcePattern(named).covers) ?? true
        else { return self.count(.invalid) }
        let own = Base64URL.encode(key.suffix(sealed.id))
        let resumes = suffix.map { equalInConstantTime($0.utf8, own) } ?? false
        guard resumes || self.isUnused(sealed, now: now) else { return self.count(.spent) }
        guard let principal = self.holder(of: sealed, standing) else { return self.count(.dead) }
        let unused = self.take(sealed, now: now)
        guard resumes || unused != nil else { return self.count(.spent) }
        let stream = TicketStream(
            principal: principal,
            ticket: sealed.fingerprint,
            suffix: String(decoding: own, as: UTF8.self),
            sources: SourcePattern(named),
            unused: resumes ? nil : unused
        )
        if resumes { self.sharing?.resumed(sealed.fingerprint) }
        return self.count(resumes ? .resumed(stream) : .opened(stream))
    }

    private func holder(of sealed: SealedTicket, _ standing: (Principal) -> Standing) -> Principal? {
        if sealed.principal.kind == .administrator, sealed.principal.fingerprint != self.process { return nil }
        guard !self.state.withLock({ $0.revoked.contains(sealed.fingerprint) }) else { return nil }
        guard case .valid(var principal) = standing(sealed.principal) else { return nil }
        principal.grants = principal.grants.forStreams
        return principal
    }

    private func isUnused(_ sealed: SealedTicket, now: WallTime) -> Bool {
        self.state.withLock { state in
            state.unused[sealed.fingerprint].map { now < $0.expiresAt && self.isUsable($0) } ?? false
        }
    }

    /// What the ticket was until now; `nil` where it was used, or is too old.
    private func take(_ sealed: SealedTicket, now: WallTime) -> Unused? {
        self.state.withLock { state in
            guard let unused = state.unused[sealed.fingerprint], self.isUsable(unused) else { return nil }
            state.unused[sealed.fingerprint] = nil
            Self.release(unused.account, &state)
            return now < unused.expiresAt ? unused : nil
        }
    }

    private func isUsable(_ unused: Unused) -> Bool { self.sharing == nil || unused.isTaken }

    func giveBack(_ stream: TicketStream) {
        guard let unused = stream.unused else { return }
        self.state.withLock { state in
            guard state.unused.updateValue(unused, forKey: stream.ticket) == nil else { return }
            state.perAccount[unused.account, default: 0] += 1
            if state.counts.opened > 0 { state.counts.opened -= 1 }
        }
    }

    func revoke(_ ticket: Fingerprint) {
        self.state.withLock { state in
            guard state.revoked.insert(ticket).inserted else { return }
            state.revokedInOrder.append(ticket)
            if state.revokedInOrder.count > TicketLimits.maxRevoked {
                state.revoked.remove(state.revokedInOrder.removeFirst())
            }
        }
    }

    private static func admit(_ account: Principal.Account, now: WallTime, _ state: inout State) -> TicketProblem? {
        // Once a second at most: it looks at every ticket.
        if state.sweptAt.map({ abs(now.milliseconds - $0.milliseconds) >= 1000 }) ?? true {
            state.sweptAt = now
            for (id, unused) in state.unused where unused.expiresAt <= now {
                state.unused[id] = nil
                self.release(unused.account, &state)
            }
        }
        let isFull =
            state.unused.count >= TicketLimits.maxUnused
            || state.perAccount[account] ?? 0 >= TicketLimits.maxUnusedPerAccount
        return isFull ? .tooMany : nil
    }

    private static func release(_ account: Principal.Account, _ state: inout State) {
        let count = state.perAccount[account] ?? 0
        state.perAccount[account] = count > 1 ? count - 1 : nil
    }

    private func count(_ redemption: Redemption) -> Redemption {
        self.state.withLock { state in
            switch redemption {
            case .opened: state.counts.opened += 1
            case .resumed: state.counts.resumed += 1
            case .spent: state.counts.spent += 1
            case .dead: state.counts.dead += 1
            case .invalid: state.counts.invalid += 1
            }
        }
        return redemption
    }
}

extension SealedTicket {
    /// 128 bits of the id.
    fileprivate var fingerprint: Fingerprint { SecretHash(of: self.id).fingerprint }
}
