import FreshetCluster
import FreshetTesting
import Glibc
import NATS
import Testing

@Suite("A shared stream at NATS", .enabled(Needed.comment) { Needed.isThere })
struct NATSStreamTests {
    private static func messages(_ count: Int, of subject: String = "fr.a") -> [StreamMessage] {
        (0..<count).map { StreamMessage(subject: subject, payload: Array("\($0)".utf8)) }
    }

    @Test("a batch is stored whole and in order, with its headers, and read back the same in each way")
    func stored() async throws {
        let fixture = try await StreamFixture.connected([NATSServer.started()])
        let headers = [StreamHeader("b", "2"), StreamHeader("a", "1"), StreamHeader("a", "é")]
        var messages = Self.messages(3)
        messages[1].headers = headers
        let outcome = await fixture.publish(messages)
        #expect(outcome == .stored(sequence: 3, count: 3))
        let reader = Reader(fixture.stream)
        try #require(await reader.waitForMessages(3))
        #expect(reader.texts == ["0", "1", "2"] && reader.sequences == [1, 2, 3])
        let sorted = [StreamHeader("a", "1"), StreamHeader("a", "é"), StreamHeader("b", "2")]
        #expect(reader.seen.value.messages[1].headers == sorted)
        let second = reader.seen.value.messages[1]
        #expect(await fixture.message(at: 2) == .success(second))
        #expect(await fixture.message(at: 4) == .success(nil))
        #expect(await fixture.lastMessage(of: "fr.a") == .success(reader.seen.value.messages[2]))
        #expect(await fixture.lastMessage(of: "fr.b") == .success(nil))
        let facts = try await fixture.facts().get()
        #expect(facts.first == 1 && facts.last == 3 && facts.bytes > 0 && !facts.created.isEmpty)
    }

    @Test("a batch of somebody who is not the owner is refused whole, and so is a single message")
    func fenced() async throws {
        let fixture = try await StreamFixture.connected([NATSServer.started()])
        let owner = StreamExpectation("fr.owner.a", at: 0)
        #expect(await fixture.publish("fr.owner.a", "me", expecting: owner) == .stored(sequence: 1, count: 1))
        #expect(await fixture.publish("fr.owner.a", "me too", expecting: owner) == .refused(.fenced))
        #expect(await fixture.publish(Self.messages(5), expecting: owner) == .refused(.fenced))
        #expect(await fixture.publish(Self.messages(1), expecting: owner) == .refused(.fenced))
        let present = StreamExpectation("fr.owner.a", at: 1)
        #expect(await fixture.publish(Self.messages(5), expecting: present) == .stored(sequence: 6, count: 5))
        #expect(await fixture.publish(Self.messages(1), expecting: present) == .stored(sequence: 7, count: 1))
        #expect(try await fixture.facts().get().last == 7)
    }

