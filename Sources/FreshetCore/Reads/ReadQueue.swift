// The reads of the log that wait for a thread: in what order they run, and how many may wait.

import DequeModule

/// What a read is for. Reads of the same thread run in the order of these cases.
package enum ReadUrgency: Int, CaseIterable, Sendable {
    /// A stream that opens at a time of the past, or that continues from the disk.
    case stream
    /// A page of changes.
    case page
    /// A value of the past, which may take seconds to rebuild.
    case rebuild

    package var lane: ReadLane { self == .stream ? .streams : .requests }
}

/// A thread that carries out reads. Streams have one of their own, so that they never wait for a value to be rebuilt.
package enum ReadLane: CaseIterable, Sendable {
    case streams
    case requests

    fileprivate var urgencies: [ReadUrgency] { ReadUrgency.allCases.filter { $0.lane == self } }
}

/// The client that a read is done for, by address. Reads of different clients take turns.
package struct ReadClient: Hashable, Sendable {
    private var high: UInt64
    private var low: UInt64

    /// `high` and `low`: the 128 bits of an IPv6 address.
    package init(high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
    }

    /// What ``init(high:low:)`` takes, in its order.
    package var words: [UInt64] { [self.high, self.low] }

    /// The gateway itself, and clients without an address.
    package static let local = ReadClient(high: 0, low: 0)
}

/// Why a read was not carried out.
package enum ReadRefusal: String, CaseIterable, Error, Sendable {
    /// As many requests wait as may.
    case full
    /// As many requests of this client wait as may.
    case address
    /// The client was gone, or had closed its side, before the read began.
    case abandoned
}

/// Reads that wait, by urgency, and within one urgency in turns of one read per client.
///
/// A read of a request is refused where too many wait. A read of a stream never is: a stream has one at most, and
/// streams are bounded themselves. Adding, taking and cancelling cost the same however many wait.
package struct ReadQueue<Job: Sendable>: Sendable {
    package struct Limits: Hashable, Sendable {
        /// Requests that may wait in all.
        package var maxWaiting: Int
        /// Requests of one client that may wait.
        package var maxWaitingPerClient: Int

        package init(
            maxWaiting: Int = Defaults.Limits.maxWaitingReads,
            maxWaitingPerClient: Int = Defaults.Limits.maxWaitingReadsPerAddress
        ) {
            self.maxWaiting = maxWaiting
            self.maxWaitingPerClient = maxWaitingPerClient
        }
    }

    private struct Entry: Sendable {
        var job: Job
        var urgency: ReadUrgency
        var client: ReadClient
    }

    /// The reads of one urgency.
    private struct Level: Sendable {
        /// Clients with reads, the next to have its turn first.
        var turns = Deque<ReadClient>()
        /// Numbers of reads, some of them cancelled.
        var reads: [ReadClient: Deque<UInt64>] = [:]
    }

    private let limits: Limits
    private var entries: [UInt64: Entry] = [:]
    private var levels: [ReadUrgency: Level] = [:]
    /// Waiting requests, by client.
    private var requests: [ReadClient: Int] = [:]
    private var requestCount = 0
    private var lastID: UInt64 = 0
    /// Numbers in ``levels`` that were cancelled.
    private var cancelledCount = 0
    /// Reads taken from a lane since one of its least urgent was.
    private var takenSinceLast: [ReadLane: Int] = [:]

    /// The least urgent reads that wait have every so many-th turn of their lane, so that pages cannot keep them waiting
    /// for good.
    private static var leastUrgentShare: Int { 4 }

    package init(limits: Limits = Limits()) {
        self.limits = limits
    }

    /// Reads that wait.
    package var count: Int { self.entries.count }

    /// Adds a read.
    ///
    /// - Returns: Its number, for ``cancel(_:)``.
    package mutating func add(
        _ job: Job,
        urgency: ReadUrgency,
        for client: ReadClient
    ) throws(ReadRefusal) -> UInt64 {
        if urgency.lane == .requests {
            guard self.requestCount < self.limits.maxWaiting else { throw .full }
            let waiting = self.requests[client, default: 0]
            guard waiting < self.limits.maxWaitingPerClient else { throw .address }
            self.requests[client] = waiting + 1
            self.requestCount += 1
        }
        self.lastID += 1
        self.entries[self.lastID] = Entry(job: job, urgency: urgency, client: client)
        if self.levels[urgency, default: Level()].reads[client] == nil {
            self.levels[urgency, default: Level()].turns.append(client)
        }
        self.levels[urgency, default: Level()].reads[client, default: []].append(self.lastID)
        return self.lastID
    }

    /// Takes the read that is to run next in a lane.
    package mutating func next(in lane: ReadLane) -> Job? {
        var order = lane.urgencies
        if let last = order.last, order.count > 1, self.takenSinceLast[lane, default: 0] >= Self.leastUrgentShare - 1 {
            order = [last] + order.dropLast()
        }
        for urgency in order {
            guard let entry = self.next(of: urgency) else { continue }
            let isLeast = urgency == lane.urgencies.last
            self.takenSinceLast[lane] = isLeast ? 0 : self.takenSinceLast[lane, default: 0] + 1
            return entry.job
        }
        return nil
    }

    private mutating func next(of urgency: ReadUrgency) -> Entry? {
        while let client = self.levels[urgency]?.turns.popFirst() {
            var reads = self.levels[urgency]?.reads.removeValue(forKey: client) ?? []
            while let id = reads.popFirst() {
                guard let entry = self.forget(id) else {
                    self.cancelledCount -= 1
                    continue
                }
                if !reads.isEmpty {
                    self.levels[urgency]?.reads[client] = reads
                    self.levels[urgency]?.turns.append(client)
                }
                return entry
            }
        }
        return nil
    }

    /// Removes a read that is no longer needed.
    ///
    /// - Returns: `nil` where it does not wait any more.
    @discardableResult
    package mutating func cancel(_ id: UInt64) -> Job? {
        guard let entry = self.forget(id) else { return nil }
        self.cancelledCount += 1
        if self.cancelledCount > self.entries.count + 64 { self.sweep() }
        return entry.job
    }

    private mutating func forget(_ id: UInt64) -> Entry? {
        guard let entry = self.entries.removeValue(forKey: id) else { return nil }
        guard entry.urgency.lane == .requests else { return entry }
        self.requestCount -= 1
        let left = self.requests[entry.client, default: 1] - 1
        self.requests[entry.client] = left > 0 ? left : nil
        return entry
    }

    /// Removes the numbers of cancelled reads, which would pile up while one read takes long.
    private mutating func sweep() {
        for (urgency, var level) in self.levels {
            level.reads = level.reads.mapValues { reads in reads.filter { self.entries[$0] != nil } }
                .filter { !$0.value.isEmpty }
            level.turns.removeAll { level.reads[$0] == nil }
            self.levels[urgency] = level
        }
        self.cancelledCount = 0
    }
}
