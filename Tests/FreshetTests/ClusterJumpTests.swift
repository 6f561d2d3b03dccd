// What a gateway of a cluster has missed for good is a gap for its next process too.

import Foundation
import FreshetCluster
import FreshetConfiguration
import FreshetCore
import FreshetPolling
import JSON
import Logging
import Synchronization
import Testing

@testable import freshet

@Suite("The log of a cluster's gateway")
struct ClusterJumpTests {
    /// A stream that begins behind what the gateway knows, in the numbering that it knows.
    private final class PrunedStream: SharedStream {
        private final class Reading: StreamReading {
            func consumed(_ count: Int) {}
            func cancel() {}
        }

        let epoch: Epoch
        let maxPayloadBytes = 1 << 20
        private let last = Mutex<UInt64>(20)

        init(epoch: Epoch) {
            self.epoch = epoch
        }

        func start(_ notify: @escaping @Sendable (StreamState) -> Void) {
            Task { notify(.connected) }
        }

        func publish(
            _ messages: [StreamMessage],
            expecting: StreamExpectation?,
            done: @escaping @Sendable (PublishOutcome) -> Void
        ) {
            let sequence = self.last.withLock { last in
                last += UInt64(messages.count)
                return last
            }
            Task { done(.stored(sequence: sequence, count: messages.count)) }
        }

        func read(
            from sequence: UInt64,
            window: Int,
            deliver: @escaping @Sendable ([StoredMessage]) -> Void,
            ended: @escaping @Sendable (StreamFailure) -> Void
        ) -> any StreamReading { Reading() }

        func message(at sequence: UInt64, done: @escaping @Sendable (Result<StoredMessage?, StreamFailure>) -> Void) {
            Task { done(.success(nil)) }
        }

        func lastMessage(
            of subject: String,
            done: @escaping @Sendable (Result<StoredMessage?, StreamFailure>) -> Void
        ) {
            let record = EpochRecord(epoch: self.epoch, base: 0, begins: 1)
            let message = StoredMessage(sequence: 15, subject: subject, payload: record.encoded)
            Task { done(.success(subject.hasSuffix(".epoch") ? message : nil)) }
        }

        func facts(_ done: @escaping @Sendable (Result<StreamFacts, StreamFailure>) -> Void) {
            let facts = StreamFacts(first: 10, last: self.last.withLock { $0 })
            Task { done(.success(facts)) }
        }

        func request(
            _ subject: String,
            _ payload: [UInt8],
            timeout: Duration,
            done: @escaping @Sendable (Result<[UInt8], StreamFailure>) -> Void
        ) {
            Task { done(.failure(StreamFailure(.noResponder, "nobody"))) }
        }

        func send(_ subject: String, _ payload: [UInt8]) {}
        func serve(_ subject: String, _ handle: @escaping @Sendable (StreamRequest) -> Void) {}
        func stop() {}
    }

    private let logger = Logger(label: "test") { _ in SwiftLogNoOpLogHandler() }
    private let sources = [SourceConfiguration(name: "a", url: "http://127.0.0.1:1/")]

    private func registry(_ hub: Hub, _ durable: DurableLog) throws -> SourceRegistry {
        let registry = SourceRegistry(hub: hub, poller: try Poller(hub: hub), stored: durable.contents.sources)
        try registry.apply(self.sources)
        return registry
    }

    @Test("a cursor from before a jump has a gap also after a restart, and one of the jump has none")
    func restart() async throws {
        let folder = FileManager.default.temporaryDirectory.appending(path: "freshet-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        defer { try? FileManager.default.removeItem(at: folder) }
        let path = folder.appending(path: "changes.db").path

        // A log whose last change is the third.
        let first = try DurableLog(.init(path: path), logger: self.logger)
        let epoch = first.contents.epoch
        let alone = first.hub(cache: ChangeCache())
        let a = try #require(try self.registry(alone, first).ids["a"])
        for number in 1...3 {
            let document = try Document(parsing: Array("\(number)".utf8))
            alone.publish(Change(document: document, at: WallTime.now), of: a)
        }
        first.close()

        // The stream has lost what came then, up to its tenth message.
        let second = try DurableLog(.init(path: path), logger: self.logger)
        let settings = ClusterMachine.Settings(node: "n", incarnation: Incarnation(rawValue: 1))
        let log = ClusterLog(
            settings,
            stream: PrunedStream(epoch: epoch),
            store: second.open,
            log: Cursor(epoch: epoch, sequence: second.contents.head),
            last: nil
        )
        let hub = second.hub(cache: ChangeCache(), reads: ReadDesk(), backend: log)
        _ = try self.registry(hub, second)
        let (jumps, jumped) = AsyncStream.makeStream(of: Void.self)
        log.run(
            sources: ["a"],
            stored: second.contents.sources,
            prunedThrough: second.contents.prunedThrough,
            control: ClusterControl(renumbered: { jumped.yield() })
        )
        var iterator = jumps.makeAsyncIterator()
        _ = await iterator.next()
        #expect(hub.cursor == Cursor(epoch: epoch, sequence: 9))
        log.stop()
        second.close()

        let third = try DurableLog(.init(path: path), logger: self.logger)
        defer { third.close() }
        #expect(third.contents.epoch == epoch && third.contents.head == 9)
        let after = third.hub(cache: ChangeCache())
        let again = try #require(try self.registry(after, third).ids["a"])
        // The value is there, at the position of the jump: who gets it now has no gap when it comes back.
        #expect(after.version(of: again)?.document.text == Array("3".utf8))
        #expect(after.version(of: again)?.cursor.sequence == 9)
        for (sequence, hasGap) in [(3, true), (8, true), (9, false)] as [(UInt64, Bool)] {
            let cursor = Cursor(epoch: epoch, sequence: sequence)
            let reading = try await after.changes(of: [again], after: cursor, mode: .patch, limit: 10)
            if case .gap = reading {
                #expect(hasGap, "\(sequence)")
            } else {
                #expect(!hasGap, "\(sequence)")
            }
        }
    }
}
