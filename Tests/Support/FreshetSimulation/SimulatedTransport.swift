// The transport of a simulated shard: sockets that are full, gather, break and are closed when the script says so.

import FreshetCore
import FreshetStreaming
import FreshetTesting
import Synchronization
import System

/// Nothing waits for it: a shard takes its turn when the script says so. Has the time that the script gives.
final class SimulatedWaker: TransportWaker {
    private let time: Atomic<Int64>

    init(now: Int64) {
        self.time = Atomic(now)
    }

    var now: Int64 {
        get { self.time.load(ordering: .relaxed) }
        set { self.time.store(newValue, ordering: .relaxed) }
    }

    func wake() {}
}

/// Carries the bytes of one shard's subscribers over ``SimulatedSocket``s.
final class SimulatedTransport: Transport {
    typealias Waker = SimulatedWaker

    private var sockets: [SimulatedSocket?] = []
    private var reports: [TransportReport] = []
    private let waker: SimulatedWaker
    private let bug: PlantedBug?
    private let ledger: Ledger
    var random: SplitMix64
    var wall = WallTime(milliseconds: 0)
    /// Sends that were not taken whole, since this was last asked.
    private var fullSockets = 0

    init(waker: SimulatedWaker, seed: UInt64, bug: PlantedBug?, ledger: Ledger) {
        self.waker = waker
        self.bug = bug
        self.ledger = ledger
        self.random = SplitMix64(seed: seed)
    }

    var now: Int64 { self.waker.now }

    /// Those that are adopted and not closed.
    var open: [SimulatedSocket] { self.sockets.compactMap(\.self) }

    func takeFullSockets() -> Int {
        defer { self.fullSockets = 0 }
        return self.fullSockets
    }

    func wait(milliseconds: Int32) -> Int {
        self.reports = self.open.compactMap { socket in
            let events = socket.takeReports()
            return events.isEmpty ? nil : socket.key.map { TransportReport(events, of: $0) }
        }
        return self.reports.count
    }

    func report(_ number: Int) -> TransportReport? { self.reports[number] }

    func adopt(_ socket: SimulatedSocket, as key: SlotKey) -> Int32? {
        guard socket.adopt(as: key) else { return nil }
        guard let place = self.sockets.firstIndex(where: { $0 == nil }) else {
            self.sockets.append(socket)
            return Int32(self.sockets.count - 1)
        }
        self.sockets[place] = socket
        return Int32(place)
    }

    func send(_ bytes: UnsafeRawBufferPointer, on connection: Int32) -> Int {
        guard let socket = self.sockets[Int(connection)] else {
            self.ledger.object("bytes are sent on a connection that is closed")
            return -1
        }
        if self.bug == .cursorRuleForgets, socket.isFull { return bytes.count }
        let taken = socket.send(bytes)
        if taken < bytes.count { self.fullSockets += 1 }
        return taken
    }

    func flush() {
        for socket in self.open { socket.flush() }
    }

    func hasWritten(_ connection: Int32) -> Bool {
        self.sockets[Int(connection)]?.hasWritten ?? true
    }

    func discardInput(of connection: Int32, upTo limit: Int) -> Int {
        self.sockets[Int(connection)]?.discardInput(upTo: limit) ?? -1
    }

    func close(_ connection: Int32, after end: FreshetStreaming.StreamEnd) {
        guard let socket = self.sockets[Int(connection)] else {
            return self.ledger.object("a connection is closed twice")
        }
        self.sockets[Int(connection)] = nil
        if !socket.close(after: end) { self.ledger.object("a connection is closed over bytes that were taken") }
    }
}
