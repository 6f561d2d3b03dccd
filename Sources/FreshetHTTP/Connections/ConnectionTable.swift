// Which connections there are, and which one goes when there is no place for another.

import FreshetStreaming
import System

/// The connections that are not streams, by what they are doing. A value without I/O; each operation takes constant
/// time on average.
struct ConnectionTable<ID: Hashable & Sendable>: Sendable {
    /// What a connection is doing, as far as it matters for who goes first.
    enum Activity: Sendable {
        /// A request is not complete, or the last answer has left: goes first, the oldest before others.
        case unfinished
        /// Between two requests: goes where nothing is unfinished.
        case idle
        /// A request is being answered: never goes.
        case busy
    }

    /// What a connection that has just come gets.
    enum Place: Hashable, Sendable {
        /// One of the places for all requests.
        case ordinary
        /// One of the places that are kept for probes, for the reason that there is no other.
        case probe(ConnectionRefusal)
    }

    private var entries: [ID: ConnectionEntry] = [:]
    private var byNetwork: [PeerAddress: Int] = [:]
    private var unfinished = AgeQueue<ID>()
    private var idle = AgeQueue<ID>()
    private var probes = AgeQueue<ID>()
    private var unfinishedOfNetwork: [PeerAddress: AgeQueue<ID>] = [:]
    private var nextStamp: UInt64 = 0
    private var probeCount = 0

    let maxPerNetwork: Int
    let probePlaces: Int

    /// - Parameters:
    ///   - maxPerNetwork: Connections of one client; 0 for no bound.
    ///   - probePlaces: Connections beside the ordinary ones, which are read as far as the request line.
    init(maxPerNetwork: Int, probePlaces: Int) {
        self.maxPerNetwork = maxPerNetwork
        self.probePlaces = probePlaces
    }

    /// Connections, those for probes included.
    var count: Int { self.entries.count }

    /// Adds a connection, which is ``Activity/unfinished``. `limit`: the ordinary places at this moment.
    ///
    /// - Returns: Its place, and the connection that has to be closed for it; that one is taken out already.
    mutating func enter(_ id: ID, network: PeerAddress?, limit: Int) -> (place: Place, evicted: ID?) {
        var evicted: ID?
        var refusal: ConnectionRefusal?
        if let network, self.maxPerNetwork > 0, self.byNetwork[network, default: 0] >= self.maxPerNetwork {
            evicted = self.unfinishedOfNetwork[network]?.popOldest(in: self.entries)
            if evicted == nil { refusal = .address }
        } else if self.entries.count - self.probeCount >= limit {
            evicted = self.oldest()
            if evicted == nil { refusal = .full }
        }
        if let evicted { self.leave(evicted) }
        let stamp = self.stamp()
        guard let refusal else {
            self.entries[id] = ConnectionEntry(network: network, isProbe: false, stamp: stamp)
            if let network { self.byNetwork[network, default: 0] += 1 }
            self.queue(id, .unfinished, network, stamp)
            return (.ordinary, evicted)
        }
        if self.probeCount >= self.probePlaces {
            evicted = self.probes.popOldest(in: self.entries)
            if let evicted { self.leave(evicted) }
        }
        self.entries[id] = ConnectionEntry(network: nil, isProbe: true, stamp: stamp)
        self.probeCount += 1
        self.probes.append(id, stamp)
        self.probes.compact(to: self.entries, above: self.entries.count)
        return (.probe(refusal), evicted)
    }

    /// Counts a connection for another client, whom a proxy names; `nil` for none. Where that client has too many, nothing
    /// changes.
    mutating func recount(_ id: ID, as network: PeerAddress?) -> ConnectionRefusal? {
        guard let entry = self.entries[id], !entry.isProbe, entry.network != network else { return nil }
        if let network {
            guard self.maxPerNetwork == 0 || self.byNetwork[network, default: 0] < self.maxPerNetwork else {
                return .address
            }
            self.byNetwork[network, default: 0] += 1
        }
        self.entries[id]?.network = network
        self.leaveNetwork(entry.network)
        return nil
    }

    /// Takes the connection out that goes first; `nil` where none may go.
    mutating func evictOldest() -> ID? {
        guard let id = self.oldest() else { return nil }
        self.leave(id)
        return id
    }

    private mutating func oldest() -> ID? {
        self.unfinished.popOldest(in: self.entries) ?? self.idle.popOldest(in: self.entries)
    }

    /// Takes note of what a connection does now. Does nothing for one that is not, or no more, in the table.
    mutating func activityChanged(of id: ID, to activity: Activity) {
        // One that stays unfinished keeps its age.
        guard let entry = self.entries[id], !entry.isProbe, !entry.isUnfinished || activity != .unfinished
        else { return }
        let stamp = self.stamp()
        self.entries[id]?.stamp = stamp
        self.entries[id]?.isUnfinished = activity == .unfinished
        self.queue(id, activity, entry.network, stamp)
    }

    /// Takes a connection out. Does nothing where it was taken out already.
    mutating func leave(_ id: ID) {
        guard let entry = self.entries.removeValue(forKey: id) else { return }
        if entry.isProbe { self.probeCount -= 1 }
        self.leaveNetwork(entry.network)
    }

    private mutating func leaveNetwork(_ network: PeerAddress?) {
        guard let network, let count = self.byNetwork[network] else { return }
        self.byNetwork[network] = count > 1 ? count - 1 : nil
        if count == 1 { self.unfinishedOfNetwork[network] = nil }
    }

    private mutating func queue(_ id: ID, _ activity: Activity, _ network: PeerAddress?, _ stamp: UInt64) {
        let count = self.entries.count
        switch activity {
        case .busy: break
        case .idle:
            self.idle.append(id, stamp)
            self.idle.compact(to: self.entries, above: count)
        case .unfinished:
            self.unfinished.append(id, stamp)
            self.unfinished.compact(to: self.entries, above: count)
            guard let network, self.maxPerNetwork > 0 else { return }
            let held = self.byNetwork[network, default: 0]
            self.unfinishedOfNetwork[network, default: AgeQueue()].append(id, stamp)
            self.unfinishedOfNetwork[network]?.compact(to: self.entries, above: held)
        }
    }

    private mutating func stamp() -> UInt64 {
        self.nextStamp += 1
        return self.nextStamp
    }
}

private struct ConnectionEntry: Sendable {
    var network: PeerAddress?
    var isProbe: Bool
    var isUnfinished = true
    /// Of the latest activity: what is queued under an older one counts no more.
    var stamp: UInt64
}

/// Connections by age. What has changed since stays in it until it is met, or until there is more of it than of the
/// others.
private struct AgeQueue<ID: Hashable & Sendable>: Sendable {
    private var items: [(id: ID, stamp: UInt64)] = []
    private var first = 0

    mutating func append(_ id: ID, _ stamp: UInt64) {
        self.items.append((id, stamp))
    }

    /// Takes out the oldest that is still as it was when it was added.
    mutating func popOldest(in entries: [ID: ConnectionEntry]) -> ID? {
        while self.first < self.items.count {
            let item = self.items[self.first]
            self.first += 1
            if entries[item.id]?.stamp == item.stamp { return item.id }
        }
        self.items.removeAll(keepingCapacity: true)
        self.first = 0
        return nil
    }

    /// Drops what is out of date once it may be more than half.
    mutating func compact(to entries: [ID: ConnectionEntry], above count: Int) {
        guard self.items.count > 2 * count + 64 else { return }
        self.items = self.items[self.first...].filter { entries[$0.id]?.stamp == $0.stamp }
        self.first = 0
    }
}
