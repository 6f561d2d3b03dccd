import FreshetCore
import FreshetTesting
import HTTPFields
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("A fault leaves the last good value in place")
struct PollerFaultTests {
    private static let good = UpstreamResponse.json("[1]", headers: ["ETag": "\"1\""])

    /// Polls a good value, then meets the fault three times, then the good value again.
    private func expect(
        _ kind: UpstreamError.Kind,
        state: SourceState = .failing,
        configure: (inout SourceConfiguration) -> Void = { _ in },
        from steps: @escaping @Sendable (UpstreamRequest) -> [UpstreamStep]
    ) async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/", respond: Self.good)
        let id = try fixture.add("trains", configure)
        #expect(await fixture.poll(id) == .changed)
        fixture.upstream.on("/", steps)
        for _ in 0..<3 { #expect(await fixture.poll(id) == .failed(kind)) }
        let status = try #require(fixture.status(of: id))
        #expect(status.state == state)
        #expect(status.lastError?.error.kind == kind)
        #expect(status.failures == 3)
        #expect(fixture.value(of: id) == "[1]")
        #expect(fixture.events == 1)
        // One for `ok`, one for the failure, however often it is met.
        #expect(fixture.statusEvents == 2)
        #expect(fixture.failures.value.count == 3)
        fixture.upstream.on("/", respond: Self.good)
        #expect(await fixture.poll(id) == .unchanged)
        #expect(fixture.status(of: id)?.state == .ok)
        #expect(fixture.statusEvents == 3)
        #expect(fixture.events == 1)
        #expect(fixture.poller.metrics.polls[id]?[.failed(kind)] == 3)
    }

    @Test("F01: refused")
    func refused() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/", respond: Self.good)
        let id = try fixture.add()
        #expect(await fixture.poll(id) == .changed)
        await fixture.upstream.goDown()
        for _ in 0..<3 { #expect(await fixture.poll(id) == .failed(.connect)) }
        #expect(fixture.status(of: id)?.state == .failing)
        #expect(fixture.value(of: id) == "[1]")
        #expect(fixture.statusEvents == 2)
        try fixture.upstream.comeUp()
        #expect(await fixture.poll(id) == .unchanged)
        #expect(fixture.events == 1)
    }

    @Test("F03, F04: silent and slow")
    func slow() async throws {
        try await self.expect(.timeout, configure: { $0.timeout = .milliseconds(500) }) { _ in [.stall] }
        try await self.expect(.timeout, configure: { $0.timeout = .milliseconds(500) }) { _ in
            [
                .drip(
                    Array("HTTP/1.1 200 OK\r\nX: ".utf8) + Array(repeating: 0x78, count: 1000),
                    pieceBytes: 1,
                    every: .milliseconds(5)
                )
            ]
        }
    }

