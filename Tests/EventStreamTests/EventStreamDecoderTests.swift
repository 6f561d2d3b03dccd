import EventStream
import Testing

@Suite("Decoder")
struct EventStreamDecoderTests {
    @Test("the suite has cases", .enabled(if: WireCase.available, "the shared suites are absent"))
    func suiteIsRead() {
        #expect(WireCase.all.count >= 113)
    }

    @Test(
        "every wire case gives its events, in whatever pieces it arrives",
        .enabled(if: WireCase.available, "the shared suites are absent"),
        arguments: WireCase.all
    )
    func wire(wireCase: WireCase) throws {
        var cuttings = [[wireCase.wire.count], Array(repeating: 1, count: wireCase.wire.count)]
        if let lengths = wireCase.chunkLengths { cuttings.append(lengths) }
        for lengths in cuttings {
            var decoder = EventStreamDecoder()
            #expect(try decoder.pushAll(wireCase.wire, lengths: lengths) == wireCase.expected)
            if let retry = wireCase.expectedRetryMs { #expect(decoder.retryMilliseconds == retry) }
            if let id = wireCase.expectedReconnectLastEventId { #expect(decoder.lastEventID == id) }
            if let hex = wireCase.expectedReconnectLastEventIdUtf8Hex {
                let digits = decoder.lastEventID.utf8.map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }
                #expect(digits.joined() == hex)
            }
        }
    }

    @Test(
        "an empty retry sets no delay",
        arguments: ["retry\n", "retry:\n", "retry: \n", "retry: 1x\n", "retry: -1\n"]
    )
    func retryIgnored(line: String) throws {
        var decoder = EventStreamDecoder()
        _ = try decoder.push([UInt8](line.utf8))
        #expect(decoder.retryMilliseconds == nil)
    }

    @Test("a retry too large for the machine is the largest delay")
    func retrySaturates() throws {
        var decoder = EventStreamDecoder()
        _ = try decoder.push([UInt8]("retry: 99999999999999999999999999\n".utf8))
        #expect(decoder.retryMilliseconds == .max)
    }

    @Test("a byte order mark is stepped over once, also in pieces")
    func mark() throws {
        let wire: [UInt8] = [0xEF, 0xBB, 0xBF] + "data: a\n\n".utf8
        for length in 1...wire.count {
            var decoder = EventStreamDecoder()
            let events = try decoder.pushAll(wire, lengths: [length, wire.count - length])
            #expect(events == [StreamEvent(data: [UInt8]("a".utf8))])
        }
    }

    @Test("half a byte order mark is the start of a field name")
    func halfMark() throws {
        var decoder = EventStreamDecoder()
        let wire: [UInt8] = [0xEF, 0xBB] + "data: a\ndata: b\n\n".utf8
        #expect(try decoder.pushAll(wire, lengths: [1, 1, wire.count - 2]) == [StreamEvent(data: [UInt8]("b".utf8))])
    }

    @Test("an id of a block without data holds; one that the end cuts off does not")
    func idCommits() throws {
        var decoder = EventStreamDecoder(lastEventID: "k-1")
        #expect(try decoder.push([UInt8]("id: k-2\n\nid: k-3\ndata: x\n".utf8)).isEmpty)
        #expect(decoder.lastEventID == "k-2")
    }

    @Test("a decoder given the id of an earlier connection starts from it")
    func idCarries() throws {
        var decoder = EventStreamDecoder(lastEventID: "k-1")
        let events = try decoder.push([UInt8]("data: x\n\n".utf8))
        #expect(events == [StreamEvent(data: [UInt8]("x".utf8), lastEventID: "k-1")])
    }

    @Test("a line over the limit fails the stream for good, whole or in pieces", arguments: [1, 7, 100])
    func lineLimit(length: Int) throws {
        var decoder = EventStreamDecoder(maxLineBytes: 10)
        let expected = EventStreamDecodingError(reason: .lineTooLong(limitBytes: 10))
        #expect(try decoder.pushAll([UInt8]("data: 1234\n\n".utf8), lengths: [length]).count == 1)
        #expect(throws: expected) { try decoder.pushAll([UInt8]("data: 12345\n\n".utf8), lengths: [length]) }
        #expect(throws: expected) { try decoder.push([UInt8]("\n".utf8)) }
    }

    @Test("an event over the limit fails the stream, by many short lines too")
    func eventLimit() throws {
        let expected = EventStreamDecodingError(reason: .eventTooLarge(limitBytes: 8))
        var decoder = EventStreamDecoder(maxEventBytes: 8)
        #expect(try decoder.push([UInt8]("data: 12345678\n\n".utf8)).count == 1)
        #expect(throws: expected) { try decoder.push([UInt8]("data: 123456789\n\n".utf8)) }
        var lines = EventStreamDecoder(maxEventBytes: 8)
        #expect(throws: expected) { try lines.push([UInt8](String(repeating: "data\n", count: 10).utf8)) }
    }

    @Test("events before a fault are received")
    func eventsBeforeFault() {
        var decoder = EventStreamDecoder(maxLineBytes: 10)
        var received: [StreamEvent] = []
        #expect(throws: EventStreamDecodingError(reason: .lineTooLong(limitBytes: 10))) {
            try [UInt8]("data: a\n\n: much too long\n".utf8).withUnsafeBytes { bytes in
                try decoder.push(bytes) { received.append($0) }
            }
        }
        #expect(received == [StreamEvent(data: [UInt8]("a".utf8))])
    }
}

extension EventStreamDecoder {
    /// Pushes `wire` in pieces of the given lengths; the last length repeats until the end.
    mutating func pushAll(_ wire: [UInt8], lengths: [Int]) throws -> [StreamEvent] {
        var events: [StreamEvent] = []
        var rest = wire[...]
        var remaining = lengths[...]
        while !rest.isEmpty {
            let length = remaining.count > 1 ? remaining.removeFirst() : max(1, remaining.first ?? 1)
            events += try self.push([UInt8](rest.prefix(length)))
            rest = rest.dropFirst(length)
        }
        return events
    }
}
