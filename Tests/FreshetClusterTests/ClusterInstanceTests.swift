// Instances of templates: one owner and one log each, from the first record to the last.

import FreshetCluster
import FreshetCore
import FreshetSimulation
import JSON
import System
import Testing

@Suite("Cluster: instances of templates")
struct ClusterInstanceTests {
    private static let name = "user/42"

    /// Nodes that are told of the instance.
    private static func world(_ count: Int) -> ClusterByHand {
        ClusterByHand(count, of: ["fixed"]) { action in
            switch action {
            case .own(let name, _) where InstanceName.isInstance(name): "own"
            case .release(let name) where InstanceName.isInstance(name): "release"
            case .instance(_, .added(let record)): record.map { "added by \($0.maker)" } ?? "added"
            case .instance(_, .removed): "removed"
            case .commit(let record, _): String(decoding: record.change.document.text, as: UTF8.self)
            case .take(let record, _): String(decoding: record.change.document.text, as: UTF8.self)
            case _: nil
            }
        }
    }

    @Test("wanted at any node, and at several at once, it has one owner, which all know before its first change")
    func making() {
        for makers in [[0], [1], [2], [0, 1, 2]] {
            var world = Self.world(3)
            world.run(.seconds(5))
            for maker in makers { world.want(at: maker) }
            // One way to the broker and one back.
            world.run(.milliseconds(150))
            let owner = world.owner
            #expect(owner == world.target, "wanted at \(makers)")
            world.publish("[1]", at: owner ?? 0)
            world.run(.milliseconds(100))
            for node in 0..<3 {
                let added = world.told[node].first { $0.hasPrefix("added") } ?? ""
                #expect(makers.contains { added == "added by n\($0)" }, "\(added)")
                #expect(world.told[node].filter { $0.hasPrefix("added") }.count == 1)
                #expect(world.told[node].last == "[1]")
                #expect(world.told[node].contains("own") == (node == owner))
            }
            #expect(world.record?.instance?.content == [7] && world.record?.instance?.caller != nil)
            #expect(world.machines.allSatisfy { $0.figures.fenced == 0 && $0.figures.unreadable == 0 })
        }
    }

    @Test("its owner dies: the next in rank takes it over, read or not, and says what it was made with")
    func takeover() throws {
        var world = Self.world(3)
        world.run(.seconds(5))
        world.want(at: 1)
        world.run(.seconds(1))
        let owner = try #require(world.owner)
        world.silent.insert(owner)
        for node in 0..<3 { world.machines[node].instancesRead([]) }
        world.run(.seconds(7))
        #expect(world.owner == world.target && world.owner != owner)
        #expect(world.record?.instance?.content == [7])
        #expect(world.told.allSatisfy { !$0.contains("removed") })
    }

    @Test("nobody wants it: the owner lets go of it first, then all forget it, and of its records nothing is left")
    func ending() throws {
        var world = Self.world(3)
        world.run(.seconds(5))
        world.want(at: 0)
        world.run(.seconds(1))
        let owner = try #require(world.owner)
        // Those that do not own it change nothing.
        world.end(at: (0..<3).filter { $0 != owner })
        world.run(.seconds(1))
        #expect(world.owner == owner && !world.told.joined().contains("removed"))
        world.end(at: [owner])
        world.run(.seconds(1))
        #expect(world.told.allSatisfy { $0.last == "removed" })
        #expect(world.told[owner].suffix(2) == ["release", "removed"])
        #expect(world.record?.instance?.isGone == true)
        world.now = world.now + .seconds(3601)
        world.run(.seconds(8))
        #expect(world.record == nil)
        // Nothing is left of it that another one of the name would stumble over.
        world.want(at: 2)
        world.run(.milliseconds(200))
        #expect(world.owner == world.target)
    }

    @Test("wanted again after its last record, it is made again, by the broker's leave")
    func again() throws {
        var world = Self.world(3)
        world.run(.seconds(5))
        world.want(at: 0)
        world.run(.seconds(1))
        let owner = try #require(world.owner)
        world.end(at: [owner])
        let other = (owner + 1) % 3
        world.run(.milliseconds(50))
        world.want(at: other)
        world.run(.seconds(1))
        #expect(world.owner == owner && world.record?.instance?.isGone == false)
        #expect(world.told[other].last == "added by n\(other)")
    }

