import FreshetCore
import Testing

@Suite("Unsent bytes")
struct UnsentLedgerTests {
    private static let kilobyte = 1024

    private static func client(_ number: UInt64) -> ReadClient { ReadClient(high: 0, low: number) }

    private static func held(own: Int = 0, _ shared: [UInt8]...) -> HeldBytes {
        var held = HeldBytes()
        held.own = own
        for bytes in shared { held.add(bytes[...]) }
        return held
    }

    @Test("A09 what many hold is counted once in all, and once for each client")
    func shared() throws {
        let value = [UInt8](repeating: 1, count: 200 * Self.kilobyte)
        var ledger = UnsentLedger()
        for client in [UInt64(1), 1, 1, 2] { try ledger.hold(Self.held(own: 10, value), for: Self.client(client)) }
        #expect(ledger.bytes == value.count + 40)
        #expect(ledger.bytes(for: Self.client(1)) == value.count + 30)
        #expect(ledger.bytes(for: Self.client(2)) == value.count + 10)
        for client in [UInt64(1), 1, 2] { ledger.release(Self.held(own: 10, value), for: Self.client(client)) }
        #expect(ledger.bytes == value.count + 10 && ledger.bytes(for: Self.client(2)) == 0)
        ledger.release(Self.held(own: 10, value), for: Self.client(1))
        #expect(ledger.bytes == 0 && ledger.bytes(for: Self.client(1)) == 0)
    }

    @Test("A09 the bounds hold, but for small answers, for what is held already, and for the only one")
    func bounds() throws {
        let (one, two, three) = (
            [UInt8](repeating: 1, count: 300 * Self.kilobyte), [UInt8](repeating: 2, count: 300 * Self.kilobyte),
            [UInt8](repeating: 3, count: 600 * Self.kilobyte)
        )
        var ledger = UnsentLedger(limits: .init(maxBytes: 1000 * Self.kilobyte))
        try ledger.hold(Self.held(one), for: Self.client(1))
        #expect(throws: UnsentRefusal.address) { try ledger.hold(Self.held(two), for: Self.client(1)) }
        #expect(throws: UnsentRefusal.address) { try ledger.hold(Self.held(own: 201 << 10), for: Self.client(1)) }
        try ledger.hold(Self.held(one), for: Self.client(1))
        try ledger.hold(Self.held(two), for: Self.client(2))
        #expect(throws: UnsentRefusal.full) { try ledger.hold(Self.held(three), for: Self.client(3)) }
        try ledger.hold(Self.held(own: UnsentLedger.smallBytes), for: Self.client(1))
        let bytes = ledger.bytes
        #expect(bytes == 664 * Self.kilobyte)
        // A refusal changed nothing.
        for _ in 0..<2 { ledger.release(Self.held(one), for: Self.client(1)) }
        ledger.release(Self.held(two), for: Self.client(2))
        ledger.release(Self.held(own: UnsentLedger.smallBytes), for: Self.client(1))
        #expect(ledger.bytes == 0)
        let large = [UInt8](repeating: 4, count: 2000 * Self.kilobyte)
        try ledger.hold(Self.held(large), for: Self.client(1))
        #expect(throws: UnsentRefusal.full) { try ledger.hold(Self.held(one), for: Self.client(2)) }
    }

    @Test("A10 the last third is for clients that hold little, however much others hold")
    func reserve() throws {
        let values = (1...20).map { [UInt8](repeating: UInt8($0), count: 100 * Self.kilobyte) }
        var ledger = UnsentLedger(limits: .init(maxBytes: 2000 * Self.kilobyte))
        // Two that hold as much as they can.
        var next = 0
        for client in [UInt64(1), 2] {
            while next < values.count, (try? ledger.hold(Self.held(values[next]), for: Self.client(client))) != nil {
                next += 1
            }
        }
        #expect(ledger.bytes > 1200 * Self.kilobyte && ledger.bytes <= 1334 * Self.kilobyte)
        #expect(throws: UnsentRefusal.full) { try ledger.hold(Self.held(values[next]), for: Self.client(2)) }
        let small = (0..<5).map { [UInt8](repeating: UInt8($0), count: 120 * Self.kilobyte) }
        for (number, value) in small.enumerated() {
            try ledger.hold(Self.held(value), for: Self.client(UInt64(10 + number)))
        }
        #expect(ledger.bytes > 1800 * Self.kilobyte && ledger.bytes <= 2000 * Self.kilobyte)
    }
}
