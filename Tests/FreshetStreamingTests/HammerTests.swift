// Thousands of subscribers that stall, leave and resume at random, against plain arrays.

import CLinux
import FreshetCore
import FreshetStreaming
import System
import Testing

extension StreamingTests {
    @Suite("Thousands of subscribers")
    struct HammerTests {
        /// One subscriber over all of its connections.
        final class Reader {
            let sources: [Int]
            var client: StreamClient
            /// The sequence from which the present connection started; 0 for a snapshot.
            var start: Int

            init(sources: [Int], client: StreamClient, start: Int) {
                self.sources = sources
                self.client = client
                self.start = start
            }
        }

        @Test(
            "never lose, double or reorder an event, whatever they do (F54, F57, F58, F59)",
            arguments: [(1, 64 << 20), (2, 400_000), (3, 60_000)] as [(UInt64, Int)]
        )
        func hammer(seed: UInt64, cacheBytes: Int) throws {
            var random = SplitMix64(seed: seed)
            let fixture = try StreamFixture(cacheBytes: cacheBytes) {
                $0.sendBufferBytes = 4096
                $0.replayBatchEvents = 7
                // Readers stall for as long as the script takes: none of them is to be closed for it, not by the kernel
                // either, which counts a window of zero as silence.
                $0.writeTimeout = .seconds(3600)
                $0.userTimeout = .seconds(3600)
            }
            defer { fixture.stop() }
            let names = ["a", "b", "c", "d"]
            let sources = try names.map { try fixture.source($0) }
            var model = Model()
            var readers: [Reader] = []
            var sequence = 0

            func connect(_ chosen: [Int], at start: Int) throws -> StreamClient {
                try fixture.subscribe(
                    to: chosen.map { sources[$0] },
                    at: start > 0 ? .after(fixture.cursor(UInt64(start))) : .snapshot,
                    framing: Framing.allCases.randomElement(using: &random) ?? .chunked,
                    receiveBuffer: Bool.random(using: &random) ? 2048 : nil
                )
            }
            func check(_ reader: Reader) throws {
                try model.check(reader.client, from: reader.start, of: reader.sources.map { names[$0] })
            }

            for _ in 0..<200 {
                switch Int.random(in: 0..<10, using: &random) {
                case 0...4:
                    for _ in 0..<Int.random(in: 1...8, using: &random) {
                        let source = Int.random(in: 0..<4, using: &random)
                        sequence += 1
                        let isFirst = model.sources[names[source]] == nil
                        model.sources[names[source], default: []].append(sequence)
                        let padding = Int.random(in: 0...600, using: &random)
                        try fixture.publish(sequence, of: sources[source], padding: padding, hasPatch: !isFirst)
                    }
                case 5, 6:
                    let chosen = (0..<4).filter { _ in Bool.random(using: &random) }
                    guard !chosen.isEmpty, readers.count < 150 else { continue }
                    for _ in 0..<3 {
                        readers.append(Reader(sources: chosen, client: try connect(chosen, at: 0), start: 0))
                    }
                case 7, 8:
                    for reader in readers where Int.random(in: 0..<3, using: &random) == 0 {
                        reader.client.receiveAvailable(limit: Int.random(in: 1...20_000, using: &random))
                    }
                case _:
                    for reader in readers.shuffled(using: &random).prefix(20) {
                        reader.client.receiveAvailable()
                        try check(reader)
                        guard let last = reader.client.events.last(where: { $0.sequence != nil })?.sequence else {
                            continue
                        }
                        reader.client.close()
                        reader.start = Int(last)
                        reader.client = try connect(reader.sources, at: reader.start)
                    }
                }
            }
            for source in 0..<4 {
                sequence += 1
                let isFirst = model.sources[names[source]] == nil
                model.sources[names[source], default: []].append(sequence)
                try fixture.publish(sequence, of: sources[source], hasPatch: !isFirst)
            }
            #expect(readers.count > 60)
            for reader in readers {
                let last = reader.sources.compactMap { model.sources[names[$0]]?.last }.max() ?? 0
                // Where a stalled reader's small buffer dropped a segment, the kernel sends it again after as long as the
                // stall lasted, at most TCP_RTO_MAX (two minutes): reading does not bring that forward.
                #expect(reader.client.receive(through: UInt64(last), within: 180))
                try check(reader)
            }
            #expect(
                fixture.server.statistics.subscribers == readers.count
                    || eventually { fixture.server.statistics.subscribers == readers.count }
            )
            #expect(eventually { fixture.server.statistics.blocked == 0 })
        }
    }
}