    @Test("whoever comes late learns of it: from its record, or, from its disk or a change, by asking")
    func late() throws {
        var world = Self.world(2)
        world.run(.seconds(5))
        world.want(at: 0)
        world.run(.milliseconds(500))
        let owner = try #require(world.owner)
        world.publish("[1]", at: owner)
        world.run(.milliseconds(500))
        // The record is written again, behind the change.
        world.machines[owner].leave(now: world.now)
        world.run(.seconds(1))
        world.begin(2, incarnation: 9)
        world.run(.seconds(1))
        #expect(world.told[2].prefix(3) == ["added", "[1]", "added by n0"])
        world.begin(2, incarnation: 10, instances: [Self.name, "user/gone"])
        world.run(.seconds(5))
        #expect(world.told[2].contains("added by n0") && world.told[2].filter { $0 == "removed" }.count == 1)
        let told = world.told[2]
        world.run(.seconds(5))
        #expect(world.told[2] == told)
    }

    @Test(
        "what an owner had in hand before another one wrote does not come after that, though it has read no record of it"
    )
    func old() throws {
        var world = Self.world(2)
        world.run(.seconds(5))
        world.want(at: 0)
        world.run(.seconds(1))
        let owner = try #require(world.owner)
        world.publish("[1]", at: owner)
        world.run(.milliseconds(200))
        // It is cut off as it writes, and for longer than its lease.
        world.submit("[2]", of: Self.name, at: owner)
        world.silent = [owner]
        world.run(.seconds(8))
        let other = try #require(world.owner)
        world.publish("[3]", at: other)
        world.run(.milliseconds(200))
        // The instance is given back before it has read anything; its records replace each other.
        world.machines[owner].timePassed(now: world.now)
        world.reconnect(owner)
        world.run(.seconds(1))
        #expect(world.record?.node == "n\(owner)")
        world.silent = []
        world.run(.seconds(3))
        #expect(world.owner == owner)
        for told in world.told { #expect(told.filter { $0.hasPrefix("[") } == ["[1]", "[3]"]) }
    }

    @Test("no more of unknown names are asked for at a time than may be", arguments: [true, false])
    func bound(isFull: Bool) {
        var world = Self.world(1)
        world.run(.seconds(5))
        var machine = world.machines[0]
        if isFull { machine.instancesRestored((0..<ClusterMachine.maxUnconfirmed).map { "user/x\($0)" }) }
        let change = ChangeRecord(
            name: Self.name,
            identity: "i",
            base: .nothing,
            change: Change(document: testDocument("[1]"), at: WallTime(milliseconds: 1))
        )
        let number = ChangeNumber(incarnation: Incarnation(rawValue: 9), count: 1)
        let part = ChangePart(number: number, index: 0, of: 1, bytes: change.encoded[...])
        let subject = ClusterSubjects().subject(of: .change(source: Self.name))
        let message = StoredMessage(sequence: machine.readThrough + 1, subject: subject, payload: part.encoded)
        machine.delivered([message], now: world.now)
        var (isAsked, isTaken) = (false, false)
        for action in machine.takeActions() {
            if case .readOwner(Self.name) = action { isAsked = true }
            if case .take = action { isTaken = true }
        }
        #expect(isAsked == !isFull && isTaken)
    }

    @Test("records and calls come out as they went in, and cut ones are none")
    func values() {
        let caller = Fingerprint(first: 1, second: .max)
        for instance in [
            InstanceRecord(maker: "a", caller: caller, content: [1, 2]), InstanceRecord(maker: "", isGone: true),
        ] {
            let record = OwnerRecord(node: "a", incarnation: Incarnation(rawValue: 1), instance: instance)
            #expect(OwnerRecord(record.encoded) == record)
            // Without the instance it is the record of another source, which is as long as that.
            let plain = OwnerRecord(node: "a", incarnation: Incarnation(rawValue: 1)).encoded.count
            for count in 0..<record.encoded.count where count != plain {
                #expect(OwnerRecord(Array(record.encoded.prefix(count))) == nil)
            }
        }
        for call in [ClusterCall.settle, .end(by: "b")] {
            let decoded = ClusterCall.decoded(call.encoded(for: Self.name))
            #expect(decoded?.source == Self.name && decoded?.call == call)
        }
        let cursor = Cursor(epoch: Epoch(rawValue: 7), sequence: 3)
        for reply in [
            ClusterReply.settled(.ok, cursor, nil), .settled(.failing, cursor, UpstreamError(.status, "404")),
        ] {
            #expect(ClusterReply(reply.encoded) == reply)
            for count in 0..<reply.encoded.count { #expect(ClusterReply(Array(reply.encoded.prefix(count))) == nil) }
        }
    }

    @Test("an instance belongs to the node that it ranks first, and one that joins takes its share and no more")
    func placement() {
        let nodes = ["a", "b", "c"]
        let (before, after) = (
            Placement(sources: [String](), nodes: nodes), Placement(sources: [String](), nodes: nodes + ["d"])
        )
        var counts: [String: Int] = [:]
        for number in 0..<3000 {
            let (old, new) = (before.first(of: "user/\(number)"), after.first(of: "user/\(number)"))
            counts[new ?? "", default: 0] += 1
            #expect(new == old || new == "d")
        }
        #expect(counts.count == 4 && counts.values.allSatisfy { (600...900).contains($0) }, "\(counts)")
        #expect(Placement(sources: [String](), nodes: [String]()).first(of: "user/1") == nil)
    }

    @Test("what many read is said in several messages, all of which count, and a node that is silent reads nothing")
    func announcements() {
        let names = (0..<20_000).map { "user/\(String(repeating: "x", count: 30))\($0)" }
        let troubled = ["user/1": SourceState.failing, "user/2": .backoff]
        let told = ClusterAnnouncement(node: "a", read: names, troubled: troubled)
        let parts = told.parts(round: 7)
        #expect(parts.count > 2)
        var others = ReadElsewhere()
        var whole: ClusterAnnouncement?
        for part in parts {
            #expect(part.encoded.count < 400 << 10 && ClusterAnnouncement(part.encoded) == part)
            whole = others.take(part, now: ClusterByHand.start) ?? whole
        }
        #expect(whole?.troubled == troubled)
        #expect(others.names(now: ClusterByHand.start) == Set(names))
        #expect(told.parts(round: 8).count == parts.count)
        // Part of the next round says nothing of the rest.
        _ = others.take(parts[0], now: ClusterByHand.start)
        #expect(others.names(now: ClusterByHand.start) == Set(names))
        let addition = ClusterAnnouncement(node: "b", read: ["user/new"], troubled: [:], extent: .addition)
        #expect(ClusterAnnouncement(addition.encoded) == addition)
        #expect(others.take(addition, now: ClusterByHand.start + .seconds(1)) == nil)
        #expect(others.isRead("user/new", except: "a", now: ClusterByHand.start + .seconds(2)))
        #expect(!others.isRead("user/new", except: "b", now: ClusterByHand.start + .seconds(2)))
        #expect(others.names(now: ClusterByHand.start + ReadElsewhere.silence) == ["user/new"])
        let small = ClusterAnnouncement(node: "a", read: ["x"], troubled: [:])
        #expect(small.parts(round: 9) == [small])
    }
}

extension ClusterByHand {
    private static let name = "user/42"

    fileprivate mutating func want(at node: Int) {
        let record = InstanceRecord(maker: "n\(node)", caller: Fingerprint(first: 1, second: 2), content: [7])
        self.machines[node].instanceWanted(Self.name, record, now: self.now)
        self.settle(node)
    }

    fileprivate mutating func end(at nodes: [Int]) {
        for node in nodes {
            self.machines[node].instanceEnded(Self.name, now: self.now)
            self.settle(node)
        }
    }

    fileprivate mutating func publish(_ text: String, at node: Int) {
        self.submit(text, of: Self.name, at: node)
        self.settle(node)
    }

    fileprivate var owner: Int? {
        let owners = self.owners(of: Self.name)
        return owners.count == 1 ? owners[0] : nil
    }

    fileprivate var record: OwnerRecord? { self.record(of: Self.name) }

    /// The node that the instance belongs to, among those that live.
    fileprivate var target: Int {
        let nodes = self.machines.indices.filter { !self.silent.contains($0) }.map { "n\($0)" }
        let first = Placement(sources: [String](), nodes: nodes).first(of: Self.name) ?? ""
        return Int(first.dropFirst()) ?? 0
    }
}
