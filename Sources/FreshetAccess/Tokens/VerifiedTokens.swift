// Tokens that were verified a short while ago, so that a client's tenth request costs one hash.

import FreshetCore

/// Callers by the hash of their whole token, bounded, as two generations: when the young one is full it becomes the old one,
/// and what was not used since is gone with the one before. Entries die with their token. A value.
struct VerifiedTokens {
    /// What both generations may hold, in bytes of tokens and about ``overhead`` for each: 16 MiB.
    static let maxCost = 16 << 20
    /// What an entry costs beside the caller that a token describes.
    private static let overhead = 512

    private struct Entry {
        let principal: Principal
        let cost: Int
    }

    private var young: [SecretHash: Entry] = [:]
    private var old: [SecretHash: Entry] = [:]
    private var youngCost = 0
    private let maxCost: Int

    init(maxCost: Int = Self.maxCost) {
        self.maxCost = maxCost
    }

    /// How many tokens are held.
    var count: Int { self.young.count + self.old.count }

    /// The caller of a token that was verified; `nil` where it is not held. It may have expired.
    mutating func principal(_ hash: SecretHash) -> Principal? {
        if let entry = self.young[hash] { return entry.principal }
        guard let entry = self.old.removeValue(forKey: hash) else { return nil }
        self.insert(entry, hash)
        return entry.principal
    }

    mutating func insert(_ principal: Principal, _ hash: SecretHash, tokenBytes: Int) {
        self.insert(Entry(principal: principal, cost: tokenBytes * 2 + Self.overhead), hash)
    }

    mutating func remove(_ hash: SecretHash) {
        if let entry = self.young.removeValue(forKey: hash) { self.youngCost -= entry.cost }
        self.old[hash] = nil
    }

    mutating func removeAll() {
        self = VerifiedTokens(maxCost: self.maxCost)
    }

    private mutating func insert(_ entry: Entry, _ hash: SecretHash) {
        if self.youngCost + entry.cost > self.maxCost / 2 {
            self.old = self.young
            self.young = [:]
            self.youngCost = 0
        }
        if let replaced = self.young.updateValue(entry, forKey: hash) { self.youngCost -= replaced.cost }
        self.youngCost += entry.cost
    }
}
