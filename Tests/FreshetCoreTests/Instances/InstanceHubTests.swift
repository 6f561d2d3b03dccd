import JSON
import Testing

@testable import FreshetCore

@Suite("Instances in the hub")
struct InstanceHubTests {
    private let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 7)))
    private let group = IdleGroup(number: 1)
    private static let status = SourceStatus(
        stateSince: WallTime(milliseconds: 0),
        interval: .seconds(1),
        intervalReason: "as configured"
    )

    private func instance(_ name: String, at seconds: Int64, _ groups: [IdleGroup]? = nil) throws -> SourceID {
        try #require(
            self.hub.addInstance(
                name,
                identity: "",
                status: Self.status,
                in: groups ?? [self.group],
                now: MonotonicTime(nanoseconds: seconds * 1_000_000_000)
            )
        )
    }

    private func idle(for seconds: Int64, at now: Int64) -> SourceID? {
        let now = MonotonicTime(nanoseconds: now * 1_000_000_000)
        return self.hub.idleInstance(in: self.group, for: .seconds(seconds), now: now)
    }

    @Test("no pattern names an instance, its own name does")
    func names() throws {
        let plain = try #require(self.hub.addSource("user", status: Self.status))
        let one = try self.instance("user/1", at: 0)
        func resolved(_ text: String) throws -> [SourceID]? {
            try? self.hub.resolve(try #require(SourceSelector(text))).get()
        }
        #expect(try resolved("*") == [plain])
        #expect(try resolved("user*") == [plain])
        #expect(try resolved("user/*") == [])
        #expect(try resolved("user/1") == [one])
        #expect(try resolved("*,user/1") == [plain, one])
        #expect(self.hub.sources(matching: .all) == [plain])
        #expect(self.hub.sources(matching: SourcePattern([.exact("user/1")])) == [one])
        #expect(self.hub.sources().map(\.name) == ["user", "user/1"])
        let additions = self.hub.additions
        _ = try self.instance("user/2", at: 0)
        #expect(self.hub.additions == additions, "streams of patterns need not look again")
        #expect(
            self.hub.addInstance(
                "user/1",
                identity: "",
                status: Self.status,
                in: [self.group],
                now: .init(nanoseconds: 0)
            ) == nil
        )
    }

    @Test("whoever has had no reader for longest is the first to go, and one with a reader never")
    func order() throws {
        let ids = try (1...4).map { try self.instance("user/\($0)", at: 0) }
        let format = StreamFormat(mode: .patch, wire: .eventStream)
        #expect(self.hub.idleInstance(in: self.group) == ids[0])
        let stream = self.hub.subscribe(to: [ids[0], ids[1]], format: format)
        #expect(self.hub.idleInstance(in: self.group) == ids[2])
        var held: SourceHold? = self.hub.hold(ids[2], patience: .zero).hold
        #expect(held != nil && self.hub.idleInstance(in: self.group) == ids[3])
        self.hub.beginWait(for: [ids[3]])
        #expect(self.hub.idleInstance(in: self.group) == nil)
        self.hub.unsubscribe(stream)
        #expect(self.hub.idleInstance(in: self.group) == ids[0])
        held = nil
        self.hub.endWait(for: [ids[3]])
        self.hub.removeSource(ids[0])
        self.hub.removeSource(ids[1])
        #expect(self.hub.idleInstance(in: self.group) == ids[2])
        #expect(self.hub.hold(ids[2], patience: .zero).wasIdle)
        #expect(self.hub.idleInstance(in: self.group) == ids[3], "who was read once more goes last")
    }

    @Test("an instance lingers from its last reader on, in every group that it is in")
    func linger() throws {
        let other = IdleGroup(number: 2)
        let first = try self.instance("user/1", at: 100)
        let second = try self.instance("user/2", at: 105, [self.group, other])
        #expect(self.idle(for: 10, at: 109) == nil)
        #expect(self.idle(for: 10, at: 110) == first)
        var hold: SourceHold? = self.hub.hold(first, patience: .zero).hold
        #expect(hold != nil && self.idle(for: 10, at: 114) == nil)
        #expect(self.idle(for: 10, at: 115) == second)
        #expect(self.hub.idleInstance(in: other) == second)
        hold = nil
        self.hub.removeSource(second)
        #expect(self.hub.idleInstance(in: other) == nil)
        #expect(self.idle(for: 10, at: 124) == nil)
        #expect(self.idle(for: 10, at: 125) == first)
    }

    @Test("a reader at another gateway is one, and what was looked at in vain goes to the end")
    func elsewhere() throws {
        let first = try self.instance("user/1", at: 100)
        let second = try self.instance("user/2", at: 101)
        func note(_ names: Set<String>, at seconds: Int64) -> [SourceID] {
            let now = MonotonicTime(nanoseconds: seconds * 1_000_000_000)
            return self.hub.note(owners: ["user/1": "a"], readElsewhere: names, now: now)
        }
        #expect(note(["user/1"], at: 102) == [first])
        #expect(note(["user/1"], at: 103).isEmpty)
        #expect(self.hub.report(of: first)?.owner == "a" && self.hub.isListenedTo(first) && !self.hub.isReadHere(first))
        #expect(self.idle(for: 1, at: 104) == second)
        self.hub.postpone(second, now: MonotonicTime(nanoseconds: 104 * 1_000_000_000))
        #expect(self.idle(for: 1, at: 104) == nil && self.idle(for: 1, at: 105) == second)
        self.hub.noteReadElsewhere(second)
        #expect(self.idle(for: 0, at: 105) == nil)
        #expect(note([], at: 106).isEmpty)
        #expect(self.idle(for: 1, at: 106) == nil && self.idle(for: 1, at: 107) != nil)
        // One that is read is not idle because it is postponed.
        let hold = self.hub.hold(first, patience: .zero).hold
        self.hub.postpone(first, now: MonotonicTime(nanoseconds: 108 * 1_000_000_000))
        withExtendedLifetime(hold) { #expect(self.idle(for: 0, at: 109) == second) }
    }

    @Test(
        "one that other gateways had before begins with a gap for those who read on from before",
        arguments: [true, false]
    )
    func late(isShared: Bool) throws {
        let other = try #require(self.hub.addSource("other", status: Self.status))
        let document = try Document(parsing: Array("[1]".utf8))
        let before = self.hub.cursor
        _ = try self.published(document, of: other)
        let id = try #require(
            self.hub.addInstance(
                "user/1",
                identity: "",
                status: Self.status,
                in: [self.group],
                isShared: isShared,
                now: MonotonicTime(nanoseconds: 0)
            )
        )
        let reading = self.hub.changesInMemory(of: [id], after: before, limit: 10)
        if case .gap = reading { #expect(isShared) } else { #expect(!isShared) }
        if case .gap = self.hub.changesInMemory(of: [id], after: self.hub.cursor, limit: 10) { Issue.record("a gap") }
    }

    @Test("instances that come and go leave nothing behind, and the next of a name is none of an earlier one's")
    func churn() throws {
        let document = try Document(parsing: Array("[1]".utf8))
        let cursor = try self.published(document, of: try self.instance("user/0", at: 0))
        for number in 1...20_000 {
            let id = try self.instance("user/\(number % 100 + 1)", at: 0)
            _ = try self.published(document, of: id)
            self.hub.removeSource(id)
        }
        self.hub.state.withLock { state in
            #expect(state.entries.count == 1 && state.instances.count == 1)
            #expect(state.log.cache.shelves.count == 1 && state.log.cache.count == 1)
            #expect(state.end(ofEarlier: "user/7") == 0, "nothing was kept that could be taken for another's")
        }
        let again = try self.instance("user/5", at: 0)
        let gap = self.hub.state.withLock { $0.log.gap(after: cursor, of: [again], mode: .patch) }
        #expect(gap == .evicted, "who was in the middle of an earlier one is told")
    }

    private func published(_ document: Document, of id: SourceID) throws -> Cursor {
        self.hub.publish(Change(document: document, at: WallTime(milliseconds: 0)), of: id)
        return try #require(self.hub.version(of: id)?.cursor)
    }
}
