// Which connection the next request uses. Connections are never shared between credentials: an answer that went astray
// then cannot become the value of a source that has no right to it.

import FreshetCore

/// What two requests must have in common to use one connection.
struct ConnectionKey: Hashable, Sendable {
    var origin: Origin
    /// The configured fields that the requests carry; any of them may be a credential.
    var fields: [SourceConfiguration.Field]
    /// The secret parameters of their URLs.
    var query: [SourceConfiguration.Field]
    var tls: SourceConfiguration.TLS
    var route: SourceConfiguration.Route
    var denyPrivate: Bool
}

/// The connections of one key. Confined to the poll thread.
final class ConnectionPool {
    /// An answer over a connection that was used before is held for up to this long: a second answer shows that the first
    /// may have been the late answer to an earlier request.
    static let doubt = Duration.milliseconds(5)
    /// The hold where all connections of the host are in use.
    static let minDoubt = Duration.milliseconds(1)
    /// An answer that comes sooner than is usual for this upstream is held until the usual time, but no longer than this,
    /// and then for a quarter of the usual time, but no longer than half of this.
    static let maxDoubt = Duration.milliseconds(50)
    /// The hold of a failure where a change would be asked for again.
    static let errorDoubt = Duration.milliseconds(250)
    /// Connections kept unused longer than this are closed, since most servers close earlier.
    static let maxRest = CurlOptions.maxConnectionIdle

    let key: ConnectionKey
    /// Transfers that may ask for a connection. Kept by ``ConnectionStore``.
    var users = 0
    private unowned let store: ConnectionStore
    /// The one that rested longest comes first.
    private var idle: [KeptConnection] = []
    /// Connections that no request uses again, watched for a second answer; no more than idle ones.
    private var aside: [KeptConnection] = []
    private var trust: ConnectionTrust
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
        self.trust = ConnectionTrust(minAnswers: store.minSilentAnswers)
        // HTTP/2 is spoken over TLS only.
        self.isMultiplexed = key.origin.scheme == "https" ? nil : false
    }

    /// No source and no connection needs it.
    var isUnused: Bool {
        self.users == 0 && self.idle.isEmpty && self.aside.isEmpty && self.inUse == 0 && self.shared == nil
    }

    /// A connection for one request; ``giveBack(_:now:)`` ends its use. The connection that rested longest comes first:
    /// the longer it was silent, the less likely is a late answer.
    ///
    /// `fresh`: no request may have used it before, but for HTTP/2, where the caller sets CURLOPT_FRESH_CONNECT.
    /// `expectsChange`: the answer will probably be one that has to be proved ours, which is cheapest where it is the
    /// first of its connection.
    ///
    /// - Throws: ``UpstreamError`` of kind `internal` where there is no memory.
    func take(fresh: Bool, expectsChange: Bool, now: MonotonicTime) throws(UpstreamError) -> KeptConnection {
        let isSingleUse = self.isMultiplexed == false && self.store.isSingleUse(self.key.origin, now: now)
        if isSingleUse {
            self.closeIdle()
            self.trust.wasShaken()
        }
        let connection: KeptConnection
        if self.isMultiplexed != false {
            if let shared = self.shared {
                connection = shared
            } else {
                connection = try KeptConnection(origin: self.key.origin)
                self.shared = connection
            }
        } else if !fresh, let first = self.idle.first, !expectsChange || self.trusts(first, now: now) {
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
        guard isOfUse, !self.store.isFull else { return connection.close() }
        if connection.isSetAside {
            if self.aside.count >= self.store.maxIdle { self.aside.removeFirst().close() }
            self.aside.append(connection)
        } else {
            if self.idle.count >= self.store.maxIdle { self.closeFirst(now: now) }
            self.idle.append(connection)
        }
    }

    /// Makes room for a connection that rests: the one that did so longest has shown the most.
    private func closeFirst(now: MonotonicTime) {
        guard !self.idle.isEmpty else { return }
        let connection = self.idle.removeFirst()
        let condition = connection.condition()
        if condition == .silent { self.wasSilent(connection, now: now) }
        self.store.note(condition, over: connection, now: now)
        connection.close()
    }

    /// Whether the answer to a request sent now is believed although it is not the first of this connection: also where
    /// nothing came for so long that nothing will.
    func trusts(_ connection: KeptConnection, now: MonotonicTime) -> Bool {
        self.trust.covers(connection.forms) || now - connection.restingSince >= ConnectionTrust.longRest
    }

    /// Nothing has arrived over the connection since its last answer.
    func wasSilent(_ connection: KeptConnection, now: MonotonicTime) {
        self.trust.wasSilent(after: connection.forms, since: connection.restingSince, now: now)
    }

    /// An answer was not believed, and the one that was asked for in its place differs.
    func answersDiffered() {
        self.trust.wasShaken()
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
            // Several connections in one cache cannot be distinguished.
            shared.isSpent = shared !== connection || shared.users > 1 || shared.socket == nil
            self.shared = nil
            if shared.users == 0 { shared.close() } else { self.inUse += 1 }
        }
    }

    /// The upstream closed a resting connection, or sent something over it.
    func drop(_ connection: KeptConnection) {
        if let index = self.idle.firstIndex(where: { $0 === connection }) {
            self.idle.remove(at: index).close()
        } else if let index = self.aside.firstIndex(where: { $0 === connection }) {
            self.aside.remove(at: index).close()
        }
    }

    /// Closes the connections that rested for too long.
    func reap(now: MonotonicTime) {
        while let first = self.idle.first, now - first.restingSince > Self.maxRest {
            self.closeFirst(now: now)
        }
        while let first = self.aside.first, now - first.restingSince > Self.maxRest {
            self.aside.removeFirst().close()
        }
        if let shared = self.shared, shared.users == 0, now - shared.restingSince > Self.maxRest {
            self.shared = nil
            shared.close()
        }
    }

    func closeIdle() {
        for connection in self.idle + self.aside { connection.close() }
        self.idle.removeAll()
        self.aside.removeAll()
        if let shared = self.shared, shared.users == 0 {
            self.shared = nil
            shared.close()
        }
    }

    /// Takes note of an answer, and returns until when a second one may come, if an earlier request used the connection.
    ///
    /// A late answer to an earlier request may arrive while our request is under way. Then the real answer follows, soon
    /// after the first where the upstream is quick, and at about the usual time otherwise.
    func doubtEnds(sentAt: MonotonicTime, now: MonotonicTime) -> MonotonicTime {
        let taken = now - sentAt
        let usual = self.usualAnswer
        self.usualAnswer = usual == .zero ? taken : usual + (taken - usual) / 8
        // The more connections are in use, the sooner the others need them.
        let share = self.store.maxIdle - self.inUse
        let doubt = max(Self.minDoubt, Self.doubt * max(0, share + 1) / (self.store.maxIdle + 1))
        return max(now, min(sentAt + usual, now + Self.maxDoubt)) + max(doubt, min(usual / 4, Self.maxDoubt / 2))
    }
}
