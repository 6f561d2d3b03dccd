import FreshetCore
import FreshetTesting
import JSON
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

@Suite("How upstreams are asked")
struct RequestTests {
    // MARK: One poll for several sources

    @Test("S10: sources that ask the same are one poll, and hold the same value")
    func shared() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/") { [.respond(.json(#"{"a":\#($0.number),"b":[1]}"#))] }
        var ids: [SourceID] = []
        for name in ["one", "two", "three"] {
            ids.append(try fixture.add(name) { $0.root = name == "two" ? Pointer("/b") : nil })
        }
        #expect(await fixture.poll(ids[2]) == .changed)
        #expect(await fixture.waitForEvents(3))
        #expect(fixture.upstream.requests.count == 1)
        #expect(fixture.value(of: ids[0]) == #"{"a":1,"b":[1]}"#)
        #expect(fixture.value(of: ids[1]) == "[1]")
        #expect(fixture.poller.metrics.shared == 2)
    }

    @Test("S10: over many polls sources of one interval cost what one does, and a slower one costs nothing")
    func sharedOverTime() async throws {
        let fixture = try PollingFixture()
        let gate = try Gate()
        fixture.upstream.on("/") { request in
            let answer = UpstreamResponse.json("[\(request.number)]", headers: ["ETag": "\"\(request.number)\""])
            return request.number == 40 ? [.open(gate), .respond(answer)] : [.respond(answer)]
        }
        let intervals: [Duration] = [.milliseconds(20), .milliseconds(20), .milliseconds(20), .milliseconds(70)]
        var ids: [SourceID] = []
        for (index, interval) in intervals.enumerated() {
            ids.append(try fixture.add("s\(index)") { $0.interval = .fixed(interval) })
        }
        #expect(await fixture.upstream.waitForRequests(count: 41))
        let metrics = fixture.poller.metrics
        // Each poll of the fast ones is for three of them; a loaded machine may part them now and then.
        #expect(metrics.shared >= 50, "\(metrics.shared)")
        for id in ids { #expect(fixture.value(of: id) != nil) }
    }

    @Test("S10: whoever asks with another credential, or another way, is asked for alone")
    func apart() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("*") { request in
            [.respond(.json(#"["\#(request.headers["X-Key"] ?? "none") \#(request.target) \#(request.method)"]"#))]
        }
        func add(_ name: String, _ configure: (inout SourceConfiguration) -> Void) throws -> SourceID {
            try fixture.add(name, configure)
        }
        let sources: [(SourceID, String)] = [
            (try add("a_b") { $0.headers = [.init(name: "X-Key", value: "a_b")] }, "a_b / GET"),
            (try add("a") { $0.headers = [.init(name: "X-Key", value: "a")] }, "a / GET"),
            (try add("b") { _ in }, "none / GET"),
            (try add("c") { $0.query = [.init(name: "key", value: "c&d")] }, "none /?key=c%26d GET"),
            (try add("d") { $0.method = .post }, "none / POST"),
        ]
        for (id, value) in sources {
            #expect(await fixture.poll(id) == .changed)
            #expect(fixture.value(of: id) == "[\"\(value)\"]")
        }
        #expect(fixture.upstream.requests.count == sources.count)
        #expect(fixture.poller.metrics.shared == 0)
    }

    @Test("S10: a confirmation of one value is none for a source that holds another, which then asks for itself")
    func otherValidators() async throws {
        let fixture = try PollingFixture()
        let gate = try Gate()
        fixture.upstream.on("/") { request in
            if request.headers["If-None-Match"] == "\"1\"" { return [.hold(gate), .respond(.status(304))] }
            return [.respond(.json("[1]", headers: ["ETag": "\"1\""]))]
        }
        let first = try fixture.add("one")
        #expect(await fixture.poll(first) == .changed)
        async let confirmed = fixture.poll(first)
        #expect(await fixture.upstream.waitForRequests(count: 2))
        // It comes while the other waits for its 304, and takes part in that poll.
        let second = try fixture.add("two")
        async let own = fixture.poll(second)
        _ = await fixture.waitForStatus(of: second) { $0.polls == 1 }
        gate.open()
        #expect(await confirmed == .notModified)
        #expect(await own == .changed)
        #expect(fixture.value(of: second) == "[1]")
        #expect(fixture.upstream.requests.count == 3)
    }

    @Test("a source that is removed, or configured anew, lets those go on that shared its poll")
    func removed() async throws {
        let fixture = try PollingFixture()
        let gate = try Gate()
        fixture.upstream.on("/") { $0.number == 1 ? [.hold(gate), .respond(.json("[1]"))] : [.respond(.json("[2]"))] }
        let first = try fixture.add("one")
        let second = try fixture.add("two")
        async let outcome = fixture.poll(first)
        #expect(await fixture.upstream.waitForRequests(count: 1))
        async let other = fixture.poll(second)
        fixture.poller.remove(first)
        #expect(await outcome == .failed(.internal))
        #expect(await other == .changed)
        #expect(fixture.value(of: second) == "[2]")
        gate.open()
    }

    // MARK: What is sent

    @Test("a POST sends its body each time, over connections that are kept, and without a condition")
    func post() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/") { [.respond(.json("[\($0.body.count)]", headers: ["ETag": "\"1\""]))] }
        let id = try fixture.add {
            $0.method = .post
            $0.body = Array(#"{"q":1}"#.utf8)
            $0.headers = [.init(name: "Content-Type", value: "application/json")]
        }
        #expect(await fixture.poll(id) == .changed)
        for _ in 0..<5 { #expect(await fixture.poll(id) == .unchanged) }
        for request in fixture.upstream.requests {
            #expect(request.method == "POST" && request.body == Array(#"{"q":1}"#.utf8))
            #expect(request.headers["Content-Type"] == "application/json")
            #expect(request.headers["If-None-Match"] == nil)
        }
        #expect(fixture.poller.metrics.connections == 1)
    }

    @Test(
        "a POST follows 307 within its origin, body and all, and no redirect that makes it a GET",
        arguments: [302, 307]
    )
    func postRedirect(status: Int) async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/", respond: .status(status, headers: ["Location": "/there"]))
        fixture.upstream.on("/there") { [.respond(.json("[\"\($0.method)\",\($0.body.count)]"))] }
        let id = try fixture.add {
            $0.method = .post
            $0.body = [0x31, 0x32]
        }
        #expect(await fixture.poll(id) == (status == 307 ? .changed : .failed(.redirect)))
        #expect(fixture.value(of: id) == (status == 307 ? "[\"POST\",2]" : nil))
    }

    @Test("S19: no body goes to another origin, listed or not")
    func bodyStays() async throws {
        let fixture = try PollingFixture()
        let other = try ScriptedUpstream()
        other.on("*", respond: .json("[1]"))
        fixture.upstream.on("/", respond: .status(307, headers: ["Location": other.url("/x")]))
        let id = try fixture.add {
            $0.method = .post
            $0.body = Array("secret".utf8)
            $0.redirects = .origins([other.url("")])
        }
        #expect(await fixture.poll(id) == .failed(.redirect))
        #expect(other.requests.isEmpty)
    }

    @Test("GraphQL: errors without data keep the value")
    func graphQL() async throws {
        let fixture = try PollingFixture()
        let bodies = [
            #"{"data":{"items":[{"id":1},{"id":2}]}}"#, #"{"data":null,"errors":[{"message":"m"}]}"#,
            #"{"data":{"items":null},"errors":[{"message":"m"}]}"#, #"{"data":{"items":[{"id":1}]}}"#,
        ]
        fixture.upstream.on("/") { [.respond(.json(bodies[min($0.number, bodies.count) - 1]))] }
        let id = try fixture.add {
            $0.method = .post
            $0.body = Array(#"{"query":"{items{id}}"}"#.utf8)
            $0.graphQL = .init()
            $0.maxDeleteRatio = 1
        }
        #expect(await fixture.poll(id) == .changed)
        #expect(await fixture.poll(id) == .failed(.unexpected))
        #expect(await fixture.poll(id) == .failed(.unexpected))
        #expect(fixture.value(of: id) == #"{"items":[{"id":1},{"id":2}]}"#)
        #expect(await fixture.poll(id) == .changed)
        #expect(fixture.value(of: id) == #"{"items":[{"id":1}]}"#)
    }

    @Test("S19: a key in the query goes to the origin of the URL alone, and stands in no error")
    func queryKey() async throws {
        let fixture = try PollingFixture()
        let other = try ScriptedUpstream()
        other.on("*", respond: .json("[1]"))
        fixture.upstream.on("/", respond: .status(302, headers: ["Location": "/home"]))
        fixture.upstream.on("/home", respond: .status(302, headers: ["Location": other.url("/x")]))
        let id = try fixture.add("a", path: "/?b=1") {
            $0.query = [.init(name: "key", value: "canary/+")]
            $0.redirects = .origins([other.url("")])
        }
        #expect(await fixture.poll(id) == .changed)
        #expect(fixture.upstream.requests.map(\.target) == ["/?b=1&key=canary%2F%2B", "/home?key=canary%2F%2B"])
        #expect(other.requests.map(\.target) == ["/x"])
        await other.stop()
        #expect(await fixture.poll(id) == .failed(.connect))
        #expect(fixture.failures.value.allSatisfy { !$0.message.contains("canary") })
    }

    @Test("a renewed key is sent from the next poll on")
    func renewedQuery() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/") { [.respond($0.query == "key=new" ? .json("[1]") : .status(401))] }
        let id = try fixture.add { $0.query = [.init(name: "key", value: "old")] }
        #expect(await fixture.poll(id) == .failed(.auth))
        var renewed = SourceConfiguration(name: "trains", url: fixture.upstream.url("/"))
        renewed.interval = .fixed(.seconds(3600))
        renewed.query = [.init(name: "key", value: "new")]
        fixture.poller.renew(id, renewed)
        #expect(await fixture.waitForEvents(1))
        #expect(fixture.value(of: id) == "[1]")
    }

    // MARK: Ways

    @Test("an HTTP proxy is asked by CONNECT, resolves the name, and is told no secret of the request's")
    func connectProxy() async throws {
        let proxy = try ScriptedProxy(.connect(authorization: "Basic dXNlcjpwYXNz"))
        let fixture = try PollingFixture()
        fixture.upstream.on("/", respond: .json("[1]"))
        let id = try self.add(through: proxy, "http", fixture, user: ("user", "pass"))
        #expect(await fixture.poll(id) == .changed)
        #expect(await fixture.poll(id) == .unchanged)
        #expect(proxy.targets == ["upstream.invalid:\(fixture.upstream.port)"], "the connection is kept")
        #expect(proxy.heads.allSatisfy { !$0.contains("canary") })
        #expect(fixture.upstream.requests.allSatisfy { $0.headers["Authorization"] == "Bearer canary" })
        #expect(fixture.upstream.requests.allSatisfy { $0.headers["Proxy-Authorization"] == nil })
    }

    @Test("a proxy that refuses, or is not there, is a failed poll that names no secret")
    func refusedByProxy() async throws {
        let proxy = try ScriptedProxy(.connect(authorization: "Basic other"))
        let fixture = try PollingFixture()
        let id = try self.add(through: proxy, "http", fixture, user: ("user", "canary-password"))
        guard case .failed = await fixture.poll(id) else {
            Issue.record("the proxy was passed")
            return
        }
        #expect(proxy.refusals > 0)
        #expect(fixture.upstream.requests.isEmpty)
        #expect(fixture.failures.value.allSatisfy { !$0.message.contains("canary") })
    }

    @Test("a SOCKS 5 proxy resolves the name", arguments: [true, false])
    func socksProxy(hasPassword: Bool) async throws {
        let user = hasPassword ? ("user", "pass") : nil
        let proxy = try ScriptedProxy(.socks5(user: user?.0, password: user?.1))
        let fixture = try PollingFixture()
        fixture.upstream.on("/", respond: .json("[1]"))
        let id = try self.add(through: proxy, "socks5h", fixture, user: user)
        #expect(await fixture.poll(id) == .changed)
        #expect(proxy.targets == ["upstream.invalid:\(fixture.upstream.port)"])
    }

    private func add(
        through proxy: ScriptedProxy,
        _ scheme: String,
        _ fixture: PollingFixture,
        user: (String, String)?
    ) throws -> SourceID {
        guard case .tcp(let host, let port) = proxy.endpoint else { return SourceID(index: -1) }
        return try fixture.add {
            $0.url = "http://upstream.invalid:\(fixture.upstream.port)/"
            $0.headers = [.init(name: "Authorization", value: "Bearer canary")]
            $0.route = .proxy(
                .init(url: "\(scheme)://\(host):\(port)", username: user?.0, password: user?.1)
            )
        }
    }

    @Test("S16: behind a proxy no redirect leads to an origin that is not listed")
    func redirectBehindProxy() async throws {
        let proxy = try ScriptedProxy(.connect(authorization: nil))
        let fixture = try PollingFixture()
        fixture.upstream.on(
            "/",
            respond: .status(302, headers: ["Location": "http://127.0.0.1:\(fixture.upstream.port)/x"])
        )
        let id = try self.add(through: proxy, "http", fixture, user: nil)
        var configuration = SourceConfiguration(name: "any", url: "http://upstream.invalid:\(fixture.upstream.port)/")
        guard case .tcp(let host, let port) = proxy.endpoint else { return }
        configuration.route = .proxy(.init(url: "http://\(host):\(port)"))
        configuration.redirects = .any
        configuration.interval = .fixed(.seconds(3600))
        try fixture.poller.add(id, configuration)
        #expect(await fixture.poll(id) == .failed(.redirect))
        #expect(proxy.targets.allSatisfy { $0.hasPrefix("upstream.invalid") })
    }

    @Test("a socket file takes the place of the URL's host")
    func unixSocket() async throws {
        let folder = try TemporaryFolder()
        let fixture = try PollingFixture()
        let socket = try ScriptedProxy(.forward(port: fixture.upstream.port), path: folder.path("s"))
        fixture.upstream.on("/x", respond: .json("[1]"))
        fixture.upstream.on("/moved", respond: .status(302, headers: ["Location": "http://other.invalid/"]))
        func add(_ name: String, _ path: String) throws -> SourceID {
            try fixture.add(name) {
                $0.url = "http://api.internal\(path)"
                $0.route = .unixSocket(folder.path("s"))
                $0.redirects = .any
            }
        }
        let id = try add("a", "/x")
        #expect(await fixture.poll(id) == .changed)
        #expect(fixture.upstream.requests.first?.headers["Host"] == "api.internal")
        #expect(await fixture.poll(try add("b", "/moved")) == .failed(.redirect))
        withExtendedLifetime(socket) {}
    }

    @Test(
        "a client certificate is shown, and another one after it was renewed",
        .enabled(if: TLSServer.program != nil, "needs openssl")
    )
    func certificate() async throws {
        let client = try await TLSServer.started()
        let server = try await TLSServer.started(["-www", "-Verify", "1", "-CAfile", client.certificate])
        let url = "https://127.0.0.1:\(server.port)/"
        let probe = TransportProbe()
        let bare = await probe.poll(url) { $0.tls.caFile = server.certificate }
        #expect(bare.response == nil, "without a certificate there is no answer")
        let shown = await probe.poll(url) {
            $0.tls.caFile = server.certificate
            $0.tls.clientCertificate = .init(certificate: client.certificate, key: client.key, stamp: 1)
        }
        #expect(shown.response?.status == 200)
        let page = shown.response.map { String(decoding: $0.body, as: UTF8.self) } ?? ""
        #expect(page.contains("Client certificate"))
    }
}
