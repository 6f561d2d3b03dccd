// Owner records that are lost, pruned or late, and leases that end unnoticed.

import FreshetCluster
import FreshetCore
import FreshetSimulation
import JSON
import System
import Testing

@Suite("Cluster: owner records that are not there")
struct ClusterOwnerRecordTests {
    private static let unit = ClusterUnit.ofWebhook("crm")

    /// Nodes that are told of what they own and of changes.
    private static func world(
        _ count: Int,
        of source: String,
        broker: SimulatedBroker = SimulatedBroker(subjects: ClusterSubjects())
    ) -> ClusterByHand {
        ClusterByHand(count, of: [source], broker: broker) { action in
            switch action {
            case .own: "own"
            case .release: "release"
            case .commit(let record, _): String(decoding: record.change.document.text, as: UTF8.self)
            case .take(let record, _): String(decoding: record.change.document.text, as: UTF8.self)
            case _: nil
            }
        }
    }

    /// A source that belongs to the second of two nodes.
    private static func sourceOfSecond() throws -> String {
        let found = (0..<64).map { "s\($0)" }.first {
            Placement(sources: [$0], nodes: ["n0", "n1"]).owner(of: $0) == "n1"
        }
        return try #require(found)
    }

    /// A broker that has removed its first messages.
    private static var pruned: SimulatedBroker {
        var broker = SimulatedBroker(subjects: ClusterSubjects())
        for _ in 0..<3 {
            let message = StreamMessage(subject: "fr.other", payload: [])
            _ = broker.publish([message], expecting: nil, now: ClusterByHand.start)
        }
        broker.prune(3)
        return broker
    }

    @Test("where a record may have been removed, the next owner waits for a lease before it begins")
    func waits() {
        for (broker, isAtOnce) in [(SimulatedBroker(subjects: ClusterSubjects()), true), (Self.pruned, false)] {
            var world = Self.world(1, of: "s", broker: broker)
            var (ownedAt, polledAt) = (MonotonicTime?.none, MonotonicTime?.none)
            while polledAt == nil, world.now < ClusterByHand.start + .seconds(20) {
                world.run(.milliseconds(50))
                if ownedAt == nil, world.record(of: "s") != nil { ownedAt = world.now }
                if world.owners(of: "s") == [0] { polledAt = world.now }
            }
            let wait = ownedAt.flatMap { since in polledAt.map { $0 - since } }
            #expect(wait.map { ($0 < .seconds(1)) == isAtOnce } == true && wait.map { $0 < .seconds(4) } == true)
        }
    }

    @Test("a node that has read a record waits as well when it is gone, also in a new numbering")
    func forgotten() throws {
        let source = try Self.sourceOfSecond()
        var world = Self.world(1, of: source)
        world.run(.seconds(5))
        #expect(world.owners(of: source) == [0])
        // The owner is cut off, and believes in its lease; the other one comes and reads its record.
        world.silent = [0]
        world.begin(1, incarnation: 2)
        world.run(.milliseconds(200))
        // The broker removes that, and a numbering begins.
        world.broker.prune(world.broker.messages(from: 0, limit: .max).count)
        let epoch = EpochRecord(epoch: Epoch(rawValue: 99), base: 1 << 33)
        let message = StreamMessage(subject: "fr.epoch", payload: epoch.encoded)
        _ = world.broker.publish([message], expecting: nil, now: world.now)
        var (ownedAt, polledAt) = (MonotonicTime?.none, MonotonicTime?.none)
        for _ in 0..<400 where polledAt == nil {
            world.run(.milliseconds(50))
            if ownedAt == nil, world.record(of: source)?.node == "n1" { ownedAt = world.now }
            if world.owners(of: source) == [1] { polledAt = world.now }
        }
        let wait = ownedAt.flatMap { since in polledAt.map { $0 - since } }
        #expect(wait.map { $0 >= .milliseconds(2900) } == true, "\(String(describing: wait))")
    }

    @Test("an owner whose record is gone writes it again, and gives the source to whom it belongs")
    func rewritten() throws {
        let source = try Self.sourceOfSecond()
        var world = Self.world(1, of: source)
        world.run(.seconds(5))
        #expect(world.owners(of: source) == [0])
        // It does not know what became of a change.
        world.submit("[1]", of: source, at: 0)
        for case .publish(let id, _, _) in world.machines[0].takeActions() {
            world.machines[0].published(id, .unknown("cut"), now: world.now)
        }
        // The one that the source belongs to comes, and reads whose it is.
        world.silent = [0]
        world.begin(1, incarnation: 2)
        world.run(.milliseconds(200))
        // All but that one's heartbeat is removed before the owner looks.
        world.broker.prune(world.broker.messages(from: 0, limit: .max).count - 1)
        world.silent = []
        world.read(0)
        world.run(.seconds(12))
        #expect(world.owners(of: source) == [1])
        #expect(world.told[1].contains("[1]"))
    }

