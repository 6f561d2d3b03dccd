// Two gateways' logs over a real broker: the same ids at both, and a source that changes hands.

import FreshetCluster
import FreshetCore
import FreshetTesting
import JSON
import NATS
import Synchronization
import System
import Testing

@Suite("Cluster over a broker", .enabled(if: NATSConnection.isAvailable && NATSServer.program != nil))
struct ClusterBrokerTests {
    /// What a gateway is told, in order.
    final class Node: HubListener {
        let log: ClusterLog
        let hub: Hub
        let source: SourceID
        private let seen = Watched<[String]>([])

        init(_ name: String, _ server: NATSServer) throws {
            let settings = NATSStreamSettings(connection: NATSSettings(servers: [server.url]), prefix: "fr")
            var generator = SystemRandomNumberGenerator()
            let cursor = Cursor(epoch: .random(using: &generator), sequence: 0)
            self.log = ClusterLog(
                ClusterMachine.Settings(
                    node: name,
                    incarnation: Incarnation(rawValue: generator.next()),
                    lease: .seconds(1)
                ),
                stream: try NATSStream(settings),
                store: nil,
                log: cursor,
                last: nil
            )
            self.hub = Hub(log: ChangeLog(epoch: cursor.epoch), backend: self.log)
            let status = SourceStatus(stateSince: WallTime(milliseconds: 0), interval: .seconds(1), intervalReason: "")
            self.source = try #require(self.hub.addSource("rates", identity: "i", status: status))
            self.hub.attach(self)
        }

        func run() {
            let seen = self.seen
            self.log.run(
                sources: ["rates"],
                stored: [],
                control: ClusterControl(own: { name, _ in seen.update { $0.append("own \(name)") } })
            )
        }

        func enqueue(_ notice: HubNotice) {
            guard case .published(let event) = notice else { return }
            self.seen.update { $0.append("change \(event.sequence)") }
        }

        func wake() {}

        func waits(for text: String) async -> Bool {
            await self.seen.wait(timeout: .patience) { $0.contains(text) ? true : nil } ?? false
        }

        func waitsForChanges(_ count: Int) async -> [String]? {
            await self.seen.wait(timeout: .patience) { seen in
                let changes = seen.filter { $0.hasPrefix("change") }
                return changes.count >= count ? changes : nil
            }
        }
    }

    @Test("a change has the same id at both, and the other one takes over what one gives up")
    func sharedLog() async throws {
        let server = try await NATSServer.started()
        let (a, b) = (try Node("a", server), try Node("b", server))
        a.run()
        #expect(await a.waits(for: "own rates"))
        a.hub.publish(ClusterValuesTests.change("[1]"), of: a.source)
        let first = await a.waitsForChanges(1)
        #expect(first != nil)
        b.run()
        #expect(await b.waitsForChanges(1) == first)
        #expect(b.hub.cursor == a.hub.cursor)
        #expect(b.hub.version(of: b.source)?.document.text == Array("[1]".utf8))
        a.log.leave {}
        #expect(await b.waits(for: "own rates"))
        b.hub.publish(ClusterValuesTests.change("[2]"), of: b.source)
        let second = await b.waitsForChanges(2)
        #expect(second != nil)
        #expect(await a.waitsForChanges(2) == second)
        a.log.stop()
        b.log.stop()
        try await server.kill()
    }
}
