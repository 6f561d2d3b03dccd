// The core, the log, a disk, upstreams and a network under one seeded script (FAULTS F90).

import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import System

/// A gateway made of the real core and the real delivery, and of stand-ins for everything around them, with everything that
/// can go wrong around them decided by one seed. The same seed gives the same run.
///
/// After every step the invariants are checked; ``objections`` says what did not hold. What clients are sent is held
/// against a ``Ledger`` of all that was issued.
package struct Simulation {
    /// What happened, to see that a run was worth its time.
    package struct Figures: Hashable, Sendable {
        package var steps = 0
        package var joins = 0
        package var resumes = 0
        package var events = 0
        package var gaps = 0
        package var fullSockets = 0
        package var lostConnections = 0
        package var reloads = 0
        package var crashes = 0
        package var diskFaults = 0
        package var clockSteps = 0
        package var polls = 0
        package var changes = 0
        /// Of everything that could differ between two runs of one seed.
        package var fingerprint: UInt64 = 0

        package init() {}

        /// Adds another run's, but for ``fingerprint``.
        package mutating func add(_ other: Figures) {
            self.steps += other.steps
            self.joins += other.joins
            self.resumes += other.resumes
            self.events += other.events
            self.gaps += other.gaps
            self.fullSockets += other.fullSockets
            self.lostConnections += other.lostConnections
            self.reloads += other.reloads
            self.crashes += other.crashes
            self.diskFaults += other.diskFaults
            self.clockSteps += other.clockSteps
            self.changes += other.changes
            self.polls += other.polls
        }
    }

    static let names = ["a", "b", "c", "d", "e"]
    private static let clientCount = 12
    private static let shardCount = 2

    var generator: SplitMix64
    let bug: PlantedBug?
    let cacheBytes: Int
    let disk: SimulatedDisk?
    let ledger = Ledger()

    var clock = SimulatedClock()
    var upstreams: [String: SimulatedUpstream] = [:]
    /// The configuration in force, by the index of the name; `nil` for a source that is not there.
    var settings: [SimulatedSetting?]
    var ids: [String: SourceID] = [:]

    var hub: Hub
    var poller: SimulatedPoller
    var shards: [SimulatedShard] = []
    var streams: [SimulatedStream] = []
    var clients: [SimulatedClient] = []
    /// When this process began, on both clocks.
    var began: (now: MonotonicTime, wall: WallTime)
    private let admissions = AdmissionDesk(maxTotal: .max, maxPerAddress: 0)
    /// Where the log stood before this step; `nil` after a restart.
    var before: Cursor?
    package internal(set) var figures = Figures()

    /// - Parameters:
    ///   - seed: decides everything.
    ///   - cacheBytes: `nil` for one of three, by the seed.
    ///   - hasDisk: `nil` for a disk with every other seed.
    ///   - bug: made on purpose.
    package init(seed: UInt64, cacheBytes: Int? = nil, hasDisk: Bool? = nil, bug: PlantedBug? = nil) {
        self.generator = SplitMix64(seed: seed)
        self.bug = bug
        self.cacheBytes = cacheBytes ?? [4000, 40_000, 4 << 20].randomElement(using: &self.generator) ?? 4000
        let epoch = Epoch.random(using: &self.generator)
        self.disk = hasDisk ?? seed.isMultiple(of: 2) ? SimulatedDisk(epoch: epoch, bug: bug) : nil
        self.settings = Self.names.map { _ in SimulatedSetting() }
        self.hub = Hub(log: ChangeLog(epoch: epoch))
        self.poller = SimulatedPoller(bug: bug)
        self.began = (self.clock.now, self.clock.wall)
        self.start(StoreContents(epoch: epoch))
        for _ in 0..<Self.clientCount {
            self.clients.append(self.newClient())
        }
    }

    /// What did not hold; empty as long as all does.
    package var objections: [String] { self.ledger.objections }

    /// Steps, and settles now and then and at the end. Stops at the first objection.
    package mutating func run(steps: Int) {
        for step in 1...max(1, steps) {
            self.step()
            if step.isMultiple(of: Self.settleInterval) || step == steps { self.settle() }
            guard self.objections.isEmpty else { return }
        }
    }

    private static let settleInterval = 1000

    mutating func step() {
        self.before = self.hub.cursor
        self.perform(Action.random(using: &self.generator, hasDisk: self.disk != nil))
        self.noteFork()
        self.checkInvariants()
        self.figures.steps += 1
        self.figures.fingerprint =
            self.figures.fingerprint &* 31 &+ self.hub.cursor.sequence &+ UInt64(self.streams.count)
    }
}

// MARK: - The process

