// Readers that do not read: they hold a cursor and never a queue, and nobody else notices.

import CLinux
import FreshetCore
import Glibc
import System
import Testing

@testable import FreshetStreaming

extension StreamingTests {
    @Suite("A slow reader")
    struct SlowReaderTests {
        /// Sockets so small that a few events fill them.
        static func small(_ settings: inout StreamSettings) {
            settings.sendBufferBytes = 4096
            settings.shards = 1
        }

        @Test("gets every byte of large frames in whatever pieces it reads them (F48)", arguments: [1, 2, 3, 4])
        func pieces(seed: UInt64) throws {
            var random = SplitMix64(seed: seed)
            let fixture = try StreamFixture(Self.small)
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            let format = StreamFormat(mode: .snapshot)
            let client = try fixture.subscribe(to: [source], format: format, at: .latest, receiveBuffer: 2048)
            #expect(client.receive(events: 1))
            var expected: [UInt8] = []
            for number in 1...8 {
                try fixture.publish(number, of: source, padding: Int.random(in: 0...60_000, using: &random))
                let version = try #require(fixture.hub.version(of: source))
                let frame = version.frame(wire: .eventStream, step: .arrive)
                expected += frame.bytes[frame.chunk]
                let start = try #require(client.bodyStart) + self.firstChunk(client)
                while client.raw.count - start < expected.count, !client.isEnded {
                    var waiting = pollfd(fd: client.descriptor, events: Int16(POLLIN), revents: 0)
                    poll(&waiting, 1, 1000)
                    client.receiveAvailable(limit: Int.random(in: 1...5000, using: &random))
                }
                // Not `==`, whose failure would print both.
                #expect(client.raw[start...].elementsEqual(expected))
            }
            #expect(
                fixture.server.statistics.blocked == 0 || client.receive { _ in fixture.server.statistics.blocked == 0 }
            )
        }

        /// The length of the chunk that `hello` came in.
        private func firstChunk(_ client: StreamClient) -> Int {
            let body = client.raw[(client.bodyStart ?? 0)...]
            let line = body.prefix { $0 != 0x0D }
            return line.count + 2 + (Int(String(decoding: line, as: UTF8.self), radix: 16) ?? 0) + 2
        }

