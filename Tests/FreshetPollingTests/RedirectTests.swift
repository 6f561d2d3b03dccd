import FreshetCore
import FreshetTesting
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("Where a poll may go")
struct RedirectTests {
    private let upstream: ScriptedUpstream
    private let sink: ScriptedUpstream
    private let probe = TransportProbe()

    init() throws {
        self.upstream = try ScriptedUpstream()
        self.sink = try ScriptedUpstream()
        self.upstream.on("/end", respond: .json("[1]"))
        self.sink.on("*", respond: .json("[9]"))
    }

    private func redirect(_ path: String, to location: String, status: Int = 302) {
        self.upstream.on(path, respond: .status(status, headers: ["Location": location]))
    }

    @Test("redirects within the origin are followed", arguments: [301, 302, 303, 307, 308])
    func followed(status: Int) async {
        self.redirect("/a", to: "/end", status: status)
        #expect(await self.probe.poll(self.upstream.url("/a")).body == "[1]")
        self.redirect("/b", to: self.upstream.url("/end?x"), status: status)
        #expect(await self.probe.poll(self.upstream.url("/b")).body == "[1]")
        self.redirect("/c/d", to: "../end#fragment", status: status)
        #expect(await self.probe.poll(self.upstream.url("/c/d")).body == "[1]")
    }

    @Test("the next poll begins at the configured URL again")
    func startsOver() async {
        self.redirect("/a", to: "/end")
        for _ in 0..<2 { _ = await self.probe.poll(self.upstream.url("/a")) }
        #expect(self.upstream.requests.map(\.path) == ["/a", "/end", "/a", "/end"])
    }

    @Test("F15: three redirects are followed, a fourth is not")
    func limit() async {
        for hop in 0..<4 { self.redirect("/\(hop)", to: hop == 3 ? "/end" : "/\(hop + 1)") }
        #expect(await self.probe.poll(self.upstream.url("/1")).body == "[1]")
        #expect(await self.probe.poll(self.upstream.url("/0")).kind == .redirect)
        self.redirect("/loop", to: "/loop")
        #expect(await self.probe.poll(self.upstream.url("/loop")).kind == .redirect)
    }

    @Test("F15: redirects share the poll's time-out")
    func timeout() async {
        self.redirect("/a", to: "/stall")
        self.upstream.on("/stall") { _ in [.stall] }
        #expect(await self.probe.poll(self.upstream.url("/a")) { $0.timeout = .milliseconds(200) }.kind == .timeout)
    }

    @Test("F15, S19: another origin is not followed, and gets neither a byte nor a secret")
    func otherOrigin() async {
        let port = self.sink.port
        let own = self.upstream.port
        let targets = [
            self.sink.url("/x"), "http://localhost:\(own)/end", "//127.0.0.1:\(port)/x", "https://127.0.0.1:\(own)/end",
            "http://127.0.0.1:\(own)@127.0.0.1:\(port)/", "HTTP://127.0.0.1:\(port)/", "http:\\\\127.0.0.1:\(port)",
            "file:///etc/passwd", "gopher://127.0.0.1:\(port)/", "dict://127.0.0.1:\(port)/", "javascript:1",
            "http://[::1]:\(own)/end", "http://169.254.169.254/latest/meta-data/",
        ]
        for (index, target) in targets.enumerated() {
            self.redirect("/\(index)", to: target)
            let result = await self.probe.poll(self.upstream.url("/\(index)")) {
                $0.headers = ["Authorization", "Cookie", "X-Api-Key"].map { .init(name: $0, value: "secret") }
            }
            #expect(result.kind == .redirect || result.response?.status == 404, "\(target)")
        }
        #expect(self.sink.connectionCount == 0)
        #expect(self.upstream.requests.allSatisfy { $0.headers["X-Api-Key"] == "secret" })
    }

    private static let secrets = [
        "Authorization", "Cookie", "X-Api-Key", "Proxy-Authorization", "X-Custom", "apikey", "X-CSRF-Token", "Referer",
    ]

