import CLinux
import FreshetCore
import FreshetTesting
import Glibc
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("The transport asks as it should")
struct TransportTests {
    private let upstream: ScriptedUpstream
    private let probe = TransportProbe()

    init() throws {
        self.upstream = try ScriptedUpstream()
    }

    @Test(
        "a response arrives whole, however it is framed",
        arguments: [
            UpstreamResponse.Framing.contentLength, .chunked(pieceBytes: 3), .close,
        ]
    )
    func whole(framing: UpstreamResponse.Framing) async {
        let body = String(repeating: "0123456789", count: 10_000)
        self.upstream.on(
            "/",
            respond: UpstreamResponse(headers: ["ETag": "\"1\""], body: Array(body.utf8), framing: framing)
        )
        let result = await self.probe.poll(self.upstream.url())
        #expect(result.body == body)
        #expect(result.response?.wireBytes == body.utf8.count)
        #expect(result.response?.value(of: "etag") == Array("\"1\"".utf8))
        #expect(result.response?.isCloseDelimited == (framing == .close))
    }

    @Test("the request says who asks and what for")
    func requestFields() async throws {
        self.upstream.on("/a", respond: .json("{}"))
        _ = await self.probe.poll(self.upstream.url("/a?b=c")) {
            $0.headers = [.init(name: "X-Key", value: "secret"), .init(name: "X-Empty", value: "")]
        }
        let request = try #require(self.upstream.requests.first)
        #expect(request.method == "GET")
        #expect(request.target == "/a?b=c")
        #expect(request.headers["User-Agent"] == "freshet")
        #expect(request.headers["Accept"] == "application/json, */*;q=0.1")
        let codings = request.headers["Accept-Encoding"]?.split(separator: ", ") ?? []
        #expect(codings.first == "gzip")
        #expect(codings.contains("br") == Unpacker.canDecode(.brotli))
        #expect(codings.contains("zstd") == Unpacker.canDecode(.zstd))
        #expect(request.headers["X-Key"] == "secret")
        #expect(request.headers["X-Empty"] == "")
        #expect(request.headers["If-None-Match"] == nil)
        #expect(request.headers["If-Modified-Since"] == nil)
    }

    @Test("a configured field takes the place of our own")
    func configuredFields() async throws {
        self.upstream.on("/", respond: .json("{}"))
        _ = await self.probe.poll(self.upstream.url()) {
            $0.headers = [
                .init(name: "accept", value: "text/csv"), .init(name: "ACCEPT-ENCODING", value: "identity"),
                .init(name: "User-Agent", value: "me"),
            ]
        }
        let request = try #require(self.upstream.requests.first)
        #expect(request.headers.values("Accept") == ["text/csv"])
        #expect(request.headers.values("Accept-Encoding") == ["identity"])
        #expect(request.headers.values("User-Agent") == ["me"])
    }

    @Test(
        "F26: validators go back byte-exact, both of them",
        arguments: [
            "\"x\"", "W/\"x\"", "w/\"x\"", "\"x-gzip\"", "unquoted", "\"a b, c\"", "\"\u{E9}\"",
        ]
    )
    func validators(etag: String) async throws {
        self.upstream.on("/", respond: .status(304))
        let date = Array("Thu, 01 Jan 2026 00:00:00 GMT".utf8)
        let result = await self.probe.poll(
            self.upstream.url(),
            validators: Validators(etag: Array(etag.utf8), lastModified: date)
        )
        #expect(result.response?.status == 304)
        let request = try #require(self.upstream.requests.first)
        #expect(request.headers.bytes("If-None-Match") == Array(etag.utf8))
        #expect(request.headers.bytes("If-Modified-Since") == date)
    }

    @Test("polls of one origin share a connection")
    func reuse() async {
        self.upstream.on("*", respond: .json("{}"))
        for path in ["/a", "/b", "/c"] {
            #expect(await self.probe.poll(self.upstream.url(path)).body == "{}")
        }
        #expect(self.upstream.connectionCount == 1)
    }

    @Test(
        "F26, S18: what is asked for is what the source wants, and only what can be undone",
        arguments: [(SourceConfiguration.AcceptEncoding.identity, "identity"), (.gzip, "gzip")]
    )
    func acceptEncoding(wanted: SourceConfiguration.AcceptEncoding, expected: String) async {
        self.upstream.on("/", respond: .json("{}"))
        _ = await self.probe.poll(self.upstream.url()) { $0.acceptEncoding = wanted }
        #expect(self.upstream.requests.first?.headers["Accept-Encoding"] == expected)
    }

    @Test("F19: a connection is kept for its lifetime and not longer, though the old address still answers")
    func lifetime() async {
        let probe = TransportProbe(maxConnectionAge: .seconds(1))
        // A burst would fill the record of requests; the lifetime has whole seconds.
        self.upstream.on("/") { _ in [.delay(.milliseconds(20)), .respond(.json("{}"))] }
        let start = ContinuousClock.now
        while self.upstream.connectionCount < 2, ContinuousClock.now - start < .seconds(30) {
            #expect(await probe.poll(self.upstream.url()).body == "{}")
        }
        #expect(self.upstream.connectionCount == 2)
        #expect(ContinuousClock.now - start >= .seconds(1))
        #expect(self.upstream.requests.count > 2, "within its lifetime it is used again")
    }

    @Test("S17: a proxy in the environment is ignored")
    func noProxy() async {
        let names = ["http_proxy", "ALL_PROXY"]
        let before = names.map { (name: String) in (name, getenv(name).map { String(cString: $0) }) }
        // What other tests start would ask it.
        defer {
            for (name, value) in before {
                if let value { setenv(name, value, 1) } else { unsetenv(name) }
            }
        }
        for (name, _) in before { setenv(name, "http://127.0.0.1:1", 1) }
        self.upstream.on("/", respond: .json("{}"))
        #expect(await self.probe.poll(self.upstream.url()).body == "{}")
    }

    @Test("a cookie is not kept")
    func noCookies() async {
        self.upstream.on("/", respond: .json("{}", headers: ["Set-Cookie": "a=b; Path=/"]))
        for _ in 0..<2 { _ = await self.probe.poll(self.upstream.url()) }
        #expect(self.upstream.requests.map { $0.headers["Cookie"] } == [nil, nil])
    }

    @Test("gzip is undone, and counted as it came over the wire")
    func gzip() async {
        let wire = Gzip.member("{\"a\":1}")
        self.upstream.on("/", respond: UpstreamResponse(headers: ["Content-Encoding": "gzip"], body: wire))
        let result = await self.probe.poll(self.upstream.url())
        #expect(result.body == "{\"a\":1}")
        #expect(result.response?.wireBytes == wire.count)
    }

    @Test(
        "S15: a request field cannot be ended by a control character",
        arguments: ["a\r\nX: y", "a\nX: y", "a\u{0}b"]
    )
    func injection(value: String) async {
        self.upstream.on("/", respond: .json("{}"))
        let result = await self.probe.poll(self.upstream.url()) {
            $0.headers = [.init(name: "Authorization", value: value)]
        }
        #expect(result.kind == .internal)
        let etag = await self.probe.poll(self.upstream.url(), validators: Validators(etag: Array(value.utf8)))
        #expect(etag.kind == .internal)
        #expect(self.upstream.connectionCount == 0)
    }
}
