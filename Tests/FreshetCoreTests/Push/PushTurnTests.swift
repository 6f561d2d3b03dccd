// Turns: hosts do not hold each other up.

import Testing

@testable import FreshetCore

@Suite("Turns of push services")
struct PushTurnTests {
    private static func host(_ number: Int) -> String { "https://host-\(number).example:443" }

    @Test("a host that was never reached has one send at a time, one that accepted its last message has several")
    func proven() throws {
        let world = PushWorld()
        for number in 0..<50 { world.subscribe(PushFixture.subscription(number)) }
        world.change(1)
        let first = world.sends()
        #expect(first.count == 1)
        world.end(try #require(first.first))
        #expect(world.sends().count == Defaults.Push.maxSendsPerHost)
    }

    @Test("hosts that are down hold up no other, however many they are")
    func dead() throws {
        let world = PushWorld()
        let dead = Defaults.Push.maxUnprovenSends + 20
        for number in 0..<dead {
            for one in 0..<3 {
                world.subscribe(PushFixture.subscription(one, host: Self.host(number)))
            }
        }
        let live = PushFixture.subscription(0, host: "https://live.example:443")
        world.subscribe(live)
        // It was reached before the others went down.
        world.change(1)
        var hanging: [PushSend] = []
        var isReached = false
        for _ in 0..<20 where !isReached {
            for send in world.sends() {
                if send.subscription.host == live.host {
                    world.end(send)
                    isReached = true
                } else {
                    hanging.append(send)
                }
            }
            #expect(hanging.count <= Defaults.Push.maxUnprovenSends)
            if isReached { break }
            world.pass(Defaults.Push.sendTimeout)
            for send in hanging { world.end(send, .failed("timeout")) }
            hanging = []
        }
        #expect(isReached)
        // From now on it waits for none of them.
        for sequence in 2...20 as ClosedRange<UInt64> {
            world.change(sequence)
            let sends = world.sends()
            let own = try #require(sends.first { $0.subscription.host == live.host }, "\(sequence)")
            #expect(own.message.cursor.sequence == sequence)
            world.end(own)
        }
    }

    @Test("a host that fails is left alone for longer each time, and at most ten minutes")
    func backoff() throws {
        let world = PushWorld()
        world.subscribe(PushFixture.subscription(1))
        world.change(1)
        for failures in 1...12 {
            let send = try #require(world.next(), "after \(failures - 1) failures")
            world.end(send, .failed("connect"))
            #expect(world.next() == nil)
            let wake = try #require(world.book.nextWake)
            #expect(wake > world.now && wake - world.now <= .seconds(600))
            world.pass(wake - world.now)
        }
        #expect(world.deliver() == [1])
        #expect(world.book.nextWake == nil)
    }

    @Test("5xx makes one subscription wait, and its host only after three in a row")
    func unavailable() throws {
        let world = PushWorld()
        for number in 1...3 { world.subscribe(PushFixture.subscription(number)) }
        world.change(1)
        for count in 1...3 {
            let send = try #require(world.next(), "\(count)")
            world.end(send, .unavailable(503, nil))
        }
        #expect(world.next() == nil)
        world.pass(.seconds(600))
        #expect(!world.sends().isEmpty)
    }

    @Test("what ends or is renewed while it is sent leaves nothing behind")
    func races() throws {
        let world = PushWorld()
        let made = try #require(world.subscribe(PushFixture.subscription(1)))
        world.change(1)
        let send = try #require(world.next())
        world.book.remove(made.id, because: .revoked)
        #expect(world.book.count == 0)
        #expect(world.end(send, .gone) == .goesOn)
        #expect(world.book.sendsUnderWay == 0 && world.book.lanes.isEmpty && world.book.counts.ended == [.revoked: 1])

        world.subscribe(PushFixture.subscription(1))
        world.change(2)
        let second = try #require(world.next())
        world.change(3)
        // The same again: what is being sent is not sent twice, and what waits is kept.
        world.subscribe(PushFixture.subscription(1))
        #expect(world.next() == nil)
        world.end(second)
        #expect(world.deliver() == [3])
        // Other sources: what waited is not of them.
        world.change(4)
        world.subscribe(PushFixture.subscription(1, sources: "rates", since: 4))
        #expect(world.next() == nil)
        world.change(5, source: "rates")
        #expect(world.deliver() == [5])
        #expect(world.book.waitingBytes == 0)
    }

    @Test("a restart goes on with what was not delivered, and with nothing else")
    func restart() throws {
        let world = PushWorld()
        for number in 1...3 { world.subscribe(PushFixture.subscription(number, host: Self.host(number))) }
        world.change(1)
        for send in world.sends() {
            world.end(send, send.subscription.host == Self.host(2) ? .failed("connect") : .delivered)
        }
        // As the shell does: every row at first, then those that changed.
        var rows: [[UInt8]: PushRow] = [:]
        for row in world.book.allRows + world.book.rowsToKeep(head: PushFixture.cursor(1)) { rows[row.key] = row }
        let later = WallTime(milliseconds: world.wall.milliseconds + 1)
        let again = PushWorld(PushBook(restoring: RestoredPush(Array(rows.values), now: later)))
        #expect(again.book.count == 3)
        let feed = PushFeed(source: "orders")
        let reads = again.book.reads(of: "orders", head: PushFixture.cursor(1))
        #expect(reads.count == 1 && reads.first?.feed == feed && reads.first?.after.sequence == 0)
        again.change(1)
        let sends = again.sends()
        #expect(sends.map(\.subscription.host) == [Self.host(2)])
        again.end(try #require(sends.first))
        // It is not behind any more, and the disk gets to know.
        let settled = again.book.rowsToKeep(head: PushFixture.cursor(1))
        #expect(settled.count == 2)
        for row in settled { rows[row.key] = row }
        let third = RestoredPush(Array(rows.values), now: later)
        #expect(third.behind.isEmpty && third.subscriptions.allSatisfy { $0.since.sequence == 1 })
    }

    @Test("a log of another numbering is a gap for those who come from the old one, once")
    func epochs() {
        let world = PushWorld()
        world.subscribe(PushFixture.subscription(1, since: 5))
        let head = Cursor(epoch: Epoch(rawValue: 99), sequence: 3)
        let feed = PushFeed(source: "orders")
        let first = world.book.reads(of: "orders", head: head)
        #expect(first.first?.after == PushFixture.cursor(5))
        let gap = PushEvent(gapOf: "orders", since: PushFixture.cursor(5), cursor: head, at: PushFixture.start)
        world.book.take([gap], of: feed, upTo: head)
        #expect(world.sends().first?.message.content == nil)
        let second = world.book.reads(of: "orders", head: Cursor(epoch: head.epoch, sequence: 4))
        #expect(second.first?.after == head)
    }
}
