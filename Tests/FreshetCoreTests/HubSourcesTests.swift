import JSON
import Synchronization
import Testing

@testable import FreshetCore
@testable import FreshetSimulation

/// Sources that come and go while subscribers hold cursors: what a reload does to the log (FAULTS F73).
@Suite("Sources of a hub")
struct HubSourcesTests {
    /// A hub, with a disk that commits at once or with none.
    private struct Fixture {
        static let epoch = Epoch(rawValue: 7)
        let disk: SimulatedDisk?
        let hub: Hub

        init(isDurable: Bool) {
            self.disk = isDurable ? SimulatedDisk(epoch: Self.epoch, bug: nil) : nil
            self.hub = Hub(log: ChangeLog(epoch: Self.epoch), store: self.disk)
        }

        func add(_ name: String, identity: String = "") throws -> SourceID {
            let status = SourceStatus(
                stateSince: WallTime(milliseconds: 0),
                interval: .seconds(1),
                intervalReason: "test"
            )
            return try #require(self.hub.addSource(name, identity: identity, status: status))
        }

        /// Publishes, and returns the cursor; `nil` for a change that was dropped.
        @discardableResult
        func publish(_ number: Int, of source: SourceID) throws -> Cursor? {
            let given = Box<Cursor?>(nil)
            self.hub.publish(try SimulatedValue.change(to: number), of: source) { given.value = $0 }
            self.disk?.commit(.max)
            return given.value
        }

        /// Why a stream of these sources cannot resume from a cursor; `nil` where it can.
        func gap(_ sources: [SourceID], after cursor: Cursor) -> GapReason? {
            let subscription = self.hub.subscribe(to: sources, format: StreamFormat())
            defer { self.hub.unsubscribe(subscription) }
            if let gap = self.hub.open(subscription, at: .after(cursor)).gap { return gap }
            var feed = self.hub.read(subscription, after: cursor.sequence, limit: 100, maySkip: false)
            if case .stored = feed {
                let fetched = Box(feed)
                _ = self.hub.fetch(subscription, after: cursor.sequence, limit: 100) { fetched.value = $0 }
                feed = fetched.value
            }
            if case .gap(let reason, _, _) = feed { return reason }
            return nil
        }
    }

    private final class Box<Value: Sendable>: Sendable {
        private let state: Mutex<Value>

        init(_ value: Value) { self.state = Mutex(value) }

        var value: Value {
            get { self.state.withLock { $0 } }
            set { self.state.withLock { $0 = newValue } }
        }
    }

    @Test(
        "one that is removed and comes again is no continuation: who was in the middle of it is told",
        arguments: [false, true]
    )
    func comesAgain(isDurable: Bool) throws {
        let fixture = Fixture(isDurable: isDurable)
        let (a, b) = (try fixture.add("a"), try fixture.add("b"))
        let first = try #require(try fixture.publish(1, of: a))
        try fixture.publish(2, of: a)
        let last = try #require(try fixture.publish(1, of: b))
        #expect(fixture.gap([a, b], after: first) == nil)
        fixture.hub.removeSource(a)
        let again = try fixture.add("a")
        // Before and after the disk has carried the removal out, and before and after the new one's first change.
        #expect(fixture.gap([b, again], after: first) == .evicted)
        fixture.disk?.commit(.max)
        #expect(fixture.gap([b, again], after: first) == .evicted)
        try fixture.publish(5, of: again)
        #expect(fixture.gap([b, again], after: first) == .evicted)
        #expect(fixture.gap([b, again], after: last) == nil)
    }

    @Test("what is published of one that is removed is dropped, and has no number", arguments: [false, true])
    func published(isDurable: Bool) throws {
        let fixture = Fixture(isDurable: isDurable)
        let (a, b) = (try fixture.add("a"), try fixture.add("b"))
        try fixture.publish(1, of: a)
        fixture.hub.removeSource(a)
        let again = try fixture.add("a")
        #expect(try fixture.publish(2, of: a) == nil)
        #expect(try fixture.publish(1, of: b) == Cursor(epoch: Fixture.epoch, sequence: 2))
        #expect(fixture.hub.version(of: again) == nil)
        #expect(fixture.disk?.contents.sources.map(\.name) ?? ["b"] == ["b"])
    }

