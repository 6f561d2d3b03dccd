import CLinux
import FreshetCore
import FreshetTesting
import Glibc
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("The transport survives its upstream")
struct TransportFaultTests {
    private let upstream: ScriptedUpstream
    private let probe = TransportProbe()

    init() throws {
        self.upstream = try ScriptedUpstream()
    }

    /// Answers the first request with these steps, then polls.
    private func poll(
        _ steps: [UpstreamStep],
        configure: @escaping @Sendable (inout SourceConfiguration) -> Void = { _ in }
    ) async -> Result<ExchangeResponse, UpstreamError> {
        self.upstream.on("/") { request in request.number == 1 ? steps : [.respond(.json("[2]"))] }
        return await self.probe.poll(self.upstream.url(), configure: configure)
    }

    private func poll(_ bytes: String) async -> Result<ExchangeResponse, UpstreamError> {
        await self.poll([.send(bytes), .close])
    }

    /// The connection pool is clean after what happened.
    private func expectNextPollIsClean(sourceLocation: SourceLocation = #_sourceLocation) async {
        // The first poll may have ended before the upstream had its request, on a machine that is busy.
        self.upstream.on("/", respond: .json("[2]"))
        #expect(await self.probe.poll(self.upstream.url()).body == "[2]", sourceLocation: sourceLocation)
    }

    @Test("F01: a refused connection is `connect`")
    func refused() async {
        let url = self.upstream.url()
        await self.upstream.stop()
        #expect(await self.probe.poll(url).kind == .connect)
    }

    @Test("F02: a connection that is never accepted ends with the time-out, and is told from a slow response")
    func blackhole() async throws {
        // The kernel answers for a backlog of one; connections beyond it hang.
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = inet_addr("127.0.0.1")
        let size = socklen_t(MemoryLayout<sockaddr_in>.size)
        _ = withUnsafePointer(to: &address) {
            $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { bind(listener, $0, size) }
        }
        listen(listener, 0)
        defer { close(listener) }
        let port = clinux_local_port(listener)
        var kinds: [UpstreamError.Kind?] = []
        for _ in 0..<4 {
            let result = await self.probe.poll("http://127.0.0.1:\(port)/") { $0.timeout = .milliseconds(700) }
            kinds.append(result.kind)
        }
        #expect(kinds.first == .timeout)
        #expect(kinds.last == .connect)
    }

    @Test("F02: the connect time-out is the source's where that is shorter, and ten seconds otherwise")
    func connectTimeout() {
        #expect(CurlOptions.connectTime(timeout: .milliseconds(300)) == .milliseconds(300))
        #expect(CurlOptions.connectTime(timeout: .seconds(300)) == .seconds(10))
    }

    @Test("F03: silence ends with the time-out")
    func silence() async {
        let result = await self.poll([.stall]) { $0.timeout = .milliseconds(200) }
        #expect(result.kind == .timeout)
        await self.expectNextPollIsClean()
    }

    @Test(
        "F04: a drip does not put the time-out off",
        arguments: [
            "HTTP/1.1 200 OK\r\nX-Dripping: " + String(repeating: "x", count: 5000),
            "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + String(repeating: "x", count: 5000),
        ]
    )
    func drip(text: String) async {
        let result = await self.poll([.drip(Array(text.utf8), pieceBytes: 1, every: .milliseconds(2))]) {
            $0.timeout = .milliseconds(400)
        }
        #expect(result.kind == .timeout)
        await self.expectNextPollIsClean()
    }

    @Test("F05: a reset inside the body leaves no value")
    func reset() async {
        let result = await self.poll([
            .send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n[1,2"), .delay(.milliseconds(50)), .reset,
        ])
        #expect(result.kind == .transport)
        await self.expectNextPollIsClean()
    }

    @Test(
        "F06, F07: a body that ends early leaves no value",
        arguments: [
            "Content-Length: 10\r\n\r\n[1,2]", "Content-Length: 1\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n5\r\n[1,2]\r\n", "Transfer-Encoding: chunked\r\n\r\n5\r\n[1,2]\r\n0\r\n",
            "Transfer-Encoding: chunked\r\n\r\n5\r\n[1,", "Transfer-Encoding: chunked\r\n\r\n5",
            "Transfer-Encoding: chunked\r\n\r\n",
        ]
    )
    func early(rest: String) async {
        #expect(await self.poll("HTTP/1.1 200 OK\r\n" + rest).kind == .transport)
        await self.expectNextPollIsClean()
    }

    @Test("F08: a body that ends with the connection is marked as such", arguments: ["1.0", "1.1"])
    func closeDelimited(version: String) async {
        let result = await self.poll("HTTP/\(version) 200 OK\r\n\r\n[1,2]")
        #expect(result.response?.isCloseDelimited == true)
        #expect(result.body == "[1,2]")
    }

    @Test(
        "F09: a body longer than its length is refused, and not read as the next response",
        arguments: [
            "Content-Length: 3\r\n\r\n[1]2]", "Transfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n2]",
            "Content-Length: 3\r\nConnection: close\r\n\r\n[1]HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[9]",
        ]
    )
    func excess(rest: String) async {
        #expect(await self.poll([.send("HTTP/1.1 200 OK\r\n" + rest)]).kind == .framing)
        await self.expectNextPollIsClean()
        #expect(self.upstream.connectionCount == 2)
    }

    @Test("F09: a response that nobody asked for is dropped with its connection")
    func unsolicited() async {
        let one = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]"
        let other = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[9]"
        #expect(await self.poll([.send(one + other)]).body == "[1]")
        await self.expectNextPollIsClean()
        #expect(self.upstream.connectionCount == 2)
    }

