// Who may subscribe, what reaches whom, and what an answer means.

import HTTPFields
import JSON
import Testing

@testable import FreshetCore

@Suite("Subscriptions of Web Push")
struct PushBookTests {
    private static let mobile = PushFixture.key("mobile")
    private static let account = PushCaller.account(PushFixture.key("mobile").account)

    @Test("a change reaches those who follow its source, after their beginning, and no others")
    func reach() {
        let world = PushWorld()
        let cases: [(sources: String, since: UInt64)] = [
            ("orders", 0), ("orders,rates", 0), ("*", 0), ("o*", 5), ("rates", 0), ("orders/1", 0),
        ]
        let ids = cases.enumerated().map { number, one in
            world.subscribe(PushFixture.subscription(number, sources: one.sources, since: one.since))?.id
        }
        for send in world.sends() { Issue.record("sent without a change: \(send)") }
        world.change(5)
        // One at a time to a host that has not accepted anything yet.
        var reached: Set<PushID?> = []
        while let send = world.next() {
            reached.insert(send.subscription.id)
            world.end(send)
        }
        #expect(reached == Set(ids[..<3]))
        world.change(6)
        #expect(world.sends().count == 4)
    }

    @Test("a newer message of a topic takes the place of an older one, and topics keep their order")
    func topics() {
        let world = PushWorld()
        world.subscribe(PushFixture.subscription(1))
        for (sequence, item) in [(1, "a"), (2, "b"), (3, "a"), (4, "c"), (5, "b")] as [(UInt64, String)] {
            world.change(sequence, item: item)
        }
        #expect(world.deliver() == [3, 4, 5])
        #expect(world.book.counts.replaced == 2)
        #expect(world.book.waitingBytes == 0)
    }

    @Test("more topics than may wait become one message, whose cursor is before the first of them")
    func joined() throws {
        let world = PushWorld()
        world.subscribe(PushFixture.subscription(1, sources: "orders,rates"))
        for sequence in 1...100 as ClosedRange<UInt64> { world.change(sequence, item: "\(sequence)") }
        let send = try #require(world.next())
        #expect(send.message.topic == .everything && send.message.content == nil)
        #expect(send.message.since.sequence == 0 && send.message.cursor.sequence == 100)
        let text = String(decoding: send.message.text(for: send.subscription), as: UTF8.self)
        #expect(text.contains(#""sources":"orders,rates""#), "\(text)")
        world.end(send)
        #expect(world.next() == nil && world.book.waitingBytes == 0)
    }

    @Test("an answer decides", arguments: [404, 410])
    func gone(status: Int) throws {
        let world = PushWorld()
        let made = try #require(world.subscribe(PushFixture.subscription(1)))
        world.change(1)
        let send = try #require(world.next())
        let outcome = PushOutcome(status: status, fields: [], wallNow: 0)
        #expect(world.end(send, outcome) == .ended)
        #expect(world.book.subscription(made.id) == nil && world.book.counts.ended[.gone] == 1)
        world.change(2)
        #expect(world.next() == nil)
        #expect(world.book.lanes.isEmpty)
    }

    @Test("what is too long is sent once more as a cursor, and then never again")
    func tooLarge() throws {
        let world = PushWorld()
        world.subscribe(PushFixture.subscription(1))
        world.change(1, item: "\"a\"")
        #expect(world.end(try #require(world.next()), .tooLarge) == .goesOn)
        let short = try #require(world.next())
        #expect(short.message.content == nil && short.message.topic.item == Array("\"a\"".utf8))
        world.end(short, .tooLarge)
        #expect(world.next() == nil && world.book.waitingCount == 0)
    }

    @Test("429 waits as long as was asked for, and what is newer goes out then")
    func throttled() throws {
        let world = PushWorld()
        world.subscribe(PushFixture.subscription(1))
        world.subscribe(PushFixture.subscription(2))
        world.change(1)
        let send = try #require(world.next())
        let fields = [HeaderField(name: Array("Retry-After".utf8), value: Array("120".utf8))]
        world.end(send, PushOutcome(status: 429, fields: fields, wallNow: 0))
        // The other subscription of the host goes on.
        let other = try #require(world.next())
        #expect(other.subscription.id != send.subscription.id)
        world.end(other)
        world.change(2)
        #expect(world.deliver() == [2])
        world.pass(.seconds(119))
        #expect(world.next() == nil)
        // The longest that the jitter may add for a first failure.
        world.pass(.seconds(481))
        let again = try #require(world.next())
        #expect(again.subscription.id == send.subscription.id && again.message.cursor.sequence == 2)
        #expect(again.message.since.sequence == 0)
    }

    @Test("a signature that is refused pauses the subscription until it is renewed", arguments: [401, 403])
    func refused(status: Int) throws {
        let world = PushWorld()
        let made = try #require(world.subscribe(PushFixture.subscription(1), Self.account))
        world.change(1)
        guard case .paused = world.end(try #require(world.next()), .refused(status)) else {
            Issue.record("it goes on")
            return
        }
        world.change(2)
        #expect(world.next() == nil && world.book.waitingCount == 0)
        let report = try #require(world.book.report(of: made.id, serverKey: "another"))
        #expect(report.state == .refused && !report.hasPresentKey && report.lastFailure?.contains("\(status)") == true)
        let renewed = try #require(world.subscribe(PushFixture.subscription(1), Self.account))
        #expect(renewed.id == made.id && renewed.createdAt == made.createdAt)
        world.change(3)
        #expect(world.deliver() == [3])
    }

