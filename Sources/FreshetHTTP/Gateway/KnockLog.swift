// What is said of clients that ask again and again with a credential that is no good.

import CLinux
import Synchronization
import System

/// Decides which refusals are worth a line: the first of a client, and then one a minute with the number of those between.
/// A value without I/O.
struct KnockCounter: Sendable {
    private struct Knocks: Sendable {
        var toldAt: Int64
        var untold: UInt64
    }

    private var clients: [PeerAddress: Knocks] = [:]
    private var nextSweep: Int64 = .min

    /// Between two lines of one client, in nanoseconds.
    static let interval: Int64 = 60_000_000_000
    /// The most clients that are told apart; of more nothing is said until some were quiet for ``interval``.
    static let maxClients = 1024

    /// Counts a refusal at `now`, in nanoseconds.
    ///
    /// - Returns: How many refusals the line is to tell of; `nil` for no line.
    mutating func count(_ client: PeerAddress, at now: Int64) -> UInt64? {
        guard let known = self.clients[client] else {
            if self.clients.count >= Self.maxClients { self.sweep(now) }
            guard self.clients.count < Self.maxClients else { return nil }
            self.clients[client] = Knocks(toldAt: now, untold: 0)
            return 1
        }
        guard now &- known.toldAt >= Self.interval else {
            self.clients[client] = Knocks(toldAt: known.toldAt, untold: known.untold &+ 1)
            return nil
        }
        self.clients[client] = Knocks(toldAt: now, untold: 0)
        return known.untold &+ 1
    }

    /// Once a second at most: it looks at every client.
    private mutating func sweep(_ now: Int64) {
        guard now >= self.nextSweep else { return }
        self.nextSweep = now &+ 1_000_000_000
        self.clients = self.clients.filter { now &- $0.value.toldAt < Self.interval }
    }
}

/// Counts refusals by client. Any thread.
final class KnockLog: Sendable {
    private let counter = Mutex(KnockCounter())

    /// As ``KnockCounter/count(_:at:)``, now.
    func count(_ client: PeerAddress) -> UInt64? {
        let now = clinux_monotonic_ns()
        return self.counter.withLock { $0.count(client.network, at: now) }
    }
}
