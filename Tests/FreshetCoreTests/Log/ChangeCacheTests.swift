import FreshetCore
import JSON
import Testing

@Suite("Change cache")
struct ChangeCacheTests {
    @Test("what is read is what was appended, in order, over any set of sources")
    func reads() throws {
        var log = ChangeLog(epoch: Epoch(rawValue: 1))
        for sequence in UInt64(1)...30 {
            log.append(try Self.event(sequence, source: Int(sequence % 3)))
        }
        for after in UInt64(0)...30 {
            for sources in [[0], [1], [0, 2], [0, 1, 2]] {
                let expected = (UInt64(1)...30).filter { $0 > after && sources.contains(Int($0 % 3)) }
                let reading = log.read(after: after, of: sources.map { SourceID(index: $0) }, mode: .patch, limit: 100)
                #expect(Self.sequences(reading) == expected)
            }
        }
    }

    @Test("a limit cuts the reading short and says where it stands")
    func limit() throws {
        var log = ChangeLog(epoch: Epoch(rawValue: 1))
        for sequence in UInt64(1)...10 {
            log.append(try Self.event(sequence, source: 0))
        }
        let reading = log.read(after: 2, of: [SourceID(index: 0)], mode: .patch, limit: 3)
        guard case .events(let events, let through, let isComplete) = reading else {
            Issue.record("not a gap")
            return
        }
        #expect(events.map(\.sequence) == [3, 4, 5])
        #expect(through == 5)
        #expect(!isComplete)
    }

    @Test("the least recently used source is evicted first, and a reader of it is told")
    func eviction() throws {
        let cost = try Self.event(2, source: 0).cost
        var log = ChangeLog(epoch: Epoch(rawValue: 1), cache: ChangeCache(maxBytes: cost * 6))
        for sequence in UInt64(2)...5 {
            log.append(try Self.event(sequence, source: Int(sequence % 2)))
        }
        _ = log.read(after: 0, of: [SourceID(index: 1)], mode: .patch, limit: 1)
        for sequence in UInt64(6)...9 {
            log.append(try Self.event(sequence, source: 2))
        }
        #expect(log.cache.bytes <= cost * 6)
        #expect(log.gap(after: 3, of: [SourceID(index: 0)], mode: .patch) == .evicted)
        #expect(log.gap(after: 4, of: [SourceID(index: 0)], mode: .patch) == nil)
        #expect(log.gap(after: 2, of: [SourceID(index: 1)], mode: .patch) == nil, "it was read")
        #expect(log.gap(after: 5, of: [SourceID(index: 2)], mode: .patch) == nil)
    }

    @Test("F56: another epoch and the future are gaps with a reason")
    func reasons() throws {
        var log = ChangeLog(epoch: Epoch(rawValue: 1))
        log.append(try Self.event(1, source: 0))
        let sources = [SourceID(index: 0)]
        #expect(log.gap(after: Cursor(epoch: Epoch(rawValue: 2), sequence: 1), of: sources, mode: .patch) == .epoch)
        #expect(log.gap(after: Cursor(epoch: Epoch(rawValue: 1), sequence: 2), of: sources, mode: .patch) == .future)
        #expect(log.gap(after: Cursor(epoch: Epoch(rawValue: 1), sequence: 1), of: sources, mode: .patch) == nil)
    }

    @Test("an event larger than the cache is not kept, and the bytes add up to nothing")
    func oversized() throws {
        var cache = ChangeCache(maxBytes: 10)
        cache.append(try Self.event(1, source: 0))
        #expect(cache.bytes == 0)
        #expect(cache.count == 0)
        #expect(cache.evictedThrough(SourceID(index: 0)) == 1)
    }

    @Test("under pressure values go before events, and patch readers do not notice")
    func valuesFirst() throws {
        let whole = try Self.event(2, source: 0).cost
        var log = ChangeLog(epoch: Epoch(rawValue: 1), cache: ChangeCache(maxBytes: whole * 4 - 300))
        for sequence in UInt64(2)...5 {
            log.append(try Self.event(sequence, source: 0))
        }
        #expect(log.gap(after: 1, of: [SourceID(index: 0)], mode: .patch) == nil)
        guard case .events(let events, _, _) = log.read(after: 1, of: [SourceID(index: 0)], mode: .patch, limit: 9)
        else {
            Issue.record("not a gap")
            return
        }
        #expect(events.first?.value == nil)
        #expect(events.first?.frame(for: StreamFormat(mode: .patch)) != nil)
        #expect(events.first?.frame(for: StreamFormat(mode: .snapshot)) == nil)
    }

    private static func event(_ sequence: UInt64, source: Int) throws -> ChangeEvent {
        ChangeEvent(
            try SimulatedValue.change(to: Int(sequence)),
            cursor: Cursor(epoch: Epoch(rawValue: 1), sequence: sequence),
            source: SourceID(index: source),
            sourceName: "s\(source)"
        )
    }

    private static func sequences(_ reading: ChangeLog.Reading) -> [UInt64]? {
        guard case .events(let events, _, _) = reading else { return nil }
        return events.map(\.sequence)
    }
}
