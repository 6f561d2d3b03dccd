// What streams that are not read keep in memory.

import FreshetCore
import Testing

@testable import FreshetStreaming

extension StreamingTests {
    @Suite("A stream that is not read", .openSSLSessions)
    struct UnreadStreamTests {
        private static let megabyte = 1 << 20

        @Test(
            "A10 holds the rest of a large event, which counts: past the bound it ends, and who reads does not",
            arguments: [StreamPosition.snapshot, .latest]
        )
        func bounded(position: StreamPosition) throws {
            let desk = UnsentDesk(limits: UnsentLedger.Limits(maxBytes: 8 * Self.megabyte))
            let fixture = try StreamFixture(unsent: desk) { $0.shards = 1 }
            defer { fixture.stop() }
            let source = try fixture.source("big")
            let format = StreamFormat(mode: .snapshot)
            try fixture.publish(1, of: source, hasPatch: false)
            let reader = try fixture.subscribe(to: [source], format: format, from: "127.0.0.2")
            #expect(reader.receive(events: 2))
            var stalled: [StreamClient] = []
            // Each is stuck in a value of its own, of which two are half of the bound.
            for number in 2...9 {
                let client = try fixture.subscribe(to: [source], format: format, at: position, receiveBuffer: 4096)
                stalled.append(client)
                try fixture.publish(number, of: source, padding: Self.megabyte / 2, hasPatch: false)
                #expect(reader.receive(through: UInt64(number)))
            }
            #expect(eventually { fixture.server.statistics.closes["slow"] ?? 0 >= 4 })
            #expect(eventually { desk.bytes > 0 && desk.bytes <= 4 * Self.megabyte + (64 << 10) })
            #expect(fixture.server.statistics.blocked < stalled.count)
            #expect(desk.refusals[.address] ?? 0 >= 4)
            try fixture.publish(10, of: source)
            #expect(reader.receive(through: 10))
            #expect(reader.events.dropFirst().map(\.sequence) == Array(1...10))
            for client in stalled { client.close() }
            #expect(eventually { desk.bytes == 0 && fixture.server.statistics.subscribers == 1 })
        }

        @Test("A10 that is read again gets every event, and what it held counts no more")
        func released() throws {
            let desk = UnsentDesk()
            let fixture = try StreamFixture(unsent: desk) { $0.shards = 1 }
            defer { fixture.stop() }
            let source = try fixture.source("big")
            let format = StreamFormat(mode: .snapshot)
            let slow = try fixture.subscribe(to: [source], format: format, at: .latest, receiveBuffer: 4096)
            #expect(slow.receive(events: 1))
            for number in 1...6 { try fixture.publish(number, of: source, padding: Self.megabyte, hasPatch: false) }
            #expect(eventually { desk.bytes > 2 * Self.megabyte })
            #expect(slow.receive(through: 6))
            #expect(eventually { desk.bytes == 0 })
        }
    }
}
