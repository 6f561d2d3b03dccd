import EventStream
import FreshetTesting
import Testing

@Suite("Stream client", .timeLimit(.minutes(1)))
struct StreamClientTests {
    private static let events = "retry: 2000\n\nid: k-1\nevent: patch\ndata: {\"a\":1}\n\n: \n\ndata: x\ndata: y\n\n"

    @Test(
        "events come out of every framing, however it is cut",
        arguments: [UpstreamResponse.Framing.chunked(pieceBytes: 1), .chunked(pieceBytes: 9), .contentLength, .close],
        [1, 5, 4096]
    )
    func framings(framing: UpstreamResponse.Framing, pieceBytes: Int) async throws {
        let upstream = try ScriptedUpstream()
        let response = UpstreamResponse(
            headers: ["Content-Type": "text/event-stream"],
            body: [UInt8](Self.events.utf8),
            framing: framing
        )
        upstream.on("/s") { _ in [.drip(response.wireForGet, pieceBytes: pieceBytes, every: .zero), .close] }
        let client = try EventStreamClient(upstream.endpoint, path: "/s", lastEventID: "k-0")
        #expect(try await client.head().headers["Content-Type"] == "text/event-stream")
        let expected = [
            StreamEvent(type: "patch", data: [UInt8](#"{"a":1}"#.utf8), lastEventID: "k-1"),
            StreamEvent(data: [UInt8]("x\ny".utf8), lastEventID: "k-1"),
        ]
        #expect(try await client.next(2) == expected)
        #expect(try await client.next() == nil)
        #expect(try await client.end() == .complete)
        #expect(client.bodyBytes == [UInt8](Self.events.utf8))
        #expect(client.rawBytes == response.wireForGet)
        let request = try #require(upstream.requests.first)
        #expect(request.headers["Accept"] == "text/event-stream")
        #expect(request.headers["Last-Event-ID"] == "k-0")
    }

    @Test("an event is there as soon as it is sent; waiting for more ends with the time")
    func prompt() async throws {
        let upstream = try ScriptedUpstream()
        let gate = try Gate()
        upstream.on("/s") { _ in
            [.send("HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n: \n"), .hold(gate), .send("data: 2\n\ndata: 3\n\n"), .stall]
        }
        let client = try EventStreamClient(upstream.endpoint, path: "/s")
        #expect(try await client.next()?.text == "1")
        #expect(await client.waitForBody(containing: ": \n"))
        await #expect(throws: TestingError(.timedOut, "no further item in time")) {
            try await client.next(timeout: .milliseconds(50))
        }
        gate.open()
        #expect(try await client.next(where: { $0.text == "3" }).text == "3")
    }

    @Test("lines of JSON come out one by one")
    func lines() async throws {
        let upstream = try ScriptedUpstream()
        let response = UpstreamResponse(
            body: [UInt8]("{\"a\":1}\n\n{\"b\":2}\nhalf".utf8),
            framing: .chunked(pieceBytes: 3)
        )
        upstream.on("/s", respond: response)
        let client = try LineClient(upstream.endpoint, path: "/s")
        #expect(try await client.next(2) == [[UInt8](#"{"a":1}"#.utf8), [UInt8](#"{"b":2}"#.utf8)])
        #expect(try await client.next() == nil)
        #expect(upstream.requests.first?.headers["Accept"] == "application/x-ndjson")
    }

    @Test(
        "the end of a stream is told apart",
        arguments: [
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", StreamEnd.complete),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n", .truncated),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\na", .truncated),
            ("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\na", .truncated),
            ("HTTP/1.1 200 OK\r\n\r\na", .complete),
            ("HTTP/1.1 200 OK\r\nContent-Le", .truncated),
            ("", .truncated),
            ("HTTP/1.1 204 No Content\r\n\r\n", .complete),
        ]
    )
    func ends(wire: String, end: StreamEnd) async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/s") { _ in [.send(wire), .close] }
        #expect(try await EventStreamClient(upstream.endpoint, path: "/s").end() == end)
    }

    @Test(
        "a response that is framed wrong is refused",
        arguments: [
            "Transfer-Encoding: chunked\r\n\r\nx\r\n", "Transfer-Encoding: chunked\r\n\r\n-1\r\n",
            "Transfer-Encoding: chunked\r\n\r\n+1\r\na\r\n", "Transfer-Encoding: chunked\r\n\r\n1\r\nab\r\n",
            "Transfer-Encoding: chunked\r\n\r\n1\r\naXY0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n1\na\r\n", "Transfer-Encoding: chunked\r\n\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", "Transfer-Encoding: gzip\r\n\r\n",
            "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", "Content-Length: -1\r\n\r\n", "Content-Length: \r\n\r\n",
            "no field\r\n\r\n",
        ]
    )
    func malformed(rest: String) async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/s") { _ in [.send("HTTP/1.1 200 OK\r\n" + rest), .stall] }
        guard case .failed = try await EventStreamClient(upstream.endpoint, path: "/s").end() else {
            Issue.record("accepted: \(rest)")
            return
        }
    }

    @Test("a reset by the server is told apart from an end")
    func resetByServer() async throws {
        let upstream = try ScriptedUpstream()
        let gate = try Gate()
        upstream.on("/s") { _ in [.send("HTTP/1.1 200 OK\r\n\r\ndata: 1\n\n"), .hold(gate), .reset] }
        let client = try EventStreamClient(upstream.endpoint, path: "/s")
        #expect(try await client.next()?.text == "1")
        gate.open()
        #expect(try await client.end() == .reset)
        #expect(try await client.next() == nil)
    }

    @Test("a client that pauses takes nothing until it resumes, and then everything")
    func paused() async throws {
        let upstream = try ScriptedUpstream()
        let gate = try Gate()
        let data = [UInt8](repeating: 0x61, count: 8 << 20)
        upstream.on("/s") { _ in
            [.send("HTTP/1.1 200 OK\r\n\r\n"), .hold(gate), .send("data: "), .send(data), .send("\n\n"), .close]
        }
        var options = StreamClientOptions()
        options.receiveBufferBytes = 8 << 10
        let client = try EventStreamClient(upstream.endpoint, path: "/s", options: options)
        _ = try await client.head()
        await client.pauseReading()
        let before = client.receivedByteCount
        gate.open()
        await #expect(throws: TestingError.self) { try await client.end(timeout: .milliseconds(200)) }
        #expect(client.receivedByteCount == before)
        #expect(upstream.openConnectionCount == 1, "the server cannot have sent it all")
        client.resumeReading()
        #expect(try await client.next(timeout: .seconds(30))?.data == data)
        #expect(try await client.end() == .complete)
    }

    @Test("a client that closes or resets is gone at the server", arguments: [true, false])
    func leaves(byReset: Bool) async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/s") { _ in [.send("HTTP/1.1 200 OK\r\n\r\n"), .stall] }
        let client = try EventStreamClient(upstream.endpoint, path: "/s")
        _ = try await client.head()
        await (byReset ? client.reset() : client.close())
        #expect(try await client.end() == .closedByClient)
        #expect(await upstream.waitForOpenConnections(count: 0))
    }

    @Test("a client without an owner is gone at the server")
    func released() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/s") { _ in [.send("HTTP/1.1 200 OK\r\n\r\n"), .stall] }
        var client: EventStreamClient? = try EventStreamClient(upstream.endpoint, path: "/s")
        _ = try await client?.head()
        client = nil
        #expect(await upstream.waitForOpenConnections(count: 0))
    }

    @Test("a server that is not there is a failure, not a wait")
    func refused() async throws {
        let upstream = try ScriptedUpstream()
        await upstream.stop()
        let client = try EventStreamClient(upstream.endpoint, path: "/s")
        guard case .failed = try await client.end() else {
            Issue.record("connected to a closed port")
            return
        }
        await #expect(throws: TestingError.self) { try await client.head() }
    }
}

extension UpstreamResponse {
    /// The bytes of the response, as a test compares them with what a client received.
    fileprivate var wireForGet: [UInt8] { self.wire(method: "GET") }
}
