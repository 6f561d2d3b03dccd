// Streams that were opened with tickets: each has its own ids, and shares everything else.

import CLinux
import FreshetCore
import FreshetTesting
import System
import Testing

@testable import FreshetStreaming

extension StreamingTests {
    @Suite("A ticket's stream")
    struct TicketStreamTests {
        private static let suffix = "abcdefghijklmnopqrstuv"

        static func owner(_ ticket: UInt64, suffix: String = Self.suffix, until: WallTime? = nil) throws -> StreamOwner
        {
            let mark = try #require(
                TicketMark(ticket: Fingerprint(first: ticket, second: 0), suffix: Array(suffix.utf8))
            )
            return StreamOwner(
                principal: Principal(kind: .key, id: "mobile", grants: .open, validUntil: until),
                pattern: .all,
                mark: mark
            )
        }

        /// What a client read, its suffixes taken away. The retry is each stream's own.
        private static func events(_ client: StreamClient, suffix: String = Self.suffix) throws -> [ReceivedEvent] {
            try client.events.map { event in
                guard let id = event.id else { return event }
                #expect(id.hasSuffix("~\(suffix)"))
                let cursor = try #require(Cursor(EventID(id).cursor))
                return ReceivedEvent(type: event.type, id: cursor.description, bytes: event.bytes)
            }
        }

        @Test(
            "has the suffix in every id, and is otherwise what another stream is",
            arguments: Framing.allCases,
            StreamMode.allCases
        )
        func ids(framing: Framing, mode: StreamMode) throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let sources = try ["a", "b"].map(fixture.source)
            for (number, source) in sources.enumerated() {
                try fixture.publish(number + 1, of: source, hasPatch: false)
            }
            let plain = try fixture.subscribe(to: sources, format: StreamFormat(mode: mode), framing: framing)
            let format = StreamFormat(mode: mode, wire: .markedEventStream)
            // As many in one group, each with its own.
            let suffixes = (10..<40).map { "\($0)" + Self.suffix.dropFirst(2) }
            let marked = try suffixes.enumerated().map { number, suffix in
                let owner = try Self.owner(UInt64(number), suffix: suffix)
                return try fixture.subscribe(to: sources, format: format, framing: framing, owner: owner)
            }
            for client in marked + [plain] { #expect(client.receive(events: 3)) }
            for number in 3...20 { try fixture.publish(number, of: sources[number % 2]) }
            // Several at once leave in one send.
            try fixture.whileHeld { for number in 21...40 { try fixture.publish(number, of: sources[number % 2]) } }
            try fixture.report(.failing, of: sources[0])
            #expect(plain.receive { $0.events.last?.type == "status" })
            let expected = Array(plain.events.dropFirst())
            for (client, suffix) in zip(marked, suffixes) {
                #expect(client.receive { $0.events.last?.type == "status" })
                // It has nothing yet when it says hello, and so begins anew where it is cut off then.
                #expect(client.events.first?.id == "\(fixture.cursor(0))~\(suffix)")
                #expect(try Array(Self.events(client, suffix: suffix).dropFirst()) == expected)
            }
            // Who resumes has the log's events, and a hello that loses none of them.
            let owner = try Self.owner(1)
            let position = StreamPosition.after(fixture.cursor(10))
            let again = try fixture.subscribe(to: sources, format: format, at: position, framing: framing, owner: owner)
            #expect(again.receive(through: 40))
            #expect(again.events.first?.id == "\(fixture.cursor(10))~\(Self.suffix)")
            #expect(try Array(Self.events(again).dropFirst(2)).map(\.sequence) == Array(11...40))
            #expect(try Self.events(again).suffix(30) == expected.dropLast().suffix(30))
        }

