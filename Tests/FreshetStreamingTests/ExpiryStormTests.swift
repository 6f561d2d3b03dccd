// Many streams that end in one moment, and one that does not.

import CLinux
import FreshetCore
import Glibc
import Testing

@testable import FreshetStreaming

extension StreamingTests {
    @Suite("Streams that end together")
    struct ExpiryStormTests {
        /// `make test-long` has 9,000: both ends of each are descriptors of this process, which may have 20,000.
        private static let count = getenv("FRESHET_EXPIRING").flatMap { Int(String(cString: $0)) } ?? 400

        private static func owner(until: WallTime) -> StreamOwner {
            StreamOwner(
                principal: Principal(kind: .key, id: "mobile", grants: .open, validUntil: until),
                pattern: .all
            )
        }

        /// Nanoseconds from a publication until one client has it.
        private static func delay(of number: Int, _ source: SourceID, to client: StreamClient, _ fixture: StreamFixture)
            throws -> Int64
        {
            let start = clinux_monotonic_ns()
            try fixture.publish(number, of: source)
            #expect(client.receive { $0.events.last?.number == number })
            return clinux_monotonic_ns() - start
        }

        @Test("A08 S9: delay nobody else's event by more than a publication to as many does")
        func storm() throws {
            let fixture = try StreamFixture {
                // All on one thread, where one could keep the other waiting.
                $0.shards = 1
                $0.maxSubscribers = 20_000
            }
            defer { fixture.stop() }
            let (many, alone) = (try fixture.source("many"), try fixture.source("alone"))
            for source in [many, alone] { try fixture.publish(1, of: source, hasPatch: false) }
            // As long as it takes to open them, by what the first ones take, and then some: a handshake takes its time.
            let start = clinux_monotonic_ns()
            let first = try (0..<20).map { _ in try fixture.subscribe(to: [many], at: .latest) }
            let opening = (clinux_monotonic_ns() - start) / Int64(first.count) * Int64(Self.count) / 1_000_000
            let until = WallTime(milliseconds: clinux_realtime_ns() / 1_000_000 + 4000 + 2 * opening)
            let crowd = try (0..<Self.count).map { _ in
                try fixture.subscribe(to: [many], at: .latest, owner: Self.owner(until: until))
            }
            let bystander = try fixture.subscribe(to: [alone], at: .latest)
            #expect(bystander.receive(events: 1))
            #expect(eventually { fixture.server.statistics.subscribers == Self.count + first.count + 1 })
            // What a publication to all of them takes.
            var publication: Int64 = 0
            for number in 2...4 {
                let delivered = fixture.server.statistics.eventsDelivered
                let start = clinux_monotonic_ns()
                try fixture.publish(number, of: many)
                #expect(
                    eventually { fixture.server.statistics.eventsDelivered >= delivered + UInt64(Self.count) }
                )
                publication = max(publication, clinux_monotonic_ns() - start)
            }
            #expect(fixture.server.statistics.closes["expired"] == 0, "they ended before it began")
            // One event after the other: before their end, so that it is known what this machine does by itself, and
            // during it.
            var slowestBefore: Int64 = 0
            var during: [Int64] = []
            var number = 1
            while fixture.server.statistics.closes["expired"] ?? 0 < UInt64(Self.count) {
                number += 1
                let isBefore = clinux_realtime_ns() / 1_000_000 < until.milliseconds
                let delay = try Self.delay(of: number, alone, to: bystander, fixture)
                if isBefore, clinux_realtime_ns() / 1_000_000 < until.milliseconds {
                    slowestBefore = max(slowestBefore, delay)
                } else {
                    during.append(delay)
                }
                poll(nil, 0, 1)
            }
            let overrun = clinux_realtime_ns() / 1_000_000 - until.milliseconds
            // What the scheduler does to one event in ten says nothing: where all end in one turn, one or two events wait.
            let slowest = during.sorted().dropLast(during.count / 10).last ?? 0
            let figures =
                "\(Self.count) streams ended within \(overrun) ms; nine events in ten took \(slowest / 1000) µs, before "
                + "\(slowestBefore / 1000) µs, a publication to all \(publication / 1000) µs"
            // Twice, since a machine that is busy with something else is busy in one of the two alone.
            #expect(slowest <= 2 * max(publication, slowestBefore), "\(figures)")
            if getenv("FRESHET_EXPIRING") != nil { print(figures) }
            #expect(fixture.server.statistics.subscribers == first.count + 1)
            for client in crowd.suffix(10) {
                #expect(client.receiveToEnd())
                #expect(client.events.last == ReceivedEvent(type: "bye", data: #"{"reason":"expired"}"#))
            }
        }

        /// Published all the time around its end: a machine that is busy elsewhere may be late once, and not three times.
        @Test("S9: bring nothing that was published more than a second after `exp`")
        func lastByte() throws {
            var latest = Int64.max
            for _ in 0..<3 where latest > 1000 {
                let fixture = try StreamFixture()
                defer { fixture.stop() }
                let source = try fixture.source("a")
                try fixture.publish(1, of: source, hasPatch: false)
                let until = WallTime(milliseconds: clinux_realtime_ns() / 1_000_000 + 500)
                let client = try fixture.subscribe(to: [source], owner: Self.owner(until: until))
                var published: [Int64] = [0, clinux_realtime_ns() / 1_000_000]
                while !client.isEnded, published.count < 5000 {
                    published.append(clinux_realtime_ns() / 1_000_000)
                    try fixture.publish(published.count - 1, of: source)
                    client.receiveAvailable()
                    poll(nil, 0, 1)
                }
                #expect(client.events.last == ReceivedEvent(type: "bye", data: #"{"reason":"expired"}"#))
                let last = try #require(client.events.last { $0.number != nil }?.number)
                try #require(published.indices.contains(last) && last > 1)
                latest = published[last] - until.milliseconds
            }
            #expect(latest <= 1000, "\(latest) ms after exp")
        }
    }
}
