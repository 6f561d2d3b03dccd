// How a stream goes on: cuts, delays, refusals, silence, slow consumers, cancellation.

import Testing

@testable import FreshetClient

@Suite("Streams", .timeLimit(.minutes(1)))
struct StreamTests {
    @Test("changes come in order, each once, and a cut is resumed after the last one")
    func resumes() async throws {
        let fixture = try Fixture()
        let changes = Consumer(fixture.source.changes(mode: .items))
        async let opened = changes.take(2)
        let first = try await fixture.transport.next()
        #expect(first.path == "/v1/streams/s?mode=items")
        first.open()
        first.snapshot("[]", id: "e-1")
        #expect(try await opened == ["opened", "snapshot [] @e-1"])
        first.event("items", id: "e-2", #""items":{"created":[{"id":1}],"updated":[],"deleted":[7]}"#)
        first.send("id: e-3\nevent: items\nda")
        first.cut()
        #expect(try await changes.take(2) == [#"items +[{"id":1}] ~[] -[7] @e-2"#, "interrupted: cut"])
        let second = try await fixture.transport.next()
        #expect(second.header("last-event-id") == "e-2", "what was cut off has not been seen")
        second.open()
        // As after a relay that repeats: what was delivered is not delivered again.
        second.event("checkpoint", id: "e-2")
        second.event("checkpoint", id: "e-3")
        second.event("status", #""state":"ok""#)
        second.event("later", #""x":1"#)
        #expect(try await changes.take(4) == ["opened", "checkpoint @e-3", "status ok -", "other later"])
        #expect(fixture.timing.delays == [.seconds(2)])
    }

    @Test(
        "a sequence begins where it is told to",
        arguments: [
            (.snapshot, "", nil), (.latest, "&since=latest", nil), (.earliest, "&since=earliest", nil),
        ] as [(FreshetClient.Start, String, String?)]
    )
    func starts(start: FreshetClient.Start, query: String, id: String?) async throws {
        let fixture = try Fixture()
        let changes = Consumer(fixture.client.changes(of: ["a", "b*"], mode: .merge, since: start))
        async let taken = changes.take(2)
        let connection = try await fixture.transport.next()
        #expect(connection.path == "/v1/streams/a,b*?mode=merge\(query)")
        #expect(connection.header("last-event-id") == id)
        connection.open(at: "e-41")
        connection.end()
        _ = try await taken
        let next = try await fixture.transport.next()
        // What began with the next change must not miss one that came while there was no connection.
        #expect(next.header("last-event-id") == (start == .latest ? "e-41" : nil))
        #expect(next.path == "/v1/streams/a,b*?mode=merge\(start == .latest ? "" : query)")
    }

    @Test("a kept cursor is sent, and the gap after it is told")
    func keptCursor() async throws {
        let fixture = try Fixture()
        let cursor = try #require(FreshetClient.Cursor("k3f9q-41"))
        let changes = Consumer(fixture.source.changes(since: .after(cursor)))
        async let taken = changes.take(3)
        let connection = try await fixture.transport.next()
        #expect(connection.header("last-event-id") == "k3f9q-41")
        connection.open()
        connection.send("event: gap\ndata: {\"reason\":\"evicted\"}\n\n")
        connection.snapshot("1", id: "k3f9q-7")
        #expect(try await taken == ["opened", "gap evicted", "snapshot 1 @k3f9q-7"])
    }

    @Test("the gateway's retry is obeyed, with jitter where the gateway has not spread it")
    func retry() async throws {
        let fixture = try Fixture()
        fixture.timing.setChance(0.5)
        let changes = Consumer(fixture.source.changes())
        let reading = Task { try await changes.take(100) }
        let first = try await fixture.transport.next()
        first.open(retry: 5000)
        first.end()
        let second = try await fixture.transport.next()
        #expect(fixture.timing.delays == [.milliseconds(2500)])
        second.open(retry: 4000)
        second.send("retry: 4321\n\n")
        second.bye("drain")
        second.end()
        let third = try await fixture.transport.next()
        #expect(fixture.timing.delays.last == .milliseconds(4321))
        third.open()
        third.bye("slow")
        third.end()
        let fourth = try await fixture.transport.next()
        #expect(fixture.timing.delays.last == .zero, "nothing to wait for")
        fourth.open()
        fourth.bye("slow")
        fourth.end()
        let fifth = try await fixture.transport.next()
        #expect(fixture.timing.delays.last == .milliseconds(4321), "not at once for ever")
        fifth.open(retry: .max)
        fifth.bye("drain")
        fifth.end()
        _ = try await fixture.transport.next()
        #expect(fixture.timing.delays.last == .seconds(300), "no gateway keeps a client away for ever")
        reading.cancel()
        _ = await reading.result
    }

    @Test("waits double from the retry time up to the limit, until a stream opens")
    func backOff() async throws {
        let fixture = try Fixture()
        let changes = Consumer(fixture.source.changes())
        let reading = Task { try await changes.take(100) }
        for _ in 0..<6 {
            try await fixture.transport.next().fail(FreshetTransportError("refused", isUnsent: true))
        }
        let connection = try await fixture.transport.next()
        #expect(fixture.timing.delays == [2, 4, 8, 16, 30, 30].map { .seconds($0) })
        connection.open()
        connection.end()
        _ = try await fixture.transport.next()
        #expect(fixture.timing.delays.last == .seconds(2))
        reading.cancel()
        _ = await reading.result
    }

    @Test("a gateway that is busy is asked again, after what it says", arguments: [408, 425, 429, 500, 502, 503, 504])
    func busy(status: Int) async throws {
        let fixture = try Fixture()
        fixture.timing.setChance(0)
        let changes = Consumer(fixture.source.changes())
        async let taken = changes.take(1)
        try await fixture.transport.next()
            .answer(status, ["retry-after": "7"], body: #"{"detail":"Too many streams."}"#)
        _ = try await fixture.transport.next()
        #expect(fixture.timing.delays == [.seconds(7)])
        #expect(try await taken == ["interrupted: Too many streams."])
    }

    @Test("a page that is no stream is not one, and is asked again")
    func portal() async throws {
        let fixture = try Fixture()
        let changes = Consumer(fixture.source.changes())
        async let taken = changes.take(1)
        let connection = try await fixture.transport.next()
        connection.answer(200, ["content-type": "text/html"])
        try await connection.waitUntilReleased()
        _ = try await fixture.transport.next()
        #expect(try await taken == ["interrupted: the answer is not an event stream"])
    }

    @Test(
        "a refusal ends the sequence with an error",
        arguments: [
            (400, .refused), (401, .unauthorized), (403, .unauthorized), (404, .notFound), (410, .notFound),
            (302, .refused),
        ] as [(Int, FreshetClientError.Code)]
    )
    func refusals(status: Int, code: FreshetClientError.Code) async throws {
        let fixture = try Fixture()
        let changes = Consumer(fixture.source.changes())
        let next = Task { try await changes.next() }
        try await fixture.transport.next().answer(status, body: #"{"detail":"No."}"#)
        let error = await #expect(throws: FreshetClientError.self) { try await next.value }
        #expect(error?.code == code)
        #expect(error?.status == status)
        #expect(error?.reason == "No.")
        #expect(try await changes.next() == nil)
        #expect(fixture.transport.requestCount == 1)
    }

    @Test("204 ends the sequence")
    func noContent() async throws {
        let fixture = try Fixture()
        let changes = Consumer(fixture.source.changes())
        async let next = changes.next()
        try await fixture.transport.next().answer(204)
        #expect(try await next == nil)
        #expect(fixture.transport.requestCount == 1)
    }

    @Test("a stream that is silent for two and a half heartbeats and five seconds is opened again")
    func silence() async throws {
        let fixture = try Fixture()
        let changes = Consumer(fixture.source.changes())
        async let opened = changes.take(2)
        let first = try await fixture.transport.next()
        first.open()
        first.snapshot("1", id: "e-1")
        _ = try await opened
        // The first wait is for the default heartbeat, from before the stream's own is known.
        fixture.timing.advance(by: .seconds(43))
        try await first.waitUntilReleased()
        #expect(try await changes.take(1) == ["interrupted: nothing arrived for 10 s"])
        let second = try await fixture.transport.next()
        #expect(second.header("last-event-id") == "e-1")
    }

    @Test("a consumer that lags gets a snapshot instead of what it missed, and the connection waits for it")
    func lagging() async throws {
        let fixture = try Fixture { $0.maxBufferedChanges = 10 }
        let changes = Consumer(fixture.source.changes())
        async let opened = changes.take(2)
        let first = try await fixture.transport.next()
        first.open()
        first.snapshot("[0]", id: "e-1")
        _ = try await opened
        for number in 2...20 { first.patch(#"{"op":"replace","path":"/0","value":\#(number)}"#, id: "e-\(number)") }
        try await first.waitUntilReleased()
        #expect(fixture.transport.requestCount == 1, "no other before the consumer comes")
        #expect(try await changes.take(1) == ["gap lagging"])
        async let next = changes.take(2)
        let second = try await fixture.transport.next()
        #expect(second.header("last-event-id") == nil)
        second.open()
        second.snapshot("[20]", id: "e-20")
        #expect(try await next == ["opened", "snapshot [20] @e-20"])
        #expect(fixture.timing.delays == [])
    }

    @Test("so does one for which too many bytes wait; one change of any size is taken")
    func laggingBytes() async throws {
        let fixture = try Fixture { $0.maxBufferedBytes = 1000 }
        let large = "\"\(String(repeating: "a", count: 5000))\""
        let changes = Consumer(fixture.source.changes())
        async let opened = changes.take(2)
        let connection = try await fixture.transport.next()
        connection.open()
        connection.snapshot(large, id: "e-1")
        #expect(try await opened.last == "snapshot \(large) @e-1")
        connection.event("checkpoint", id: "e-2")
        connection.snapshot(large, id: "e-3")
        connection.event("checkpoint", id: "e-4")
        try await connection.waitUntilReleased()
        #expect(try await changes.take(1) == ["gap lagging"])
    }

    @Test("the snapshots of a beginning are not dropped, however slow the consumer")
    func manySnapshots() async throws {
        let fixture = try Fixture { $0.maxBufferedChanges = 4 }
        let changes = Consumer(fixture.client.changes(of: ["*"]))
        async let opened = changes.take(1)
        let connection = try await fixture.transport.next()
        connection.open()
        for number in 1...99 { connection.snapshot("1", id: nil, source: "s\(number)") }
        connection.snapshot("1", id: "e-1", source: "last")
        #expect(try await opened == ["opened"])
        #expect(try await changes.take(100) == Array(repeating: "snapshot 1", count: 99) + ["snapshot 1 @e-1"])
        #expect(fixture.transport.requestCount == 1)
    }

    @Test("a consumer that would rather wait gets every change; what it has not taken is not read")
    func waiting() async throws {
        let fixture = try Fixture { configuration in
            configuration.whenLagging = .wait
            configuration.maxBufferedChanges = 4
        }
        let changes = Consumer(fixture.source.changes())
        async let opened = changes.take(2)
        let connection = try await fixture.transport.next()
        connection.open()
        connection.snapshot("0", id: "e-1")
        _ = try await opened
        connection.send((2...100).map { "id: e-\($0)\nevent: checkpoint\ndata: {}\n\n" }.joined())
        #expect(try await changes.take(1) == ["checkpoint @e-2"])
        // No silence of the gateway: it is the client that does not read.
        fixture.timing.advance(by: .seconds(100))
        #expect(try await changes.take(98) == (3...100).map { "checkpoint @e-\($0)" })
        #expect(fixture.transport.requestCount == 1)
    }

    @Test("an event beyond the limit ends the sequence")
    func tooLarge() async throws {
        let fixture = try Fixture { $0.maxEventBytes = 1000 }
        let changes = Consumer(fixture.source.changes())
        async let opened = changes.take(1)
        let connection = try await fixture.transport.next()
        connection.open()
        _ = try await opened
        connection.send("data: \(String(repeating: "a", count: 1001))")
        let error = await #expect(throws: FreshetClientError.self) { try await changes.next() }
        #expect(error?.code == .tooLarge)
    }

    @Test("an event that is not what it should be is a broken connection", arguments: ["[1", "{}", "1"])
    func malformed(data: String) async throws {
        let fixture = try Fixture()
        let changes = Consumer(fixture.source.changes())
        async let opened = changes.take(1)
        let connection = try await fixture.transport.next()
        connection.open()
        _ = try await opened
        connection.send("id: e-5\nevent: snapshot\ndata: \(data)\n\n")
        let last = try #require(try await changes.take(1).last)
        #expect(last.hasPrefix("interrupted: an event"), "\(last)")
    }

    @Test("cancelling the task ends the stream, before and after it opened", arguments: [false, true])
    func cancelled(isOpen: Bool) async throws {
        let fixture = try Fixture()
        let reading = Task {
            for try await _ in fixture.source.changes() {}
        }
        let connection = try await fixture.transport.next()
        if isOpen { connection.open() }
        reading.cancel()
        try await connection.waitUntilReleased()
        await #expect(throws: CancellationError.self) { try await reading.value }
    }

    @Test("leaving the loop ends the stream")
    func released() async throws {
        let fixture = try Fixture()
        let reading = Task {
            for try await _ in fixture.source.values() { break }
        }
        let connection = try await fixture.transport.next()
        connection.open()
        connection.snapshot("1", id: "e-1")
        try await reading.value
        try await connection.waitUntilReleased()
    }

    @Test("a token is asked for at each connection; without one there is none")
    func tokens() async throws {
        let tokens = Mailbox<String>(maxCount: 10, maxBytes: 10)
        let fixture = try Fixture { configuration in
            configuration.credential = .renewing {
                guard let token = try await tokens.take() else { throw FreshetClientError(.unauthorized, "signed out") }
                return token
            }
        }
        for token in ["one", "two"] { _ = tokens.put(token, bytes: 0) }
        tokens.finish()
        let changes = Consumer(fixture.source.changes())
        async let taken = changes.take(3)
        let first = try await fixture.transport.next()
        #expect(first.header("authorization") == "Bearer one")
        first.open()
        first.bye("expired")
        first.end()
        let second = try await fixture.transport.next()
        #expect(second.header("authorization") == "Bearer two")
        #expect(fixture.timing.delays == [.zero])
        #expect(
            try await taken == ["opened", "closing expired", "interrupted: the gateway closed the stream: expired"]
        )
        second.cut()
        second.answer()
        _ = try await changes.take(1)
        let error = await #expect(throws: FreshetClientError.self) { try await changes.next() }
        #expect(error?.reason == "signed out")
    }

    @Test("a token with a line break is not sent")
    func hostileToken() async throws {
        let fixture = try Fixture { $0.credential = .token("a\r\nx-other: 1") }
        let changes = Consumer(fixture.source.changes())
        await #expect(throws: FreshetClientError.self) { try await changes.next() }
        #expect(fixture.transport.requestCount == 0)
    }
}