    @Test("F05, F06, F07: broken off")
    func brokenOff() async throws {
        try await self.expect(.transport) { _ in
            [.send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[1,2]"), .close]
        }
        try await self.expect(.transport) { _ in
            [.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[2]\r\n"), .close]
        }
        try await self.expect(.transport) { _ in [.reset] }
    }

    @Test("F08: ended by the connection, unless that is allowed")
    func closeDelimited() async throws {
        let body = UpstreamStep.send("HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n[1,2]")
        try await self.expect(.framing) { _ in [body, .close] }
        let fixture = try PollingFixture()
        fixture.upstream.on("/") { _ in [body, .close] }
        let id = try fixture.add { $0.allowCloseDelimited = true }
        #expect(await fixture.poll(id) == .changed)
        #expect(fixture.value(of: id) == "[1,2]")
    }

    @Test("F11, F12, F13: broken or oversized bodies")
    func bodies() async throws {
        let wire = Gzip.member("[1,2,3]")
        try await self.expect(.decode) { _ in
            let headers: HeaderFields = ["Content-Encoding": "gzip", "Content-Type": "application/json"]
            return [.respond(UpstreamResponse(headers: headers, body: wire.dropLast()))]
        }
        try await self.expect(.tooLarge, configure: { $0.maxBodyBytes = 100 }) { _ in
            [.respond(.json("[" + String(repeating: "1,", count: 100) + "1]"))]
        }
        let bomb = Gzip.member([UInt8](repeating: 0x20, count: 4 << 20))
        try await self.expect(.tooLarge, configure: { $0.maxBodyBytes = 1 << 20 }) { _ in
            let headers: HeaderFields = ["Content-Encoding": "gzip", "Content-Type": "application/json"]
            return [.respond(UpstreamResponse(headers: headers, body: bomb))]
        }
        let chunk = "1000\r\n" + String(repeating: "1", count: 4096) + "\r\n"
        let endless = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
        try await self.expect(.tooLarge, configure: { $0.maxBodyBytes = 100_000 }) { _ in
            [.send(endless + String(repeating: chunk, count: 64)), .stall]
        }
    }

    @Test("F22: a 304 to a request without validators is asked about once, then it is a failure")
    func notModifiedFirst() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/", respond: .status(304))
        let id = try fixture.add()
        _ = await fixture.poll(id)
        #expect(await fixture.failures.wait(timeout: .patience) { $0.first?.kind } == .protocol)
        #expect(fixture.upstream.requests.count == 2)
        #expect(fixture.upstream.requests.allSatisfy { $0.headers["If-None-Match"] == nil })
        #expect(fixture.events == 0)
    }

    @Test(
        "A19: a condition that makes a request too large is left out",
        arguments: [20_000, 1500],
        [431, 413, 400, 494]
    )
    func largeCondition(bytes: Int, status: Int) async throws {
        let fixture = try PollingFixture()
        let tag = "\"" + String(repeating: "x", count: bytes) + "\""
        fixture.upstream.on("/") { request in
            guard request.headers["If-None-Match"]?.utf8.count ?? 0 < 1000 else { return [.respond(.status(status))] }
            return [.respond(.json("[\(request.number)]", headers: ["ETag": tag]))]
        }
        let id = try fixture.add()
        for _ in 0..<3 { #expect(await fixture.poll(id) == .changed) }
        #expect(fixture.status(of: id)?.failures == 0)
        #expect(fixture.events == 3)
    }

    @Test("F24: an ETag that flaps over an equal body is no change in 1,000 polls")
    func flapping() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/") { request in
            [.respond(.json("{\"a\":1}", headers: ["ETag": "\"\(request.number % 3)\""]))]
        }
        let id = try fixture.add()
        #expect(await fixture.poll(id) == .changed)
        for _ in 0..<1000 { #expect(await fixture.poll(id) == .unchanged) }
        #expect(fixture.events == 1)
        #expect(fixture.upstream.connectionCount == 1)
    }

    @Test("F32: a page in the place of data", arguments: ["text/html", "text/html; charset=utf-8", "image/png"])
    func page(contentType: String) async throws {
        try await self.expect(.contentType) { _ in
            [
                .respond(
                    UpstreamResponse(headers: ["Content-Type": contentType], body: Array("<html>log in</html>".utf8))
                )
            ]
        }
    }

    @Test("F33: an empty body")
    func empty() async throws {
        try await self.expect(.emptyBody) { _ in [.respond(.json(""))] }
    }

    @Test(
        "F34: other statuses",
        arguments: [
            (204, UpstreamError.Kind.status), (206, .status), (500, .status), (401, .auth), (403, .auth),
            (404, .notFound),
            (410, .notFound), (302, .redirect),
        ]
    )
    func statuses(status: Int, kind: UpstreamError.Kind) async throws {
        try await self.expect(kind) { _ in [.respond(.json("[2]", status: status))] }
    }

    @Test("F28: being asked to wait")
    func throttled() async throws {
        try await self.expect(.throttled, state: .backoff) { _ in
            [.respond(.status(429, headers: ["Retry-After": "3600"]))]
        }
    }

    @Test(
        "F38, F39a: what is not JSON, or too deep",
        arguments: [
            (String(repeating: "[", count: 100_000), UpstreamError.Kind.tooLarge), ("[1,2", .malformed),
            ("{\"a\":1}x", .malformed),
        ]
    )
    func malformed(body: String, kind: UpstreamError.Kind) async throws {
        try await self.expect(kind) { _ in [.respond(.json(body))] }
    }

    @Test("F39e: white space and the order of members are no change")
    func layout() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/", respond: .json("{\"a\":1,\"b\":[1,2]}"))
        let id = try fixture.add()
        #expect(await fixture.poll(id) == .changed)
        fixture.upstream.on("/", respond: .json("{ \"b\": [ 1, 2 ], \"a\": 1 }\n"))
        #expect(await fixture.poll(id) == .unchanged)
        #expect(fixture.events == 1)
    }

    @Test("a fault of one source is no matter of another")
    func others() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/bad") { _ in [.send("garbage\r\n\r\n"), .close] }
        fixture.upstream.on("/good", respond: Self.good)
        let bad = try fixture.add("bad", path: "/bad")
        let good = try fixture.add("good", path: "/good")
        for _ in 0..<20 {
            #expect(await fixture.poll(bad) == .failed(.protocol))
            _ = await fixture.poll(good)
        }
        #expect(fixture.status(of: good)?.failures == 0)
        #expect(fixture.value(of: good) == "[1]")
    }
}
