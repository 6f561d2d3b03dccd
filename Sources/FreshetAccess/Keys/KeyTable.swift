// API keys, found by the hash of the whole secret (CONTRACT §8, FAULTS S21).

import FreshetCore

/// The API keys of a configuration without problems. A value; no secret is in it.
struct KeyTable: Sendable {
    private struct Entry: Sendable {
        let id: String
        let grants: Grants
        let notBefore: WallTime?
        let notAfter: WallTime?
        let fingerprint: Fingerprint
    }

    private let entries: [Entry]
    private let bySecret: [SecretHash: Int]
    private let byFingerprint: [Fingerprint: Int]

    init(_ keys: [APIKey]) {
        var entries: [Entry] = []
        var bySecret: [SecretHash: Int] = [:]
        var byFingerprint: [Fingerprint: Int] = [:]
        for key in keys {
            let hash = SecretHash(of: key.secret)
            bySecret[hash] = entries.count
            byFingerprint[hash.fingerprint] = entries.count
            entries.append(
                Entry(
                    id: key.id,
                    grants: key.grants,
                    notBefore: key.notBefore,
                    notAfter: key.notAfter,
                    fingerprint: hash.fingerprint
                )
            )
        }
        self.entries = entries
        self.bySecret = bySecret
        self.byFingerprint = byFingerprint
    }

    /// The caller whose secret has this hash; `nil` where it is no key.
    func principal(_ hash: SecretHash, now: WallTime) -> Result<Principal, CredentialProblem>? {
        self.bySecret[hash].map { self.principal(at: $0, now: now) }
    }

    /// The caller of a key that was presented earlier, as the configuration says now; `nil` where the key is gone.
    func principal(_ fingerprint: Fingerprint, now: WallTime) -> Result<Principal, CredentialProblem>? {
        self.byFingerprint[fingerprint].map { self.principal(at: $0, now: now) }
    }

    private func principal(at index: Int, now: WallTime) -> Result<Principal, CredentialProblem> {
        let entry = self.entries[index]
        if let from = entry.notBefore, now < from { return .failure(CredentialProblem(.notYetValid)) }
        let principal = Principal(
            kind: .key,
            id: entry.id,
            grants: entry.grants,
            validUntil: entry.notAfter,
            fingerprint: entry.fingerprint
        )
        return principal.isExpired(at: now) ? .failure(CredentialProblem(.expired)) : .success(principal)
    }
}