        @Test(
            "holds every byte of frames of any size, in whatever pieces they are read (F48)",
            arguments: [1, 2, 3, 4]
        )
        func pieces(seed: UInt64) throws {
            var random = SplitMix64(seed: seed)
            let fixture = try StreamFixture {
                $0.sendBufferBytes = 4096
                $0.shards = 1
                // So that frames of the test are longer than what is copied for a send.
                $0.replayBatchBytes = 1024
            }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            let owner = try Self.owner(1)
            let format = StreamFormat(mode: .snapshot, wire: .markedEventStream)
            let client = try fixture.subscribe(
                to: [source],
                format: format,
                at: .latest,
                receiveBuffer: 2048,
                owner: owner
            )
            let quick = try fixture.subscribe(to: [source], format: format, at: .latest, owner: try Self.owner(2))
            #expect(client.receive(events: 1) && quick.receive(events: 1))
            for number in 1...12 {
                let padding = number % 3 == 0 ? 60_000 : Int.random(in: 0...30_000, using: &random)
                try fixture.publish(number, of: source, padding: padding)
                let version = try #require(fixture.hub.version(of: source))
                let frame = version.frame(wire: .eventStream, step: .arrive)
                #expect(quick.receive(through: UInt64(number)))
                let limit = Int.random(in: 1...5000, using: &random)
                let isThere = client.receive(limit: limit) { ($0.events.last?.sequence ?? 0) >= UInt64(number) }
                #expect(isThere)
                let data = Array(frame.bytes[frame.data])
                for reader in [client, quick] {
                    #expect(reader.events.last?.bytes.elementsEqual(data) == true)
                    #expect(reader.events.last?.id == "\(fixture.cursor(UInt64(number)))~\(Self.suffix)")
                }
            }
            #expect(client.events.count == 13 && quick.events.count == 13)
            // From the log, where frames of all sizes stand behind each other.
            let again = try fixture.subscribe(
                to: [source],
                format: format,
                at: .after(fixture.cursor(1)),
                receiveBuffer: 2048,
                owner: owner
            )
            let hasAll = again.receive(limit: 3000) { ($0.events.last?.sequence ?? 0) >= 12 }
            #expect(hasAll)
            #expect(try Self.events(again).dropFirst().map(\.bytes) == Self.events(quick).dropFirst(2).map(\.bytes))
        }