    @Test("other refusals drop a message, and five of them in a row pause as well")
    func refusedOften() throws {
        let world = PushWorld()
        world.subscribe(PushFixture.subscription(1))
        for sequence in 1...5 as ClosedRange<UInt64> {
            world.change(sequence)
            let aftermath = world.end(try #require(world.next()), .refused(400))
            #expect((aftermath == .goesOn) == (sequence < 5))
        }
        world.change(6)
        #expect(world.next() == nil)
    }

    @Test("a message that waits longer than the push service would keep it is dropped")
    func outdated() {
        let world = PushWorld()
        var subscription = PushFixture.subscription(1)
        subscription.ttl = 0
        world.subscribe(subscription)
        world.change(1)
        world.pass(.seconds(61))
        #expect(world.next() == nil && world.book.counts.outdated == 1 && world.book.waitingBytes == 0)
    }

    // MARK: Bounds

    @Test("quotas hold for all, for a caller and for a host, and renewing needs no room")
    func quotas() {
        var limits = PushBook.Limits()
        (limits.maxSubscriptions, limits.maxPerCaller, limits.maxPerHost) = (6, 3, 4)
        let world = PushWorld(PushBook(limits: limits))
        func result(_ number: Int, _ id: String, host: String = "https://a.example:443") -> PushRefusal? {
            let owner = PushFixture.key(id)
            let subscription = PushFixture.subscription(number, of: owner, host: host)
            if case .failure(let refusal) = world.book.subscribe(subscription, countedBy: .account(owner.account)) {
                return refusal
            }
            return nil
        }
        for number in 1...3 { #expect(result(number, "one") == nil) }
        #expect(result(4, "one") == .caller)
        #expect(result(4, "two") == nil)
        #expect(result(5, "two") == .host)
        #expect(result(3, "one") == nil)
        #expect(result(5, "two", host: "https://b.example:443") == nil)
        #expect(result(6, "two", host: "https://b.example:443") == nil)
        #expect(result(7, "three", host: "https://c.example:443") == .full)
        #expect(world.book.count == 6)
        for subscription in world.book.subscriptions { world.book.remove(subscription.id, because: .deleted) }
        #expect(result(7, "one") == nil && world.book.byHost.count == 1 && world.book.byCaller.count == 1)
    }

    @Test("an endpoint goes to another caller only with its keys")
    func taken() throws {
        let world = PushWorld()
        let first = try #require(world.subscribe(PushFixture.subscription(1, of: Self.mobile)))
        let thief = PushFixture.subscription(1, of: PushFixture.key("thief"), secret: 9)
        #expect(world.book.subscribe(thief, countedBy: nil) == .failure(.taken))
        let anonymous = PushFixture.subscription(2, of: .anonymous(.open))
        world.subscribe(anonymous)
        let other = PushFixture.subscription(2, of: .anonymous(.open), secret: 9)
        #expect(world.book.subscribe(other, countedBy: nil) == .failure(.taken))
        // The next user of the same browser.
        let next = PushFixture.subscription(1, of: PushFixture.key("next"), sources: "rates")
        let taken = try #require(world.subscribe(next))
        #expect(taken.id == first.id && taken.owner.id == "next")
        world.change(1)
        #expect(world.sends().allSatisfy { $0.subscription.owner.id != "next" })
    }

    @Test("patterns and pointers are bounded, and named sources are not")
    func patterns() {
        let world = PushWorld()
        for number in 0..<Defaults.Push.maxPatterns {
            #expect(world.subscribe(PushFixture.subscription(number, sources: "a\(number)*")) != nil)
        }
        let more = PushFixture.subscription(1000, sources: "b*")
        #expect(world.book.subscribe(more, countedBy: nil) == .failure(.patterns))
        #expect(world.subscribe(PushFixture.subscription(1000, sources: "a1*")) != nil)
        #expect(world.subscribe(PushFixture.subscription(1001, sources: "b1,b2")) != nil)
        let pointer = Pointer("/a")
        #expect(world.subscribe(PushFixture.subscription(1002, pointer: pointer)) != nil)
        world.change(1, pointer: pointer)
        #expect(world.sends().count == 1)
    }

    @Test("beyond the bytes that may wait, messages are cursors")
    func bytes() {
        var limits = PushBook.Limits()
        limits.maxContentBytes = 16
        let world = PushWorld(PushBook(limits: limits))
        for number in 1...4 { world.subscribe(PushFixture.subscription(number)) }
        world.change(1)
        #expect(world.book.waitingBytes <= 16)
        var contents: [Bool] = []
        while let send = world.next() {
            contents.append(send.message.content != nil)
            world.end(send)
        }
        #expect(contents.count == 4 && contents.contains(true) && contents.contains(false))
        #expect(world.book.waitingBytes == 0)
    }
}