        @Test("A24 holds a cursor and the rest of a frame, whatever it misses: memory does not grow by it (F40, S12)")
        func memory() throws {
            // So little that the log itself is full before it is measured.
            let fixture = try StreamFixture(cacheBytes: 256 << 10) { $0.sendBufferBytes = 8192 }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, hasPatch: false)
            let slow = try (0..<120).map { _ in try fixture.subscribe(to: [source], receiveBuffer: 2048) }
            for client in slow {
                #expect(client.receive(events: 2))
            }
            for number in 2...300 {
                try fixture.publish(number, of: source, padding: 2000)
            }
            #expect(eventually { fixture.server.statistics.blocked == slow.count })
            let before = try residentBytes()
            for number in 301...900 {
                try fixture.publish(number, of: source, padding: 2000)
            }
            #expect(eventually { fixture.server.statistics.inboxDepth == 0 })
            #expect(fixture.server.statistics.blocked == slow.count)
            // A queue of what each missed would take 144 MB.
            #expect(try residentBytes() - before < 20 << 20)
            for client in slow.prefix(10) {
                #expect(client.receive(through: 900))
            }
        }

        @Test("is out of the way: the others get every event, and it gets them when it reads (F40, S12)")
        func others() throws {
            let fixture = try StreamFixture { $0.sendBufferBytes = 32 << 10 }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, hasPatch: false)
            let slow = try (0..<10).map { _ in try fixture.subscribe(to: [source], receiveBuffer: 2048) }
            let healthy = try (0..<10).map { _ in try fixture.subscribe(to: [source]) }
            for client in slow + healthy {
                #expect(client.receive(events: 2))
            }
            for number in 2...300 {
                try fixture.publish(number, of: source, padding: 1000)
                if number % 5 == 0 {
                    for client in healthy {
                        #expect(client.receive(through: UInt64(number)))
                    }
                }
            }
            for client in healthy {
                #expect(client.events.dropFirst(2).map(\.sequence) == Array(2...300))
            }
            #expect(eventually { fixture.server.statistics.blocked == 10 })
            for client in slow {
                #expect(client.receive(through: 300))
                try Model(sources: ["rates": Array(1...300)]).check(client, from: 0)
            }
            #expect(eventually { fixture.server.statistics.blocked == 0 })
        }

        @Test("leaves the kernel no more than a bounded part of what it does not read (F40, S12)")
        func unsent() throws {
            let fixture = try StreamFixture { $0.shards = 1 }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            let format = StreamFormat(mode: .snapshot)
            let slow = try fixture.subscribe(to: [source], format: format, at: .latest, receiveBuffer: 4096)
            let healthy = try fixture.subscribe(to: [source], format: format, at: .latest)
            #expect(slow.receive(events: 1) && healthy.receive(events: 1))
            // Half a megabyte, of which the kernel by itself would hold all.
            for number in 1...64 {
                try fixture.publish(number, of: source, padding: 8000)
                #expect(healthy.receive(through: UInt64(number)))
            }
            #expect(eventually { fixture.server.statistics.blocked == 1 })
            #expect(slow.receive(through: 64))
            #expect(slow.events.count < 50)
        }

        @Test("that lagged is skipped ahead to a snapshot when its backlog is larger than the value (F49)")
        func skips() throws {
            let fixture = try StreamFixture(Self.small)
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, hasPatch: false)
            let client = try fixture.subscribe(to: [source], receiveBuffer: 2048)
            #expect(client.receive(events: 2))
            for number in 2...200 {
                try fixture.publish(number, of: source, padding: 500)
            }
            #expect(eventually { fixture.server.statistics.inboxDepth == 0 })
            #expect(client.receive(through: 200))
            #expect(client.events.count < 100)
            #expect(client.events.dropFirst(2).contains { $0.type == "snapshot" && $0.number == 200 })
            try fixture.publish(201, of: source, padding: 500)
            #expect(client.receive(through: 201))
            #expect(client.events.last?.type == "patch")
        }

        @Test("that resumes is paced, gets every event and is never skipped (F42)")
        func pacedReplay() throws {
            let fixture = try StreamFixture(Self.small)
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            for number in 1...500 {
                try fixture.publish(number, of: source, padding: 500, hasPatch: number > 1)
            }
            let client = try fixture.subscribe(to: [source], at: .after(fixture.cursor(1)), receiveBuffer: 2048)
            #expect(client.receive(events: 20))
            for number in 501...520 {
                try fixture.publish(number, of: source, padding: 500)
            }
            #expect(client.receive(through: 520))
            #expect(client.events.dropFirst().map(\.sequence) == Array(2...520))
        }

        @Test("that is overtaken by eviction is told so in its stream (F58)")
        func evictedMidReplay() throws {
            let fixture = try StreamFixture(cacheBytes: 300_000, Self.small)
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            for number in 1...300 {
                try fixture.publish(number, of: source, padding: 500, hasPatch: number > 1)
            }
            let start = fixture.cursor(200)
            let client = try fixture.subscribe(to: [source], at: .after(start), receiveBuffer: 2048)
            // A little at a time, so that most of the replay is still to come.
            #expect(client.receive(limit: 100) { $0.events.count >= 2 })
            for number in 301...900 {
                try fixture.publish(number, of: source, padding: 500)
            }
            #expect(client.receive(through: 900))
            #expect(client.events.contains { $0.type == "gap" && $0.data == #"{"reason":"evicted"}"# })
            try Model(sources: ["rates": Array(1...900)]).check(client, from: 200)
        }

        @Test("that takes nothing for the write time-out is closed as slow (F40, F41)")
        func deadline() throws {
            let fixture = try StreamFixture {
                Self.small(&$0)
                $0.writeTimeout = .milliseconds(60)
            }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            let client = try fixture.subscribe(to: [source], receiveBuffer: 2048)
            #expect(client.receive(events: 1))
            for number in 1...100 {
                try fixture.publish(number, of: source, padding: 1000, hasPatch: number > 1)
            }
            #expect(eventually { fixture.server.statistics.closes["slow"] == 1 })
            #expect(
                fixture.server.statistics.subscribers == 0 || eventually { fixture.server.statistics.subscribers == 0 }
            )
            #expect(client.receiveToEnd())
            // It comes back as often as it takes: a reader that is not scheduled for a while is slow again.
            var seen = client.events.compactMap(\.sequence)
            for _ in 0..<100 where seen.last != 100 {
                let again = try fixture.subscribe(to: [source], at: .after(fixture.cursor(seen.last ?? 0)))
                _ = again.receive(through: 100)
                seen += again.events.compactMap(\.sequence)
            }
            #expect(seen == Array(1...100))
        }

        @Test("F41: that takes a tenth of what is published stays, and sees one consistent past however it is fed")
        func trickle() throws {
            let fixture = try StreamFixture(Self.small)
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, hasPatch: false)
            let client = try fixture.subscribe(to: [source], receiveBuffer: 2048)
            #expect(client.receive(events: 2))
            for number in 2...300 {
                try fixture.publish(number, of: source, padding: 2500)
                client.receiveAvailable(limit: 1024)
            }
            #expect(client.receive(through: 300))
            try Model(sources: ["rates": Array(1...300)]).check(client, from: 0)
            #expect(!client.events.contains { $0.type == "gap" || $0.type == "bye" })
            #expect(fixture.server.statistics.subscribers == 1)
        }

        @Test("learns the last state of a source that changed while it was behind")
        func missedStatus() throws {
            let fixture = try StreamFixture(Self.small)
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, hasPatch: false)
            let client = try fixture.subscribe(to: [source], receiveBuffer: 2048)
            #expect(client.receive(events: 2))
            for number in 2...100 {
                try fixture.publish(number, of: source, padding: 1000)
            }
            #expect(eventually { fixture.server.statistics.blocked == 1 })
            try fixture.report(.failing, of: source)
            try fixture.report(.stale, of: source)
            #expect(client.receive { $0.events.contains { $0.type == "status" } })
            #expect(client.receive(through: 100))
            let statuses = client.events.filter { $0.type == "status" }
            #expect(statuses.count == 1)
            #expect(statuses.first?.data.contains(#""state":"stale""#) == true)
        }

        @Test("and the bursts of a busy source: events that wait leave four or more to a send (F49)")
        func coalescing() throws {
            let fixture = try StreamFixture { $0.shards = 1 }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, hasPatch: false)
            let clients = try (0..<100).map { _ in try fixture.subscribe(to: [source]) }
            for client in clients {
                #expect(client.receive(events: 2))
            }
            // The snapshots are counted after they are sent.
            #expect(eventually { fixture.server.statistics.eventsDelivered == 100 })
            let before = fixture.server.statistics
            try fixture.whileHeld {
                for number in 2...201 {
                    try fixture.publish(number, of: source)
                }
            }
            for client in clients {
                #expect(client.receive(through: 201))
                #expect(client.events.dropFirst(2).map(\.sequence) == Array(2...201))
            }
            #expect(eventually { fixture.server.statistics.eventsDelivered - before.eventsDelivered == 100 * 200 })
            let after = fixture.server.statistics
            #expect(after.sends - before.sends <= 100 * 200 / 4)
            #expect(after.framesCoalesced - before.framesCoalesced >= 100 * 200 * 3 / 4)
        }

        @Test("of the inbox: when a shard falls behind, its subscribers read the log and miss nothing")
        func inboxOverflow() throws {
            let fixture = try StreamFixture {
                $0.shards = 1
                $0.maxInboxDepth = 2
            }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, hasPatch: false)
            let clients = try (0..<50).map { _ in try fixture.subscribe(to: [source]) }
            for client in clients {
                #expect(client.receive(events: 2))
            }
            for number in 2...1000 {
                try fixture.publish(number, of: source)
            }
            let model = Model(sources: ["rates": Array(1...1000)])
            for client in clients {
                #expect(client.receive(through: 1000))
                try model.check(client, from: 0)
            }
            #expect(fixture.server.statistics.inboxOverflows > 0)
        }
    }
}
