import FreshetCore
import FreshetTesting
import Glibc
import System
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("Readers of bodies")
struct BodyReaderTests {
    private let inbox: LaneInbox
    private let readers: BodyReaders

    init() throws {
        self.inbox = LaneInbox(wakeUp: try WakeUp())
        var limits = PollerConfiguration.Bodies()
        limits.maxThreads = 1
        self.readers = BodyReaders(inbox: self.inbox, limits: limits)
    }

    private static func job(_ number: UInt64, rows: Int) -> BodyReaders.Job {
        let configuration = SourceConfiguration(name: "table", url: "http://127.0.0.1/")
        let machine = SourceStateMachine(configuration: configuration, phase: 0, now: .now, wall: .now)
        let records = (0..<rows).map { "\($0),the name of row \($0)" }
        let body = Array("id,name\n\(records.joined(separator: "\n"))\n".utf8)
        let reading = machine.reading(ofPushed: body, contentType: Array("text/csv".utf8), wall: .now)
        let source = SourceID(index: Int(number))
        return BodyReaders.Job(number: number, source: source, readings: [(source, reading)], bytes: body.count)
    }

    /// The next deliveries, in the order in which they come.
    private func deliveries(_ count: Int) async -> [BodyReaders.Delivery] {
        var found: [BodyReaders.Delivery] = []
        let start = ContinuousClock.now
        while found.count < count, ContinuousClock.now - start < .patience {
            for case .bodyRead(let delivery) in self.inbox.take() { found.append(delivery) }
            await Task.yield()
        }
        return found
    }

    private static func isEmptied(_ delivery: BodyReaders.Delivery) async -> Bool {
        let start = ContinuousClock.now
        while delivery.result != nil, ContinuousClock.now - start < .patience { await Task.yield() }
        return delivery.result == nil
    }

    @Test("what the poll thread is done with is let go of by a reader, in its turn")
    func letGo() async throws {
        #expect(self.readers.submit(Self.job(1, rows: 10)))
        let first = try #require(await self.deliveries(1).first)
        #expect(first.result?.number == 1)
        // The one reader is at work for a while.
        #expect(self.readers.submit(Self.job(2, rows: 200_000)))
        self.readers.letGo(of: first)
        #expect(first.result != nil, "it was let go of at once")
        #expect(await Self.isEmptied(first))
        let second = try #require(await self.deliveries(1).first)
        self.readers.letGo(of: second)
        #expect(await Self.isEmptied(second), "no reader was at work")
    }

    @Test("after the end it is let go of at once")
    func closed() async throws {
        #expect(self.readers.submit(Self.job(1, rows: 10)))
        let delivery = try #require(await self.deliveries(1).first)
        self.readers.close()
        self.readers.letGo(of: delivery)
        #expect(delivery.result == nil)
    }

    @Test("a thread that gives way does, and no other")
    func givesWay() async throws {
        func scheduling(givesWay: Bool) async throws -> [Int32] {
            try await withCheckedThrowingContinuation { continuation in
                do {
                    try SystemThread.detach(name: "scheduling", givesWay: givesWay) {
                        let niceness = getpriority(__priority_which_t(PRIO_PROCESS.rawValue), 0)
                        continuation.resume(returning: [sched_getscheduler(0), niceness])
                    }
                } catch {
                    continuation.resume(throwing: error)
                }
            }
        }
        let usual = try await scheduling(givesWay: false)
        let other = try await scheduling(givesWay: true)
        // SCHED_BATCH is a macro that Swift does not import.
        #expect(other[0] == 3 && usual[0] == SCHED_OTHER)
        #expect(other[1] > usual[1])
        #expect(try await scheduling(givesWay: false) == usual)
    }
}
