// How much one client may have in a time, as a value: the generic cell rate algorithm.

/// A token bucket for each client, kept as the moment in which it will be full again: a client whose bucket is full needs no
/// entry. A value without I/O.
struct RateBuckets<Client: Hashable & Sendable>: Sendable {
    /// Units a second.
    private let rate: Double
    private let maxClients: Int
    /// On the monotonic clock, in nanoseconds.
    private var fullAgain: [Client: Int64] = [:]
    private var nextSweep: Int64 = 0

    /// What a client may use at once, in seconds of its rate.
    static var burstSeconds: Int64 { 10 }
    /// How far in the future ``fullAgain`` may be where something is taken, in nanoseconds.
    private static var depth: Int64 { self.burstSeconds * 1_000_000_000 }
    /// The furthest that it ever is: what a client has had beyond its bucket is forgotten past an hour.
    private static var maxDebt: Int64 { 3600 * 1_000_000_000 }
    /// Between two looks for entries that are not needed any more.
    private static var sweepInterval: Int64 { 1_000_000_000 }

    /// - Parameters:
    ///   - perSecond: Units of one client, 1 at least.
    ///   - maxClients: The most entries. Where there are as many, clients without one are not counted.
    init(perSecond: Int, maxClients: Int = 65_536) {
        self.rate = Double(max(1, perSecond))
        self.maxClients = maxClients
    }

    /// Clients with an entry.
    var count: Int { self.fullAgain.count }

    /// Takes one unit for `client` at `now`, in nanoseconds.
    ///
    /// - Returns: Whether there was one.
    mutating func take(_ client: Client, at now: Int64) -> Bool {
        self.sweep(now)
        let full = self.moment(of: client, after: 1, at: now)
        guard full - now <= Self.depth else { return false }
        self.note(full, of: client)
        return true
    }

    /// Takes what a client has had already, whether it was there or not.
    mutating func charge(_ client: Client, _ units: Int, at now: Int64) {
        self.sweep(now)
        self.note(self.moment(of: client, after: units, at: now), of: client)
    }

    /// How many seconds, rounded up, until a client that has had too much may have something again; `nil` where it may now.
    func wait(of client: Client, at now: Int64) -> Int64? {
        let excess = (self.fullAgain[client] ?? now) - now - Self.depth
        return excess > 0 ? (excess + 999_999_999) / 1_000_000_000 : nil
    }

    private func moment(of client: Client, after units: Int, at now: Int64) -> Int64 {
        let cost = min(Double(max(0, units)) / self.rate * 1e9, Double(Self.maxDebt))
        let full = max(self.fullAgain[client] ?? now, now)
        return min(full, now + Self.maxDebt) + Int64(cost)
    }

    private mutating func note(_ full: Int64, of client: Client) {
        guard self.fullAgain[client] != nil || self.fullAgain.count < self.maxClients else { return }
        self.fullAgain[client] = full
    }

    private mutating func sweep(_ now: Int64) {
        guard now >= self.nextSweep else { return }
        self.nextSweep = now + Self.sweepInterval
        self.fullAgain = self.fullAgain.filter { $0.value > now }
    }
}
