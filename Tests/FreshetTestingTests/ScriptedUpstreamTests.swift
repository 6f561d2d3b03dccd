import FreshetTesting
import Testing

@Suite("Scripted upstream", .timeLimit(.minutes(1)))
struct ScriptedUpstreamTests {
    @Test("a path has its answer, and another path none")
    func answers() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/rates", respond: .json(#"{"eur":1}"#, headers: ["ETag": "\"a\""]))
        let found = try await RawHTTP.get("/rates?base=usd", from: upstream.endpoint)
        #expect(found.status == 200)
        #expect(found.text == #"{"eur":1}"#)
        #expect(found.headers["etag"] == "\"a\"")
        #expect(try await RawHTTP.get("/other", from: upstream.endpoint).status == 404)
        #expect(upstream.requests.map(\.target) == ["/rates?base=usd", "/other"])
        #expect(upstream.requests.first?.query == "base=usd")
        #expect(upstream.failures.isEmpty)
    }

    @Test("a request is recorded with the very bytes of its header, in order")
    func recorded() async throws {
        let upstream = try ScriptedUpstream()
        let head =
            [UInt8]("GET / HTTP/1.1\r\nX-b: 1\r\nIf-None-Match:  \"".utf8) + [0xE9, 0xFF]
            + [UInt8]("\" \r\nx-B: 2\r\n\r\n".utf8)
        _ = try await RawHTTP.exchange(upstream.endpoint, sending: head, halfClose: true)
        let request = try #require(upstream.requests.first)
        #expect(request.headers.all.map(\.name) == ["X-b", "If-None-Match", "x-B"])
        #expect(request.headers.bytes("if-none-match") == [0x22, 0xE9, 0xFF, 0x22])
        #expect(request.headers.values("X-B") == ["1", "2"])
    }

    @Test("a connection is kept alive, and a closed one replaced")
    func keepAlive() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/", respond: .json("1"))
        upstream.on("/last", respond: .json("2", headers: ["Connection": "close"]))
        let client = HTTPTestClient(upstream.endpoint)
        for path in ["/", "/", "/last", "/"] { _ = try await client.get(path) }
        #expect(client.connectionCount == 2)
        #expect(upstream.requests.map(\.connection) == [1, 1, 1, 2])
        #expect(upstream.requests.map(\.numberOnConnection) == [1, 2, 3, 1])
    }

    @Test("pipelined requests are answered in order; HEAD gets no body")
    func pipelined() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/a", respond: .json("a"))
        upstream.on("/b", respond: .json("b", status: 201))
        let bytes = [UInt8](
            "HEAD /a HTTP/1.1\r\n\r\nGET /b HTTP/1.1\r\n\r\nGET /a HTTP/1.1\r\nConnection: close\r\n\r\n".utf8
        )
        let reply = try await RawHTTP.exchange(upstream.endpoint, sending: bytes)
        #expect(reply.end == .closed)
        #expect(try reply.statuses(methods: ["HEAD", "GET", "GET"]) == [200, 201, 200])
    }

    @Test("a body arrives whole in every framing, requests and responses alike")
    func framings() async throws {
        let upstream = try ScriptedUpstream()
        let body = (0..<10_000).map { UInt8(truncatingIfNeeded: $0) }
        let framings: [UpstreamResponse.Framing] = [
            .contentLength, .chunked(pieceBytes: 1_000), .chunked(pieceBytes: 7), .close,
        ]
        for (index, framing) in framings.enumerated() {
            upstream.on("/\(index)") { request in [.respond(UpstreamResponse(body: request.body, framing: framing))] }
            let reply = try await HTTPTestClient(upstream.endpoint).post("/\(index)", body: body)
            #expect(reply.body == body)
        }
        let chunked = [UInt8]("POST /0 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".utf8)
        _ = try await RawHTTP.exchange(upstream.endpoint, sending: chunked, halfClose: true)
        #expect(upstream.requests.last?.body == [UInt8]("abc".utf8))
    }

    @Test("a client that waits for 100 Continue gets it, then its answer")
    func expectation() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/") { request in [.respond(UpstreamResponse(body: request.body))] }
        let connection = try await RawConnection(upstream.endpoint)
        try await connection.send("POST / HTTP/1.1\r\nContent-Length: 2\r\nExpect: 100-continue\r\n\r\n")
        #expect(try await connection.receive(until: "\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n")
        try await connection.send("ok")
        try await connection.receive(until: "\r\n\r\nok")
        connection.halfClose()
        let reply = try await connection.receiveToEnd()
        #expect(reply.end == .closed)
        #expect(try reply.statuses() == [100, 200])
    }

    @Test(
        "a scripted reset is a reset, a scripted close an end",
        arguments: [("half", true), ("half", false), ("", true), ("", false)]
    )
    func resetAndClose(sent: String, isReset: Bool) async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/") { _ in [.send(sent), isReset ? .reset : .close, .send("never")] }
        let request = [UInt8]("GET / HTTP/1.1\r\n\r\n".utf8)
        let reply = try await RawHTTP.exchange(upstream.endpoint, sending: request)
        #expect(reply.end == (isReset ? .reset : .closed))
        // A reset may overtake what was sent before it.
        if !isReset { #expect(reply.text == sent) }
    }

    @Test("what is held back comes when the gate opens, and not before")
    func held() async throws {
        let upstream = try ScriptedUpstream()
        let gate = try Gate()
        upstream.on("/") { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n1"), .hold(gate), .send("2")] }
        let connection = try await RawConnection(upstream.endpoint)
        try await connection.send("GET / HTTP/1.1\r\n\r\n")
        try await connection.receive(until: "\r\n\r\n1")
        await #expect(throws: TestingError.self) {
            try await connection.receive(until: "12", timeout: .milliseconds(50))
        }
        gate.open()
        try await connection.receive(until: "\r\n\r\n12")
    }

    @Test("a connection that a client resets is gone")
    func clientResets() async throws {
        let upstream = try ScriptedUpstream()
        let connection = try await RawConnection(upstream.endpoint)
        try await connection.send("GET / HT")
        #expect(await upstream.waitForOpenConnections(count: 1))
        connection.reset()
        #expect(await upstream.waitForOpenConnections(count: 0))
        #expect(upstream.requests.isEmpty)
    }

    @Test("dripped bytes arrive in pieces, and all of them")
    func dripped() async throws {
        let upstream = try ScriptedUpstream()
        let wire = [UInt8](
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5;x=y\r\nhello\r\n0\r\nT: 1\r\n\r\n".utf8
        )
        upstream.on("/") { _ in [.drip(wire, pieceBytes: 1, every: .microseconds(100))] }
        #expect(try await RawHTTP.get("/", from: upstream.endpoint).text == "hello")
    }

    @Test("a stalled connection ends with its client")
    func stalled() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/") { _ in [.stall] }
        let client = try EventStreamClient(upstream.endpoint, path: "/")
        #expect(await upstream.waitForRequests(count: 1))
        #expect(upstream.openConnectionCount == 1)
        await client.close()
        #expect(await upstream.waitForOpenConnections(count: 0))
    }

    @Test("a scripted connection does what it says, and notes what it did not expect")
    func script() async throws {
        let upstream = try ScriptedUpstream()
        upstream.script(
            connection: 1,
            [.send("early "), .expect { $0.path == "/a" }, .expect { $0.path == "/b" }, .send("late"), .close]
        )
        let bytes = [UInt8]("GET /a HTTP/1.1\r\n\r\nGET /c HTTP/1.1\r\n\r\n".utf8)
        #expect(try await RawHTTP.exchange(upstream.endpoint, sending: bytes).text == "early late")
        #expect(upstream.failures == ["connection 1: unexpected request: GET /c"])
        #expect(try await RawHTTP.get("/a", from: upstream.endpoint).status == 404, "the second has no script")
    }

    @Test(
        "a request that is no HTTP is noted",
        arguments: [
            "GET /\r\n\r\n", "GET / HTTP/1.1\nHost: a\r\n\r\n", "GET / HTTP/1.1\r\nContent-Length: +1\r\n\r\nx",
            "POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\nx",
            "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n",
        ]
    )
    func malformed(bytes: String) async throws {
        let upstream = try ScriptedUpstream()
        _ = try await RawHTTP.exchange(upstream.endpoint, sending: [UInt8](bytes.utf8), halfClose: true)
        #expect(upstream.failures.count == 1)
        #expect(upstream.requests.isEmpty)
    }

    @Test("an upstream that is down refuses, resets its clients, and comes back on the same port")
    func outage() async throws {
        let upstream = try ScriptedUpstream()
        upstream.on("/") { _ in [.send("HTTP/1.1 200 OK\r\n\r\nx"), .stall] }
        let client = try EventStreamClient(upstream.endpoint, path: "/")
        #expect(await client.waitForBody(containing: "x"))
        await upstream.goDown()
        #expect(try await client.end() == .reset)
        await #expect(throws: TestingError.self) { try await RawHTTP.get("/", from: upstream.endpoint) }
        try upstream.comeUp()
        upstream.on("/", respond: .json("back"))
        #expect(try await RawHTTP.get("/", from: upstream.endpoint).text == "back")
    }

    @Test("an upstream that is stopped frees its port")
    func stopped() async throws {
        let upstream = try ScriptedUpstream()
        let endpoint = upstream.endpoint
        await upstream.stop()
        await #expect(throws: TestingError.self) { try await RawHTTP.get("/", from: endpoint) }
        #expect(upstream.openConnectionCount == 0)
    }

    @Test("an upstream without an owner frees its port")
    func released() async throws {
        var upstream: ScriptedUpstream? = try ScriptedUpstream()
        let endpoint = try #require(upstream?.endpoint)
        upstream?.on("/") { _ in [.send("x"), .stall] }
        let client = try EventStreamClient(endpoint, path: "/")
        #expect(await upstream?.waitForRequests(count: 1) == true)
        upstream = nil
        #expect(try await client.end() == .reset)
    }
}