    @Test("R23: a listed origin is followed, and gets no field but harmless ones", arguments: [301, 302, 307])
    func listed(status: Int) async throws {
        self.redirect("/a", to: self.sink.url("/b"), status: status)
        self.sink.on("/b", respond: .status(302, headers: ["Location": self.upstream.url("/end")]))
        self.redirect("/c", to: self.sink.url("/x"), status: status)
        let origin = self.sink.url("")
        for (path, body) in [("/c", "[9]"), ("/a", "[1]")] {
            let result = await self.probe.poll(self.upstream.url(path)) { source in
                source.redirects = .origins(["https://elsewhere.example", origin])
                source.headers = (Self.secrets + ["Accept", "User-Agent"]).map { .init(name: $0, value: "secret") }
            }
            #expect(result.body == body)
        }
        for request in self.sink.requests {
            for name in Self.secrets { #expect(request.headers[name] == nil, "\(name)") }
            #expect(request.headers["Accept"] == "secret")
        }
        #expect(self.sink.requests.count == 2)
        // Back at home they go along again.
        #expect(self.upstream.requests(to: "/end").allSatisfy { $0.headers["X-Api-Key"] == "secret" })
    }

    @Test("R23, S16: an origin that is not listed gets no connection where its address is private")
    func chosen() async {
        self.redirect("/a", to: self.sink.url("/x"))
        let chosen = await self.probe.poll(self.upstream.url("/a")) { $0.redirects = .any }
        #expect(chosen.kind == .policy)
        let denied = await self.probe.poll(self.upstream.url("/a")) { $0.redirects = .origins([]) }
        #expect(denied.kind == .redirect)
        let origin = self.sink.url("")
        let other = await self.probe.poll(self.upstream.url("/a")) { $0.redirects = .origins([origin + "1"]) }
        #expect(other.kind == .redirect)
        #expect(self.sink.connectionCount == 0)
    }

    @Test("R23: the rule")
    func rule() throws {
        let home = try UpstreamURL("https://api.example/x").origin
        let target = { (redirects: SourceConfiguration.Redirects, url: String) -> RedirectRule.Target? in
            guard let origin = Origin(url) else { return nil }
            return try? RedirectRule(redirects, home: home).target(origin)
        }
        #expect(target(.sameOrigin, "https://API.example:443/y") == .home)
        #expect(target(.sameOrigin, "https://cdn.example/") == nil)
        #expect(target(.any, "https://cdn.example/") == .chosen)
        #expect(target(.any, "http://cdn.example/") == nil, "anyone could change it")
        #expect(target(.origins(["http://cdn.example"]), "http://cdn.example/") == .listed)
        #expect(target(.origins(["https://cdn.example"]), "http://cdn.example/") == nil)
        #expect(target(.origins(["https://cdn.example"]), "https://cdn.example:8443/") == nil)
        #expect(target(.origins(["https://cdn.example"]), "https://api.example/") == .home)
        let loopback = try #require(NetworkAddress(text: "127.0.0.1"))
        var policy = HopPolicy(deniesPrivate: false)
        policy.redirected(by: loopback, to: .chosen)
        #expect(policy.reasonToRefuse(loopback) != nil)
        policy.redirected(by: loopback, to: .listed)
        #expect(policy.reasonToRefuse(loopback) == nil)
        var strict = HopPolicy(deniesPrivate: true)
        strict.redirected(by: loopback, to: .listed)
        #expect(strict.reasonToRefuse(loopback) != nil)
    }

    @Test("R10: a Location that says nothing leads nowhere", arguments: ["", " ", "\t", "   \t "])
    func emptyLocation(location: String) async {
        self.upstream.on("/", respond: .json("[\"root\"]"))
        self.upstream.on("/a/b") { _ in
            [.send("HTTP/1.1 302 Found\r\nLocation:\(location)\r\nContent-Length: 0\r\n\r\n")]
        }
        #expect(await self.probe.poll(self.upstream.url("/a/b")).kind == .redirect)
        #expect(self.upstream.requests.count == 1)
    }

    @Test(
        "R10: bytes outside ASCII go on as they came",
        arguments: [
            ("/caf\u{E9}", "/caf%E9"), ("caf\u{E9}?q=\u{FC}", "/caf%E9?q=%FC"), ("/\u{C3}\u{A9}", "/%C3%A9"),
            ("/a%E9\u{E9}", "/a%E9%E9"), ("//127.0.0.1:PORT/\u{E9}", "/%E9"), ("http://127.0.0.1:PORT/\u{E9}", "/%E9"),
            ("http://127.0.0.1:PORT?\u{E9}", "/?%E9"), ("/a:b/\u{E9}", "/a:b/%E9"),
        ]
    )
    func rawLocation(location: String, target: String) async {
        let bytes = location.replacing("PORT", with: "\(self.upstream.port)").unicodeScalars.map { UInt8($0.value) }
        self.upstream.on("*", respond: .json("[1]"))
        self.upstream.on("/from") { _ in
            [
                .send(
                    Array("HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ".utf8) + bytes
                        + Array("\r\n\r\n".utf8)
                )
            ]
        }
        #expect(await self.probe.poll(self.upstream.url("/from")).body == "[1]")
        #expect(self.upstream.requests.last?.target == target)
    }

    @Test(
        "S16: deny_private keeps loopback out, whatever the host is called",
        arguments: [
            "127.0.0.1", "localhost", "0x7f.1", "2130706433", "127.1", "[::ffff:7f00:1]", "[::1]", "0.0.0.0",
        ]
    )
    func denyPrivate(host: String) async {
        let result = await self.probe.poll("http://\(host):\(self.sink.port)/") { $0.denyPrivate = true }
        #expect(result.kind == .policy)
        #expect(self.sink.connectionCount == 0)
    }

    @Test(
        "S16: deny_private refuses addresses of metadata services, however they are written, by policy",
        arguments: [
            "169.254.169.254", "[fd00:ec2::254]", "100.100.100.200", "168.63.129.16", "0xA9FEA9FE", "2852039166",
        ]
    )
    func metadata(host: String) async {
        let result = await self.probe.poll("http://\(host)/latest/meta-data/") { $0.denyPrivate = true }
        #expect(result.kind == .policy)
    }

    @Test("S16: a redirect to loopback in any spelling gets no connection, not even from a private upstream")
    func redirectInside() async {
        for (index, host) in ["127.0.0.1", "localhost", "0x7f.1", "[::ffff:7f00:1]", "[::1]", "0"].enumerated() {
            self.redirect("/in\(index)", to: "http://\(host):\(self.sink.port)/")
            #expect(await self.probe.poll(self.upstream.url("/in\(index)")).kind == .redirect)
        }
        // An attempt would be counted before this one.
        #expect(await self.probe.poll(self.sink.url()).body == "[9]")
        #expect(self.sink.connectionCount == 1)
    }

    @Test("S16: a poll that began in public may not be redirected inside, even by the name that it began with")
    func hops() throws {
        let (loopback, other) = try (#require(NetworkAddress(text: "127.0.0.1")), #require(NetworkAddress(text: "::1")))
        let outside = try #require(NetworkAddress(text: "8.8.8.8"))
        var fromOutside = HopPolicy(deniesPrivate: false)
        #expect(fromOutside.reasonToRefuse(loopback) == nil, "a URL of the configuration may lead anywhere")
        fromOutside.redirected(by: outside, to: .home)
        #expect(fromOutside.reasonToRefuse(loopback) != nil)
        #expect(fromOutside.reasonToRefuse(nil) != nil)
        #expect(fromOutside.reasonToRefuse(outside) == nil)
        fromOutside.redirected(by: loopback, to: .home)
        #expect(fromOutside.reasonToRefuse(loopback) != nil)
        var fromInside = HopPolicy(deniesPrivate: false)
        fromInside.redirected(by: loopback, to: .home)
        #expect(fromInside.reasonToRefuse(other) == nil)
        #expect(HopPolicy(deniesPrivate: true).reasonToRefuse(loopback) != nil)
    }

    @Test("S16: nor may deny_private use a connection that another source opened")
    func denyPrivateOnReuse() async {
        #expect(await self.probe.poll(self.sink.url()).body == "[9]")
        #expect(await self.probe.poll(self.sink.url()) { $0.denyPrivate = true }.kind == .policy)
        #expect(self.sink.requests.count == 1)
    }

    @Test(
        "S17: only http and https are URLs",
        arguments: [
            "", "/", "example.org", "//example.org", "file:///etc/passwd", "gopher://h/", "dict://h/", "ftp://h/",
            "ws://h/",
            "http://", "http://[::1/", "http://h:99999/", "http://h:x/", "http://a b/", "http://h\u{0}/",
            "javascript:1",
        ]
    )
    func schemes(url: String) {
        #expect(throws: UpstreamError.self) { try UpstreamURL(url) }
    }

    @Test("equal origins are equal however they are written")
    func origins() throws {
        let origin = try UpstreamURL("http://Example.ORG/a").origin
        #expect(try UpstreamURL("HTTP://example.org:80/b?c").origin == origin)
        #expect(try UpstreamURL("https://example.org/").origin != origin)
        #expect(try UpstreamURL("http://example.org:8080/").origin != origin)
        #expect(try UpstreamURL("http://0x7f.1/").origin == UpstreamURL("http://127.0.0.1/").origin)
    }
}
