// Values of sources, as a program sees them.

import Testing

@testable import FreshetClient

@Suite("Values", .timeLimit(.minutes(1)))
struct ValueTests {
    private struct Rates: Decodable, Sendable, Equatable {
        var eur: Double
    }

    @Test("a snapshot and the changes after it are values, each with its cursor")
    func patches() async throws {
        let fixture = try Fixture()
        let values = Consumer(fixture.source.values())
        async let first = values.next()
        let connection = try await fixture.transport.next()
        #expect(connection.path == "/v1/streams/s?mode=patch")
        #expect(connection.header("accept") == "text/event-stream")
        #expect(connection.header("last-event-id") == nil)
        #expect(connection.header("authorization") == nil)
        connection.open()
        connection.snapshot(#"{"eur":1,"usd":[1,2]}"#, id: "e-1")
        let snapshot = try #require(try await first)
        #expect(snapshot.json == (try json(#"{"usd":[1,2],"eur":1.0}"#)))
        #expect(snapshot.cursor == FreshetClient.Cursor("e-1"))
        #expect(snapshot.source == "s")
        connection.patch(#"{"op":"replace","path":"/eur","value":1.0812}"#, id: "e-2")
        #expect(try await values.next()?.json.description == #"{"eur":1.0812,"usd":[1,2]}"#)
        connection.event("checkpoint", id: "e-3")
        connection.event("status", #""state":"failing""#)
        connection.patch(#"{"op":"remove","path":"/usd/0"}"#, id: "e-4")
        let last = try #require(try await values.next())
        #expect(last.json.description == #"{"eur":1.0812,"usd":[2]}"#)
        #expect(last.cursor?.description == "e-4")
    }

    @Test("values are decoded, and are the same in each mode", arguments: FreshetClient.ValueMode.allCases)
    func modes(mode: FreshetClient.ValueMode) async throws {
        let fixture = try Fixture()
        let values = Consumer(fixture.source.values(as: Rates.self, mode: mode))
        async let first = values.next()
        let connection = try await fixture.transport.next()
        #expect(connection.path == "/v1/streams/s?mode=\(mode.rawValue)")
        connection.open()
        connection.snapshot(#"{"eur":1}"#, id: "e-1")
        #expect(try await first == Rates(eur: 1))
        switch mode {
        case .patch: connection.patch(#"{"op":"replace","path":"/eur","value":2}"#, id: "e-2")
        case .merge: connection.event("merge", id: "e-2", #""merge":{"eur":2}"#)
        case .snapshot: connection.snapshot(#"{"eur":2}"#, id: "e-2")
        }
        #expect(try await values.next() == Rates(eur: 2))
        connection.snapshot(#"{"eur":"two"}"#, id: "e-3")
        await #expect(throws: DecodingError.self) { try await values.next() }
    }

    @Test("a consumer that is busy gets the newest value and none of those on the way")
    func newest() async throws {
        let fixture = try Fixture()
        let values = Consumer(fixture.client.values(of: ["s", "t"]))
        async let first = values.next()
        let connection = try await fixture.transport.next()
        connection.open()
        connection.snapshot("[0]", id: nil)
        #expect(try await first?.json.description == "[0]")
        connection.snapshot("[0]", id: "e-1", source: "t")
        for number in 1...1000 {
            connection.patch(#"{"op":"replace","path":"/0","value":\#(number)}"#, id: "e-\(number + 1)")
        }
        connection.end()
        // The next connection shows that all of it was read.
        let next = try await fixture.transport.next()
        #expect(next.header("last-event-id") == "e-1001")
        var taken: [String] = []
        for _ in 0..<2 {
            let value = try #require(try await values.next())
            taken.append("\(value.source) \(value.json)")
        }
        #expect(taken == ["t [0]", "s [1000]"])
    }

    @Test("a patch that does not fit is answered with another snapshot")
    func mismatch() async throws {
        let fixture = try Fixture()
        let values = Consumer(fixture.source.values())
        async let first = values.next()
        let connection = try await fixture.transport.next()
        connection.open()
        connection.snapshot("{}", id: "e-1")
        _ = try await first
        connection.patch(#"{"op":"remove","path":"/none"}"#, id: "e-2")
        try await connection.waitUntilReleased()
        let next = try await fixture.transport.next()
        #expect(next.header("last-event-id") == nil)
        #expect(fixture.timing.delays == [.seconds(2)], "not at once: the next may be the same")
        next.open()
        next.snapshot(#"{"a":1}"#, id: "e-2")
        #expect(try await values.next()?.json.description == #"{"a":1}"#)
    }

    @Test("values of another epoch take the place of the old ones")
    func epoch() async throws {
        let fixture = try Fixture()
        let values = Consumer(fixture.source.values())
        async let first = values.next()
        let connection = try await fixture.transport.next()
        connection.open()
        connection.snapshot("1", id: "old-900")
        _ = try await first
        connection.cut()
        let next = try await fixture.transport.next()
        #expect(next.header("last-event-id") == "old-900")
        next.open()
        next.send("event: gap\ndata: {\"reason\":\"epoch\"}\n\n")
        next.snapshot("2", id: "new-1")
        let value = try #require(try await values.next())
        #expect(value.json.description == "2")
        #expect(value.cursor?.description == "new-1")
    }

    @Test("values beyond the limit end the sequence")
    func tooLarge() async throws {
        let fixture = try Fixture { $0.maxHeldBytes = 40 }
        let values = Consumer(fixture.client.values(of: ["*"]))
        async let first = values.next()
        let connection = try await fixture.transport.next()
        connection.open()
        connection.snapshot("\"\(String(repeating: "a", count: 30))\"", id: nil)
        _ = try await first
        connection.snapshot("\"\(String(repeating: "b", count: 30))\"", id: "e-1", source: "t")
        let error = await #expect(throws: FreshetClientError.self) { try await values.next() }
        #expect(error?.code == .tooLarge)
        #expect(try await values.next() == nil)
        try await connection.waitUntilReleased()
    }

    @Test("one request gives a value with its tag and cursor")
    func once() async throws {
        let fixture = try Fixture()
        async let value = fixture.client.source("user/4 2").value(view: .pointer("/a b"))
        let connection = try await fixture.transport.next()
        #expect(connection.path == "/v1/values/user%2F4%202?pointer=%2Fa%20b")
        connection.answer(200, ["etag": "\"t\"", "freshet-cursor": "e-7"], body: "[1]")
        let answered = try await value
        #expect(answered.etag == "\"t\"")
        #expect(answered.cursor?.description == "e-7")
        #expect(answered.json.elements == [try json("1")])
        let item = Task { try await fixture.source.item("a/b") }
        let second = try await fixture.transport.next()
        #expect(second.path == "/v1/items/s/a%2Fb")
        second.answer(404, body: #"{"detail":"There is no such item."}"#)
        let error = await #expect(throws: FreshetClientError.self) { try await item.value }
        #expect(error?.code == .notFound)
        #expect(error?.description == "There is no such item. (status 404)")
    }

    @Test("an answer that does not come is given up")
    func late() async throws {
        let fixture = try Fixture()
        let value = Task { try await fixture.source.value() }
        let connection = try await fixture.transport.next()
        fixture.timing.advance(by: .seconds(61))
        let error = await #expect(throws: FreshetClientError.self) { try await value.value }
        #expect(error?.code == .unavailable)
        try await connection.waitUntilReleased()
    }
}
