// Writes: what is sent, when it is sent again, and when it has settled.

import Testing

@testable import FreshetClient

@Suite("Writes", .timeLimit(.minutes(1)))
struct WriteTests {
    private static let answer = ["freshet-cursor": "e-9", "etag": "\"v2\""]

    @Test("a write names its base and carries a key, and its answer is the receipt")
    func put() async throws {
        let fixture = try Fixture()
        async let write = fixture.source.put(try json(#"{"n":2}"#), item: "4,2", if: .matches("\"v1\""))
        let connection = try await fixture.transport.next()
        #expect(connection.request.method == .put)
        #expect(connection.path == "/v1/items/s/4%2C2")
        #expect(connection.header("if-match") == "\"v1\"")
        #expect(connection.header("content-type") == "application/json")
        #expect(connection.request.body == Array(#"{"n":2}"#.utf8))
        let key = try #require(connection.header("idempotency-key"))
        #expect(key.count == 32)
        connection.answer(200, Self.answer, body: #"{"n":2,"at":1}"#)
        let receipt = try await write
        #expect(receipt.cursor?.description == "e-9")
        #expect(receipt.etag == "\"v2\"")
        #expect(receipt.value?["at"] == (try json("1")))
        #expect(receipt.idempotencyKey == key)
        #expect(receipt.key == nil)
        try await receipt.settled()
    }

    @Test("patches have the type of their kind; removals have no body; a creation tells its key")
    func others() async throws {
        let fixture = try Fixture()
        let cursor = try #require(FreshetClient.Cursor("e-3"))
        async let merge = fixture.source.patch(.merge(.init(["status": "done"])), if: .cursor(cursor))
        var connection = try await fixture.transport.next()
        #expect(connection.request.method == .patch)
        #expect(connection.path == "/v1/values/s")
        #expect(connection.header("content-type") == "application/merge-patch+json")
        #expect(connection.header("if-match") == "\"e-3\"")
        #expect(connection.request.body == Array(#"{"status":"done"}"#.utf8))
        connection.answer(200, Self.answer, body: "1")
        _ = try await merge
        async let operations = fixture.source.patch(.operations(try json("[]")), item: "a")
        connection = try await fixture.transport.next()
        #expect(connection.header("content-type") == "application/json-patch+json")
        #expect(connection.header("if-match") == nil)
        connection.answer(200, Self.answer, body: "1")
        _ = try await operations
        async let removal = fixture.source.remove(item: "a", if: .isAbsent)
        connection = try await fixture.transport.next()
        #expect(connection.request.method == .delete)
        #expect(connection.request.body == nil)
        #expect(connection.header("if-none-match") == "*")
        connection.answer(204, Self.answer, body: "")
        #expect(try await removal.value == nil)
        async let creation = fixture.source.create(try json("{}"), idempotencyKey: "mine")
        connection = try await fixture.transport.next()
        #expect(connection.request.method == .post)
        #expect(connection.header("idempotency-key") == "mine")
        connection.answer(201, Self.answer.merging(["location": "/v1/items/s/a%2Fb"]) { $1 }, body: "{}")
        #expect(try await creation.key == "a/b")
    }

    @Test(
        "a refusal is not repeated, and its problem is told",
        arguments: [
            (412, .conflict), (409, .conflict), (428, .conflict), (422, .invalid), (404, .notFound),
            (401, .unauthorized),
        ] as [(Int, FreshetClientError.Code)]
    )
    func refused(status: Int, code: FreshetClientError.Code) async throws {
        let fixture = try Fixture()
        let write = Task { try await fixture.source.put(try json("1"), idempotencyKey: "k") }
        try await fixture.transport.next().answer(status, body: #"{"detail":"Others wrote.","current":{"n":3}}"#)
        let error = await #expect(throws: FreshetClientError.self) { try await write.value }
        #expect(error?.code == code)
        #expect(error?.problem?["current"]?["n"] == (try json("3")))
        #expect(error?.idempotencyKey == "k")
        #expect(fixture.transport.requestCount == 1)
    }

    @Test("a write whose outcome is not known is sent again with the same key")
    func repeated() async throws {
        let fixture = try Fixture()
        async let write = fixture.source.put(try json("1"))
        let first = try await fixture.transport.next()
        first.fail(FreshetTransportError("cut", isUnsent: false))
        let second = try await fixture.transport.next()
        second.answer(504, body: #"{"code":"outcome_unknown","outcome":"unknown"}"#)
        let third = try await fixture.transport.next()
        third.answer(409, ["retry-after": "1"], body: #"{"code":"write_under_way"}"#)
        let fourth = try await fixture.transport.next()
        let keys = Set([first, second, third, fourth].map { $0.header("idempotency-key") })
        #expect(keys.count == 1)
        fourth.answer(200, Self.answer, body: "1")
        #expect(try await write.status == 200)
        #expect(fixture.timing.delays == [1, 2, 5].map { .seconds($0) })
    }

    @Test("at last it is told that the outcome is not known, or that there was none", arguments: [true, false])
    func givenUp(isUnsent: Bool) async throws {
        let fixture = try Fixture()
        let write = Task { try await fixture.source.put(try json("1")) }
        for _ in 0..<4 {
            try await fixture.transport.next().fail(FreshetTransportError("gone", isUnsent: isUnsent))
        }
        let error = await #expect(throws: FreshetClientError.self) { try await write.value }
        #expect(error?.code == (isUnsent ? .unavailable : .outcomeUnknown))
        #expect(error?.idempotencyKey?.count == 32)
    }

    @Test("a creation is repeated only where it certainly was not made")
    func creation() async throws {
        let fixture = try Fixture()
        let write = Task { try await fixture.source.create(try json("1")) }
        try await fixture.transport.next().fail(FreshetTransportError("no route", isUnsent: true))
        try await fixture.transport.next().answer(503, body: #"{"outcome":"not_applied"}"#)
        try await fixture.transport.next().fail(FreshetTransportError("cut", isUnsent: false))
        let error = await #expect(throws: FreshetClientError.self) { try await write.value }
        #expect(error?.code == .outcomeUnknown)
        #expect(fixture.transport.requestCount == 3)
    }

    @Test("what the upstream made and the gateway refuses is told as that")
    func applied() async throws {
        let fixture = try Fixture()
        let write = Task { try await fixture.source.put(try json("1")) }
        try await fixture.transport.next().answer(502, body: #"{"code":"result_refused","outcome":"applied"}"#)
        let error = await #expect(throws: FreshetClientError.self) { try await write.value }
        #expect(error?.code == .resultRefused)
        #expect(fixture.transport.requestCount == 1)
    }

    @Test("a write has settled when the sequences of its source have reached its cursor")
    func settles() async throws {
        let fixture = try Fixture()
        let values = Consumer(fixture.source.values())
        async let first = values.next()
        let stream = try await fixture.transport.next()
        stream.open()
        stream.snapshot("1", id: "e-1")
        _ = try await first
        // Of another source, and of a part: neither is waited for.
        let others = Task {
            async let other: Void = { for try await _ in fixture.client.source("t").values() {} }()
            async let part: Void = { for try await _ in fixture.source.values(view: .pointer("/a")) {} }()
            _ = try await (other, part)
        }
        try await fixture.transport.next().open()
        try await fixture.transport.next().open()
        async let write = fixture.source.put(try json("2"))
        try await fixture.transport.next().answer(200, Self.answer, body: "2")
        let receipt = try await write
        let settling = Task {
            try await receipt.settled()
            return try await values.next()?.json.description
        }
        stream.snapshot("0", id: "e-8")
        stream.snapshot("2", id: "e-9")
        #expect(try await settling.value == "2", "the value that waits has the write")
        others.cancel()
        _ = await others.result
    }

    @Test("under another epoch, a stream that was opened after the answer has the write")
    func settlesAfterRestart() async throws {
        let fixture = try Fixture()
        let reading = Task {
            for try await _ in fixture.source.values() {}
        }
        let first = try await fixture.transport.next()
        first.open()
        first.snapshot("1", id: "old-1")
        async let write = fixture.source.put(try json("2"))
        try await fixture.transport.next().answer(200, ["freshet-cursor": "new-1"], body: "2")
        let receipt = try await write
        let settling = Task { try await receipt.settled() }
        fixture.timing.advance(by: .seconds(1))
        first.cut()
        let second = try await fixture.transport.next()
        second.open()
        second.send("event: gap\ndata: {\"reason\":\"epoch\"}\n\n")
        second.snapshot("2", id: "newer-1")
        try await settling.value
        reading.cancel()
        _ = await reading.result
    }

    @Test("waiting for a write can be cancelled")
    func cancelled() async throws {
        let fixture = try Fixture()
        let reading = Task {
            for try await _ in fixture.source.values() {}
        }
        try await fixture.transport.next().open()
        async let write = fixture.source.put(try json("2"))
        try await fixture.transport.next().answer(200, Self.answer, body: "2")
        let receipt = try await write
        let settling = Task { try await receipt.settled() }
        settling.cancel()
        await #expect(throws: CancellationError.self) { try await settling.value }
        reading.cancel()
        _ = await reading.result
    }
}