    @Test(
        "a message that takes the place of earlier ones leaves the last of its subject alone, and is fenced as any other"
    )
    func replaced() async throws {
        let fixture = try await StreamFixture.connected([NATSServer.started()])
        var record = StreamMessage(subject: "fr.owner.a", payload: [0x31], replacesEarlier: true)
        for number in 0..<3 {
            record.payload = [0x31 + UInt8(number)]
            let expected = StreamExpectation("fr.owner.a", at: UInt64(number))
            #expect(
                await fixture.publish([record], expecting: expected) == .stored(sequence: UInt64(number) + 1, count: 1)
            )
        }
        #expect(await fixture.publish([record], expecting: StreamExpectation("fr.owner.a", at: 2)) == .refused(.fenced))
        #expect(await fixture.publish("fr.b", "x") == .stored(sequence: 4, count: 1))
        let reader = Reader(fixture.stream)
        #expect(await reader.waitForMessages(2))
        #expect(reader.texts == ["3", "x"] && reader.sequences == [3, 4])
    }

    @Test("1,000 messages are one batch, and 1,001 are too many")
    func batchSize() async throws {
        let fixture = try await StreamFixture.connected([NATSServer.started()])
        #expect(await fixture.publish(Self.messages(1000)) == .stored(sequence: 1000, count: 1000))
        #expect(await fixture.publish(Self.messages(1001)) == .refused(.tooLarge))
        let payload = [UInt8](repeating: 0x61, count: fixture.stream.maxPayloadBytes)
        let long = StreamMessage(subject: "fr.a", payload: payload)
        #expect(await fixture.publish([long]) == .stored(sequence: 1001, count: 1))
        let longer = StreamMessage(subject: "fr.a", payload: long.payload + [0x61])
        #expect(await fixture.publish([longer]) == .refused(.tooLarge))
        let longest = try #require(try await fixture.message(at: 1001).get())
        #expect(longest.payload == long.payload)
    }

    @Test("what cannot be sent is refused, and nothing of it is stored")
    func malformed() async throws {
        let fixture = try await StreamFixture.connected([NATSServer.started()])
        let mistakes: [StreamMessage] = [
            StreamMessage(subject: "other.a"), StreamMessage(subject: "fr."), StreamMessage(subject: "fr.a b"),
            StreamMessage(subject: "fr.*"), StreamMessage(subject: "fr.a\r\nPUB fr.b 0\r\n"),
            StreamMessage(subject: "fr.a", headers: [StreamHeader("a", "1\r\nNats-TTL: 1s")]),
            StreamMessage(subject: "fr.a", headers: [StreamHeader("a:", "1")]),
        ]
        for message in mistakes {
            guard case .refused(.other) = await fixture.publish([StreamMessage(subject: "fr.a"), message]) else {
                Issue.record("\(message) was not refused")
                continue
            }
        }
        let nothing = await fixture.publish([])
        #expect(nothing == .refused(.other(code: 0, "there is nothing to store")))
        #expect(try await fixture.facts().get().last == 0)
    }

    @Test("a message with a time to live is gone after it, and its marker says why")
    func timeToLive() async throws {
        let fixture = try await StreamFixture.connected([NATSServer.started()])
        let reader = Reader(fixture.stream)
        let lease = StreamMessage(subject: "fr.node.a", payload: [0x61], timeToLive: .milliseconds(600))
        #expect(await fixture.publish([lease]) == .stored(sequence: 1, count: 1))
        #expect(await reader.waitForMessages(2))
        let marker = try #require(reader.seen.value.messages.last)
        #expect(marker.subject == "fr.node.a" && marker.payload.isEmpty && marker.sequence == 2)
        #expect(marker.headers == [StreamHeader("Nats-Marker-Reason", "MaxAge")])
        #expect(await fixture.message(at: 1) == .success(nil))
    }

    @Test("a stream that is full refuses, and drops nothing")
    func full() async throws {
        let fixture = try await StreamFixture.connected([NATSServer.started()]) { $0.maxBytes = 100_000 }
        let large = StreamMessage(subject: "fr.a", payload: Array(repeating: 0x61, count: 30_000))
        for number in 1...3 {
            #expect(await fixture.publish([large]) == .stored(sequence: UInt64(number), count: 1))
        }
        #expect(await fixture.publish([large]) == .refused(.full))
        #expect(await fixture.publish([large, large]) == .refused(.full))
        let facts = try await fixture.facts().get()
        #expect(facts.first == 1 && facts.last == 3)
    }

    @Test("no more comes than the window has room for, and all of it once it has")
    func window() async throws {
        let fixture = try await StreamFixture.connected([NATSServer.started()])
        for _ in 0..<3 { _ = await fixture.publish(Self.messages(100)) }
        let reader = Reader(fixture.stream, window: 40, isHeld: true)
        #expect(await reader.waitForMessages(40))
        // Whatever the broker sent besides would come before the answer to this.
        _ = await fixture.facts()
        #expect(reader.sequences == Array(1...40))
        reader.release()
        #expect(await reader.waitForMessages(300))
        #expect(reader.sequences == Array(1...300) && reader.seen.value.largest <= 40)
    }

    @Test("10,000 messages a second are stored in the order in which they were published, and read in it")
    func pipelined() async throws {
        let fixture = try await StreamFixture.connected([NATSServer.started()])
        let reader = Reader(fixture.stream, window: 1000)
        let count = 10_000
        let outcomes = Watched<[PublishOutcome]>([])
        let start = ContinuousClock.now
        for number in 0..<count {
            let message = StreamMessage(subject: "fr.s\(number % 100)", payload: Array("\(number)".utf8))
            fixture.stream.publish([message], expecting: nil) { outcome in outcomes.update { $0.append(outcome) } }
        }
        #expect(await reader.waitForMessages(count))
        let elapsed = ContinuousClock.now - start
        #expect(await outcomes.wait(timeout: .patience) { $0.count == count ? true : nil } == true)
        #expect(outcomes.value == (1...count).map { .stored(sequence: UInt64($0), count: 1) })
        #expect(reader.texts == (0..<count).map { "\($0)" })
        #expect(fixture.stream.waiting.count == 0 && fixture.stream.waiting.bytes == 0)
        print("pipelined: \(count) messages published, acknowledged and read in \(elapsed)")
    }

    @Test("60 batches that are published at once are all stored, each without a gap, with what came between")
    func manyBatches() async throws {
        let fixture = try await StreamFixture.connected([NATSServer.started()])
        let outcomes = Watched<[PublishOutcome]>([])
        for _ in 0..<60 {
            for messages in [Self.messages(5), Self.messages(1)] {
                fixture.stream.publish(messages, expecting: nil) { outcome in outcomes.update { $0.append(outcome) } }
            }
        }
        #expect(await outcomes.wait(timeout: .patience) { $0.count == 120 ? true : nil } == true)
        let expected = (0..<60).flatMap { number -> [PublishOutcome] in
            let start = UInt64(number * 6)
            return [.stored(sequence: start + 5, count: 5), .stored(sequence: start + 6, count: 1)]
        }
        #expect(outcomes.value.allSatisfy { if case .stored = $0 { true } else { false } })
        #expect(Set(outcomes.value) == Set(expected))
    }

    @Test("more than may wait for the broker is refused, and counted")
    func bounded() async throws {
        let server = try await NATSServer.started()
        let fixture = try await StreamFixture.connected([server]) { $0.connection.maxPending = 10 }
        server.signal(SIGSTOP)
        let outcomes = Watched<[PublishOutcome]>([])
        for _ in 0..<15 {
            fixture.stream.publish(Self.messages(1), expecting: nil) { outcome in
                outcomes.update { $0.append(outcome) }
            }
        }
        #expect(await outcomes.wait(timeout: .patience) { $0.count == 5 ? true : nil } == true)
        #expect(outcomes.value.allSatisfy { $0 == .refused(.unavailable("too much waits for the broker")) })
        #expect(fixture.stream.figures.refused == 5 && fixture.stream.waiting.count == 10)
        server.signal(SIGCONT)
        #expect(await outcomes.wait(timeout: .patience) { $0.count == 15 ? true : nil } == true)
        #expect(outcomes.value.dropFirst(5).allSatisfy { if case .stored = $0 { true } else { false } })
    }
}
