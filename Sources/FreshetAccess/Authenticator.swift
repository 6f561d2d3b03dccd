// The one place that says who a caller is, and whether it still is (CONTRACT §8).

package import FreshetCore
import Synchronization

/// How it stands with a credential that was good once.
package enum Standing: Hashable, Sendable {
    /// The caller, with what it may now.
    case valid(Principal)
    /// `bye` with `expired`.
    case expired
    /// Its key is gone, or it was denied: `bye` with `revoked`.
    case revoked
}

/// Turns credentials into callers. Any thread; its state is behind one mutex that no I/O holds.
package final class Authenticator: Sendable {
    /// What follows from a configuration.
    struct Tables: Sendable {
        let anonymous: Grants
        let keys: KeyTable
        let issuers: [IssuerKeys]
        let verifier: TokenVerifier
        let certificates: [[UInt8]: Grants]
        let ticketTTL: Duration
    }

    struct State {
        var tables: Tables
        var denyList: DenyList
        var tokens = VerifiedTokens()
        /// The revision that ``tokens`` were verified in.
        var tokensRevision: UInt64 = 0
        var counts = AccessSnapshot()
    }

    let clock: @Sendable () -> WallTime
    let mint: TicketMint
    let state: Mutex<State>
    let revisions: Revisions
    private let timing: KeyTiming
    private let fetch: KeyFetch

    /// Reads the deny list; keys of issuers are fetched by ``maintain()`` or by the first token.
    ///
    /// - Parameters:
    ///   - configuration: the section `auth`.
    ///   - ticketKey: what seals tickets.
    ///   - ticketSharing: what the gateways of a cluster say of tickets; `nil` for one that is alone.
    ///   - timing: when the keys of issuers are fetched.
    ///   - fetch: sends requests for key sets.
    ///   - clock: the time of day.
    /// - Throws: every mistake of the configuration.
    package init(
        _ configuration: AccessConfiguration,
        ticketKey: TicketKey,
        ticketSharing: (any TicketSharing)? = nil,
        timing: KeyTiming = KeyTiming(),
        fetch: @escaping KeyFetch,
        clock: @escaping @Sendable () -> WallTime
    ) throws(AccessProblems) {
        self.clock = clock
        self.timing = timing
        self.fetch = fetch
        self.mint = TicketMint(key: ticketKey, sharing: ticketSharing)
        let revisions = Revisions()
        self.revisions = revisions
        let denyList = try Self.denyList(configuration, now: clock())
        let tables = Self.tables(configuration, reusing: []) { issuer in
            IssuerKeys(issuer, timing: timing, fetch: fetch, clock: clock) { revisions.raise() }
        }
        self.state = Mutex(State(tables: tables, denyList: denyList))
    }

    /// Rises whenever the configuration, the deny list or the keys of an issuer changed: running streams are to ask for
    /// their ``standing(of:)``. Costs one load. A stream compares with the number that it read before it authenticated.
    package var revision: UInt64 { self.revisions.current }

    /// Puts another configuration in force. Keys of issuers that stay as they were are kept.
    ///
    /// - Throws: every mistake of it; the present one stays in force then.
    package func update(_ configuration: AccessConfiguration) throws(AccessProblems) {
        let denyList = try Self.denyList(configuration, now: self.clock())
        let present = self.state.withLock { $0.tables.issuers }
        let (timing, fetch, clock, revisions) = (self.timing, self.fetch, self.clock, self.revisions)
        let tables = Self.tables(configuration, reusing: present) { issuer in
            IssuerKeys(issuer, timing: timing, fetch: fetch, clock: clock) { revisions.raise() }
        }
        self.state.withLock { state in
            state.tables = tables
            state.denyList = denyList
        }
        self.revisions.raise()
    }

    /// Looks at the deny list and fetches keys that are due. To be called about once a second, on a thread that may block on
    /// a file; returns when the issuers have answered.
    package func maintain() async {
        let now = self.clock()
        self.refreshDenyList(now: now)
        await withTaskGroup(of: Void.self) { group in
            for keys in self.state.withLock({ $0.tables.issuers }) where keys.needsLoad(now: now) {
                group.addTask { await keys.load(now: now) }
            }
        }
    }

    /// What happened and what is held.
    package var snapshot: AccessSnapshot {
        var (snapshot, issuers) = self.state.withLock { state in
            var snapshot = state.counts
            snapshot.cachedTokens = state.tokens.count
            snapshot.denied = state.denyList.count
            snapshot.denyFileProblem = state.denyList.problem?.description
            return (snapshot, state.tables.issuers)
        }
        snapshot.issuers = issuers.map(\.status)
        snapshot.tickets = self.mint.counts
        snapshot.revision = self.revision
        return snapshot
    }

    /// Reads the file outside of the mutex.
    private func refreshDenyList(now: WallTime) {
        var list = self.state.withLock { $0.denyList }
        guard list.isDue(now: now) else { return }
        let hasChanged = list.refresh(now: now)
        let refreshed = list
        self.state.withLock { state in
            // A new configuration that came meanwhile has read its own file.
            if state.denyList.path == refreshed.path { state.denyList = refreshed }
        }
        if hasChanged { self.revisions.raise() }
    }

    private static func denyList(_ configuration: AccessConfiguration, now: WallTime) throws(AccessProblems) -> DenyList
    {
        var problems = configuration.problems()
        var list = DenyList(path: configuration.denyFile)
        _ = list.refresh(now: now)
        if let problem = list.problem {
            problems.append(
                AccessProblem(path: "auth.deny_file", text: "\(problem); an empty file denies no one")
            )
        }
        guard problems.isEmpty else { throw AccessProblems(problems: problems) }
        return list
    }

    private static func tables(
        _ configuration: AccessConfiguration,
        reusing present: [IssuerKeys],
        _ make: (TokenIssuer) -> IssuerKeys
    ) -> Tables {
        let issuers = configuration.issuers.map { issuer in
            present.first { $0.issuer.isSame(as: issuer) } ?? make(issuer)
        }
        let certificates = configuration.certificates.map { (Array($0.subject.utf8), $0.grants) }
        return Tables(
            anonymous: configuration.anonymous,
            keys: KeyTable(configuration.keys),
            issuers: issuers,
            verifier: TokenVerifier(issuers),
            certificates: Dictionary(certificates) { first, _ in first },
            ticketTTL: configuration.ticketTTL
        )
    }
}

/// A number that rises.
final class Revisions: Sendable {
    private let number = Atomic<UInt64>(1)

    var current: UInt64 { self.number.load(ordering: .acquiring) }

    func raise() {
        self.number.wrappingAdd(1, ordering: .acquiringAndReleasing)
    }
}

extension TokenIssuer {
    fileprivate func isSame(as other: TokenIssuer) -> Bool {
        guard self.issuer.utf8.elementsEqual(other.issuer.utf8), self.audience.utf8.elementsEqual(other.audience.utf8),
            self.algorithms == other.algorithms
        else { return false }
        return switch (self.keys, other.keys) {
        case (.url(let left), .url(let right)), (.file(let left), .file(let right)): left == right
        case (.secret(let left), .secret(let right)): equalInConstantTime(left.bytes, right.bytes)
        default: false
        }
    }
}
