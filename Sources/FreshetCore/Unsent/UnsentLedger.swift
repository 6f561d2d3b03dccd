// Bytes that stay in memory because clients have not taken them yet: counted in all and per client, and bounded.

/// What one answer keeps in memory until its client has taken it.
package struct HeldBytes: Hashable, Sendable {
    /// Bytes that nothing else holds.
    package var own = 0
    /// Bytes that other answers may hold as well, by the address of their storage. Valid while they are held.
    package private(set) var shared: [UInt: Int] = [:]

    package init() {}

    /// Adds bytes that other answers may hold as well.
    package mutating func add(_ bytes: ArraySlice<UInt8>) {
        let storage = bytes.withUnsafeBufferPointer { UInt(bitPattern: $0.baseAddress) &- UInt(bytes.startIndex) }
        self.shared[storage, default: 0] = max(self.shared[storage, default: 0], bytes.count)
    }
}

/// Why an answer may not be kept for a client.
package enum UnsentRefusal: String, CaseIterable, Error, Sendable {
    /// As many unsent bytes are held as may be.
    case full
    /// As many are held for this client as may be.
    case address
}

/// Counts unsent bytes, each once however many clients wait for it, and per client each once for that client.
///
/// An answer that would pass a bound is refused, unless it is small, holds nothing that is not held already, or would be
/// the only one: otherwise a value larger than the bound could never be had. The last third is for clients that hold little:
/// a few that read nothing cannot take it from those who do.
package struct UnsentLedger: Sendable {
    package struct Limits: Hashable, Sendable {
        /// In all. Default: 128 MiB.
        package var maxBytes: Int
        /// For one client.
        package var maxBytesPerClient: Int { max(1, self.maxBytes / 2) }
        /// What all may hold together of whom one holds more than ``littleBytes``.
        var maxBytesOfLarge: Int { self.maxBytes / 3 * 2 }
        var littleBytes: Int { self.maxBytes / 16 }

        package init(maxBytes: Int = Defaults.Limits.maxUnsentBytes) {
            self.maxBytes = maxBytes
        }
    }

    private struct Holding: Sendable {
        var bytes: Int
        var holders = 1
    }

    private struct ClientKey: Hashable, Sendable {
        var client: ReadClient
        var storage: UInt
    }

    private let limits: Limits
    private var shared: [UInt: Holding] = [:]
    private var sharedByClient: [ClientKey: Holding] = [:]
    private var byClient: [ReadClient: Int] = [:]
    /// Bytes held.
    package private(set) var bytes = 0

    /// Answers up to this size are never refused: problems and probes get through.
    package static let smallBytes = 64 << 10

    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Bytes held for one client.
    package func bytes(for client: ReadClient) -> Int { self.byClient[client, default: 0] }

    /// Counts an answer in. Each that was has to be counted out by ``release(_:for:)``.
    package mutating func hold(_ held: HeldBytes, for client: ReadClient) throws(UnsentRefusal) {
        let added = held.own + held.shared.reduce(0) { $0 + (self.shared[$1.key] == nil ? $1.value : 0) }
        let addedToClient =
            held.own
            + held.shared.reduce(0) { total, piece in
                total + (self.sharedByClient[ClientKey(client: client, storage: piece.key)] == nil ? piece.value : 0)
            }
        if addedToClient > Self.smallBytes {
            let before = self.byClient[client, default: 0]
            guard before == 0 || before + addedToClient <= self.limits.maxBytesPerClient else { throw .address }
        }
        // Second, so that a client that passes both bounds makes room at its own expense.
        if added > Self.smallBytes {
            let holdsLittle = self.byClient[client, default: 0] + addedToClient <= self.limits.littleBytes
            let bound = holdsLittle ? self.limits.maxBytes : self.limits.maxBytesOfLarge
            guard self.bytes == 0 || self.bytes + added <= bound else { throw .full }
        }
        for (storage, bytes) in held.shared {
            self.shared[storage, default: Holding(bytes: bytes, holders: 0)].holders += 1
            self.sharedByClient[ClientKey(client: client, storage: storage), default: Holding(bytes: bytes, holders: 0)]
                .holders += 1
        }
        self.bytes += added
        self.byClient[client, default: 0] += addedToClient
    }

    /// Counts an answer out that was sent, or never will be.
    package mutating func release(_ held: HeldBytes, for client: ReadClient) {
        var (removed, removedFromClient) = (held.own, held.own)
        for storage in held.shared.keys {
            removed += Self.release(storage, in: &self.shared)
            removedFromClient += Self.release(ClientKey(client: client, storage: storage), in: &self.sharedByClient)
        }
        self.bytes -= removed
        let left = self.byClient[client, default: 0] - removedFromClient
        self.byClient[client] = left > 0 ? left : nil
    }

    /// - Returns: The bytes that are no longer held.
    private static func release<Key>(_ key: Key, in holdings: inout [Key: Holding]) -> Int {
        guard let holding = holdings[key] else { return 0 }
        guard holding.holders > 1 else {
            holdings[key] = nil
            return holding.bytes
        }
        holdings[key] = Holding(bytes: holding.bytes, holders: holding.holders - 1)
        return 0
    }
}
