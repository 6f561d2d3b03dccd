// One history: what three clients, a gateway that is killed, others and a misbehaving upstream do to five items.

import FreshetCore
import HTTPFields
import JSON
import System

/// Runs one seed, and tells what was wrong.
///
/// Requests and answers are letters between clients and gateway: they are handed over as they are, or carried through a gateway
/// that runs, by a ``WriteCarrier``.
package struct WriteHistory {
    /// What is on its way between a client and the gateway.
    enum Letter {
        case request(Int)
        case answer(Int, WriteAnswer)
        /// Neither will come: the connection is gone.
        case lost(Int)
    }

    static let clients = 3
    static let steps = 40
    static let keys = ["k0", "k1", "k2", "k3", "k4"]
    static let rule = ItemRule(items: Pointer(), key: Pointer("/id"))
    static let timeout = 60
    static let maxEvents = 60_000

    let seed: UInt64
    let plant: WritePlant?
    var random: SplitMix64
    var now = 0
    var order = 0
    var handled = 0
    var events: [WorldEvent] = []

    var upstream: SimulatedWrites
    var policy = WritePolicy()

    // The gateway: what dies with it, and what does not.
    var generation = 0
    var machine: SourceStateMachine
    var queue = WriteQueue()
    var table = IdempotencyTable()
    var running: [Int: RunningWrite] = [:]
    var waiting: [WriteQueue.Ticket: Int] = [:]
    var versions: [String: UpstreamVersion] = [:]
    /// The log with its values, and the keys: on the disk.
    var log: [(sequence: UInt64, value: Document, patch: Document?)] = []
    var disk: [IdempotencyScope: IdempotencyRecord] = [:]
    var pollNumber = 0
    var isPolling = false
    var heldWrites = 0

    // The clients.
    var writes: [ClientWrite] = []
    var stepsLeft: [Int]
    var current: [Int?]
    var read: [(cursor: UInt64, value: Document)?]
    var unique = 100
    var exchanges = 0
    var isCalm = false
    /// Not handed over yet, in their order.
    var letters: [Letter] = []

    var problems: [String] = []
    /// What happened to writes, where somebody wants to know.
    package var trace: [String]?
    /// What happened, for the report of a failure.
    package var figures = (applied: 0, conflicts: 0, unknown: 0, replays: 0, resumed: 0, kills: 0, merges: 0)

    package init(seed: UInt64, plant: WritePlant? = nil) {
        self.seed = seed
        self.plant = plant
        self.random = SplitMix64(seed: seed)
        let tags: SimulatedWrites.Tags =
            [.strong, .strong, .strong, .suffixed, .weak, .absent].randomElement(using: &self.random) ?? .strong
        let answers = SimulatedWrites.Answers.allCases.randomElement(using: &self.random) ?? .representation
        self.upstream = SimulatedWrites(tags: tags, answers: answers)
        self.policy.methods = WriteMethod.allCases
        self.policy.itemURL = "http://upstream/items/{key}"
        self.policy.conflict = WritePolicy.Conflict.allCases.randomElement(using: &self.random) ?? .merge
        if plant == .merging { self.policy.conflict = .merge }
        self.policy.patch = WritePolicy.Patch.allCases.randomElement(using: &self.random) ?? .merge
        var configuration = SourceConfiguration(name: "items", url: "http://upstream/items")
        configuration.items = Self.rule.items
        configuration.key = Self.rule.key
        configuration.maxDeleteRatio = 1
        configuration.write = self.policy
        self.machine = SourceStateMachine(
            configuration: configuration,
            phase: 0,
            now: MonotonicTime(nanoseconds: 0),
            wall: WallTime(milliseconds: 0)
        )
        self.stepsLeft = Array(repeating: Self.steps, count: Self.clients)
        self.current = Array(repeating: nil, count: Self.clients)
        self.read = Array(repeating: nil, count: Self.clients)
        for key in Self.keys {
            self.upstream.set(key, SimulatedWrites.parsed("{\"id\":\"\(key)\",\"a\":0,\"b\":0,\"c\":0}"))
        }
    }

    // MARK: Running

    /// Hands requests and answers over as they are. Returns what was wrong.
    package mutating func run() -> [String] {
        self.begin()
        while let event = self.next() {
            self.handle(event.what)
            while !self.letters.isEmpty { self.deliver(self.letters.removeFirst()) }
            self.calmDown()
        }
        self.end()
        return self.problems
    }

    /// Has each request and each answer carried. Returns what was wrong, and what did not arrive as it was sent.
    ///
    /// - Throws: what the carrier throws.
    package mutating func run(by carrier: inout some WriteCarrier) async throws -> [String] {
        self.begin()
        while let event = self.next() {
            self.handle(event.what)
            while !self.letters.isEmpty { try await self.carry(self.letters.removeFirst(), by: &carrier) }
            self.calmDown()
        }
        self.end()
        return self.problems
    }

    private mutating func carry(_ letter: Letter, by carrier: inout some WriteCarrier) async throws {
        switch letter {
        case .request(let id):
            let (sent, client) = (self.writes[id].request, self.writes[id].client)
            var come = try await carrier.carry(sent, of: id, by: client)
            come.fields = []
            if come != sent { self.problems.append("\(id): \(sent) came as \(come)") }
        case .answer(let id, let answer):
            let read = try await carrier.carry(answer, to: id)
            if let difference = answer.difference(to: read) { self.problems.append("\(id): \(difference)") }
            return self.reply(id, read)
        case .lost(let id): try await carrier.cut(id)
        }
        self.deliver(letter)
    }

    private mutating func deliver(_ letter: Letter) {
        switch letter {
        case .request(let id): self.submit(id)
        case .answer(let id, let answer): self.reply(id, answer)
        case .lost(let id): self.connectionLost(id)
        }
    }

    private mutating func begin() {
        self.schedule(1, .poll)
        for client in 0..<Self.clients { self.schedule(5 + client, .client(client)) }
        self.schedule(30, .others)
        self.schedule(400 + self.number(600), .kill)
    }

    /// The next event; `nil` at the end, and where enough is wrong.
    private mutating func next() -> WorldEvent? {
        guard self.problems.count <= 5, self.handled < Self.maxEvents, let event = self.pop() else { return nil }
        self.handled += 1
        self.now = event.time
        return event
    }

    /// Once every client has done what it wanted, nothing fails any more, so that all comes to its end.
    private mutating func calmDown() {
        if self.stepsLeft.allSatisfy({ $0 == 0 }), self.current.allSatisfy({ $0 == nil }) { self.isCalm = true }
    }

    private mutating func end() {
        if self.handled >= Self.maxEvents { self.problems.append("the history did not end") }
        self.checkEnd()
    }

    mutating func number(_ bound: Int) -> Int { Int.random(in: 0..<max(1, bound), using: &self.random) }

    mutating func chance(_ percent: Int) -> Bool { self.number(100) < percent }

    mutating func schedule(_ delay: Int, _ what: WorldEvent.What) {
        self.order += 1
        self.events.append(WorldEvent(time: self.now + max(1, delay), order: self.order, what: what))
    }

    private mutating func pop() -> WorldEvent? {
        guard
            let place = self.events.indices.min(by: { left, right in
                (self.events[left].time, self.events[left].order) < (self.events[right].time, self.events[right].order)
            })
        else { return nil }
        return self.events.remove(at: place)
    }

    var wall: WallTime { WallTime(milliseconds: Int64(self.now)) }
    var monotonic: MonotonicTime { MonotonicTime(nanoseconds: Int64(self.now) * 1_000_000) }

    private mutating func handle(_ what: WorldEvent.What) {
        switch what {
        case .client(let client): self.clientActs(client)
        case .poll: self.poll()
        case .pollAnswered(let number, let response): self.pollAnswered(number, response)
        case .send(let write, let generation, let exchange):
            if generation == self.generation { self.send(write, exchange) }
        case .arrive(let exchange): self.arrive(exchange)
        case .answered(let write, let generation, let number, let result):
            guard generation == self.generation, self.running[write]?.number == number else { return }
            self.running[write]?.isSent = false
            self.advance(write) { $0.answered(result) }
        case .kill: self.kill()
        case .others: self.othersWrite()
        }
    }

    mutating func note(_ text: @autoclosure () -> String) {
        if self.trace != nil { self.trace?.append("\(self.now) \(text())") }
    }

    // MARK: Others

    private mutating func othersWrite() {
        guard !self.isCalm else { return }
        self.schedule(20 + self.number(120), .others)
        let key = Self.keys[self.number(Self.keys.count)]
        self.unique += 1
        if self.upstream.items[key] != nil, self.chance(6) { return self.upstream.set(key, nil) }
        guard let item = self.upstream.items[key] else {
            if self.chance(30) {
                self.upstream.set(key, SimulatedWrites.parsed("{\"id\":\"\(key)\",\"a\":\(self.unique)}"))
            }
            return
        }
        let field = ["a", "b", "c"][self.number(3)]
        self.upstream.set(key, item.applying(mergePatch: SimulatedWrites.parsed("{\"\(field)\":\(self.unique)}")))
    }

    // MARK: Polls

    private mutating func poll() {
        let isOver = self.isCalm && self.events.isEmpty && !self.isPolling && self.isSettled
        if isOver { return }
        self.schedule(25 + self.number(25), .poll)
        guard !self.isPolling, self.heldWrites == 0 || self.plant == .ordering else { return }
        self.isPolling = true
        self.pollNumber += 1
        let request = self.machine.pollStarted(now: self.monotonic, wall: self.wall)
        // What the upstream had at some moment while the poll was under way.
        let answer = self.upstream.collection(request.validators)
        self.schedule(
            1 + self.number(self.isCalm ? 5 : 50),
            .pollAnswered(self.pollNumber, !self.isCalm && self.chance(5) ? nil : answer)
        )
    }

    /// Nothing is under way, and the gateway has what the upstream has.
    private var isSettled: Bool {
        self.running.isEmpty && self.log.last?.value == self.upstream.document
    }

    private mutating func pollAnswered(_ number: Int, _ response: ExchangeResponse?) {
        guard number == self.pollNumber, self.isPolling else { return }
        self.isPolling = false
        let verdict: SourceStateMachine.Verdict
        if let response {
            verdict = self.machine.responseReceived(response, now: self.monotonic, wall: self.wall, using: &self.random)
        } else {
            let error = UpstreamError(.transport, "cut")
            verdict = self.machine.pollFailed(error, now: self.monotonic, wall: self.wall, using: &self.random)
        }
        if let change = verdict.change { self.append(change) }
    }

    @discardableResult
    mutating func append(_ change: Change) -> UInt64 {
        let sequence = (self.log.last?.sequence ?? 0) + 1
        let patch = change.patch.flatMap { try? Document(parsing: $0) }
        self.log.append((sequence, change.document, patch))
        self.checkOrder(change.document)
        return sequence
    }

    // MARK: The gateway dies

    private mutating func kill() {
        guard !self.isCalm else { return }
        self.schedule(500 + self.number(900), .kill)
        self.figures.kills += 1
        self.generation += 1
        for write in self.running.keys.sorted() { self.letters.append(.lost(write)) }
        self.running = [:]
        self.waiting = [:]
        self.queue = WriteQueue()
        self.versions = [:]
        self.heldWrites = 0
        self.isPolling = false
        self.pollNumber += 1
        let kept = self.plant == .idempotency ? [:] : self.disk
        self.disk = kept
        self.table = IdempotencyTable(restoring: kept.map { ($0.key, $0.value) })
        var machine = SourceStateMachine(
            configuration: self.machine.configuration,
            phase: 0,
            now: self.monotonic,
            wall: self.wall
        )
        if let last = self.log.last { machine.restored(last.value, validators: Validators(), at: self.wall) }
        self.machine = machine
    }
}