extension Simulation {
    /// Begins with what the disk has, as the program does.
    mutating func start(_ contents: StoreContents) {
        let cache = ChangeCache(maxBytes: self.cacheBytes)
        let log = ChangeLog(epoch: contents.epoch, head: contents.head, cache: cache)
        // Reads run when the script says so.
        self.hub = Hub(log: log, store: self.disk, reads: ReadDesk { _, _ in })
        self.poller = SimulatedPoller(bug: self.bug)
        self.shards = []
        for number in 0..<Self.shardCount {
            let seed = self.generator.next()
            self.shards.append(
                SimulatedShard(
                    number: number,
                    hub: self.hub,
                    ledger: self.ledger,
                    clock: self.clock,
                    seed: seed,
                    bug: self.bug
                )
            )
        }
        self.began = (self.clock.now, self.clock.wall)
        self.before = nil
        self.ids = [:]
        for stored in contents.sources {
            let setting = Self.names.firstIndex(of: stored.name).flatMap { self.settings[$0] }
            guard setting?.configuration(of: stored.name).identity != stored.identity else { continue }
            self.hub.release(stored.name)
            self.ledger.removed(stored.name)
        }
        var values: [String: Int] = [:]
        for (index, setting) in self.settings.enumerated() {
            guard let setting else { continue }
            let name = Self.names[index]
            let stored = contents.sources.first { $0.name == name }
            if self.add(name, setting, restoring: stored), let stored {
                values[name] = SimulatedUpstream.number(in: stored.value)
                self.ledger.restored(Cursor(epoch: contents.epoch, sequence: stored.sequence), name, values[name] ?? 0)
            }
        }
        self.ledger.processBegan(with: values)
    }

    /// - Returns: Whether it goes on with the stored value.
    @discardableResult
    mutating func add(_ name: String, _ setting: SimulatedSetting, restoring stored: StoredSource? = nil) -> Bool {
        let configuration = setting.configuration(of: name)
        let status = SourceStatus(stateSince: self.clock.wall, interval: .seconds(1), intervalReason: "simulated")
        guard let id = self.hub.addSource(name, identity: configuration.identity, status: status) else {
            self.ledger.object("the name \(name) is taken")
            return false
        }
        self.ids[name] = id
        self.makeUpstream(for: name, setting)
        var isRestored = false
        if let stored, stored.identity == configuration.identity, let document = try? Document(parsing: stored.value) {
            self.hub.restore(stored, document: document, of: id)
            isRestored = true
        }
        self.poller.post(.add(id, configuration))
        return isRestored
    }

    mutating func makeUpstream(for name: String, _ setting: SimulatedSetting) {
        let url = setting.configuration(of: name).url
        guard self.upstreams[url] == nil else { return }
        self.upstreams[url] = SimulatedUpstream(
            number: setting.version * 1_000_000 + 1,
            isSmall: name == "e",
            hasValidator: name != "d"
        )
    }

    /// The process is gone: connections break with what had arrived, and nothing that was only in memory is left.
    mutating func endProcess() {
        for index in self.streams.indices {
            self.arrive(at: index, self.inFlightPrefix(at: index))
        }
        self.streams = []
    }
}

// MARK: - Clients

extension Simulation {
    mutating func newClient() -> SimulatedClient {
        let chosen = Self.names.filter { _ in Bool.random(using: &self.generator) }
        let mode = StreamMode.allCases.filter { $0 != .items }.randomElement(using: &self.generator) ?? .patch
        let names = chosen.isEmpty ? Self.names : chosen
        guard Int.random(in: 0..<10, using: &self.generator) == 0 else {
            return SimulatedClient(names: names, mode: mode)
        }
        let known = self.hub.cursor
        let foreign = [
            Cursor(epoch: Epoch(rawValue: 5), sequence: 3).description, "nonsense",
            Cursor(epoch: known.epoch, sequence: known.sequence + 1_000_000).description,
        ]
        return SimulatedClient(
            names: names,
            mode: mode,
            foreignID: foreign.randomElement(using: &self.generator) ?? "nonsense"
        )
    }

