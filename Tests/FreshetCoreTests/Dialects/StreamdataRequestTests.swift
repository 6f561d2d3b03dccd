import Testing

@testable import FreshetCore

@Suite("Requests of the Streamdata.io SDK")
struct StreamdataRequestTests {
    private static func request(_ url: String, tokens: [String] = []) throws(StreamdataProblem) -> StreamdataRequest {
        try StreamdataRequest(url: Array(url.utf8), tokens: tokens)
    }

    private static func kind(_ url: String, tokens: [String] = []) -> StreamdataProblem.Kind? {
        do throws(StreamdataProblem) {
            _ = try self.request(url, tokens: tokens)
            return nil
        } catch {
            return error.kind
        }
    }

    @Test("the SDK's parameters are taken out, and those of the URL stay as they are")
    func parameters() throws {
        let request = try Self.request(
            "http://up.example/stocks?x=1&X-Sd-Header=Authorization%3A%20Basic%20abc%3D%3D&X-Sd-Header=X-A%3A1&y=%2B+&X-Sd-Token=tok%2B%2F%3D"
        )
        #expect(request.target.text == "http://up.example/stocks?x=1&y=%2B+")
        #expect(request.token == "tok+/=")
        #expect(request.fields == [.init(name: "Authorization", value: "Basic abc=="), .init(name: "X-A", value: "1")])
        #expect(request.signature == nil)
        #expect(try Self.request("http://up.example/stocks?X-Sd-Token=t").target.text == "http://up.example/stocks")
        #expect(try Self.request("http://up.example/stocks?&X-Sd-Token=t").target.text == "http://up.example/stocks?")
        #expect(
            try Self.request("http://up.example/stocks?a", tokens: ["t"]).target.text == "http://up.example/stocks?a"
        )
    }

    @Test(
        "none of them reaches the upstream, however its name is written",
        arguments: [
            "X-Sd-Token=t", "x-sd-token=t", "X-SD-TOKEN=t", "X%2DSd%2DToken=t", "%58-Sd-Token=t", "X-Sd-Compress=true",
            "X-Sd-Other", "X-Auth-Sd-Other=1", "x%2dauth%2dsd-x=1", "evs_buffer_size_limit=1048576",
            "evs_preamble=2056",
            "EVS_last_event_id=e-1", "evs%5Flast_event_id=e-1",
        ]
    )
    func own(parameter: String) throws {
        let request = try Self.request("http://up.example/a?b=c&\(parameter)&d", tokens: ["t"])
        #expect(request.target.text == "http://up.example/a?b=c&d")
    }

    @Test("a token is needed, one")
    func tokens() {
        #expect(Self.kind("http://up.example/") == .unauthorized)
        #expect(Self.kind("http://up.example/?X-Sd-Token=") == .unauthorized)
        #expect(Self.kind("http://up.example/?X-Sd-Token=a&X-Sd-Token=b") == .unauthorized)
        #expect(Self.kind("http://up.example/?X-Sd-Token=a", tokens: ["b"]) == .unauthorized)
        #expect(Self.kind("http://up.example/?X-Sd-Token=a&X-Sd-Token=a", tokens: ["a"]) == nil)
        #expect(Self.kind("http://up.example/?X-Sd-Token=%FF") == .malformed)
        #expect(Self.kind("http://up.example/?X-Sd-Token=%2") == .malformed)
    }

    @Test("the bounds hold, and URLs that are none are told so")
    func bounds() {
        let many = String(repeating: "a&", count: StreamdataRequest.maxParameters)
        #expect(Self.kind("http://up.example/?X-Sd-Token=t&\(many)") == .malformed)
        let fields = String(repeating: "X-Sd-Header=A%3A1&", count: StreamdataRequest.maxFields + 1)
        #expect(Self.kind("http://up.example/?\(fields)X-Sd-Token=t") == .malformed)
        let large = String(repeating: "a", count: StreamdataRequest.maxFieldBytes)
        #expect(Self.kind("http://up.example/?X-Sd-Header=A%3A\(large)&X-Sd-Token=t") == .malformed)
        #expect(Self.kind("http://up.example:x/?X-Sd-Token=t") == .malformed)
        #expect(Self.kind("http:///?X-Sd-Token=t") == .malformed)
    }

    @Test(
        "fields that are not the request's own are not taken along",
        arguments: [
            "Host: evil.example", "host:evil.example", "HOST : x", "Connection: keep-alive", "Keep-Alive: timeout=5",
            "Proxy-Authorization: Basic x", "Proxy-Connection: close", "TE: trailers", "Trailer: X",
            "Upgrade: websocket",
            "Transfer-Encoding: chunked", "Content-Length: 5", "Content-Type: text/plain", "content-encoding: gzip",
            "Content-Anything: x", "Accept: text/html", "Accept-Encoding: identity", "Expect: 100-continue",
            "Range: bytes=0-1",
            "If-None-Match: \"x\"", "If-Modified-Since: x", "Forwarded: for=x", "X-Forwarded-For: 1.2.3.4",
            "X_Forwarded_For: 1",
            "Via: 1.1 x", "X-Sd-Token: t", "X-Auth-Sd-S: s", "Content_Length: 5", "Transfer_Encoding: chunked",
            "Max-Forwards: 0", "HTTP2-Settings: x", ":authority: evil.example",
        ]
    )
    func dropped(line: String) {
        let encoded = line.utf8.map { "%\($0 < 16 ? "0" : "")\(String($0, radix: 16))" }.joined()
        let request = try? Self.request("http://up.example/?X-Sd-Header=\(encoded)&X-Sd-Header=X-Kept%3A1&X-Sd-Token=t")
        // Refused whole, or taken without it.
        #expect(request == nil || request?.fields == [.init(name: "X-Kept", value: "1")], "\(line)")
    }

    @Test("nor are those that Connection names")
    func connection() throws {
        let request = try Self.request(
            "http://up.example/?X-Sd-Header=X-A%3A1&X-Sd-Header=Connection%3Aclose%2C%20x-a&X-Sd-Header=X-B%3A2&X-Sd-Token=t"
        )
        #expect(request.fields == [.init(name: "X-B", value: "2")])
    }

    @Test(
        "what would be another field, or none, is refused",
        arguments: [
            "X-A%3A1%0D%0AHost%3Aevil.example", "X-A%3A1%0AX-B%3A2", "X-A%3A1%00", "X%20A%3A1", "%3A1", "X-A",
            "X-A%0D%0A%3A1",
            "X-A%3A%7F",
        ]
    )
    func injected(line: String) {
        #expect(Self.kind("http://up.example/?X-Sd-Header=\(line)&X-Sd-Token=t") == .malformed)
    }

    @Test("what is signed is the URL up to the parameters of the signature, as the application wrote it")
    func signed() throws {
        let first = try Self.request("http://up.example/a?X-Auth-Sd-Ts=12&X-Auth-Sd-S=c2ln&X-Sd-Token=t")
        #expect(first.signature == .init(stamp: "12", text: "c2ln", url: Array("http://up.example/a".utf8)))
        let second = try Self.request(
            "http://up.example/a?b=%7e&X-Auth-Sd-Ts=12&X-Auth-Sd-S=c2ln&X-Sd-Header=A%3A1&X-Sd-Token=t"
        )
        #expect(second.signature?.url == Array("http://up.example/a?b=%7e".utf8))
        #expect(Self.kind("http://up.example/?X-Auth-Sd-Ts=1&X-Auth-Sd-Ts=2&X-Auth-Sd-S=c&X-Sd-Token=t") == .malformed)
    }

    @Test("equal addresses with equal fields of one token have one name, and no other has it")
    func names() throws {
        func hash(_ bytes: [UInt8]) -> Fingerprint {
            Fingerprint(first: bytes.reduce(0) { $0 &* 31 &+ UInt64($1) }, second: UInt64(bytes.count))
        }
        func name(_ url: String, token: UInt64 = 1) throws -> String {
            let request = try Self.request("\(url)&X-Sd-Token=t")
            let entry = TargetList.Entry(request.target, isInside: false)
            let fingerprint = Fingerprint(first: token, second: 0)
            return try #require(StreamdataTarget(request, entry: entry, token: fingerprint, hash: hash)).name.text
        }
        let one = try name("http://up.example/a?b")
        #expect(try name("http://UP.example:80/a?b") == one)
        #expect(one.hasPrefix("streamdata/00000000000000010000000000000000/"))
        let others = [
            try name("http://up.example/a?c"), try name("https://up.example/a?b"),
            try name("http://up.example/a?b", token: 2),
            try name("http://up.example/a?b&X-Sd-Header=A%3A1"), try name("http://up.example/a?b&X-Sd-Header=A%3A2"),
        ]
        #expect(Set(others + [one]).count == 6)
    }

    @Test("an address is polled by defaults, with its own fields, and leads no redirect anywhere")
    func source() throws {
        var defaults = SourceConfiguration(name: "defaults")
        defaults.interval = .fixed(.seconds(3))
        defaults.headers = [.init(name: "Authorization", value: "Bearer secret")]
        defaults.query = [.init(name: "key", value: "secret")]
        defaults.redirects = .any
        defaults.route = .unixSocket("/run/x")
        defaults.paginate = Pagination(style: .link)
        let request = try Self.request("https://up.example/a?X-Sd-Header=Authorization%3Amine&X-Sd-Token=t")
        for isInside in [true, false] {
            let entry = TargetList.Entry(request.target, isInside: isInside)
            let token = Fingerprint(first: 1, second: 2)
            let target = try #require(StreamdataTarget(request, entry: entry, token: token) { _ in token })
            let source = target.source(from: defaults.forTargets)
            #expect(source.url == "https://up.example/a" && source.interval == .fixed(.seconds(3)))
            #expect(
                source.headers == [
                    .init(name: "Accept", value: "application/json"), .init(name: "Authorization", value: "mine"),
                ]
            )
            #expect(source.query.isEmpty && source.redirects == .refused && source.paginate == nil)
            #expect(source.route == .direct && source.denyPrivate == !isInside && source.when == .subscribed)
        }
    }
}
