import FreshetCore
import Testing

@testable import FreshetSimulation

/// What the judge of all streams takes for a loss.
@Suite("A simulated client")
struct SimulatedClientTests {
    private static let epoch = Epoch(rawValue: 7)

    private static func cursor(_ sequence: UInt64) -> Cursor {
        Cursor(epoch: self.epoch, sequence: sequence)
    }

    /// A ledger in which `c`, which changed at 2, is gone.
    private static func ledger() -> Ledger {
        let ledger = Ledger()
        ledger.issued(self.cursor(2), "c", 20, mayRepeat: false)
        ledger.issued(self.cursor(3), "d", 30, mayRepeat: false)
        ledger.removed("c")
        return ledger
    }

    private static func receive(_ events: [String], _ client: inout SimulatedClient, _ ledger: Ledger) {
        for event in events {
            let payload = Array(event.utf8)[...]
            client.receive(StreamReader.Event(payload: payload, maySkip: false), ledger)
        }
    }

    private static func hello(_ sequence: UInt64) -> String {
        "event: hello\ndata: {\"cursor\":\"\(self.cursor(sequence))\",\"heartbeat\":15}\n"
    }

    private static let gap = "event: gap\ndata: {\"reason\":\"evicted\"}\n"

    private static func snapshot(_ sequence: UInt64, _ source: String, _ number: Int) -> String {
        "id: \(self.cursor(sequence))\nevent: snapshot\ndata: {\"source\":\"\(source)\",\"value\":{\"n\":\(number)}}\n"
    }

    @Test("that began with no value, and is then told of a gap, has lost nothing in silence", arguments: [nil, 0, 1])
    func later(known: UInt64?) {
        let ledger = Self.ledger()
        var client = SimulatedClient(names: ["c", "d"], mode: .patch)
        if let known { Self.receive([Self.snapshot(known, "d", 10)], &client, Ledger()) }
        client.reconnects(startsEarly: false)
        Self.receive([Self.hello(known ?? 0), Self.gap, Self.snapshot(3, "d", 30)], &client, ledger)
        #expect(ledger.objections == [])
        #expect(client.held["d"] == 30)
    }

    @Test("is told in its beginning how far its snapshots reach, and misses what comes after")
    func beginning() {
        let ledger = Self.ledger()
        var client = SimulatedClient(names: ["c", "d"], mode: .patch)
        Self.receive([Self.snapshot(1, "d", 10)], &client, Ledger())
        client.reconnects(startsEarly: false)
        Self.receive([Self.hello(4), Self.gap, Self.snapshot(3, "d", 30)], &client, ledger)
        ledger.issued(Self.cursor(5), "c", 50, mayRepeat: false)
        ledger.issued(Self.cursor(6), "d", 60, mayRepeat: false)
        Self.receive([Self.snapshot(6, "d", 60)], &client, ledger)
        let loss = #"\#(Self.cursor(6)) after \#(Self.cursor(4)): events of ["c"] were lost in silence"#
        #expect(ledger.objections == [loss])
    }
}