    @Test("a broker that has lost records gives their numbers out again, and the owner takes the new ones for its own")
    func lowered() {
        var world = Self.world(1, of: Self.unit)
        world.run(.seconds(5))
        for number in 1...5 {
            world.machines[0].keep(Self.unit, [UInt8(number)], number: UInt64(number), now: world.now)
            world.settle(0)
            world.run(.milliseconds(100))
        }
        #expect(world.owners(of: Self.unit) == [0])
        world.broker.rewind(by: world.broker.messages(from: 0, limit: .max).count - 1)
        world.reconnect(0)
        world.run(.seconds(12))
        #expect(world.owners(of: Self.unit) == [0])
        #expect(world.record(of: Self.unit)?.learned == [5])
    }

    @Test(
        "a change whose fate is unknown is in the log once, whether it had been stored or not",
        arguments: [true, false]
    )
    func once(wasStored: Bool) {
        var world = Self.world(2, of: "s")
        world.run(.seconds(5))
        let owner = world.owners(of: "s").first ?? 0
        world.submit("[1]", of: "s", at: owner)
        world.settle(owner)
        world.run(.milliseconds(100))
        world.submit("[2]", of: "s", at: owner)
        for case .publish(let id, let messages, let expecting) in world.machines[owner].takeActions() {
            if wasStored { _ = world.broker.publish(messages, expecting: expecting, now: world.now) }
            world.machines[owner].published(id, .unknown("cut"), now: world.now)
        }
        world.submit("[3]", of: "s", at: owner)
        world.run(.seconds(1))
        #expect(world.owners(of: "s") == [owner])
        for told in world.told { #expect(told.filter { $0.hasPrefix("[") } == ["[1]", "[2]", "[3]"]) }
    }

    @Test("what waits at an owner that was cut off is dropped where it passes over what others wrote meanwhile")
    func passedOver() {
        var world = Self.world(2, of: "s")
        world.run(.seconds(5))
        let owner = world.owners(of: "s").first ?? 0
        world.submit("[1]", of: "s", at: owner)
        world.settle(owner)
        world.run(.milliseconds(100))
        world.submit("[2]", of: "s", at: owner)
        world.silent = [owner]
        world.run(.seconds(8))
        let other = 1 - owner
        #expect(world.owners(of: "s") == [other])
        world.submit("[3]", of: "s", at: other)
        world.settle(other)
        // Somebody begins a numbering, in which a node that comes back reads nothing from before.
        let epoch = EpochRecord(epoch: Epoch(rawValue: 99), base: 1 << 33)
        let message = StreamMessage(subject: "fr.epoch", payload: epoch.encoded)
        _ = world.broker.publish([message], expecting: nil, now: world.now)
        world.run(.milliseconds(100))
        world.machines[owner].timePassed(now: world.now)
        world.reconnect(owner)
        // It gets the source back before it has read or asked whose it is.
        world.run(.seconds(1))
        #expect(world.record(of: "s")?.node == "n\(owner)")
        world.silent = []
        world.run(.seconds(12))
        #expect(world.owners(of: "s") == [owner])
        #expect(!world.told.joined().contains("[2]"))
    }

    @Test("after a pause that the lease did not outlast, nothing is begun before it is noticed")
    func paused() {
        var world = Self.world(1, of: "s", broker: Self.pruned)
        // Owned, and to be polled a lease later.
        while world.record(of: "s") == nil, world.now < ClusterByHand.start + .seconds(20) {
            world.run(.milliseconds(50))
        }
        world.run(.milliseconds(100))
        #expect(world.told[0].isEmpty)
        world.now = world.now + .seconds(10)
        world.machines[0].timePassed(now: world.now)
        for action in world.machines[0].takeActions() {
            if case .own = action { Issue.record("owned after the lease") }
        }
    }

    @Test("a heartbeat of an earlier process that arrives late says nothing of the one that is there")
    func late() {
        var world = Self.world(2, of: "s")
        world.run(.seconds(5))
        let owner = world.owners(of: "s").first ?? 0
        world.begin(owner, incarnation: 9)
        world.run(.seconds(5))
        #expect(world.owners(of: "s") == [owner])
        let late = NodeRecord(incarnation: Incarnation(rawValue: UInt64(owner + 1)), isLeaving: true, sources: 0)
        let message = StreamMessage(subject: "fr.node.n\(owner)", payload: late.encoded)
        _ = world.broker.publish([message], expecting: nil, now: world.now)
        world.run(.milliseconds(300))
        #expect(world.owners(of: "s") == [owner] && world.told[owner] == ["own"])
        #expect(world.machines.allSatisfy { $0.nodes == ["n0", "n1"] })
    }

    @Test("of two processes of a node the later one is the greater, and two at the same time differ")
    func incarnations() {
        var generator = SplitMix64(seed: 1)
        let times = [0, 1, 1_800_000_000_000, 1_800_000_000_001, 4_000_000_000_000] as [Int64]
        let all = times.map { Incarnation(startingAt: WallTime(milliseconds: $0), using: &generator) }
        #expect(all == all.sorted() && Set(all).count == all.count)
        let one = Incarnation(startingAt: WallTime(milliseconds: 7), using: &generator)
        #expect(one != Incarnation(startingAt: WallTime(milliseconds: 7), using: &generator))
    }

    @Test("a record that cannot be read leaves the source to the next owner", arguments: ["s", "user/1"])
    func unreadable(source: String) {
        let owner = { (world: ClusterByHand) in world.owners(of: source) }
        var world = Self.world(2, of: "other")
        if InstanceName.isInstance(source) {
            world.machines[0].instanceWanted(source, InstanceRecord(maker: "n0"), now: world.now)
        } else {
            world = Self.world(2, of: source)
        }
        world.run(.seconds(5))
        #expect(owner(world).count == 1)
        let subject = world.broker.subjects.subject(of: .owner(source: source))
        for garbage in ["", "garbage", "\u{2}newer"] {
            let message = StreamMessage(subject: subject, payload: Array(garbage.utf8))
            guard case .stored = world.broker.publish([message], expecting: nil, now: world.now) else {
                Issue.record("the broker has not stored it")
                return
            }
            world.run(.milliseconds(100))
            // Who wants an instance names its owner again at once, in the place of what cannot be read.
            if !InstanceName.isInstance(source) { #expect(owner(world).isEmpty) }
            world.run(.seconds(6))
            #expect(owner(world).count == 1 && world.record(of: source)?.node.isEmpty == false)
        }
        // One that is all that a node finds when it starts.
        let message = StreamMessage(subject: subject, payload: Array("garbage".utf8))
        _ = world.broker.publish([message], expecting: nil, now: world.now)
        let takeovers = world.machines[0].figures.takeovers
        let instances = [source].filter(InstanceName.isInstance)
        for index in 0..<2 { world.begin(index, incarnation: 10 + index, instances: instances) }
        world.run(.seconds(8))
        if InstanceName.isInstance(source) {
            // Nobody wants it any more.
            #expect(owner(world).count <= 1)
        } else {
            #expect(owner(world).count == 1)
        }
        #expect(world.machines[0].figures.takeovers < takeovers + 10)
    }

    @Test("the broker's marker of a removed record is no unreadable one", arguments: [true, false])
    func marker(isMarker: Bool) {
        var world = Self.world(1, of: "s")
        world.run(.seconds(5))
        let headers = isMarker ? [StreamHeader("Nats-Marker-Reason", "Purge")] : []
        let subject = world.broker.subjects.subject(of: .owner(source: "s"))
        let message = StoredMessage(sequence: world.broker.facts.last + 1, subject: subject, headers: headers)
        world.machines[0].delivered([message], now: world.now)
        #expect(world.machines[0].figures.unreadable == (isMarker ? 0 : 1))
        #expect(world.owners(of: "s").isEmpty)
    }

    @Test("sources are given to nodes of the same configuration, and what nobody owns is taken by any that has it")
    func configurations() {
        var world = Self.world(3, of: "s")
        let names = Set((0..<12).map { "s\($0)" })
        // The last has one source more than the others.
        for index in 0..<3 {
            world.machines[index].sourcesChanged(index == 2 ? names.union(["own"]) : names, now: world.now)
        }
        world.run(.seconds(5))
        for name in names { #expect(world.owners(of: name).count == 1, "\(name)") }
        #expect(world.owners(of: "own") == [2])
        let handovers = world.machines.map(\.figures.handovers)
        world.run(.seconds(5))
        #expect(world.machines.map(\.figures.handovers) == handovers)
        // A node that dies leaves none to nobody.
        world.silent = [0]
        world.run(.seconds(8))
        for name in names { #expect(world.owners(of: name).count == 1, "\(name)") }
    }
}
