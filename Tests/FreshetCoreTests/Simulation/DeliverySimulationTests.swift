import FreshetCore
import Testing

@Suite("Delivery, simulated")
struct DeliverySimulationTests {
    @Test("F54–F58: thousands of subscribers get every event once and in order, or a gap", arguments: UInt64(1)...20)
    func everyEventOnce(seed: UInt64) throws {
        var simulation = try DeliverySimulation(seed: seed)
        for _ in 0..<3000 {
            try simulation.step()
        }
        try simulation.settle()
        #expect(simulation.objections == [])
        #expect(simulation.joins > 200)
        #expect(simulation.resumes > 50)
        #expect(simulation.stops > 50)
    }

    @Test("F58: a small cache evicts under readers, and each is told")
    func evictions() throws {
        var simulation = try DeliverySimulation(seed: 99, cacheBytes: 6000)
        for _ in 0..<3000 {
            try simulation.step()
        }
        try simulation.settle()
        #expect(simulation.objections == [])
        #expect(simulation.gaps > 20)
    }
}

/// A hub, a shard and some subscribers under one seeded script, beside a model that is one number a source.
struct DeliverySimulation {
    private var generator: SeededGenerator
    private let hub: Hub
    private let shard = SimulatedShard()
    private let sources: [SourceID]
    /// The model: how many changes each source has had.
    private var truth: [Int]
    private var subscribers: [SimulatedSubscriber] = []
    private var parked: [SimulatedSubscriber] = []
    private(set) var objections: [String] = []
    private(set) var joins = 0
    private(set) var resumes = 0
    private(set) var stops = 0
    private(set) var gaps = 0

    init(seed: UInt64, cacheBytes: Int? = nil) throws {
        self.generator = SeededGenerator(seed: seed)
        let bytes = cacheBytes ?? [4000, 40_000, 4 << 20].randomElement(using: &self.generator) ?? 4000
        let epoch = Epoch.random(using: &self.generator)
        self.hub = Hub(log: ChangeLog(epoch: epoch, cache: ChangeCache(maxBytes: bytes)))
        let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "test")
        self.sources = ["a", "b", "c", "d"].compactMap { [hub] name in hub.addSource(name, status: status) }
        self.truth = Array(repeating: 0, count: self.sources.count)
        self.hub.attach(self.shard)
    }

    mutating func step() throws {
        switch Int.random(in: 0..<100, using: &self.generator) {
        case 0..<30: try self.publish()
        case 30..<50: self.deliver(Int.random(in: 1...6, using: &self.generator))
        case 50..<65: self.join()
        case 65..<85: self.makeRoom()
        case 85..<93: self.disconnect()
        case _: self.resume()
        }
    }

    /// Lets everything arrive, then compares what each subscriber holds with the model.
    mutating func settle() throws {
        while !self.parked.isEmpty {
            self.resume()
        }
        while self.shard.backlog > 0 {
            self.deliver(10)
        }
        for index in self.subscribers.indices {
            for _ in 0..<200 {
                self.subscribers[index].writable(self.hub, room: 50)
            }
            let subscriber = self.subscribers[index]
            self.gaps += subscriber.gaps
            self.objections += subscriber.objections
            for source in subscriber.subscription.sources where self.truth[source.index] > 0 {
                let name = ["a", "b", "c", "d"][source.index]
                if subscriber.held[name] != self.truth[source.index] {
                    let held = subscriber.held[name].map(String.init) ?? "nothing"
                    self.objections.append("\(name): holds \(held), not \(self.truth[source.index])")
                }
            }
        }
    }

    private mutating func publish() throws {
        guard let source = self.sources.randomElement(using: &self.generator) else { return }
        self.truth[source.index] += 1
        self.hub.publish(try SimulatedValue.change(to: self.truth[source.index]), of: source)
    }

    private mutating func deliver(_ count: Int) {
        let events = self.shard.take(count).compactMap { notice -> PublishedEvent? in
            if case .published(let event) = notice { event } else { nil }
        }
        for index in self.subscribers.indices {
            let subscription = self.subscribers[index].subscription
            let run = events.filter { subscription.sources.contains($0.source) }
            let frames = run.compactMap { event in
                event.frames[subscription.format].map { SequencedFrame(sequence: event.sequence, frame: $0) }
            }
            // An event without a frame of this format was published before anybody in the subscription had opened a
            // stream: none of them needs it as a run.
            self.subscribers[index].published(frames, hub: self.hub)
            self.stops += self.subscribers[index].room == 0 ? 1 : 0
        }
    }

    private mutating func join() {
        let chosen = self.sources.filter { _ in self.generator.chance(0.5) }
        let sources = chosen.isEmpty ? self.sources : chosen
        let mode = StreamMode.allCases.filter { $0 != .items }.randomElement(using: &self.generator) ?? .patch
        let subscription = self.hub.subscribe(to: sources, format: StreamFormat(mode: mode))
        var subscriber = SimulatedSubscriber(
            subscription: subscription,
            room: Int.random(in: 0...9, using: &self.generator)
        )
        subscriber.join(self.hub, at: .snapshot, retainsValues: true)
        self.subscribers.append(subscriber)
        self.joins += 1
    }

    private mutating func makeRoom() {
        guard let index = self.subscribers.indices.randomElement(using: &self.generator) else { return }
        self.subscribers[index].writable(self.hub, room: Int.random(in: 1...12, using: &self.generator))
    }

    private mutating func disconnect() {
        guard let index = self.subscribers.indices.randomElement(using: &self.generator) else { return }
        let subscriber = self.subscribers.remove(at: index)
        self.hub.unsubscribe(subscriber.subscription)
        self.parked.append(subscriber)
    }

    /// A client comes back with its last event id and with what it holds; without an id it begins anew.
    private mutating func resume() {
        guard let index = self.parked.indices.randomElement(using: &self.generator) else { return }
        let old = self.parked.remove(at: index)
        self.objections += old.objections
        self.gaps += old.gaps
        let subscription = self.hub.subscribe(to: old.subscription.sources, format: old.subscription.format)
        var subscriber = SimulatedSubscriber(
            subscription: subscription,
            room: Int.random(in: 0...9, using: &self.generator),
            held: old.lastEventID == nil ? [:] : old.held,
            lastEventID: old.lastEventID
        )
        subscriber.join(self.hub, at: StreamPosition(old.lastEventID ?? ""), retainsValues: true)
        self.subscribers.append(subscriber)
        self.resumes += 1
    }
}
