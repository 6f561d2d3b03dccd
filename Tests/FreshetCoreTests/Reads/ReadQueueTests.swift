import FreshetCore
import System
import Testing

@Suite("Reads that wait")
struct ReadQueueTests {
    private typealias Queue = ReadQueue<String>

    private static func client(_ number: UInt64) -> ReadClient { ReadClient(high: 0, low: number) }

    /// Everything that is left in a lane, in the order in which it runs.
    private static func rest(of queue: inout ReadQueue<String>, in lane: ReadLane) -> [String] {
        var jobs: [String] = []
        while let job = queue.next(in: lane) {
            jobs.append(job)
        }
        return jobs
    }

    @Test("A07 a stream is not behind requests, and a page is before a value that is rebuilt")
    func urgency() throws {
        var queue = Queue()
        _ = try queue.add("value", urgency: .rebuild, for: Self.client(1))
        _ = try queue.add("page", urgency: .page, for: Self.client(1))
        _ = try queue.add("stream", urgency: .stream, for: Self.client(1))
        #expect(Self.rest(of: &queue, in: .streams) == ["stream"])
        #expect(Self.rest(of: &queue, in: .requests) == ["page", "value"])
        #expect(queue.next(in: .requests) == nil && queue.count == 0)
    }

    @Test("A07 pages do not keep a rebuild waiting for good: it has every fourth turn")
    func share() throws {
        var queue = Queue()
        for number in 0..<20 { _ = try queue.add("p\(number)", urgency: .page, for: Self.client(1)) }
        for number in 0..<2 { _ = try queue.add("r\(number)", urgency: .rebuild, for: Self.client(2)) }
        let order = Self.rest(of: &queue, in: .requests)
        #expect(order.firstIndex(of: "r0") == 3 && order.firstIndex(of: "r1") == 7)
        #expect(order.count == 22)
    }

    @Test("A07 clients take turns, so that one with many reads delays another by one", arguments: ReadUrgency.allCases)
    func turns(urgency: ReadUrgency) throws {
        var queue = Queue(limits: .init(maxWaiting: 1000, maxWaitingPerClient: 1000))
        for number in 0..<500 { _ = try queue.add("a\(number)", urgency: urgency, for: Self.client(1)) }
        _ = try queue.add("b", urgency: urgency, for: Self.client(2))
        for number in 0..<3 { _ = try queue.add("c\(number)", urgency: urgency, for: Self.client(3)) }
        let order = Self.rest(of: &queue, in: urgency.lane)
        #expect(order.prefix(8) == ["a0", "b", "c0", "a1", "c1", "a2", "c2", "a3"])
        #expect(order.count == 504)
    }

    @Test("A06 requests are bounded in all and per client, streams are not, and what leaves makes room")
    func bounds() throws {
        var queue = Queue(limits: .init(maxWaiting: 5, maxWaitingPerClient: 3))
        var ids: [UInt64] = []
        for _ in 0..<2 { ids.append(try queue.add("a", urgency: .rebuild, for: Self.client(1))) }
        ids.append(try queue.add("a", urgency: .page, for: Self.client(1)))
        #expect(throws: ReadRefusal.address) { try queue.add("a", urgency: .page, for: Self.client(1)) }
        for _ in 0..<2 { _ = try queue.add("b", urgency: .page, for: Self.client(2)) }
        #expect(throws: ReadRefusal.full) { try queue.add("c", urgency: .page, for: Self.client(3)) }
        for _ in 0..<100 { _ = try queue.add("s", urgency: .stream, for: Self.client(1)) }
        #expect(queue.cancel(ids[0]) == "a" && queue.cancel(ids[0]) == nil)
        _ = try queue.add("c", urgency: .page, for: Self.client(3))
        #expect(throws: ReadRefusal.full) { try queue.add("c", urgency: .page, for: Self.client(3)) }
        #expect(queue.next(in: .requests) != nil)
        _ = try queue.add("d", urgency: .page, for: Self.client(4))
    }

