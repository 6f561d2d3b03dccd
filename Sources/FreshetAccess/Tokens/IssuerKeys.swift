// The keys of one issuer over time: fetched once for everybody who waits, and kept while the issuer is down (FAULTS S7).

import FreshetCore
import Synchronization

/// Keeps the keys of one issuer. Any thread; its state is behind one mutex, which no I/O holds.
final class IssuerKeys: Sendable {
    enum Lookup {
        case found(VerificationKey)
        /// Not among the keys at hand; ``load(now:)`` may find it.
        case mustLoad
        /// Not among the keys, and none will be fetched before the next attempt is allowed.
        case unknown
        /// There are no keys that may still be used, or the last attempt to fetch them failed.
        case unavailable
    }

    private struct State {
        var keys: VerificationKeys?
        var attemptedAt: WallTime?
        var flight: Task<Void, Never>?
        var status: IssuerStatus
    }

    let issuer: TokenIssuer
    private let timing: KeyTiming
    private let fetch: KeyFetch
    private let clock: @Sendable () -> WallTime
    /// Called after other keys than before were put in place.
    private let keysChanged: @Sendable () -> Void
    private let state: Mutex<State>

    init(
        _ issuer: TokenIssuer,
        timing: KeyTiming,
        fetch: @escaping KeyFetch,
        clock: @escaping @Sendable () -> WallTime,
        keysChanged: @escaping @Sendable () -> Void
    ) {
        self.issuer = issuer
        self.timing = timing
        self.fetch = fetch
        self.clock = clock
        self.keysChanged = keysChanged
        self.state = Mutex(State(status: IssuerStatus(issuer: issuer.issuer)))
    }

    var status: IssuerStatus { self.state.withLock { $0.status } }

    func key(_ keyID: [UInt8]?, _ algorithm: TokenAlgorithm, now: WallTime) -> Lookup {
        self.state.withLock { state in
            let keys = self.isUsable(state, now: now) ? state.keys : nil
            if let key = keys?.key(keyID, algorithm) { return .found(key) }
            if state.flight != nil || self.mayAttempt(state, now: now) { return .mustLoad }
            return keys == nil || state.status.failure != nil ? .unavailable : .unknown
        }
    }

    /// Whether the key that signed a token was withdrawn: the issuer's present keys are known, and it is not among them.
    func isWithdrawn(_ fingerprint: Fingerprint) -> Bool {
        self.state.withLock { state in state.keys.map { !$0.fingerprints.contains(fingerprint) } ?? false }
    }

    /// Whether the keys were never read, or are so old that they should be read again, and may be.
    func needsLoad(now: WallTime) -> Bool {
        self.state.withLock { state in
            guard state.flight == nil, self.mayAttempt(state, now: now) else { return false }
            guard let loadedAt = state.status.loadedAt else { return true }
            guard !self.isShared else { return false }
            return Self.isOver(self.timing.refreshAfter, since: loadedAt, now: now)
        }
    }

    /// Fetches the keys, or waits for who does already; returns at once where no attempt is allowed yet.
    func load(now: WallTime) async {
        let flight = self.state.withLock { state -> Task<Void, Never>? in
            if let flight = state.flight { return flight }
            guard self.mayAttempt(state, now: now) else { return nil }
            state.attemptedAt = now
            state.status.attempts += 1
            let flight = Task { await self.run() }
            state.flight = flight
            return flight
        }
        await flight?.value
    }

    private func run() async {
        let outcome = await self.read()
        let hasChanged = self.state.withLock { state in
            state.flight = nil
            switch outcome {
            case .success(let keys):
                let hasChanged = state.keys?.fingerprints != keys.fingerprints
                state.keys = keys
                state.status.keys = keys.fingerprints.count
                state.status.skipped = keys.skipped.count
                state.status.loadedAt = self.clock()
                state.status.failure = nil
                return hasChanged
            case .failure(let failure):
                state.status.failures += 1
                state.status.failure = failure.text
                return false
            }
        }
        if hasChanged { self.keysChanged() }
    }

    private struct Failure: Error {
        let text: String
    }

    private func read() async -> Result<VerificationKeys, Failure> {
        let set: KeySet?
        switch self.issuer.keys {
        case .secret(let secret):
            set = KeySet(secret: secret.bytes)
        case .file(let path):
            switch SmallFile.read(path, maxBytes: KeySet.maxBytes) {
            case .success(let bytes): set = KeySet(bytes)
            case .failure(let problem): return .failure(Failure(text: problem.description))
            }
        case .url(let url):
            let request = KeyRequest(url: url, maxBytes: KeySet.maxBytes, timeout: self.timing.timeout)
            do {
                let response = try await self.fetch(request)
                guard response.status == 200 else {
                    return .failure(Failure(text: "status \(response.status) instead of 200"))
                }
                set = KeySet(response.body)
            } catch {
                return .failure(Failure(text: String(describing: error)))
            }
        }
        guard let set else {
            let limit = KeySet.maxBytes
            return .failure(Failure(text: "not a JSON Web Key Set of at most \(limit) bytes (RFC 7517 §5)"))
        }
        return .success(
            await VerificationKeys(set, algorithms: self.issuer.algorithms, ignoringKeyID: self.isShared)
        )
    }

    private var isShared: Bool {
        switch self.issuer.keys {
        case .secret: true
        case .url, .file: false
        }
    }

    private func isUsable(_ state: State, now: WallTime) -> Bool {
        guard let loadedAt = state.status.loadedAt else { return false }
        return self.isShared || !Self.isOver(self.timing.keepFor, since: loadedAt, now: now)
    }

    private func mayAttempt(_ state: State, now: WallTime) -> Bool {
        guard let attemptedAt = state.attemptedAt else { return true }
        return Self.isOver(self.timing.retryAfter, since: attemptedAt, now: now)
    }

    /// A clock that was set back must not make anything wait for as long as it was wrong.
    private static func isOver(_ duration: Duration, since start: WallTime, now: WallTime) -> Bool {
        let (elapsed, overflow) = now.milliseconds.subtractingReportingOverflow(start.milliseconds)
        return overflow || elapsed < 0 || elapsed >= duration.milliseconds
    }
}
