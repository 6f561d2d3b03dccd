// The order of writes, as a table of who may begin when.

import Testing

@testable import FreshetCore

@Suite("The queue of writes")
struct WriteQueueTests {
    private static let source = SourceID(index: 3)

    private static func ticket(_ entrance: WriteQueue.Entrance) -> WriteQueue.Ticket? {
        switch entrance {
        case .go(let ticket), .wait(let ticket): ticket
        case .full: nil
        }
    }

    private static func runs(_ entrance: WriteQueue.Entrance) -> Bool {
        if case .go = entrance { return true }
        return false
    }

    @Test("writes of one item wait for each other, in their order; those of others do not")
    func items() throws {
        var queue = WriteQueue()
        let first = queue.enter(Self.source, key: "a", isNew: false)
        let second = queue.enter(Self.source, key: "a", isNew: false)
        let third = queue.enter(Self.source, key: "a", isNew: false)
        let other = queue.enter(Self.source, key: "b", isNew: false)
        let elsewhere = queue.enter(SourceID(index: 4), key: "a", isNew: false)
        #expect(Self.runs(first) && !Self.runs(second) && !Self.runs(third) && Self.runs(other) && Self.runs(elsewhere))
        #expect(queue.running == 3 && queue.waiting == 2)
        #expect(queue.leave(Self.source, try #require(Self.ticket(other))).isEmpty)
        #expect(queue.leave(Self.source, try #require(Self.ticket(first))) == [try #require(Self.ticket(second))])
        #expect(queue.leave(Self.source, try #require(Self.ticket(second))) == [try #require(Self.ticket(third))])
        #expect(queue.leave(Self.source, try #require(Self.ticket(third))).isEmpty)
        #expect(queue.running == 1 && queue.waiting == 0)
    }

    @Test("a write of the whole value waits for all before it, and all after it wait for it; creations have no item")
    func whole() throws {
        var queue = WriteQueue()
        let item = queue.enter(Self.source, key: "a", isNew: false)
        let creation = queue.enter(Self.source, key: nil, isNew: true)
        let whole = queue.enter(Self.source, key: nil, isNew: false)
        let later = queue.enter(Self.source, key: "b", isNew: false)
        #expect(Self.runs(item) && Self.runs(creation) && !Self.runs(whole) && !Self.runs(later))
        #expect(queue.leave(Self.source, try #require(Self.ticket(item))).isEmpty)
        #expect(queue.leave(Self.source, try #require(Self.ticket(creation))) == [try #require(Self.ticket(whole))])
        #expect(queue.leave(Self.source, try #require(Self.ticket(whole))) == [try #require(Self.ticket(later))])
    }

    @Test("bounds: so many at a time of a source and in all, so many that wait, and sources take turns")
    func bounds() throws {
        var limits = WriteQueue.Limits()
        (limits.perSource, limits.underWay, limits.waitingPerSource, limits.waiting) = (2, 3, 2, 3)
        var queue = WriteQueue(limits: limits)
        let (one, two) = (SourceID(index: 1), SourceID(index: 2))
        let first = (0..<4).map { queue.enter(one, key: "\($0)", isNew: false) }
        #expect(first.map(Self.runs) == [true, true, false, false])
        #expect(queue.enter(one, key: "9", isNew: false) == .full)
        let second = (0..<2).map { queue.enter(two, key: "\($0)", isNew: false) }
        #expect(second.map(Self.runs) == [true, false])
        #expect(queue.enter(two, key: "9", isNew: false) == .full, "the bound of all")
        // Room of one's own source first; in all, by turns.
        #expect(queue.leave(one, try #require(Self.ticket(first[0]))) == [try #require(Self.ticket(first[2]))])
        #expect(queue.leave(one, try #require(Self.ticket(first[1]))) == [try #require(Self.ticket(second[1]))])
        #expect(queue.leave(two, try #require(Self.ticket(second[0]))) == [try #require(Self.ticket(first[3]))])
        #expect(queue.waiting == 0 && queue.running == 3)
    }

    @Test("one that waits and is given up makes nobody wait longer")
    func abandoned() throws {
        var queue = WriteQueue()
        let first = queue.enter(Self.source, key: "a", isNew: false)
        let second = queue.enter(Self.source, key: "a", isNew: false)
        let third = queue.enter(Self.source, key: "a", isNew: false)
        #expect(queue.leave(Self.source, try #require(Self.ticket(second))).isEmpty)
        #expect(queue.leave(Self.source, try #require(Self.ticket(first))) == [try #require(Self.ticket(third))])
    }
}
