// Many at once: those who connect, those who come back, and those who stall inside the same large event.

import CLinux
import FreshetCore
import FreshetStreaming
import Testing

extension StreamingTests {
    @Suite("A storm")
    struct StormTests {
        @Test("F44, F59: of resumes from one cursor reads the log for all of them together, and loses nobody an event")
        func resumes() throws {
            let fixture = try StreamFixture { $0.shards = 1 }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            for number in 1...101 {
                try fixture.publish(number, of: source, hasPatch: number > 1)
            }
            var clients: [StreamClient] = []
            try fixture.whileHeld {
                for _ in 0..<300 {
                    clients.append(try fixture.subscribe(to: [source], at: .after(fixture.cursor(1))))
                }
            }
            for client in clients {
                #expect(client.receive(through: 101))
                #expect(client.events.dropFirst().map(\.sequence) == Array(2...101))
            }
            #expect(eventually { fixture.server.statistics.eventsDelivered == 300 * 100 })
            // A turn lets in 64; each turn reads the log in two parts of 64 events at most, and finds its end.
            #expect(fixture.server.statistics.logReads <= 300 / 64 * 3 + 3)
            try fixture.publish(102, of: source)
            for client in clients {
                #expect(client.receive(through: 102))
            }
        }

        @Test("F44, F59: of lagging readers that wake together reads the log for them together")
        func lagging() throws {
            let fixture = try StreamFixture {
                $0.shards = 1
                $0.maxInboxDepth = 1
            }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, hasPatch: false)
            let clients = try (0..<300).map { _ in try fixture.subscribe(to: [source]) }
            for client in clients {
                #expect(client.receive(events: 2))
            }
            // One fits into the inbox, so that all of them have to read the rest.
            let overflows = fixture.server.statistics.inboxOverflows
            try fixture.whileHeld {
                for number in 2...9 {
                    try fixture.publish(number, of: source)
                }
            }
            for client in clients {
                #expect(client.receive(through: 9))
            }
            #expect(fixture.server.statistics.inboxOverflows == overflows + 1)
            #expect(fixture.server.statistics.logReads <= 300 / 64 * 3 + 3)
        }

        @Test("of changes that a shard's inbox had no room for, of a source that is removed then, is told as a gap")
        func removal() throws {
            let fixture = try StreamFixture {
                $0.shards = 1
                $0.maxInboxDepth = 1
            }
            defer { fixture.stop() }
            let (stays, goes) = (try fixture.source("stays"), try fixture.source("goes"))
            try fixture.publish(1, of: stays, hasPatch: false)
            try fixture.publish(2, of: goes, hasPatch: false)
            let client = try fixture.subscribe(to: [stays, goes], selector: SourceSelector("goes,stays"))
            #expect(client.receive(through: 2))
            #expect(eventually { fixture.server.statistics.subscribers == 1 && fixture.server.statistics.blocked == 0 })
            // One fits into the inbox. That of the source that goes is left out, and its removal is not.
            try fixture.whileHeld {
                try fixture.publish(3, of: stays)
                try fixture.publish(4, of: goes)
                fixture.hub.removeSource(goes)
                try fixture.publish(5, of: stays)
            }
            #expect(client.receive(through: 5))
            #expect(client.events.dropFirst(3).map(\.type) == ["patch", "gap", "snapshot"])
            #expect(client.events.dropFirst(3).compactMap(\.sequence) == [3, 5])
            // Live again once the shard has seen that there is no more to read.
            var number = 5
            repeat {
                number += 1
                try fixture.publish(number, of: stays)
                #expect(client.receive(through: UInt64(number)))
            } while client.events.last?.type != "patch" && number < 200
            #expect(client.events.last?.type == "patch")
        }

        @Test("F43: of connections at once is let in whole, and everybody is live")
        func connects() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, hasPatch: false)
            var clients: [StreamClient] = []
            try fixture.whileHeld {
                for _ in 0..<600 {
                    clients.append(try fixture.subscribe(to: [source]))
                }
                // Published while they wait at the door: it comes once, in the snapshot or after it.
                try fixture.publish(2, of: source)
            }
            #expect(eventually { fixture.server.statistics.subscribers == 600 })
            try fixture.publish(3, of: source)
            let model = Model(sources: ["rates": [1, 2, 3]])
            for client in clients {
                #expect(client.receive(through: 3))
                try model.check(client, from: 0)
            }
            #expect(eventually { fixture.server.statistics.blocked == 0 })
            #expect(fixture.server.statistics.refusals.isEmpty)
        }

        @Test("F48, S12: of readers that stall inside one large event holds the event once, not once for each")
        func sharedRest() throws {
            let fixture = try StreamFixture {
                $0.sendBufferBytes = 4096
                $0.shards = 1
            }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            let format = StreamFormat(mode: .snapshot)
            let clients = try (0..<200).map { _ in
                try fixture.subscribe(to: [source], format: format, at: .latest, receiveBuffer: 2048)
            }
            for client in clients {
                #expect(client.receive(events: 1))
            }
            let before = try residentBytes()
            try fixture.publish(1, of: source, padding: 64 << 10)
            #expect(eventually { fixture.server.statistics.blocked == 200 })
            // Three times 64 KiB each would be 38 MB. A sanitizer's own memory is not the matter here.
            #expect(try residentBytes() - before < 12 << 20)
            for client in clients {
                #expect(client.receive(through: 1))
                #expect(client.events.last?.bytes.count ?? 0 > 3 * 64 << 10)
            }
        }
    }
}
