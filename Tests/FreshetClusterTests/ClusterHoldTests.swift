// Why a gateway that is connected polls nothing.

import FreshetCluster
import FreshetCore
import FreshetTesting
import NATS
import Synchronization
import System
import Testing

@Suite("Cluster: what a node waits for")
struct ClusterHoldTests {
    private static let start = MonotonicTime(nanoseconds: 1_000_000_000)

    private static func machine() -> ClusterMachine {
        var machine = ClusterMachine(
            ClusterMachine.Settings(node: "a", incarnation: Incarnation(rawValue: 1), lease: .seconds(3)),
            log: Cursor(epoch: Epoch(rawValue: 1), sequence: 0),
            last: nil,
            seed: 1
        )
        machine.connected(now: self.start)
        return machine
    }

    private static func publishes(_ actions: [ClusterMachine.Action]) -> [(ClusterMachine.PublishID, UInt64?)] {
        actions.compactMap { action in
            if case .publish(let id, _, let expecting) = action { (id, expecting?.sequence) } else { nil }
        }
    }

    private static func notes(_ actions: [ClusterMachine.Action]) -> [ClusterNote] {
        actions.compactMap { if case .note(let note) = $0 { note } else { nil } }
    }

    @Test("a marker in the place of the epoch's record is no record of another version")
    func marker() {
        var machine = Self.machine()
        machine.factsReceived(.success(StreamFacts(first: 7, last: 9)), now: Self.start)
        let marker = StoredMessage(
            sequence: 9,
            subject: ClusterSubjects().subject(of: .epoch),
            headers: [StreamHeader("Nats-Marker-Reason", "MaxAge")]
        )
        machine.epochReceived(.success(marker), now: Self.start)
        let actions = machine.takeActions()
        #expect(Self.notes(actions).isEmpty)
        #expect(Self.publishes(actions).map(\.1) == [9], "an epoch begins, unless another node began one")
    }

    @Test("a record of another version is said for as long as the node waits")
    func foreign() {
        var machine = Self.machine()
        machine.factsReceived(.success(StreamFacts(first: 1, last: 9)), now: Self.start)
        let record = StoredMessage(sequence: 9, subject: ClusterSubjects().subject(of: .epoch), payload: [200, 1, 2])
        machine.epochReceived(.success(record), now: Self.start)
        #expect(Self.notes(machine.takeActions()) == [.foreignFormat])
        #expect(machine.hold == .foreignFormat)
    }

    @Test("what is not acknowledged is told with its reason, once a minute at most, and no more once it is")
    func refused() {
        var machine = Self.machine()
        var now = Self.start
        var told: [ClusterNote] = []
        var ids: [ClusterMachine.PublishID] = []
        for _ in 0..<400 {
            machine.timePassed(now: now)
            for action in machine.takeActions() {
                switch action {
                case .readFacts: machine.factsReceived(.success(StreamFacts(first: 1, last: 0)), now: now)
                case .readEpoch: machine.epochReceived(.success(nil), now: now)
                case .publish(let id, _, _): ids.append(id)
                case .note(let note): told.append(note)
                default: break
                }
            }
            for id in ids { machine.published(id, .unknown("Permissions Violation"), now: now) }
            ids = []
            now = now + .milliseconds(200)
        }
        #expect(machine.hold == .notAcknowledged("Permissions Violation"))
        #expect(told == [.notAcknowledged("Permissions Violation"), .notAcknowledged("Permissions Violation")])
        machine.connected(now: now)
        #expect(machine.hold == .facts)
    }

    @Test(
        "a user who may not publish: the broker's word reaches whoever asks, and the log",
        .enabled(if: NATSConnection.isAvailable && NATSServer.program != nil)
    )
    func permissions() async throws {
        let server = try await NATSServer.started(
            configuration: """
                authorization { users: [{ user: a, password: b, permissions: {
                  publish: ["$JS.API.>", "_INBOX.>"], subscribe: ["_INBOX.>", "freshet-call.*"] } }] }
                """
        )
        let url = server.url.replacing("nats://", with: "nats://a:b@")
        var stream = NATSStreamSettings(connection: NATSSettings(servers: [url]), prefix: "fr")
        stream.publishTimeout = .milliseconds(500)
        let log = ClusterLog(
            ClusterMachine.Settings(node: "a", incarnation: Incarnation(rawValue: 1), lease: .seconds(1)),
            stream: try NATSStream(stream),
            store: nil,
            log: Cursor(epoch: Epoch(rawValue: 1), sequence: 0),
            last: nil
        )
        defer { log.stop() }
        let notes = Watched<[ClusterNote]>([])
        log.run(sources: [], stored: [], control: ClusterControl(note: { note in notes.update { $0.append(note) } }))
        let reason = await notes.wait(timeout: .patience) { notes in
            notes.lazy.compactMap { if case .notAcknowledged(let reason) = $0 { reason } else { nil } }.first
        }
        #expect(reason?.contains("Permissions Violation for Publish to \"fr.") == true, "\(reason ?? "nothing")")
        #expect(log.snapshot.state == .connected)
        #expect(log.snapshot.hold == reason.map { .notAcknowledged($0) })
    }
}
