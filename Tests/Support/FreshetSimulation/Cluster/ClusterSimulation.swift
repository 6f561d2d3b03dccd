// Several gateways, one broker and everything between them under one seed.

import FreshetCluster
import FreshetCore
import HeapModule
import System

/// A cluster on a virtual clock: nodes that pause, crash and leave; connections that are cut with requests on their way, which
/// arrive late or not at all; a broker that prunes, and one that comes back with less than it acknowledged.
///
/// Checked at every step: no change is stored but by the source's owner; every node's log ascends; the same position is the same
/// change at every node; a patch begins with the value that the node has; no value comes twice. At the end, when all is well
/// again, every node has the same values, which are those of the upstream, and every source has one owner. Whoever begins to poll a
/// source knows the keys that its owners have stored, but for those that the broker has lost or pruned.
package final class ClusterSimulation {
    package struct Figures: Hashable, Sendable {
        package var changes = 0
        package var commits = 0
        package var polls = 0
        package var counts = 0
        package var pauses = 0
        package var crashes = 0
        package var leaves = 0
        package var partitions = 0
        package var rewinds = 0
        package var prunes = 0
        package var takeovers: UInt64 = 0
        package var handovers: UInt64 = 0
        package var fenced: UInt64 = 0
        package var unknown: UInt64 = 0
        package var late = 0
        /// Positions that a broker gave out twice, before a node that knew the first has found out.
        package var forks = 0
        package var dropped = 0
        /// Idempotency keys that were stored, and those that an owner was seen to know of an earlier one.
        package var keys = 0
        package var inherited = 0
        /// Instances that nodes were told of, and those that were gone again.
        package var added = 0
        package var removed = 0
        package var seconds: Int64 = 0
        /// The longest time from a crash until each of its sources was polled by another node, in milliseconds.
        package var longestTakeover: Int64 = 0
        /// Of everything that could differ between two runs of one seed.
        package var fingerprint: UInt64 = 0

        package init() {}
    }

    /// A mistake that is made on purpose, to see that it is found.
    package enum Bug: String, CaseIterable, Sendable {
        /// Batches name no owner record.
        case noFence
        /// A change with an unknown outcome is just sent again.
        case noRefence
    }

    struct Event: Comparable {
        var time: Int64
        var number: Int
        var run: () -> Void

        static func < (one: Event, other: Event) -> Bool { (one.time, one.number) < (other.time, other.number) }
        static func == (one: Event, other: Event) -> Bool { one.number == other.number }
    }

    package internal(set) var figures = Figures()
    package internal(set) var objections: [String] = []

    var generator: SplitMix64
    let bug: Bug?
    /// Connections are cut while a publish is on its way, which takes so little time that chance hardly meets it.
    let cutsPublishes: Bool
    var broker: SimulatedBroker
    var nodes: [SimulatedNode] = []
    let names: [String]
    var upstream: [String: Int] = [:]
    var events = Heap<Event>()
    var time: Int64 = 1_000_000_000
    var eventCount = 0
    var requests = 0
    /// What every position is, by epoch.
    var ledger: [Cursor: SimulatedNode.Entry] = [:]
    /// What is added to a sequence of the stream, by epoch.
    var bases: [Epoch: UInt64] = [:]
    /// Positions that the broker has lost.
    var lost: Set<Cursor> = []
    /// Sources of a node that crashed, and when.
    var orphans: [String: Int64] = [:]
    /// Idempotency keys that were stored, by source; those of which every later owner is to know.
    var keys: [String: Set<String>] = [:]
    let hasKeys: Bool
    let hasInstances: Bool
    var lastKey: UInt64 = 0
    var isCalm = false
    var lastRewind = Int64.min / 2
    /// The highest state of ``unit`` that is known to be in the stream.
    var keptCount = 0

    var now: MonotonicTime { MonotonicTime(nanoseconds: self.time) }
    static let millisecond: Int64 = 1_000_000

    /// `hasKeys`: owners store idempotency keys as well; `hasInstances`: instances of templates come and go as well.
    package init(
        seed: UInt64,
        nodes: Int = 3,
        sources: Int = 12,
        hasKeys: Bool = false,
        hasInstances: Bool = false,
        cutsPublishes: Bool = false,
        bug: Bug? = nil
    ) {
        self.cutsPublishes = cutsPublishes
        self.hasKeys = hasKeys
        self.hasInstances = hasInstances
        self.generator = SplitMix64(seed: seed)
        self.bug = bug
        self.names = (0..<sources).map { "s\($0)" }
        self.broker = SimulatedBroker(subjects: ClusterSubjects())
        for name in self.names { self.upstream[name] = 1 }
        for index in 0..<nodes {
            let epoch = Epoch.random(using: &self.generator)
            let disk = SimulatedNode.Disk(cursor: Cursor(epoch: epoch, sequence: 0))
            self.nodes.append(self.node("n\(index)", disk))
        }
        for node in self.nodes { self.start(node) }
        self.after(5) { [unowned self] in self.changeUpstream() }
        self.beginReaders()
    }

    /// Runs for so many seconds of the virtual clock with trouble, then without until all is the same everywhere. Stops at the
    /// first objection.
    package func run(seconds: Int) {
        self.after(3000) { [unowned self] in self.trouble() }
        self.runEvents(until: self.time + Int64(seconds) * 1000 * Self.millisecond)
        guard self.objections.isEmpty else { return }
        self.calm()
        self.runEvents(until: self.time + 30_000 * Self.millisecond)
        guard self.objections.isEmpty else { return }
        self.checkEnd()
        self.checkInstances()
        self.figures.seconds = self.time / 1_000_000_000
        for node in self.nodes { self.count(node) }
    }

    func runEvents(until end: Int64) {
        while self.objections.isEmpty, let event = self.events.popMin() {
            guard event.time <= end else {
                self.events.insert(event)
                self.time = end
                return
            }
            self.time = max(self.time, event.time)
            event.run()
            self.objections += self.broker.objections
        }
    }

    func at(_ time: Int64, _ run: @escaping () -> Void) {
        self.eventCount += 1
        self.events.insert(Event(time: time, number: self.eventCount, run: run))
    }

    func after(_ milliseconds: Int64, _ run: @escaping () -> Void) {
        self.at(self.time + milliseconds * Self.millisecond, run)
    }

    func random(_ range: ClosedRange<Int>) -> Int { Int.random(in: range, using: &self.generator) }

    func isLikely(_ percent: Int) -> Bool { self.random(1...100) <= percent }

    // MARK: Nodes

    func node(_ name: String, _ disk: SimulatedNode.Disk) -> SimulatedNode {
        let at = WallTime(milliseconds: self.time / Self.millisecond)
        let incarnation = Incarnation(startingAt: at, using: &self.generator)
        return SimulatedNode(name, names: self.names, disk: disk, incarnation: incarnation)
    }

    func start(_ node: SimulatedNode) {
        node.begin(now: self.now)
        self.carryOut(node)
        self.after(Int64(self.random(1...400))) { [unowned self] in self.connect(node) }
    }

    func connect(_ node: SimulatedNode) {
        guard node.isUp, !node.isConnected else { return }
        node.connection += 1
        node.isConnected = true
        self.arrive(node) { [unowned self] in
            node.machine.connected(now: self.now)
            self.carryOut(node)
        }
    }

    /// The connection is cut: what is on its way to the broker arrives, arrives late, or is lost, and so is every answer.
    func disconnect(_ node: SimulatedNode, for milliseconds: Int) {
        guard node.isUp, node.isConnected else { return }
        node.isConnected = false
        node.connection += 1
        node.readsFrom = nil
        let waiting = node.waiting
        node.waiting = [:]
        // It takes a while until the node notices.
        let notice = Int64(self.random(0...1500))
        self.after(notice) { [unowned self] in
            for (_, fail) in waiting.sorted(by: { $0.key < $1.key }) { fail(StreamFailure(.disconnected, "cut")) }
            self.arrive(node) { [unowned self] in
                node.machine.disconnected(now: self.now)
                self.carryOut(node)
            }
        }
        self.after(notice + Int64(milliseconds)) { [unowned self] in self.connect(node) }
    }

    /// Has a node take something, once it runs.
    func arrive(_ node: SimulatedNode, _ run: @escaping () -> Void) {
        guard node.isUp else { return }
        if node.isPaused { node.held.append(run) } else { run() }
    }

    func input(_ node: SimulatedNode, _ body: (inout ClusterMachine) -> Void) {
        guard node.isUp else { return }
        node.machine.timePassed(now: self.now)
        body(&node.machine)
        self.carryOut(node)
    }

    func carryOut(_ node: SimulatedNode) {
        var actions = node.machine.takeActions()
        while !actions.isEmpty, self.objections.isEmpty {
            for action in actions { self.carryOut(action, node) }
            actions = node.machine.takeActions()
        }
        self.figures.fingerprint = self.figures.fingerprint &* 31 &+ node.machine.head &+ UInt64(self.time)
        let time = node.machine.nextTime
        guard time < node.timer || node.timer <= self.now, time < .distantFuture else { return }
        node.timer = max(time, self.now + .milliseconds(1))
        self.at(node.timer.nanoseconds) { [unowned self] in
            self.arrive(node) {
                node.timer = .distantFuture
                self.input(node) { _ in }
            }
        }
    }

    func carryOut(_ action: ClusterMachine.Action, _ node: SimulatedNode) {
        switch action {
        case .publish(let id, let messages, var expecting):
            let isFenced = messages.first.map { Self.isFenced($0.subject) } ?? false
            if self.bug == .noFence, isFenced { expecting = nil }
            let condition = expecting
            self.ask(node, isPublish: true) { [unowned self] in
                self.figures.changes += messages.filter { $0.subject.hasPrefix("fr.change.") }.count
                let outcome = self.broker.publish(messages, expecting: condition, now: self.now)
                self.deliverToAll()
                return outcome
            } then: { [unowned self] result in
                var outcome = (try? result.get()) ?? .unknown("cut")
                if self.bug == .noRefence, case .unknown = outcome { outcome = .refused(.unavailable("planted")) }
                let told = outcome
                self.input(node) { $0.published(id, told, now: self.now) }
            }
        case .readFacts:
            self.ask(node) { [unowned self] in
                self.broker.facts
            } then: { [unowned self] result in
                self.input(node) { $0.factsReceived(result, now: self.now) }
            }
        case .readEpoch:
            self.ask(node) { [unowned self] in
                self.broker.lastMessage(of: "fr.epoch")
            } then: { [unowned self] result in
                self.input(node) { $0.epochReceived(result, now: self.now) }
            }
        case .readMessage(let sequence):
            self.ask(node) { [unowned self] in
                self.broker.message(at: sequence)
            } then: { [unowned self] result in
                self.input(node) { $0.messageReceived(result, now: self.now) }
            }
        case .readOwner(let source):
            let subject = self.broker.subjects.subject(of: .owner(source: source))
            self.ask(node) { [unowned self] in
                self.broker.lastMessage(of: subject)
            } then: { [unowned self] result in
                self.input(node) { $0.ownerReceived(source, result, now: self.now) }
            }
        case .read(let sequence):
            node.readsFrom = sequence
            self.deliver(to: node)
        case .stopReading: node.readsFrom = nil
        case .commit(let record, let position): self.commit(record.name, record.change, position, node)
        case .take(let record, let position): self.commit(record.name, record.change, position, node)
        case .renumber(let cursor):
            node.entries = []
            node.start = cursor
            node.disk.cursor = cursor
            node.disk.last = nil
            node.isFirst = Set(self.names).union(node.instances)
        case .own(Self.unit, let record): self.own(record.learned, node)
        case .own(let source, _):
            self.checkKeys(of: source, node)
            node.polled[source] = node.values[source] ?? 0
            if let since = self.orphans.removeValue(forKey: source) {
                self.figures.longestTakeover = max(self.figures.longestTakeover, (self.time - since) / Self.millisecond)
            }
            self.poll(source, node, value: node.polled[source])
        case .release(Self.unit):
            self.keep(node)
            node.count = nil
            self.after(Int64(self.random(0...5))) { [unowned self] in
                self.arrive(node) { self.input(node) { $0.released(Self.unit, now: self.now) } }
            }
        case .kept(_, let number): self.kept(through: number, node)
        case .unkept: break
        case .release(let source):
            let late = node.polled[source]
            // The poller may be about to publish.
            if self.isLikely(20), let late { self.submit(source, node, from: late) }
            node.polled[source] = nil
            self.after(Int64(self.random(0...5))) { [unowned self] in
                self.arrive(node) { self.input(node) { $0.released(source, now: self.now) } }
            }
        case .drop(let records): node.dropped += records.count
        case .republish(let source):
            guard let value = node.values[source] else { return }
            let at = WallTime(milliseconds: self.time / Self.millisecond)
            guard let record = SimulatedNode.record(source, from: nil, to: value, at: at, isLong: false) else { return }
            node.machine.republished(record, now: self.now)
        case .note(let note): self.noted(note)
        case .ticket, .subscription: break
        case .instance(let name, let change): self.changed(name, change, node)
        case .learn(let record): self.learn(record, node)
        case .keyStored(let request, let isStored): self.keyStored(request, isStored, node)
        case .left: self.crash(node)
        }
    }

    func commit(_ name: String, _ change: Change, _ position: UInt64, _ node: SimulatedNode) {
        self.figures.commits += 1
        if let problem = node.committed(name, change, at: position) {
            return self.objections.append("\(self.time): \(node.name): \(name): \(problem)")
        }
        guard let entry = node.entries.last else { return }
        var content = entry
        content.base = nil
        let cursor = Cursor(epoch: node.machine.cursor.epoch, sequence: position)
        self.bases[cursor.epoch] = node.machine.streamBase
        if let known = self.ledger[cursor], known != content, self.lost.contains(cursor) {
            // Before the nodes that had it have found out; none may go on in that numbering.
            self.figures.forks += 1
        } else if let known = self.ledger[cursor], known != content {
            self.objections.append("\(self.time): \(node.name): \(cursor) is \(content), and was \(known)")
        }
        self.ledger[cursor] = content
    }
}
