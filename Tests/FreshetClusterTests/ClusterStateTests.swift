// What an owner keeps of a unit: written by it alone, and found by the next one.

import FreshetCluster
import FreshetCore
import FreshetSimulation
import System
import Testing

@Suite("Cluster: the state of units")
struct ClusterStateTests {
    private static let unit = ClusterUnit.ofWebhook("crm")

    /// Nodes that are told of the unit.
    private static func world(_ count: Int) -> ClusterByHand {
        ClusterByHand(count, of: [Self.unit]) { action in
            switch action {
            case .own(_, let record): "own \(String(decoding: record.learned, as: UTF8.self))"
            case .release: "release"
            case .kept(_, let number): "kept \(number)"
            case .unkept(_, let number): "unkept \(number)"
            case _: nil
            }
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
        var world = Self.world(2)
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
        world.silent = [owner]
        world.run(.seconds(5))
        let next = try #require(world.owner)
        #expect(next != owner && world.told[next] == ["own 3"])
        world.keep("4", number: 1, at: next)
        world.run(.seconds(1))

        // It goes on, and what it writes is refused, and counted.
        world.settle(owner)
        #expect(world.machines[owner].figures.fenced == 1 && world.told[owner].last == "release")
        world.silent = []
        world.run(.seconds(2))
        #expect(world.told[owner].contains("unkept 4") && !world.told[owner].contains("kept 4"))
        let record = try #require(world.record(of: Self.unit))
        #expect(record.learned == Array("4".utf8))
        #expect(world.machines[owner].state(of: Self.unit) == Array("4".utf8))
    }

    @Test("who gets a unit back goes on where the other one was, though it has read nothing of that one")
    func givenBack() throws {
        var world = Self.world(2)
        world.run(.seconds(5))
        let owner = try #require(world.owner)
        world.keep("1", number: 1, at: owner)
        world.run(.seconds(1))
        // It is paused while it writes; the other one takes over and goes on.
        world.keep("2", number: 2, at: owner)
        world.silent = [owner]
        world.run(.seconds(5))
        let other = try #require(world.owner)
        world.keep("9", number: 1, at: other)
        world.run(.seconds(1))
        // Before it reads anything it is there again, and gets the unit back by a record that replaces all before it.
        world.releasesAtOnce = false
        world.machines[owner].timePassed(now: world.now)
        world.reconnect(owner)
        world.run(.milliseconds(200))
        world.machines[other].released(Self.unit, now: world.now)
        world.run(.seconds(1))
        #expect(world.record(of: Self.unit)?.node == "n\(owner)")
        world.silent = []
        world.run(.milliseconds(200))
        #expect(world.told[owner].contains("unkept 2") && !world.told[owner].contains("kept 2"))
        // What it still had under way when its lease ended ends now.
        world.keep("3", number: 3, at: owner)
        world.machines[owner].released(Self.unit, now: world.now)
        world.run(.seconds(1))
        #expect(world.told[owner].suffix(2) == ["unkept 3", "own 9"])
        #expect(world.record(of: Self.unit)?.learned == Array("9".utf8))
    }

    @Test("one that leaves hands its state over, and one that is configured no more begins anew when it comes back")
    func handover() throws {
        var world = Self.world(2)
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

extension ClusterByHand {
    fileprivate var owner: Int? { self.owners(of: ClusterUnit.ofWebhook("crm")).first }

    fileprivate mutating func keep(_ state: String, number: UInt64, at node: Int) {
        self.machines[node].keep(ClusterUnit.ofWebhook("crm"), Array(state.utf8), number: number, now: self.now)
    }
}
