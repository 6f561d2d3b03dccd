import Testing

@testable import FreshetCore

@Suite("Memory pressure: F77")
struct MemoryPressureTests {
    @Test(
        "F77: the steps are at 80, 90 and 95 percent",
        arguments: [
            (0, MemoryPressure.none), (799, .none), (800, .elevated), (899, .elevated), (900, .high), (949, .high),
            (950, .critical), (1000, .critical), (5000, .critical), (Int.max, .critical),
        ]
    )
    func steps(used: Int, expected: MemoryPressure) {
        #expect(MemoryPressure.none.next(used: used, limit: 1000) == expected)
    }

    @Test("F77: a step is left three percent below where it began")
    func hysteresis() {
        #expect(MemoryPressure.elevated.next(used: 780, limit: 1000) == .elevated)
        #expect(MemoryPressure.elevated.next(used: 760, limit: 1000) == .none)
        #expect(MemoryPressure.critical.next(used: 930, limit: 1000) == .critical)
        #expect(MemoryPressure.critical.next(used: 910, limit: 1000) == .high)
        #expect(MemoryPressure.high.next(used: 840, limit: 1000) == .elevated)
        #expect(MemoryPressure.none.next(used: 780, limit: 1000) == .none)
    }

    @Test("without a limit there is none", arguments: [0, -1])
    func unlimited(limit: Int) {
        #expect(MemoryPressure.critical.next(used: .max, limit: limit) == .none)
    }

    @Test("F77: the cache shrinks to what it is told, and grows again within its bound")
    func shrink() throws {
        var cache = ChangeCache(maxBytes: 1 << 20)
        let source = SourceID(index: 0)
        for sequence in 1...100 {
            let change = try SimulatedValue.change(to: sequence)
            let cursor = Cursor(epoch: Epoch(rawValue: 1), sequence: UInt64(sequence))
            cache.append(ChangeEvent(change, cursor: cursor, source: source, sourceName: "a"))
        }
        let before = cache.bytes
        cache.shrink(to: before / 2)
        #expect(cache.bytes <= before / 2)
        #expect(cache.count > 0)
        #expect(cache.evictedThrough(source) > 0)
        cache.shrink(to: 0)
        #expect(cache.bytes == 0)
        #expect(cache.evictedThrough(source) == 100)
    }
}