        @Test("ends the earlier one of its ticket, whoever reads that, and no other")
        func earlier() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, hasPatch: false)
            let format = StreamFormat(wire: .markedEventStream)
            let other = try fixture.subscribe(to: [source], format: format, owner: try Self.owner(7))
            #expect(other.receive(events: 2))
            var earlier: StreamClient?
            for _ in 0..<20 {
                let client = try fixture.subscribe(to: [source], format: format, owner: try Self.owner(8))
                #expect(client.receive(events: 2))
                if let earlier {
                    #expect(earlier.receiveToEnd())
                    #expect(earlier.events.last == ReceivedEvent(type: "bye", data: #"{"reason":"revoked"}"#))
                }
                earlier = client
            }
            try fixture.publish(2, of: source)
            #expect(other.receive(through: 2) && earlier?.receive(through: 2) == true)
            #expect(fixture.server.statistics.subscribers == 2)
        }
    }

    @Suite("A right that ends")
    struct EndingRightTests {
        private static func owner(_ pattern: String, until: WallTime? = nil) throws -> StreamOwner {
            StreamOwner(
                principal: Principal(kind: .key, id: "mobile", grants: .open, validUntil: until),
                pattern: SourcePattern(try #require(SourceSelector(pattern)))
            )
        }

        /// What a stream of `pattern` keeps where only `grant` may be read.
        private static func verdict(_ owner: StreamOwner, _ grant: SourcePattern) -> OwnerVerdict {
            let kept = owner.pattern.intersection(grant)
            return kept == owner.pattern ? .goesOn : kept == .none ? .ends(.revoked) : .keeps(kept)
        }

        @Test("in part takes the stream those sources and tells so; the last one takes the stream")
        func parts() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let sources = try ["a", "b", "c"].map(fixture.source)
            for (number, source) in sources.enumerated() {
                try fixture.publish(number + 1, of: source, hasPatch: false)
            }
            let selector = try #require(SourceSelector("*"))
            let other = try fixture.subscribe(to: sources, selector: selector)
            let clients = try (0..<50).map { _ in
                try fixture.subscribe(to: sources, selector: selector, owner: try Self.owner("*"))
            }
            // Behind at first: it has to read the log when it loses a source.
            let slow = try fixture.subscribe(
                to: sources,
                selector: selector,
                at: .after(fixture.cursor(0)),
                owner: try Self.owner("*")
            )
            for client in clients + [other] { #expect(client.receive(events: 4)) }
            #expect(slow.receive(events: 1))
            func review(_ grant: String) throws {
                let pattern = SourcePattern(try #require(SourceSelector(grant)))
                fixture.server.review { Self.verdict($0, pattern) }
            }
            try review("a,c")
            for client in clients + [slow] {
                #expect(client.receive { $0.events.last?.type == "status" })
                #expect(client.events.last?.data.hasPrefix(#"{"source":"b","state":"removed","since":""#) == true)
            }
            for number in 4...30 { try fixture.publish(number, of: sources[number % 3]) }
            // What comes later is not theirs either.
            let later = try fixture.source("later")
            try fixture.publish(31, of: later, hasPatch: false)
            try fixture.publish(32, of: sources[0])
            #expect(other.receive(through: 32))
            let expected = other.events.filter { ["a", "c"].contains($0.source) }
            for client in clients {
                #expect(client.receive(through: 32))
                #expect(
                    client.events.filter { $0.type != "status" && $0.source != "b" && $0.source != nil } == expected
                )
                #expect(client.events.count { $0.source == "b" } == 2)
            }
            #expect(slow.receive(through: 32))
            // They share a group again, and the hub counts them where they are.
            #expect(fixture.hub.report(of: sources[1])?.subscribers == 1)
            #expect(fixture.hub.report(of: sources[0])?.subscribers == 52)
            try review("x")
            for client in clients + [slow] {
                #expect(client.receiveToEnd())
                #expect(client.events.last == ReceivedEvent(type: "bye", data: #"{"reason":"revoked"}"#))
            }
            #expect(eventually { fixture.server.statistics.subscribers == 1 })
            #expect(eventually { fixture.hub.report(of: sources[0])?.subscribers == 1 })
        }

        @Test("in part still tells of a gap who was behind when a source of the stream went")
        func behind() throws {
            let fixture = try StreamFixture {
                $0.sendBufferBytes = 4096
                $0.shards = 1
            }
            defer { fixture.stop() }
            let sources = try ["a", "b", "c"].map(fixture.source)
            for (number, source) in sources.enumerated() {
                try fixture.publish(number + 1, of: source, hasPatch: false)
            }
            let selector = try #require(SourceSelector("*"))
            let owner = try Self.owner("*")
            let client = try fixture.subscribe(to: sources, selector: selector, receiveBuffer: 2048, owner: owner)
            #expect(client.receive(events: 4))
            try fixture.publish(4, of: sources[0], padding: 200_000, hasPatch: false)
            #expect(eventually { fixture.server.statistics.blocked == 1 })
            // What it has not been sent, and can not be sent any more.
            try fixture.publish(5, of: sources[1])
            fixture.hub.removeSource(sources[1])
            let pattern = SourcePattern(try #require(SourceSelector("a,b")))
            fixture.server.review { Self.verdict($0, pattern) }
            #expect(eventually { fixture.hub.report(of: sources[2])?.subscribers == 0 })
            try fixture.publish(6, of: sources[0])
            #expect(client.receive(through: 6))
            let events = client.events.dropFirst(4).filter { $0.type != "status" }
            #expect(events.map(\.type) == ["snapshot", "gap", "snapshot"])
            #expect(events.compactMap(\.sequence) == [4, 6])
        }

        @Test("takes the last source that there is, where a pattern would name others")
        func lastOne() throws {
            let fixture = try StreamFixture()
            defer { fixture.stop() }
            let source = try fixture.source("a-1")
            try fixture.publish(1, of: source, hasPatch: false)
            let selector = try #require(SourceSelector("*"))
            let client = try fixture.subscribe(
                to: [source],
                selector: selector,
                owner: try Self.owner("*")
            )
            #expect(client.receive(events: 2))
            let pattern = SourcePattern(try #require(SourceSelector("b-*")))
            fixture.server.review { Self.verdict($0, pattern) }
            #expect(client.receiveToEnd())
            #expect(client.events.last == ReceivedEvent(type: "bye", data: #"{"reason":"revoked"}"#))
        }

        @Test("ends the stream of one who does not read: no event is begun after it, and the connection closes")
        func slow() throws {
            let fixture = try StreamFixture {
                $0.sendBufferBytes = 4096
                $0.shards = 1
            }
            defer { fixture.stop() }
            let source = try fixture.source("rates")
            try fixture.publish(1, of: source, padding: 200_000, hasPatch: false)
            let until = WallTime(milliseconds: clinux_realtime_ns() / 1_000_000 + 300)
            let owner = try Self.owner("*", until: until)
            let client = try fixture.subscribe(to: [source], receiveBuffer: 2048, owner: owner)
            #expect(eventually { fixture.server.statistics.closes["expired"] == 1 })
            #expect(client.receiveToEnd())
            // The snapshot was begun. What came of it is no event; over TLS it is in one record with what comes before it.
            let types = client.events.map(\.type)
            #expect(types == ["hello"] || types == [] && ClientTransport.current == .tls)
            #expect(!client.hasTerminator)
        }
    }
}
