import FreshetCore
import FreshetTesting
import Testing

@testable import FreshetPolling

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
        fromOutside.redirected(by: outside)
        #expect(fromOutside.reasonToRefuse(loopback) != nil)
        #expect(fromOutside.reasonToRefuse(nil) != nil)
        #expect(fromOutside.reasonToRefuse(outside) == nil)
        fromOutside.redirected(by: loopback)
        #expect(fromOutside.reasonToRefuse(loopback) != nil)
        var fromInside = HopPolicy(deniesPrivate: false)
        fromInside.redirected(by: loopback)
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
        #expect(throws: PollError.self) { try UpstreamURL(url) }
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
