// Nodes of a cluster that a test drives by hand.

import FreshetCluster
import FreshetCore
import FreshetSimulation
import System

/// Nodes over one broker that answers at once, at a time of the test's choosing.
struct ClusterByHand {
    static let start = MonotonicTime(nanoseconds: 1_000_000_000)

    var broker = SimulatedBroker(subjects: ClusterSubjects())
    var machines: [ClusterMachine] = []
    var now = Self.start
    var readsFrom: [UInt64?] = []
    /// What each node was told, in the words of the test.
    var told: [[String]] = []
    /// Nodes that do not run: dead ones, or those whose requests and messages do not arrive.
    var silent: Set<Int> = []
    /// Whether a source is let go of as soon as that is asked for.
    var releasesAtOnce = true
    let sources: Set<String>
    /// What is kept of an action in ``told``.
    let words: (ClusterMachine.Action) -> String?

    init(
        _ count: Int,
        of sources: Set<String>,
        broker: SimulatedBroker = SimulatedBroker(subjects: ClusterSubjects()),
        words: @escaping (ClusterMachine.Action) -> String?
    ) {
        self.sources = sources
        self.words = words
        self.broker = broker
        for index in 0..<count { self.begin(index, incarnation: index + 1) }
    }

    /// A process of a node begins.
    mutating func begin(_ index: Int, incarnation: Int, instances: [String] = []) {
        var machine = ClusterMachine(
            ClusterMachine.Settings(
                node: "n\(index)",
                incarnation: Incarnation(rawValue: UInt64(incarnation)),
                lease: .seconds(3)
            ),
            log: Cursor(epoch: Epoch(rawValue: UInt64(incarnation)), sequence: 0),
            last: nil,
            seed: UInt64(incarnation)
        )
        machine.sourcesChanged(self.sources, now: self.now)
        machine.instancesRestored(instances)
        machine.connected(now: self.now)
        if index < self.machines.count {
            self.machines[index] = machine
            self.readsFrom[index] = nil
            self.told[index] = []
        } else {
            self.machines.append(machine)
            self.readsFrom.append(nil)
            self.told.append([])
        }
        self.silent.remove(index)
    }

    /// The connection of a node is lost, and made again; nothing is read yet.
    mutating func reconnect(_ index: Int) {
        self.machines[index].disconnected(now: self.now)
        self.settle(index)
        self.machines[index].connected(now: self.now)
        self.settle(index)
    }

    mutating func run(_ duration: Duration) {
        let end = self.now + duration
        while self.now < end {
            self.now = self.now + .milliseconds(50)
            for index in self.machines.indices where !self.silent.contains(index) {
                self.machines[index].timePassed(now: self.now)
                self.settle(index)
                self.read(index)
            }
        }
    }

    mutating func read(_ index: Int) {
        guard let from = self.readsFrom[index] else { return }
        let messages = self.broker.messages(from: from, limit: 1000)
        guard let last = messages.last else { return }
        self.readsFrom[index] = last.sequence + 1
        self.machines[index].delivered(messages, now: self.now)
        self.settle(index)
    }

    mutating func settle(_ index: Int) {
        var actions = self.machines[index].takeActions()
        while !actions.isEmpty {
            for action in actions { self.carryOut(action, index) }
            actions = self.machines[index].takeActions()
        }
    }

    private mutating func carryOut(_ action: ClusterMachine.Action, _ index: Int) {
        let now = self.now
        if let words = self.words(action) { self.told[index].append(words) }
        switch action {
        case .publish(let id, let messages, let expecting):
            let outcome = self.broker.publish(messages, expecting: expecting, now: now)
            self.machines[index].published(id, outcome, now: now)
        case .readFacts: self.machines[index].factsReceived(.success(self.broker.facts), now: now)
        case .readEpoch:
            self.machines[index].epochReceived(.success(self.broker.lastMessage(of: "fr.epoch")), now: now)
        case .readMessage(let sequence):
            self.machines[index].messageReceived(.success(self.broker.message(at: sequence)), now: now)
        case .readOwner(let unit):
            let subject = self.broker.subjects.subject(of: .owner(source: unit))
            self.machines[index].ownerReceived(unit, .success(self.broker.lastMessage(of: subject)), now: now)
        case .read(let sequence): self.readsFrom[index] = sequence
        case .stopReading: self.readsFrom[index] = nil
        case .release(let name): if self.releasesAtOnce { self.machines[index].released(name, now: now) }
        case .own, .kept, .unkept, .instance, .commit, .take, .renumber, .learn, .ticket, .subscription, .keyStored,
            .drop, .republish, .note, .left:
            break
        }
    }

    /// The nodes that own a source, as they see it themselves.
    func owners(of source: String) -> [Int] {
        self.machines.indices.filter {
            !self.silent.contains($0) && self.machines[$0].owns(source, now: self.now)
        }
    }

    /// The last owner record of a source; `nil` where the broker has none.
    func record(of source: String) -> OwnerRecord? {
        let subject = self.broker.subjects.subject(of: .owner(source: source))
        return self.broker.lastMessage(of: subject).flatMap { OwnerRecord($0.payload) }
    }

    mutating func submit(_ text: String, of source: String, at node: Int) {
        let change = Change(document: testDocument(text), at: WallTime(milliseconds: 1))
        self.machines[node].submitted(LogRecord(name: source, identity: "i", change: change), now: self.now)
    }
}
