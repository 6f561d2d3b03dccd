import FreshetStreaming
import FreshetTesting
import System
import Testing

@testable import FreshetHTTP

@Suite("Connection table")
struct ConnectionTableTests {
    private typealias Table = ConnectionTable<Int>
    private static let one = PeerAddress("192.0.2.1").countedNetwork
    private static let other = PeerAddress("192.0.2.2").countedNetwork

    @Test(
        "A14: in a full table the oldest without a whole request goes first, then the oldest idle one, a busy one never"
    )
    func order() {
        var table = Table(maxPerNetwork: 0, probePlaces: 2)
        for id in 1...4 { #expect(table.enter(id, network: nil, limit: 4) == (.ordinary, nil)) }
        table.activityChanged(of: 1, to: .busy)
        table.activityChanged(of: 2, to: .busy)
        table.activityChanged(of: 2, to: .idle)
        #expect(table.enter(5, network: nil, limit: 4) == (.ordinary, 3))
        #expect(table.enter(6, network: nil, limit: 4) == (.ordinary, 4))
        table.activityChanged(of: 5, to: .busy)
        table.activityChanged(of: 6, to: .busy)
        #expect(table.enter(7, network: nil, limit: 4) == (.ordinary, 2))
        table.activityChanged(of: 7, to: .busy)
        // All are busy: two places for probes, of which the oldest goes.
        #expect(table.enter(8, network: nil, limit: 4) == (.probe(.full), nil))
        #expect(table.enter(9, network: nil, limit: 4) == (.probe(.full), nil))
        #expect(table.enter(10, network: nil, limit: 4) == (.probe(.full), 8))
        table.leave(9)
        #expect(table.enter(11, network: nil, limit: 4) == (.probe(.full), nil))
        // One that was busy and is idle gives its place.
        table.activityChanged(of: 1, to: .idle)
        #expect(table.enter(12, network: nil, limit: 4) == (.ordinary, 1))
        #expect(table.count == 6)
    }

    @Test("A14: one address that holds its share loses its own oldest, and others lose none")
    func share() {
        var table = Table(maxPerNetwork: 2, probePlaces: 1)
        #expect(table.enter(1, network: Self.other, limit: 10) == (.ordinary, nil))
        #expect(table.enter(2, network: Self.one, limit: 10) == (.ordinary, nil))
        #expect(table.enter(3, network: Self.one, limit: 10) == (.ordinary, nil))
        #expect(table.enter(4, network: Self.one, limit: 10) == (.ordinary, 2))
        table.activityChanged(of: 3, to: .busy)
        table.activityChanged(of: 4, to: .busy)
        #expect(table.enter(5, network: Self.one, limit: 10) == (.probe(.address), nil))
        #expect(table.enter(6, network: Self.other, limit: 10) == (.ordinary, nil))
        table.leave(3)
        #expect(table.enter(7, network: Self.one, limit: 10) == (.ordinary, nil))
    }

    @Test("A14: whatever comes, goes and changes, no more are in than allowed, and none goes twice", arguments: 1...5)
    func model(seed: UInt64) {
        var generator = SplitMix64(seed: seed)
        var table = Table(maxPerNetwork: 6, probePlaces: 3)
        var held: Set<Int> = []
        for id in 0..<3000 {
            let known = held.sorted().randomElement(using: &generator)
            switch Int.random(in: 0..<6, using: &generator) {
            case 0, 1, 2:
                let network = [nil, Self.one, Self.other].randomElement(using: &generator) ?? nil
                let (_, evicted) = table.enter(id, network: network, limit: 10)
                held.insert(id)
                if let evicted { #expect(held.remove(evicted) != nil) }
            case 3:
                guard let known else { continue }
                table.leave(known)
                held.remove(known)
            case _:
                guard let known else { continue }
                let activity: Table.Activity = [.busy, .idle, .unfinished].randomElement(using: &generator) ?? .busy
                table.activityChanged(of: known, to: activity)
            }
            #expect(table.count == held.count && held.count <= 13)
        }
    }
}
