import FreshetStreaming
import FreshetTesting
import JSON
import System
import Testing

@testable import FreshetCore
@testable import FreshetSimulation

/// What is published while a shard takes its turn: in the log that the turn reads, and told with the next.
@Suite("A notice that comes late")
struct LateNoticeTests {
    /// A shard with one stream of everything, whose connection holds `capacity` bytes.
    private final class Fixture {
        let ledger = Ledger()
        let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 7)))
        let clock = SimulatedClock()
        let shard: SimulatedShard
        let socket: SimulatedSocket
        var reader = StreamReader(framing: .chunked)

        init(capacity: Int) throws {
            self.shard = SimulatedShard(
                number: 0,
                hub: self.hub,
                ledger: self.ledger,
                clock: self.clock,
                seed: 1,
                bug: nil
            )
            self.socket = SimulatedSocket(SimulatedSocket.Character(capacity: capacity))
        }

        func add(_ name: String) throws -> SourceID {
            let status = SourceStatus(
                stateSince: WallTime(milliseconds: 0),
                interval: .seconds(1),
                intervalReason: "test"
            )
            return try #require(self.hub.addSource(name, status: status))
        }

        func publish(_ number: Int, of source: SourceID) throws {
            self.hub.publish(try SimulatedValue(number: 0, previous: 0).change(to: number), of: source)
        }

        func connect(_ sources: [SourceID]) throws {
            guard case .admitted(let ticket) = AdmissionDesk(maxTotal: 1, maxPerAddress: 0).admit(.local) else {
                Issue.record("there is no place")
                return
            }
            let handover = StreamHandover(
                connection: self.socket,
                sources: sources,
                pattern: SourcePattern(try #require(SourceSelector("*"))),
                format: StreamFormat(),
                position: .latest,
                head: StreamReader.head,
                framing: .chunked,
                ticket: ticket
            )
            #expect(self.shard.inbox.post(.adopt(handover)))
        }

        /// What the client reads by now, as names of sources.
        func arrive() -> [String] {
            self.socket.arrive(.max).flatMap { self.reader.read($0, self.ledger) }.compactMap { event in
                SimulatedClient.field("data: ", in: event.payload).flatMap {
                    SimulatedClient.text(after: #""source":""#, in: Array($0.utf8)[...])
                }
            }
        }
    }

    @Test("F57: a source that is new, and is not told yet, is not passed by who reads the log")
    func newSource() throws {
        // Room for the beginning of the stream, and not for an event.
        let fixture = try Fixture(capacity: 150)
        let a = try fixture.add("a")
        try fixture.connect([a])
        fixture.shard.turn(late: 0, clock: fixture.clock)
        try fixture.publish(1, of: a)
        fixture.shard.turn(late: 0, clock: fixture.clock)
        #expect(fixture.shard.report(of: fixture.socket)?.state == .behind)
        // The log has two more changes, of which the shard was told nothing.
        let b = try fixture.add("b")
        try fixture.publish(1, of: b)
        try fixture.publish(2, of: a)
        var names: [String] = []
        for _ in 0..<20 {
            names += fixture.arrive()
            fixture.shard.turn(late: .max, clock: fixture.clock)
        }
        #expect(fixture.shard.report(of: fixture.socket)?.state == .live)
        fixture.shard.turn(late: 0, clock: fixture.clock)
        for _ in 0..<20 {
            names += fixture.arrive()
            fixture.shard.turn(late: 0, clock: fixture.clock)
        }
        #expect(names == ["a", "b", "a"])
        #expect(fixture.ledger.objections == [])
    }
}