    @Test("A07 a read that was cancelled does not run, whichever those are", arguments: [1, 2, 3, 4, 5])
    func cancelled(seed: UInt64) throws {
        var random = SplitMix64(seed: seed)
        var queue = Queue(limits: .init(maxWaiting: .max, maxWaitingPerClient: .max))
        var expected: Set<String> = []
        for number in 0..<2000 {
            let urgency = ReadUrgency.allCases[Int.random(in: 0..<3, using: &random)]
            let id = try queue.add("\(number)", urgency: urgency, for: Self.client(.random(in: 0..<20, using: &random)))
            if Int.random(in: 0..<10, using: &random) < 8 {
                #expect(queue.cancel(id) == "\(number)")
            } else {
                expected.insert("\(number)")
            }
        }
        #expect(queue.count == expected.count)
        let order = Self.rest(of: &queue, in: .streams) + Self.rest(of: &queue, in: .requests)
        #expect(order.count == expected.count && Set(order) == expected)
        #expect(queue.count == 0)
    }
}

@Suite("Where reads are handed in")
struct ReadDeskTests {
    private static func hub(_ desk: ReadDesk) throws -> (hub: Hub, source: SourceID, cursor: Cursor) {
        // Small, so that values of the past are rebuilt from patches: on the desk's thread.
        let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 9), cache: ChangeCache(maxBytes: 6000)), reads: desk)
        let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "test")
        let source = try #require(hub.addSource("a", status: status))
        for number in 1...10 {
            let value = SimulatedValue(number: number - 1, previous: max(0, number - 2))
            hub.publish(try value.change(to: number, at: Int64(number) * 1000), of: source)
        }
        return (hub, source, Cursor(epoch: Epoch(rawValue: 9), sequence: 3))
    }

    @Test("A07 a task that is cancelled before its read began ends as abandoned, and the read is not carried out")
    func cancelled() async throws {
        let desk = ReadDesk { _, _ in }
        let (hub, source, cursor) = try Self.hub(desk)
        let tasks = (0..<5).map { _ in Task { try await hub.value(of: source, at: cursor) } }
        while desk.statistics.waiting < 5 { await Task.yield() }
        for task in tasks[1...] { task.cancel() }
        for task in tasks[1...] {
            await #expect(throws: ReadRefusal.abandoned) { try await task.value }
        }
        #expect(desk.statistics.waiting == 1 && desk.statistics.refusals == [.abandoned: 4])
        desk.runAll(in: .requests)
        guard case .value = try await tasks[0].value else {
            Issue.record("the one that was not cancelled has no value")
            return
        }
        #expect(desk.statistics.done == 1)
    }

    @Test("A07 a read of a stream is given up with its ticket")
    func ticket() throws {
        let desk = ReadDesk { _, _ in }
        let (hub, source, cursor) = try Self.hub(desk)
        let subscription = hub.subscribe(to: [source], format: StreamFormat())
        defer { hub.unsubscribe(subscription) }
        var ticket = hub.fetch(subscription, after: cursor.sequence, limit: 10) { _ in
            Issue.record("it was read for nobody")
        }
        #expect(ticket != nil && desk.statistics.waiting == 1)
        ticket = nil
        #expect(desk.statistics.waiting == 0)
        desk.runAll(in: .streams)
    }

    @Test("A10 readers of one value of the past share its bytes, whether as text or as an event")
    func shared() async throws {
        let (hub, source, cursor) = try Self.hub(ReadDesk())
        var texts: Set<UnsafeRawPointer?> = []
        var frames: Set<UnsafeRawPointer?> = []
        for _ in 0..<5 {
            guard case .value(let value) = try await hub.value(of: source, at: cursor) else {
                Issue.record("no value")
                return
            }
            #expect(!value.isVerbatim, "else this shows nothing")
            texts.insert(value.text.withUnsafeBytes { $0.baseAddress })
            let time = StreamPosition.time(value.at)
            guard case .past(let start) = try await hub.locate(time, of: [source], needs: .events(.eventStream)) else {
                Issue.record("no position")
                return
            }
            #expect(start.snapshots.count == 1)
            for frame in start.snapshots { frames.insert(frame.bytes.withUnsafeBytes { $0.baseAddress }) }
        }
        #expect(texts.count == 1 && frames.count == 1)
    }
}