    /// A client that has no stream opens one; where a source is not there it is answered 404, and stays away.
    mutating func connect(_ client: Int) {
        let names = self.clients[client].names
        let found = names.compactMap { self.hub.source(named: $0) }
        guard found.count == names.count else { return }
        let lastEventID = self.clients[client].lastEventID
        let isNew = lastEventID == nil
        let startsEarly = isNew && Int.random(in: 0..<8, using: &self.generator) == 0
        guard let selector = SourceSelector(names.joined(separator: ",")),
            case .admitted(let ticket) = self.admissions.admit(.local)
        else { return self.ledger.object("\(names) cannot be asked for") }
        self.clients[client].reconnects(startsEarly: startsEarly)
        let stream = SimulatedStream(
            client: client,
            shard: Int.random(in: 0..<Self.shardCount, using: &self.generator),
            socket: SimulatedSocket(self.newCharacter()),
            reader: StreamReader(framing: Framing.allCases.randomElement(using: &self.generator) ?? .chunked)
        )
        let handover = StreamHandover(
            connection: stream.socket,
            sources: found.sorted(),
            pattern: SourcePattern(selector),
            format: StreamFormat(mode: self.clients[client].mode),
            position: startsEarly ? .earliest : StreamPosition(lastEventID ?? ""),
            head: StreamReader.head,
            framing: stream.reader.framing,
            ticket: ticket
        )
        self.streams.append(stream)
        if !self.shards[stream.shard].inbox.post(.adopt(handover)) {
            self.ledger.object("a shard takes no connections")
        }
        if isNew { self.figures.joins += 1 } else { self.figures.resumes += 1 }
    }

    /// From sockets that hold less than an event to those that hold ten.
    private mutating func newCharacter() -> SimulatedSocket.Character {
        SimulatedSocket.Character(
            capacity: Int.random(in: 50...4000, using: &self.generator),
            gathers: Int.random(in: 0..<4, using: &self.generator) == 0,
            isRefused: Int.random(in: 0..<100, using: &self.generator) == 0,
            input: Int.random(in: 0..<100, using: &self.generator) == 0 ? 40_000 : 0
        )
    }

    /// Some of the bytes on the wire reach the client.
    mutating func arrive(at index: Int, _ count: Int) {
        guard !self.streams[index].socket.isCut else { return }
        let client = self.streams[index].client
        let (events, gaps) = (self.clients[client].events, self.clients[client].gaps)
        for piece in self.streams[index].socket.arrive(count) {
            for event in self.streams[index].reader.read(piece, self.ledger) where !self.isHidden(event) {
                self.clients[client].receive(event, self.ledger)
            }
        }
        self.figures.events += self.clients[client].events - events
        self.figures.gaps += self.clients[client].gaps - gaps
    }

    /// The planted bug: that events were evicted is not told.
    private func isHidden(_ event: StreamReader.Event) -> Bool {
        self.bug == .evictionIsSilent && SimulatedClient.field("event: ", in: event.payload) == "gap"
            && SimulatedClient.field("data: ", in: event.payload)?.contains(GapReason.evicted.rawValue) == true
    }

    mutating func inFlightPrefix(at index: Int) -> Int {
        Int.random(in: 0...self.streams[index].socket.inFlight, using: &self.generator)
    }
}

// MARK: - Invariants

extension Simulation {
    /// The disk failed in this step, and the numbering went on in another epoch.
    func noteFork() {
        guard let before = self.before, self.hub.cursor.epoch != before.epoch else { return }
        self.ledger.forked(self.hub.cursor.epoch, after: before)
    }

    private func checkInvariants() {
        let (cursor, statistics) = (self.hub.cursor, self.hub.statistics)
        if let before = self.before, cursor.sequence < before.sequence {
            self.ledger.object("the log went back from \(before) to \(cursor)")
        }
        if statistics.cacheBytes > self.cacheBytes {
            self.ledger.object("the cache holds \(statistics.cacheBytes) bytes")
        }
        if let disk, self.hub.store != nil {
            // What can be read is committed, and so it is known to the next process.
            let head = disk.head
            if cursor.epoch != head.epoch || cursor.sequence > head.sequence {
                self.ledger.object("\(cursor) can be read and the disk is at \(head)")
            }
        }
        for stream in self.streams {
            self.checkInvariants(of: stream, at: cursor)
        }
        if let objection = self.poller.objection(self.clock) {
            self.ledger.object(objection)
        }
    }
    private func checkInvariants(of stream: SimulatedStream, at cursor: Cursor) {
        guard let report = self.shards[stream.shard].report(of: stream.socket) else { return }
        if report.sequence > cursor.sequence {
            self.ledger.object("a stream is at \(report.sequence) and the log at \(cursor.sequence)")
        }
        // A subscriber holds a cursor and never a queue: a beginning, and a snapshot and a state of each source at most.
        if report.unsentFrames > 2 * Self.names.count + 5 {
            self.ledger.object("\(report.unsentFrames) frames wait for a stream")
        }
        let isOrphaned = !report.sources.contains { self.ids.values.contains($0) }
        if isOrphaned, report.state != .closing, self.shards[stream.shard].isEmpty {
            self.ledger.object("a stream whose sources were removed goes on")
        }
    }
}