    @Test("one whose changes wait for the disk when it is removed shows none of them")
    func pending() throws {
        let fixture = Fixture(isDurable: true)
        let a = try fixture.add("a")
        let given = Box<[Cursor?]>([])
        fixture.hub.publish(try SimulatedValue.change(to: 1), of: a) { cursor in given.value.append(cursor) }
        fixture.hub.removeSource(a)
        fixture.disk?.commit(.max)
        #expect(given.value == [nil])
        #expect(fixture.hub.cursor.sequence == 0)
        #expect(fixture.disk?.contents.sources.isEmpty == true)
    }

    @Test("a value is kept under what it depended on when it was published")
    func identity() throws {
        let fixture = Fixture(isDurable: true)
        let a = try fixture.add("a", identity: "one")
        try fixture.publish(1, of: a)
        #expect(fixture.disk?.contents.sources.map(\.identity) == ["one"])
        fixture.hub.identify(a, as: "two")
        #expect(fixture.disk?.contents.sources.map(\.identity) == ["one"])
        try fixture.publish(2, of: a)
        #expect(fixture.disk?.contents.sources.map(\.identity) == ["two"])
    }

    @Test("what an earlier process left of another source is not this one's past")
    func disowned() throws {
        let earlier = Fixture(isDurable: true)
        let old = try earlier.add("a", identity: "one")
        let first = try #require(try earlier.publish(1, of: old))
        try earlier.publish(2, of: old)
        let disk = try #require(earlier.disk)
        let hub = Hub(log: ChangeLog(epoch: Fixture.epoch, head: disk.contents.head), store: disk)
        hub.release("a")
        let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "test")
        let new = try #require(hub.addSource("a", identity: "two", status: status))
        let subscription = hub.subscribe(to: [new], format: StreamFormat())
        let feed = Box(StreamFeed.stored)
        for _ in 0..<2 {
            _ = hub.fetch(subscription, after: first.sequence, limit: 10) { feed.value = $0 }
            guard case .gap(.evicted, let snapshots, _) = feed.value else {
                Issue.record("the other's changes were read: \(feed.value)")
                return
            }
            #expect(snapshots.isEmpty)
            disk.commit(.max)
        }
    }

    private final class Listener: HubListener {
        let notices = Mutex<[HubNotice]>([])

        func enqueue(_ notice: HubNotice) {
            self.notices.withLock { $0.append(notice) }
        }

        func wake() {}
    }

    @Test("listeners hear of a new one before its first change")
    func announced() throws {
        let fixture = Fixture(isDurable: false)
        let listener = Listener()
        fixture.hub.attach(listener)
        let a = try fixture.add("a")
        try fixture.publish(1, of: a)
        fixture.hub.removeSource(a)
        let notices = listener.notices.withLock { $0 }.map { notice in
            switch notice {
            case .added(let id, let name): "added \(name) \(id == a)"
            case .published(let event): "published \(event.sequence)"
            case .removed(let id): "removed \(id == a)"
            case .status: "status"
            case .interrupted: "interrupted"
            }
        }
        #expect(notices == ["added a true", "published 1", "removed true"])
    }
}

@Suite("Names of removed sources")
struct RetiredNamesTests {
    @Test("are remembered up to a bound, past which every name counts as one")
    func bound() {
        var names = RetiredNames()
        #expect(names.end(of: "a") == 0)
        for number in 1...RetiredNames.maxNames {
            names.retire("n\(number)", at: UInt64(number))
        }
        #expect(names.end(of: "n7") == 7)
        #expect(names.end(of: "other") == 0)
        names.retire("one more", at: 20_000)
        #expect(names.end(of: "one more") == 20_000)
        #expect(names.end(of: "n7") == UInt64(RetiredNames.maxNames))
        #expect(names.end(of: "other") == UInt64(RetiredNames.maxNames))
    }
}
