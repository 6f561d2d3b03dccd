// What an owner keeps of a unit: written by it alone, and found by the next one.

import FreshetCluster
import FreshetCore
import FreshetSimulation
import System
import Testing

@Suite("Cluster: the state of units")
struct ClusterStateTests {
    private static let unit = ClusterUnit.ofWebhook("crm")
    private static let start = MonotonicTime(nanoseconds: 1_000_000_000)

    /// Nodes over one broker that answers at once, at a time of the test's choosing.
    private struct World {
        var broker = SimulatedBroker(subjects: ClusterSubjects())
        var machines: [ClusterMachine]
        var now = ClusterStateTests.start
        var readsFrom: [UInt64?]
        /// What each node was told of the unit.
        var told: [[String]]
        /// A node whose requests and messages do not arrive.
        var cut: Int?

        init(_ count: Int) {
            self.machines = (0..<count).map { index in
                ClusterMachine(
                    ClusterMachine.Settings(
                        node: "n\(index)",
                        incarnation: Incarnation(rawValue: UInt64(index + 1)),
                        lease: .seconds(3)
                    ),
                    log: Cursor(epoch: Epoch(rawValue: UInt64(index + 1)), sequence: 0),
                    last: nil,
                    seed: UInt64(index)
                )
            }
            self.readsFrom = Array(repeating: nil, count: count)
            self.told = Array(repeating: [], count: count)
            for index in 0..<count {
                self.machines[index].sourcesChanged([ClusterStateTests.unit], now: self.now)
                self.machines[index].connected(now: self.now)
            }
        }

        mutating func keep(_ state: String, number: UInt64, at node: Int) {
            self.machines[node].keep(ClusterStateTests.unit, Array(state.utf8), number: number, now: self.now)
        }

        mutating func run(_ duration: Duration) {
            let end = self.now + duration
            while self.now < end {
                self.now = self.now + .milliseconds(50)
                for index in self.machines.indices where index != self.cut {
                    self.machines[index].timePassed(now: self.now)
                    self.settle(index)
                    self.read(index)
                }
            }
        }

        private mutating func read(_ index: Int) {
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
            case .own(_, let record): self.told[index].append("own \(String(decoding: record.learned, as: UTF8.self))")
            case .release(let unit):
                self.told[index].append("release")
                self.machines[index].released(unit, now: now)
            case .kept(_, let number): self.told[index].append("kept \(number)")
            case .unkept(_, let number): self.told[index].append("unkept \(number)")
            case .instance, .commit, .take, .renumber, .learn, .ticket, .subscription, .keyStored, .drop, .republish,
                .note,
                .left:
                break
            }
        }

        var owner: Int? {
            self.machines.indices.first { self.machines[$0].owns(ClusterStateTests.unit, now: self.now) }
        }
    }

    @Test("no source has the name of a unit")
    func names() {
        #expect(!SourceName.isValid(Self.unit))
        #expect(ClusterUnit.webhook(Self.unit) == "crm" && ClusterUnit.webhook("crm") == nil)
        let subjects = ClusterSubjects()
        #expect(subjects.topic(of: subjects.subject(of: .owner(source: Self.unit))) == .owner(source: Self.unit))
    }

    @Test(
        "the owner's state is in the stream before it is told so, and the last of several is what the next owner gets"
    )
    func takeover() throws {
        var world = World(2)
        world.run(.seconds(5))
        let owner = try #require(world.owner)
        #expect(world.told[owner] == ["own "])
        world.keep("1", number: 1, at: owner)
        // Written while the first is on its way.
        world.keep("2", number: 2, at: owner)
        world.keep("3", number: 3, at: owner)
        world.run(.seconds(1))
        #expect(world.told[owner] == ["own ", "kept 3"])
        #expect(world.machines[owner].state(of: Self.unit) == Array("3".utf8))

        // The owner is paused while it writes: another one takes over, with the state before.
        world.keep("stale", number: 4, at: owner)
        world.cut = owner
        world.run(.seconds(5))
        let next = try #require(world.owner)
        #expect(next != owner && world.told[next] == ["own 3"])
        world.keep("4", number: 1, at: next)
        world.run(.seconds(1))

        // It goes on, and what it writes is refused, and counted.
        world.settle(owner)
        #expect(world.machines[owner].figures.fenced == 1 && world.told[owner].last == "release")
        world.cut = nil
        world.run(.seconds(2))
        #expect(world.told[owner].contains("unkept 4") && !world.told[owner].contains("kept 4"))
        let stored = world.broker.lastMessage(of: world.broker.subjects.subject(of: .owner(source: Self.unit)))
        let record = try #require(stored.flatMap { OwnerRecord($0.payload) })
        #expect(record.learned == Array("4".utf8))
        #expect(world.machines[owner].state(of: Self.unit) == Array("4".utf8))
    }

    @Test("one that leaves hands its state over, and one that is configured no more begins anew when it comes back")
    func handover() throws {
        var world = World(2)
        world.run(.seconds(5))
        let owner = try #require(world.owner)
        world.keep("7", number: 1, at: owner)
        world.machines[owner].leave(now: world.now)
        world.settle(owner)
        world.run(.seconds(1))
        let next = try #require(world.owner)
        #expect(next != owner && world.told[next] == ["own 7"])

        world.machines[next].sourcesChanged([], now: world.now)
        world.settle(next)
        world.run(.seconds(1))
        world.machines[next].sourcesChanged([Self.unit], now: world.now)
        world.settle(next)
        world.run(.seconds(5))
        #expect(world.told[next].last == "own ")
    }

    @Test("how an endpoint stands comes out as it went in, and a cut text is none")
    func standing() {
        let cursor = Cursor(epoch: Epoch(rawValue: 7), sequence: 3)
        var outcome = WebhookOutcome(.refused)
        outcome.status = 500
        let tried = WebhookTryReport(
            at: WallTime(milliseconds: 5),
            id: "msg_crm_x-3",
            cursor: cursor,
            number: 2,
            outcome: outcome,
            took: .milliseconds(12)
        )
        var standing = WebhookStanding(state: .paused, since: WallTime(milliseconds: 9), cursor: cursor)
        standing.lag = 4
        standing.refused = 1
        standing.nextRetry = WallTime(milliseconds: 11)
        standing.tries = [tried, tried]
        for reply in [ClusterReply.webhook(standing), .tried(tried)] {
            #expect(ClusterReply(reply.encoded) == reply)
            for count in 0..<reply.encoded.count { #expect(ClusterReply(Array(reply.encoded.prefix(count))) == nil) }
        }
        let state = [UInt8](repeating: 1, count: OwnerRecord.maxState)
        let record = OwnerRecord(node: "a", incarnation: Incarnation(rawValue: 1), learned: state)
        #expect(OwnerRecord(record.encoded) == record)
        #expect(OwnerRecord(node: "a", incarnation: Incarnation(rawValue: 1), learned: state + [1]).learned.isEmpty)
    }
}
