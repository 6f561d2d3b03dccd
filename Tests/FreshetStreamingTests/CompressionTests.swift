// Compressed streams: the same events, whoever comes and goes, in bytes that are made once for all.

import Compression
import Foundation
import FreshetCore
import FreshetTesting
import JSON
import System
import Testing

@testable import FreshetStreaming

extension StreamingTests {
    @Suite("A compressed stream")
    struct CompressionTests {
        /// `FRESHET_JOINS`: how many readers come; 60 by default.
        private static let joins = ProcessInfo.processInfo.environment["FRESHET_JOINS"].flatMap { Int($0) } ?? 60

        /// A value with rows, as an upstream's is, and the patch that changes some of them.
        private func publish(
            _ number: Int,
            of source: SourceID,
            in fixture: StreamFixture,
            rows: Int = 3
        ) throws {
            let operations = (0..<rows).map { row in
                #"{"op":"replace","path":"/rows/\#(row)/price","value":\#(number * 7 % 1000).\#(row)}"#
            }
            let value = (0..<max(40, rows)).map { #"{"name":"row \#($0)","price":\#(number * 7 % 1000).\#($0)}"# }
            let text = #"{"n":\#(number),"rows":[\#(value.joined(separator: ","))]}"#
            let patch = #"[{"op":"replace","path":"/n","value":\#(number)},\#(operations.joined(separator: ","))]"#
            let change = Change(
                document: try Document(parsing: Array(text.utf8)),
                patch: Array(patch.utf8),
                at: WallTime(milliseconds: 1_000)
            )
            fixture.hub.publish(change, of: source)
        }

        /// The events of a client that the log has, by their ids.
        private func events(_ client: StreamClient) -> [UInt64: [UInt8]] {
            var events: [UInt64: [UInt8]] = [:]
            for event in client.events where event.type == "patch" {
                if let sequence = event.sequence { events[sequence] = event.bytes }
            }
            return events
        }

        @Test(
            "readers that come, fall behind, resume and go at random read the very events of a plain stream",
            arguments: ContentCoding.allCases
        )
        func joins(coding: ContentCoding) throws {
            var random = SplitMix64(seed: 34)
            let fixture = try StreamFixture { settings in
                settings.shards = 1
                settings.sendBufferBytes = 8192
                settings.heartbeat = .milliseconds(150)
            }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try self.publish(1, of: source, in: fixture)
            let plain = try fixture.subscribe(to: [source], coding: nil)
            var readers: [(client: StreamClient, isSlow: Bool)] = []
            var (joined, number) = (0, 1)
            var known: [UInt64: [UInt8]] = [:]
            var compared = 0
            func check(_ client: StreamClient) throws {
                #expect(client.receive(through: UInt64(number)))
                #expect(!client.isMalformed)
                #expect(plain.receive(through: UInt64(number)))
                let events = self.events(client)
                #expect(!events.isEmpty || client.events.contains { $0.type == "snapshot" })
                // A plain reader that falls behind is given a snapshot as well: then others have seen the event before.
                known.merge(self.events(plain)) { first, second in
                    #expect(first == second)
                    return first
                }
                for (sequence, bytes) in events {
                    if let first = known[sequence] {
                        #expect(first == bytes)
                        compared += 1
                    } else {
                        known[sequence] = bytes
                    }
                }
                // Once, in order, and none left out.
                for reader in [client, plain] {
                    let sequences = reader.events.compactMap(\.sequence)
                    let skipped = reader.events.contains { $0.type == "snapshot" && $0.sequence != sequences.first }
                    #expect(sequences == sequences.sorted() && Set(sequences).count == sequences.count)
                    #expect(skipped || sequences.count == Int(UInt64(number) - (sequences.first ?? 0)) + 1)
                }
            }
            while joined < Self.joins || number < 300 {
                if joined < Self.joins, Int.random(in: 0..<3, using: &random) == 0 {
                    joined += 1
                    let isSlow = Int.random(in: 0..<4, using: &random) == 0
                    let position: StreamPosition =
                        Bool.random(using: &random)
                        ? .snapshot
                        : .after(fixture.cursor(UInt64(Int.random(in: 1...number, using: &random))))
                    let client = try fixture.subscribe(
                        to: [source],
                        at: position,
                        framing: Bool.random(using: &random) ? .chunked : .closeDelimited,
                        coding: coding,
                        receiveBuffer: isSlow ? 2048 : nil
                    )
                    readers.append((client, isSlow))
                }
                for _ in 0..<Int.random(in: 0...3, using: &random) {
                    number += 1
                    try self.publish(number, of: source, in: fixture, rows: Int.random(in: 1...60, using: &random))
                }
                if Int.random(in: 0..<20, using: &random) == 0 { try fixture.report(.stale, of: source) }
                if Int.random(in: 0..<20, using: &random) == 0 { try fixture.report(.ok, of: source) }
                for reader in readers where !reader.isSlow { reader.client.receiveAvailable() }
                plain.receiveAvailable()
                if readers.count > 20 {
                    try check(readers.remove(at: Int.random(in: readers.indices, using: &random)).client)
                }
            }
            for reader in readers { try check(reader.client) }
            #expect(compared > number)
            let statistics = fixture.server.statistics
            #expect(statistics.compressionJoins > 0)
            #expect(statistics.compressionWaits > 0)
            #expect(statistics.codedBytes < statistics.plainBytes)
        }

        @Test(
            "a heartbeat is a part of the run: readers stay in step, and each hears it",
            arguments: ContentCoding.allCases
        )
        func heartbeats(coding: ContentCoding) throws {
            let fixture = try StreamFixture { settings in
                settings.shards = 1
                settings.heartbeat = .milliseconds(100)
            }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try self.publish(1, of: source, in: fixture)
            let clients = try (0..<5).map { _ in try fixture.subscribe(to: [source], coding: coding) }
            for client in clients { #expect(client.receive(events: 2)) }
            try self.publish(2, of: source, in: fixture)
            for client in clients { #expect(client.receive(through: 2)) }
            for client in clients {
                let before = client.heartbeats
                #expect(client.receive { $0.heartbeats >= before + 2 })
            }
            try self.publish(3, of: source, in: fixture)
            for client in clients { #expect(client.receive(through: 3)) }
            #expect(eventually { fixture.server.statistics.compressionJoinPoints == 1 })
            #expect(fixture.server.statistics.compressionJoins == 5)
        }

        @Test("one run serves many readers, and ends with the last of them")
        func runs() throws {
            let fixture = try StreamFixture { settings in
                settings.shards = 1
                settings.maxCompressionRuns = 1
            }
            defer { fixture.stop() }
            let sources = try ["a", "b"].map { try fixture.source($0) }
            for source in sources { try self.publish(1, of: source, in: fixture) }
            var clients = try (0..<20).map { _ in try fixture.subscribe(to: [sources[0]], coding: .gzip) }
            for client in clients { #expect(client.receive(events: 2)) }
            try self.publish(2, of: sources[0], in: fixture)
            for client in clients { #expect(client.receive(through: 3)) }
            #expect(fixture.server.statistics.compressionRuns == 1)
            // There is room for no other: the events of this one are compressed each by itself.
            let other = try fixture.subscribe(to: [sources[1]], coding: .gzip)
            #expect(other.receive(events: 2))
            try self.publish(2, of: sources[1], in: fixture)
            #expect(other.receive(through: 4))
            #expect(fixture.server.statistics.compressionRunsRefused > 0)
            clients = []
            #expect(eventually { fixture.server.statistics.compressionRuns == 0 })
        }

        @Test(
            "several sources share no window, and take no more than 5 bytes a poll",
            arguments: ContentCoding.allCases
        )
        func severalSources(coding: ContentCoding) throws {
            let fixture = try StreamFixture { $0.shards = 1 }
            defer { fixture.stop() }
            let sources = try ["a", "b"].map { try fixture.source($0) }
            for source in sources { try self.publish(1, of: source, in: fixture) }
            let coded = try fixture.subscribe(to: sources, coding: coding)
            let plain = try fixture.subscribe(to: sources, coding: nil)
            for client in [coded, plain] { #expect(client.receive(through: 2)) }
            var last = 2
            for number in 2...60 {
                let (before, plainBefore) = (coded.codedBytes, plain.codedBytes)
                // A source in its turn, or both in one.
                let changed = number.isMultiple(of: 3) ? sources : [sources[number % 2]]
                try fixture.whileHeld {
                    for source in changed { try self.publish(number, of: source, in: fixture, rows: 1 + number % 7) }
                }
                last += changed.count
                for client in [coded, plain] { #expect(client.receive(through: UInt64(last))) }
                #expect(coded.codedBytes - before <= plain.codedBytes - plainBefore + 5 * changed.count)
            }
            #expect(coded.body.suffix(2000) == plain.body.suffix(2000))
            #expect(fixture.server.statistics.compressionRuns == 0)
            #expect(fixture.server.statistics.compressionJoins == 0)
        }

        @Test("a source that may be compressed no more is sent as it is, in the stream that is open")
        func stored() throws {
            let fixture = try StreamFixture { $0.shards = 1 }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try self.publish(1, of: source, in: fixture)
            let client = try fixture.subscribe(to: [source], coding: .gzip)
            #expect(client.receive(events: 2))
            for number in 2...9 {
                try self.publish(number, of: source, in: fixture)
                #expect(client.receive(through: UInt64(number)))
            }
            fixture.server.setUncompressed(SourcePattern([.exact("rates")]))
            // Behind it in every shard's inbox.
            fixture.whileHeld {}
            for number in 10...20 {
                let (coded, plain) = (client.codedBytes, client.body.count)
                try self.publish(number, of: source, in: fixture)
                #expect(client.receive(through: UInt64(number)))
                // The length says nothing of the content but its length.
                #expect(client.codedBytes - coded == client.body.count - plain + 5)
            }
            #expect(fixture.server.statistics.compressionRuns == 0)
            // And a new one too, whatever was negotiated before.
            let other = try fixture.subscribe(to: [source], coding: .zstd)
            #expect(other.receive(events: 2))
            #expect(other.codedBytes > other.body.count)
            fixture.server.setUncompressed(.none)
            for number in 21...24 {
                try self.publish(number, of: source, in: fixture)
                #expect(client.receive(through: UInt64(number)))
            }
            #expect(fixture.server.statistics.compressionRuns == 2)
            #expect(!client.isMalformed && !other.isMalformed)
        }

        @Test("it ends with bye, whole as far as its coding can say so", arguments: ContentCoding.allCases)
        func end(coding: ContentCoding) async throws {
            let fixture = try StreamFixture { $0.shards = 1 }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try self.publish(1, of: source, in: fixture)
            let client = try fixture.subscribe(to: [source], coding: coding)
            #expect(client.receive(events: 2))
            try self.publish(2, of: source, in: fixture)
            #expect(client.receive(through: 2))
            await fixture.server.drain(over: .zero)
            #expect(client.receiveToEnd())
            #expect(client.events.last?.type == "bye")
            #expect(client.hasTerminator && !client.isMalformed)
        }
    }
}
