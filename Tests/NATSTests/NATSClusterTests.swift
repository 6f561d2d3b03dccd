import Foundation
import FreshetCluster
import FreshetTesting
import NATS
import Testing

@Suite("A cluster of three servers", .enabled(Needed.comment) { Needed.isThere })
struct NATSClusterTests {
    private static let kills = ProcessInfo.processInfo.environment["FRESHET_BROKER_KILLS"].flatMap { Int($0) } ?? 1

    @Test("kill -9 of a server of three: what was acknowledged is read once and in order, through any server")
    func killed() async throws {
        let servers = try await NATSServer.cluster(of: 3)
        let writer = try await StreamFixture.connected(servers) { $0.replicas = 3 }
        let other = try await StreamFixture.connected(servers.reversed()) { $0.replicas = 3 }
        var stored: [UInt64: String] = [:]
        var number = 0
        /// Publishes until so many were stored; what is unknown or refused is published again under another number.
        func publish(_ count: Int) async {
            let end = stored.count + count
            while stored.count < end {
                number += 1
                switch await writer.publish("fr.a", "\(number)") {
                case .stored(let sequence, _): stored[sequence] = "\(number)"
                case .refused, .unknown:
                    _ = await writer.waitForState { $0 == .connected }
                    _ = await writer.facts()
                }
            }
        }
        await publish(100)
        for kill in 0..<Self.kills {
            let server = servers[kill % servers.count]
            try await server.kill()
            await publish(50)
            try await server.start()
            await publish(50)
        }
        // Everything that is in the stream, through the other connection.
        let last = try #require(stored.keys.max())
        let reader = Reader(other.stream)
        while await reader.waitForSequence(last) == false { reader.begin(reader.next) }
        let seen = Dictionary(uniqueKeysWithValues: reader.seen.value.messages.map { ($0.sequence, $0) })
        #expect(stored.allSatisfy { String(decoding: seen[$0.key]?.payload ?? [], as: UTF8.self) == $0.value })
        #expect(reader.sequences == reader.sequences.sorted())
    }
}
