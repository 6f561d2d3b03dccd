// Which connection the next request uses. Connections are never shared between credentials: an answer that went astray
// then cannot become the value of a source that has no right to it.

import FreshetCore

/// What two requests must have in common to use one connection.
struct ConnectionKey: Hashable, Sendable {
    var origin: Origin
    /// The configured fields that the requests carry; any of them may be a credential.
    var fields: [SourceConfiguration.Field]
    var tls: SourceConfiguration.TLS
    var denyPrivate: Bool
}

/// The connections of one key. Confined to the poll thread.
final class ConnectionPool {
    /// An answer over a connection that was used before is held for up to this long: a second answer shows that the first
    /// may have been the late answer to an earlier request.
    static let doubt = Duration.milliseconds(5)
    /// The hold where all connections of the host are in use.
    static let minDoubt = Duration.milliseconds(1)
    /// An answer that comes sooner than is usual for this upstream is held until the usual time, but no longer than this.
    static let maxDoubt = Duration.milliseconds(50)
    /// Connections kept unused longer than this are closed, since most servers close earlier.
    static let maxRest = CurlOptions.maxConnectionIdle

    let key: ConnectionKey
    /// Transfers that may ask for a connection. Kept by ``ConnectionStore``.
    var users = 0
    private unowned let store: ConnectionStore
    /// The one that rested longest comes first.
    private var idle: [KeptConnection] = []
    /// Connections that are not idle, but for the shared one.
    private var inUse = 0
    /// The connection, or the attempt, that all requests use as long as the upstream may speak HTTP/2.
    private var shared: KeptConnection?
    /// Whether the upstream speaks HTTP/2; `nil` before the first connection.
    private var isMultiplexed: Bool?
    /// The usual time from a request to the end of its answer, a moving mean.
    private var usualAnswer = Duration.zero

    init(key: ConnectionKey, store: ConnectionStore) {
        self.key = key
        self.store = store
        // HTTP/2 is spoken over TLS only.
        self.isMultiplexed = key.origin.scheme == "https" ? nil : false
    }

    /// No source and no connection needs it.
    var isUnused: Bool { self.users == 0 && self.idle.isEmpty && self.inUse == 0 && self.shared == nil }

    /// A connection for one request; ``giveBack(_:now:)`` ends its use. The connection that rested longest comes first:
    /// the longer it was silent, the less likely is a late answer.
    ///
    /// `fresh`: no request may have used it before, but for HTTP/2, where the caller sets CURLOPT_FRESH_CONNECT.
    ///
    /// - Throws: ``PollError`` of kind `internal` where there is no memory.
    func take(fresh: Bool, now: MonotonicTime) throws(PollError) -> KeptConnection {
        let isSingleUse = self.isMultiplexed == false && self.store.isSingleUse(self.key.origin, now: now)
        if isSingleUse { self.closeIdle() }
        let connection: KeptConnection
        if self.isMultiplexed != false {
            if let shared = self.shared {
                connection = shared
            } else {
                connection = try KeptConnection(origin: self.key.origin)
                self.shared = connection
            }
        } else if !fresh, !self.idle.isEmpty {
            connection = self.idle.removeFirst()
        } else {
            connection = try KeptConnection(origin: self.key.origin)
            connection.isSpent = isSingleUse
        }
        connection.users += 1
        connection.disturbance = nil
        self.inUse += connection === self.shared ? 0 : 1
        return connection
    }

    /// Ends one use of a connection: it rests, or is closed.
    func giveBack(_ connection: KeptConnection, now: MonotonicTime) {
        connection.users -= 1
        connection.restingSince = now
        guard connection.users == 0, connection !== self.shared else { return }
        self.inUse = max(0, self.inUse - 1)
        let isOfUse = !connection.isSpent && connection.socket != nil && !connection.isOpaque
        guard isOfUse, self.idle.count < self.store.maxIdle, !self.store.isFull else {
            return connection.close()
        }
        self.idle.append(connection)
    }

    /// A connection was opened, and says whether it speaks HTTP/2.
    func learned(from connection: KeptConnection) {
        guard self.isMultiplexed != connection.isMultiplexed else { return }
        self.isMultiplexed = connection.isMultiplexed
        if connection.isMultiplexed {
            self.closeIdle()
            if connection !== self.shared { self.inUse -= 1 }
            self.shared = connection
        } else if let shared = self.shared {
            // Several connections in one cache cannot be told apart.
            shared.isSpent = shared !== connection || shared.users > 1 || shared.socket == nil
            self.shared = nil
            if shared.users == 0 { shared.close() } else { self.inUse += 1 }
        }
    }

    /// The upstream closed a resting connection, or sent something over it.
    func drop(_ connection: KeptConnection) {
        guard let index = self.idle.firstIndex(where: { $0 === connection }) else { return }
        self.idle.remove(at: index).close()
    }

    /// Closes the connections that rested for too long.
    func reap(now: MonotonicTime) {
        while let first = self.idle.first, now - first.restingSince > Self.maxRest {
            self.idle.removeFirst().close()
        }
        if let shared = self.shared, shared.users == 0, now - shared.restingSince > Self.maxRest {
            self.shared = nil
            shared.close()
        }
    }

    func closeIdle() {
        for connection in self.idle { connection.close() }
        self.idle.removeAll()
        if let shared = self.shared, shared.users == 0 {
            self.shared = nil
            shared.close()
        }
    }

    /// Takes note of an answer, and returns until when it is in doubt, if an earlier request used the connection.
    ///
    /// A late answer to an earlier request may arrive while our request is under way. Then the real answer follows, soon
    /// after the first where the upstream is quick, and at the usual time otherwise.
    func doubtEnds(sentAt: MonotonicTime, now: MonotonicTime) -> MonotonicTime {
        let taken = now - sentAt
        let usual = self.usualAnswer
        self.usualAnswer = usual == .zero ? taken : usual + (taken - usual) / 8
        // The more connections are in use, the sooner the others need them.
        let share = self.store.maxIdle - self.inUse
        let doubt = max(Self.minDoubt, Self.doubt * max(0, share + 1) / (self.store.maxIdle + 1))
        return max(now, min(sentAt + usual, now + Self.maxDoubt)) + doubt
    }
}