    @Test(
        "F10: contradictory framing is refused",
        arguments: [
            "Content-Length: 3\r\nContent-Length: 5\r\n\r\n[1]", "Content-Length: 5, 3\r\n\r\n[1]",
            "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n[1]\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n3\r\n[1]\r\n0\r\n\r\n",
            "Transfer-Encoding: chunked\r\n\r\n 3\r\n[1]\r\n0\r\n\r\n",
        ]
    )
    func contradiction(rest: String) async {
        #expect(await self.poll([.send("HTTP/1.1 200 OK\r\n" + rest)]).kind == .framing)
        await self.expectNextPollIsClean()
        #expect(self.upstream.connectionCount == 2)
    }

    @Test(
        "R28: what has one reading is taken, and the connection is kept",
        arguments: [
            "Content-Length: 3\r\nContent-Length: 3\r\n\r\n[1]", "Content-Length: 3, 3\r\n\r\n[1]",
            "Transfer-Encoding: chunked\r\n\r\n3  \r\n[1]\r\n0  \r\n\r\n",
        ]
    )
    func oneReading(rest: String) async {
        self.upstream.on("*") { _ in [.send("HTTP/1.1 200 OK\r\n" + rest)] }
        for path in ["/a", "/b"] { #expect(await self.probe.poll(self.upstream.url(path)).body == "[1]") }
        #expect(self.upstream.connectionCount == 1)
    }

    @Test(
        "R28: devices are read with `lenient_http`, although libcurl does not understand their lengths",
        arguments: [
            "HTTP/1.1 200 OK\nContent-Length: 3\n\n[1]", "HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\n[1]",
            "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\n\n3\n[1]\n0\n\n",
            "HTTP/1.1 200 OK\r\nContent-Type : application/json\r\nContent-Length:3\r\n\r\n[1]",
        ]
    )
    func devices(text: String) async {
        self.upstream.on("*") { _ in [.send(text)] }
        #expect(await self.probe.poll(self.upstream.url()).kind == .protocol)
        for _ in 0..<2 {
            #expect(await self.probe.poll(self.upstream.url()) { $0.lenientHTTP = true }.body == "[1]")
        }
        self.upstream.on("*") { _ in [.send("HTTP/1.1 404 No\r\nContent-Length : 3\r\n\r\nno!"), .stall] }
        #expect(await self.probe.poll(self.upstream.url()) { $0.lenientHTTP = true }.response?.status == 404)
        self.upstream.on("*") { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\n[1"), .close] }
        #expect(await self.probe.poll(self.upstream.url()) { $0.lenientHTTP = true }.kind == .transport)
        self.upstream.on("*") { _ in [.send("HTTP/1.1 200 OK\r\nContent-Length : 3\r\n\r\n[1]2]"), .close] }
        #expect(await self.probe.poll(self.upstream.url()) { $0.lenientHTTP = true }.kind == .framing)
    }

    @Test(
        "R18: a body is taken as it is where Content-Encoding names no coding",
        arguments: ["UTF-8", "none", "aws-chunked"]
    )
    func noCoding(name: String) async {
        self.upstream.on("/", respond: UpstreamResponse(headers: ["Content-Encoding": name], body: Array("[1]".utf8)))
        #expect(await self.probe.poll(self.upstream.url()).body == "[1]")
        let wire = Gzip.member("[1]")
        for list in ["gzip, identity", "\(name), gzip"] {
            self.upstream.on("/", respond: UpstreamResponse(headers: ["Content-Encoding": list], body: wire))
            #expect(await self.probe.poll(self.upstream.url()).body == "[1]")
        }
    }

    @Test("F11: gzip that is cut, broken or followed by garbage is refused, whole inside its framing")
    func gzip() async {
        let wire = Gzip.member("[1,2,3,4,5,6,7,8]")
        var cases = wire.indices.map { Array(wire[..<$0]) }
        cases.append(wire.dropLast() + [wire[wire.count - 1] ^ 1])
        cases.append(wire + Array("garbage".utf8))
        for (index, body) in cases.enumerated() {
            self.upstream.on("/\(index)", respond: UpstreamResponse(headers: ["Content-Encoding": "gzip"], body: body))
            #expect(await self.probe.poll(self.upstream.url("/\(index)")).kind == .decode, "\(body.count) bytes")
        }
        self.upstream.on("/", respond: UpstreamResponse(headers: ["Content-Encoding": "gzip"], body: wire + [0, 0]))
        #expect(await self.probe.poll(self.upstream.url()).body == "[1,2,3,4,5,6,7,8]")
    }

    @Test("F12, S18: bombs and codings that were not asked for are refused")
    func bombs() async {
        let bomb = Gzip.member([UInt8](repeating: 0x20, count: 32 << 20))
        self.upstream.on("/bomb", respond: UpstreamResponse(headers: ["Content-Encoding": "gzip"], body: bomb))
        #expect(await self.probe.poll(self.upstream.url("/bomb")).kind == .tooLarge)
        #expect(await self.probe.poll(self.upstream.url("/bomb")) { $0.maxBodyBytes = 1 << 30 }.kind == .tooLarge)
        for coding in ["br", "zstd", "deflate", "compress", "gzip, gzip", "gzip, br", "gzip, gzip, gzip, gzip, gzip"] {
            self.upstream.on("/", respond: UpstreamResponse(headers: ["Content-Encoding": coding], body: bomb))
            #expect(await self.probe.poll(self.upstream.url()).kind == .decode)
        }
    }

    @Test("F13: an endless body ends at the limit")
    func endless() async {
        let chunk = "1000\r\n" + String(repeating: "x", count: 0x1000) + "\r\n"
        let steps = [UpstreamStep.send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")]
        let result = await self.poll(steps + Array(repeating: .send(chunk), count: 1000) + [.stall]) {
            $0.maxBodyBytes = 100_000
        }
        #expect(result.kind == .tooLarge)
        await self.expectNextPollIsClean()
    }

    @Test("F13: an announced body beyond the limit is not read at all")
    func announced() async {
        let result = await self.poll([.send("HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n"), .stall]) {
            $0.maxBodyBytes = 100_000
        }
        #expect(result.kind == .tooLarge)
        await self.expectNextPollIsClean()
    }

    @Test(
        "F14: header floods end at the limit",
        arguments: [
            Array(repeating: "X-Flood: " + String(repeating: "x", count: 4000) + "\r\n", count: 1000),
            Array(repeating: "X: 1\r\n", count: 100_000), ["X: " + String(repeating: "x", count: 4 << 20)],
        ]
    )
    func headerFlood(lines: [String]) async {
        let result = await self.poll([.send("HTTP/1.1 200 OK\r\n" + lines.joined()), .stall])
        #expect(result.kind == .headers)
        await self.expectNextPollIsClean()
    }

    @Test(
        "F21, S14: what is not HTTP is refused",
        arguments: [
            "garbage\r\n\r\n", "[1,2,3]", "HTTP/0.9 200 OK\r\n\r\n[1]", "SSH-2.0-OpenSSH_9.2\r\n", "ICY 200 OK\r\n\r\n",
            "HTTP/1.1 200 OK\r\nETag: \"a\u{0}b\"\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nETag: \"a\"\r\n folded\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 200 OK\nContent-Length: 0\n\n",
        ]
    )
    func notHTTP(text: String) async {
        #expect(await self.poll(text).kind == .protocol)
        await self.expectNextPollIsClean()
    }

    @Test("F34: interim responses are skipped, a flood of them is refused")
    func interim() async {
        let early = "HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n"
        let final = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n[1]"
        #expect(await self.poll([.send(early + early + final)]).body == "[1]")
        self.upstream.on("/flood") { _ in [.send(String(repeating: early, count: 1000)), .stall] }
        #expect(await self.probe.poll(self.upstream.url("/flood")).kind == .protocol)
    }

    @Test(
        "F34: another status is told whatever became of its body, which is dropped",
        arguments: [
            "204 No Content\r\n\r\n", "206 Partial Content\r\nContent-Length: 3\r\n\r\n[1]",
            "500 Oops\r\nContent-Length: 1000\r\n\r\ncut",
            "503 Busy\r\nContent-Encoding: br\r\nContent-Length: 1\r\n\r\nx",
            "429 Slow Down\r\nContent-Length: 1000000\r\n\r\n" + String(repeating: "x", count: 1_000_000),
        ]
    )
    func otherStatus(rest: String) async throws {
        let response = try #require(await self.poll("HTTP/1.1 " + rest).response)
        #expect("\(response.status)" == rest.prefix(3))
        #expect(response.body.isEmpty)
        await self.expectNextPollIsClean()
    }

    @Test("F18: a connection that the upstream closed while idle costs nothing", arguments: [false, true])
    func closedWhileIdle(byReset: Bool) async {
        let body = UpstreamStep.respond(.json("[1]"))
        // The second request meets the closing: it is read, and never answered.
        self.upstream.script(
            connection: 1,
            [.expect { _ in true }, body, .expect { _ in true }, byReset ? .reset : .close]
        )
        self.upstream.on("/", respond: .json("[2]"))
        #expect(await self.probe.poll(self.upstream.url()).body == "[1]")
        #expect(await self.probe.poll(self.upstream.url()).body == "[2]")
        #expect(self.upstream.connectionCount == 2)
        #expect(self.upstream.requests.count == 3)
    }

    @Test("F18: a fresh connection that closes without an answer is a failure, not retried for ever")
    func closedAtOnce() async {
        self.upstream.on("/") { _ in [.close] }
        #expect(await self.probe.poll(self.upstream.url()).kind == .transport)
        #expect(self.upstream.requests.count == 1)
    }
}
