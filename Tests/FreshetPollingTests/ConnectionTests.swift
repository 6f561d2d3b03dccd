import FreshetCore
import FreshetTesting
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("What arrives over a connection is the answer of its request")
struct ConnectionTests {
    private static let stray =
        "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"v\":666}"
    private static let answers = [
        "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"v\":1}",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7\r\n{\"v\":1}\r\n0\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n",
        "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno",
    ]
    private static let leftovers = [
        "0\r\n\r\n", "\r\n", "\r\n\r\n", "[1,2,3]", "<html><body>Bad Gateway</body></html>",
        "HTTP/1.1 408 Request Timeout\r\nConnection: close\r\n\r\n",
        "HTTP/1.0 408 Request Time-out\r\nCache-Control: no-cache\r\nConnection: close\r\n\r\n<html>timeout</html>",
    ]

    private let upstream: ScriptedUpstream
    private let other: ScriptedUpstream
    private let probe = TransportProbe()

    init() throws {
        self.upstream = try ScriptedUpstream()
        self.upstream.on("*", respond: .json("{\"v\":2}"))
        self.other = try ScriptedUpstream()
    }

    /// Lets the first connection answer once, and send these bytes in segments of their own, 5 ms later; then `more`.
    private func script(_ answer: String, then bytes: String, more: [UpstreamStep] = [.stall]) throws -> Gate {
        let gate = try Gate()
        self.upstream.script(
            connection: 1,
            [.expect { _ in true }, .send(answer), .delay(.milliseconds(5)), .send(bytes), .open(gate)] + more
        )
        return gate
    }

    /// Waits for the gate, while the loop of `probe` runs.
    private func wait(for gate: Gate, with probe: TransportProbe) async {
        self.other.on("/gate") { _ in [.hold(gate), .respond(.json("[]"))] }
        #expect(await probe.poll(self.other.url("/gate")).body == "[]")
    }

    @Test("R01: a second response never becomes the next poll's, whoever asks", arguments: Self.answers, [true, false])
    func late(answer: String, isSeenAtRest: Bool) async throws {
        // Where the next request is under way before the stray is seen, its answer comes behind it.
        let real = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"v\":2}"
        let gate = try self.script(answer, then: Self.stray, more: [.expect { _ in true }, .send(real), .stall])
        let first = await self.probe.poll(self.upstream.url("/a"))
        #expect(first.kind == nil)
        // With a loop that runs, the connection is closed at once; else the next poll must look.
        await self.wait(for: gate, with: isSeenAtRest ? self.probe : TransportProbe())
        for path in ["/a", "/b"] {
            let next = await self.probe.poll(self.upstream.url(path)) { $0.timeout = .seconds(10) }
            #expect(next.body == "{\"v\":2}")
        }
        #expect((3...4).contains(self.upstream.requests.count))
    }

    @Test("R01: a second response that arrives while the next request is under way is not taken for its answer")
    func underWay() async {
        let real = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"v\":2}"
        let ends: [[UpstreamStep]] = [[.send(Self.stray + real)], [.send(Self.stray), .send(real)]]
        for (index, end) in ends.enumerated() {
            self.upstream.script(
                connection: 2 * index + 1,
                [.expect { _ in true }, .send(Self.answers[0]), .expect { _ in true }] + end + [.stall]
            )
            let probe = TransportProbe()
            #expect(await probe.poll(self.upstream.url("/a")).body == "{\"v\":1}")
            #expect(await probe.poll(self.upstream.url("/a")).body == "{\"v\":2}")
        }
        #expect(self.upstream.requests.count == 6, "each second request is asked again")
    }

    @Test("R01: an answer that comes sooner than usual is held until another would have come")
    func early() async {
        let real = "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"v\":2}"
        self.upstream.script(
            connection: 1,
            [
                .expect { _ in true }, .delay(.milliseconds(40)), .send(Self.answers[0]), .expect { _ in true },
                .send(Self.stray), .delay(.milliseconds(20)), .send(real), .stall,
            ]
        )
        #expect(await self.probe.poll(self.upstream.url("/a")).body == "{\"v\":1}")
        #expect(await self.probe.poll(self.upstream.url("/a")).body == "{\"v\":2}")
        #expect(self.upstream.requests.count == 3)
    }

    @Test("R01: an upstream that answers twice gets a connection for each request")
    func singleUse() async throws {
        let gate = try self.script(Self.answers[0], then: Self.stray)
        #expect(await self.probe.poll(self.upstream.url("/a")).body == "{\"v\":1}")
        await self.wait(for: gate, with: self.probe)
        for _ in 0..<5 { #expect(await self.probe.poll(self.upstream.url("/a")).body == "{\"v\":2}") }
        #expect(self.upstream.connectionCount == 6)
        // A timeout's 408 says nothing of the kind.
        let quiet = try ConnectionTests()
        let timeout = try quiet.script(Self.answers[0], then: Self.leftovers[6])
        #expect(await quiet.probe.poll(quiet.upstream.url("/a")).body == "{\"v\":1}")
        await quiet.wait(for: timeout, with: quiet.probe)
        for _ in 0..<5 { #expect(await quiet.probe.poll(quiet.upstream.url("/a")).body == "{\"v\":2}") }
        #expect(quiet.upstream.connectionCount == 2)
    }

    @Test("R01: connections are not shared between credentials, TLS settings or address policies")
    func credentials() async {
        for value in ["a", "b", "a"] {
            let result = await self.probe.poll(self.upstream.url("/x")) {
                $0.headers = [.init(name: "Authorization", value: value)]
            }
            #expect(result.body == "{\"v\":2}")
        }
        #expect(await self.probe.poll(self.upstream.url("/x")) { $0.denyPrivate = true }.kind == .policy)
        #expect(await self.probe.poll(self.upstream.url("/x")).body == "{\"v\":2}")
        #expect(self.upstream.requests.map(\.connection) == [1, 2, 1, 3])
    }

    @Test(
        "R02, R03: what is left of an answer, or a 408, on a resting connection is nobody's failure",
        arguments: Self.leftovers,
        [true, false]
    )
    func leftover(bytes: String, isSeenAtRest: Bool) async throws {
        let gate = try self.script(Self.answers[2], then: bytes)
        #expect(await self.probe.poll(self.upstream.url("/a")).response?.status == 304)
        await self.wait(for: gate, with: isSeenAtRest ? self.probe : TransportProbe())
        #expect(await self.probe.poll(self.upstream.url("/b")).body == "{\"v\":2}")
        #expect(self.upstream.connectionCount == 2)
    }

    @Test(
        "R02, R03: nor is it where it meets the next request, which is asked once more",
        arguments: Self.leftovers,
        ["", "HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\n{\"v\":2}"]
    )
    func meets(bytes: String, real: String) async throws {
        self.upstream.script(
            connection: 1,
            [.expect { _ in true }, .send(Self.answers[2]), .expect { _ in true }, .send(bytes + real), .close]
        )
        #expect(await self.probe.poll(self.upstream.url("/a")).response?.status == 304)
        #expect(await self.probe.poll(self.upstream.url("/a")).body == "{\"v\":2}")
        #expect(self.upstream.connectionCount == 2)
        #expect(self.upstream.requests.count == 3)
    }

    @Test("R03: a 408 over a fresh connection is the upstream's answer")
    func freshTimeout() async {
        self.upstream.on("/") { _ in [.send(Self.leftovers[5]), .close] }
        #expect(await self.probe.poll(self.upstream.url()).response?.status == 408)
        #expect(self.upstream.requests.count == 1)
    }
}

@Suite("Sources beside a bad neighbour")
struct NeighbourTests {
    @Test("R02: a source whose upstream leaves bytes behind fails no poll, neither its own nor a neighbour's")
    func leftovers() async throws {
        let fixture = try PollingFixture { $0.minSilentAnswers = 32 }
        defer { fixture.poller.stop() }
        let rests = ["0\r\n\r\n", "\r\n", "[1]", "<html></html>"]
        fixture.upstream.on("/bad") { request in
            guard request.headers["If-None-Match"] != nil else {
                return [.respond(.json("[1]", headers: ["ETag": "\"1\""]))]
            }
            return [
                .send("HTTP/1.1 304 Not Modified\r\nETag: \"1\"\r\n\r\n"), .delay(.milliseconds(request.number % 3)),
                .send(rests[request.number % rests.count]),
            ]
        }
        fixture.upstream.on("/good", respond: .json("[2]"))
        let bad = try fixture.add("bad", path: "/bad")
        let good = try fixture.add("good", path: "/good")
        let other = try fixture.add("other", path: "/good") { $0.headers = [.init(name: "X-Key", value: "k")] }
        for _ in 0..<40 {
            for id in [bad, good, other] { _ = await fixture.poll(id) }
        }
        for id in [bad, good, other] { #expect(fixture.status(of: id)?.failures == 0) }
        #expect(fixture.status(of: bad)?.notModified ?? 0 >= 39)
        #expect(fixture.failures.value.isEmpty)
        #expect(fixture.events == 3)
    }

    @Test("R01: an upstream that sends each answer twice changes no value, at many polls a second")
    func doubled() async throws {
        let fixture = try PollingFixture { $0.minSilentAnswers = 32 }
        defer { fixture.poller.stop() }
        let stray = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{\"v\":666}"
        fixture.upstream.on("*") { request in
            [.respond(.json("{\"v\":1}")), .delay(.milliseconds(request.number % 2 == 0 ? 5 : 0)), .send(stray)]
        }
        let ids = try (0..<10).map { index in
            try fixture.add("s\(index)", path: "/\(index)") {
                $0.interval = .fixed(.milliseconds(20))
                $0.headers = [.init(name: "X-Key", value: "\(index % 2)")]
            }
        }
        #expect(await fixture.upstream.waitForRequests(count: 500))
        for id in ids {
            #expect(fixture.value(of: id) == "{\"v\":1}")
            #expect(fixture.status(of: id)?.failures == 0)
        }
        #expect(fixture.events == ids.count)
        #expect(fixture.poller.metrics.unsolicited > 0)
    }

    @Test("R01: the connections of one host are few, and are used again once each source has its value")
    func reuse() async throws {
        let fixture = try PollingFixture { $0.minSilentAnswers = 32 }
        defer { fixture.poller.stop() }
        fixture.upstream.on("*", respond: .json("{\"v\":1}"))
        for index in 0..<20 {
            _ = try fixture.add("s\(index)", path: "/\(index)") { $0.interval = .fixed(.milliseconds(20)) }
        }
        #expect(await fixture.waitForEvents(20))
        let count = fixture.upstream.requests.count
        #expect(await fixture.upstream.waitForRequests(count: count + 1000))
        #expect(fixture.upstream.connectionCount <= 20 + 6)
    }
}
