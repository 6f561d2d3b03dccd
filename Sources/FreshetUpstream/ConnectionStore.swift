// All connections to upstreams: whose sockets are whose, which pools there are, which upstreams send unsolicited responses.

import FreshetCore

/// Bytes that arrived over a connection although no request had asked for them (FAULTS F09).
package struct UnsolicitedBytes {
    package var origin: Origin
    /// They begin like a response: the upstream answers requests twice. From now on each of its connections carries
    /// one request, for ``ConnectionStore/singleUseTime``.
    package var isResponse: Bool
    /// The first response of this kind from the origin within that time.
    package var isNew: Bool
    /// Sources whose last value may come from such an answer.
    package var suspects: [ExchangeID]
}

/// The pools of one poll thread. Confined to that thread.
final class ConnectionStore {
    /// How long an upstream that sent an unsolicited response gets a connection for each request. It begins anew
    /// with the next one that it sends.
    static let singleUseTime = Duration.seconds(3600)
    /// Upstreams that are remembered for that; beyond it, the one whose time ends first is forgotten.
    static let maxSingleUse = 1024
    /// How often connections that rest are looked through for those that rested too long.
    static let reapInterval = Duration.seconds(30)

    /// Resting connections of one pool.
    let maxIdle: Int
    /// See ``ConnectionTrust``.
    let minSilentAnswers: Int
    /// When ``reap(now:)`` is due.
    private(set) var reapDeadline = MonotonicTime.distantFuture
    /// An answer that is held has become doubtful since ``takeDisturbance()``.
    private var hasDisturbance = false

    private let reactor: Reactor
    private let maxConnections: Int
    private var pools: [ConnectionKey: ConnectionPool] = [:]
    private var owners: [Int32: (connection: KeptConnection, pool: ConnectionPool)] = [:]
    private var singleUse: [Origin: MonotonicTime] = [:]
    private var unsolicited: [UnsolicitedBytes] = []

    /// `reactor` watches the connections that rest.
    init(reactor: Reactor, maxIdle: Int, maxConnections: Int, minSilentAnswers: Int) {
        self.reactor = reactor
        self.maxIdle = maxIdle
        self.minSilentAnswers = minSilentAnswers
        self.maxConnections = maxConnections
    }

    /// No further connection is kept.
    var isFull: Bool { self.owners.count > self.maxConnections }

    /// The pool of a key, until ``leave(_:)``.
    func join(_ key: ConnectionKey) -> ConnectionPool {
        let pool = self.pools[key] ?? ConnectionPool(key: key, store: self)
        self.pools[key] = pool
        pool.users += 1
        return pool
    }

    /// Ends what ``join(_:)`` began. The connections of a pool without users rest until a source like the last one, such
    /// as the same by another configuration, needs them or until they have rested too long.
    func leave(_ pool: ConnectionPool) {
        pool.users -= 1
        if pool.isUnused { self.pools[pool.key] = nil }
    }

    /// Closes all that rests.
    func closeAll() {
        for pool in self.pools.values { pool.closeIdle() }
        self.pools.removeAll()
    }

    /// Closes what rested too long.
    func reap(now: MonotonicTime) {
        for pool in self.pools.values { pool.reap(now: now) }
        self.pools = self.pools.filter { !$0.value.isUnused }
        self.singleUse = self.singleUse.filter { $0.value > now }
        self.reapDeadline = self.owners.isEmpty ? .distantFuture : now + Self.reapInterval
    }

    // MARK: Sockets

    func opened(_ socket: Int32, by connection: KeptConnection, of pool: ConnectionPool) {
        self.reactor.opened(socket)
        self.owners[socket] = (connection, pool)
        connection.opened(socket)
        if self.reapDeadline == .distantFuture { self.reapDeadline = .now + Self.reapInterval }
    }

    /// A socket is about to be closed.
    func closes(_ socket: Int32) {
        self.reactor.closes(socket)
        self.owners.removeValue(forKey: socket)?.connection.closes(socket)
    }

    /// Something happened to a socket that libcurl does not watch at the moment.
    ///
    /// - Returns: Whether to go on watching it.
    func disturbed(_ socket: Int32, now: MonotonicTime) -> Bool {
        // Of HTTP/2, which has frames that belong to no request, libcurl takes care before the next request.
        guard let (connection, pool) = self.owners[socket], !connection.isMultiplexed else { return false }
        let condition = connection.condition()
        guard condition != .silent else { return true }
        self.note(condition, over: connection, now: now)
        if connection.users > 0 {
            connection.disturbance = condition
            self.hasDisturbance = true
        } else {
            pool.drop(connection)
        }
        return false
    }

    // MARK: Unsolicited bytes

    /// Takes note of what was found on a connection that should be silent.
    func note(_ condition: KeptConnection.Condition, over connection: KeptConnection, now: MonotonicTime) {
        guard case .bytes(let isResponse) = condition else { return }
        self.unsolicited.append(
            UnsolicitedBytes(
                origin: connection.origin,
                isResponse: isResponse,
                isNew: isResponse && !self.isSingleUse(connection.origin, now: now),
                suspects: isResponse ? connection.suspects : []
            )
        )
        guard isResponse else { return }
        if self.singleUse.count >= Self.maxSingleUse, let first = self.singleUse.min(by: { $0.value < $1.value }) {
            self.singleUse[first.key] = nil
        }
        self.singleUse[connection.origin] = now + Self.singleUseTime
    }

    /// Whether each connection to the origin carries one request only.
    func isSingleUse(_ origin: Origin, now: MonotonicTime) -> Bool {
        guard !self.singleUse.isEmpty, let end = self.singleUse[origin] else { return false }
        return end > now
    }

    /// What was found since the last call.
    func takeUnsolicited() -> [UnsolicitedBytes] {
        guard !self.unsolicited.isEmpty else { return [] }
        defer { self.unsolicited.removeAll() }
        return self.unsolicited
    }

    /// Whether an answer that is held has become doubtful since the last call.
    func takeDisturbance() -> Bool {
        defer { self.hasDisturbance = false }
        return self.hasDisturbance
    }
}
