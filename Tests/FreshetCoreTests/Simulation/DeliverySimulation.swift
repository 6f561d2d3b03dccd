import Foundation
import FreshetCore
import JSON

/// A hub, a shard, perhaps a disk, and some subscribers under one seeded script, beside a model that is one number a
/// source.
struct DeliverySimulation {
    /// `FRESHET_SEEDS=7` or `FRESHET_SEEDS=1-5000`; twenty by default.
    static var seeds: ClosedRange<UInt64> {
        let bounds = (ProcessInfo.processInfo.environment["FRESHET_SEEDS"] ?? "1-20")
            .split(separator: "-").compactMap { UInt64($0) }
        guard let first = bounds.first, let last = bounds.last, first <= last else { return 1...20 }
        return first...last
    }

    private static let names = ["a", "b", "c", "d"]

    private var generator: SeededGenerator
    private let cacheBytes: Int
    private let store: ModelStore?
    private var hub: Hub
    private var shard = SimulatedShard()
    private var sources: [SourceID] = []
    /// The model: the value that each source has now, as the upstream would answer.
    private var truth: [SimulatedValue]
    private var subscribers: [SimulatedSubscriber] = []
    private var parked: [SimulatedSubscriber] = []
    private var contents: [String: String] = [:]
    private(set) var objections: [String] = []
    private(set) var joins = 0
    private(set) var resumes = 0
    private(set) var stops = 0
    private(set) var gaps = 0
    private(set) var crashes = 0

    init(seed: UInt64, cacheBytes: Int? = nil, hasStore: Bool = false) throws {
        self.generator = SeededGenerator(seed: seed)
        self.cacheBytes = cacheBytes ?? [4000, 40_000, 4 << 20].randomElement(using: &self.generator) ?? 4000
        let epoch = Epoch.random(using: &self.generator)
        self.store = hasStore ? ModelStore(epoch: epoch) : nil
        self.truth = Self.names.map { _ in SimulatedValue(number: 0, previous: 0) }
        self.hub = Hub(log: ChangeLog(epoch: epoch))
        try self.start(StoreContents(epoch: epoch))
    }

    /// Begins with what the disk has, as the program does.
    private mutating func start(_ contents: StoreContents) throws {
        let cache = ChangeCache(maxBytes: self.cacheBytes)
        let log = ChangeLog(epoch: contents.epoch, head: contents.head, cache: cache)
        self.hub = Hub(log: log, store: self.store)
        let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "test")
        self.sources = Self.names.compactMap { [hub] name in hub.addSource(name, status: status) }
        for (index, name) in Self.names.enumerated() {
            let stored = contents.sources.first { $0.name == name }
            guard let stored else {
                self.truth[index] = SimulatedValue(number: 0, previous: 0)
                continue
            }
            let document = try Document(parsing: stored.value)
            self.hub.restore(stored, document: document, of: self.sources[index])
            let number = document.root["n"]?.int ?? 0
            self.truth[index] = SimulatedValue(number: number, previous: document.root["p"]?.int ?? 0)
        }
        self.shard = SimulatedShard()
        self.hub.attach(self.shard)
    }

    mutating func step() throws {
        switch Int.random(in: 0..<(self.store == nil ? 100 : 120), using: &self.generator) {
        case 0..<30: try self.publish()
        case 30..<50: self.deliver(Int.random(in: 1...6, using: &self.generator))
        case 50..<65: self.join()
        case 65..<85: self.makeRoom()
        case 85..<93: self.disconnect()
        case 93..<100: self.resume()
        case 100..<116: self.store?.commit(Int.random(in: 1...8, using: &self.generator))
        case 116: try self.crash()
        case 117: self.store?.fail()
        case 118: self.store?.prune()
        case _: self.repair()
        }
    }

    /// Lets everything arrive, then compares what each subscriber holds with the model.
    mutating func settle() throws {
        self.store?.commit(.max)
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
            self.takeNotes(of: subscriber)
            for source in subscriber.subscription.sources where self.truth[source.index].number > 0 {
                let held = subscriber.held[Self.names[source.index]]
                if held != self.truth[source.index].number {
                    let text = held.map(String.init) ?? "nothing"
                    self.objections.append("\(source.index): holds \(text), not \(self.truth[source.index].number)")
                }
            }
        }
    }

    private mutating func publish() throws {
        guard let source = self.sources.randomElement(using: &self.generator) else { return }
        let old = self.truth[source.index]
        // After a crash the upstream may be further than the next number.
        let number = old.number + Int.random(in: 1...2, using: &self.generator)
        self.hub.publish(try old.change(to: number), of: source)
        self.truth[source.index] = SimulatedValue(number: number, previous: old.number)
    }

    private mutating func deliver(_ count: Int) {
        let events = self.shard.take(count).compactMap { notice -> PublishedEvent? in
            if case .published(let event) = notice { event } else { nil }
        }
        for index in self.subscribers.indices {
            let subscription = self.subscribers[index].subscription
            // An event without a frame of this format was published before anybody in the subscription had opened a
            // stream: none of them needs it as a run.
            let frames = events.filter { subscription.sources.contains($0.source) }.compactMap { event in
                event.frames[subscription.format].map { SequencedFrame(sequence: event.sequence, frame: $0) }
            }
            self.subscribers[index].published(frames, hub: self.hub)
            self.stops += self.subscribers[index].room == 0 ? 1 : 0
        }
    }

    private mutating func join() {
        let chosen = self.sources.filter { _ in self.generator.chance(0.5) }
        let sources = chosen.isEmpty ? self.sources : chosen
        let mode = StreamMode.allCases.filter { $0 != .items }.randomElement(using: &self.generator) ?? .patch
        let subscription = self.hub.subscribe(to: sources, format: StreamFormat(mode: mode))
        let room = Int.random(in: 0...9, using: &self.generator)
        var subscriber = SimulatedSubscriber(subscription: subscription, room: room)
        subscriber.join(self.hub, at: .snapshot)
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
        self.takeNotes(of: old)
        let subscription = self.hub.subscribe(to: old.subscription.sources, format: old.subscription.format)
        var subscriber = SimulatedSubscriber(
            subscription: subscription,
            room: Int.random(in: 0...9, using: &self.generator),
            held: old.lastEventID == nil ? [:] : old.held,
            lastEventID: old.lastEventID
        )
        subscriber.join(self.hub, at: StreamPosition(old.lastEventID ?? ""))
        self.subscribers.append(subscriber)
        self.resumes += 1
    }

    /// kill -9: what was not committed is gone, and so is every connection.
    private mutating func crash() throws {
        self.parked += self.subscribers
        self.subscribers = []
        self.store?.crash()
        guard let contents = self.store?.contents else { return }
        try self.start(contents)
        self.crashes += 1
    }

    /// The disk can be written again.
    private mutating func repair() {
        guard let store = self.store, self.hub.storeError != nil else { return }
        do throws(StoreError) {
            try self.hub.resumeStore(store)
        } catch {
            self.objections.append("the model's disk cannot fail to restart: \(error)")
        }
    }

    /// Keeps what a subscriber objected to, and checks that no id was ever seen with another content.
    private mutating func takeNotes(of subscriber: SimulatedSubscriber) {
        self.objections += subscriber.objections
        self.gaps += subscriber.gaps
        for (id, content) in subscriber.seen {
            if let other = self.contents[id], other != content {
                self.objections.append("\(id) is \(content) and \(other)")
            }
            self.contents[id] = content
        }
    }
}
