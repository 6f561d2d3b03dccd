import FreshetTesting
import Glibc
import JSON
import Testing

/// Who may administer the program itself: attacks over raw sockets.
@Suite("Access to administration", .enabled(if: FreshetProcess.isBuilt, "the program is not built"))
struct AdminAccessTests {
    private static let value = #"{"v":"genuine"}"#
    private let folder: TemporaryFolder

    init() throws {
        self.folder = try TemporaryFolder()
    }

    /// A source whose upstream answers always the same.
    private static func upstream() throws -> ScriptedUpstream {
        let upstream = try ScriptedUpstream()
        upstream.on("*", respond: .json(self.value))
        return upstream
    }

    @Test(
        "A01: a client that resets its connection before it is accepted has no address and is nobody",
        arguments: [
            "POST /v1/admin/sources/a/value HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 14\r\n\r\n{\"v\":\"forged\"}",
            "POST /v1/admin/sources/a/pause HTTP/1.1\r\nHost: evil.example\r\n\r\n",
            "GET /v1/streams/a HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        ]
    )
    func reset(request: String) async throws {
        let upstream = try Self.upstream()
        let gateway = try Gateway("sources:\n  a: { url: \"\(upstream.url("/"))\", interval: 1h }")
        try await gateway.waitForValues(of: ["a"])
        let endpoint = try await gateway.process.endpoint()
        // While the process stands still, the kernel queues connections: each is reset before it is accepted.
        gateway.process.send(SIGSTOP)
        for _ in 0..<20 {
            let connection = try await RawConnection(endpoint)
            try await connection.send(request)
            connection.reset()
        }
        gateway.process.send(SIGCONT)
        let client = try await gateway.client
        let refused = try await eventually(of: client, "freshet_http_connections_refused_total{reason=\"no_peer\"}") {
            // One or two may have been accepted before the process stood still.
            $0 >= 15
        }
        #expect(refused, "\(gateway.process.errors)")
        #expect(try await client.get("/v1/values/a").text == Self.value)
        let source = try await gateway.document("/v1/sources/a").root
        #expect(source["state"]?.string == "ok")
        #expect(source["changes"]?.int == 1)
        #expect(try await gateway.terminate() == .exited(0))
    }

    /// How a stock nginx passes requests on, and with what an operator may have added.
    private static let proxies = [
        "", "proxy_http_version 1.1; proxy_set_header Connection \"\";",
        "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; proxy_set_header X-Real-IP $remote_addr;",
        "proxy_set_header Host localhost; proxy_set_header X-Forwarded-For \"\";",
    ]

    @Test("A02: what nginx passes on administers nothing without the key", arguments: [false, true], proxies)
    func proxied(isUnixSocket: Bool, configuration: String) async throws {
        let upstream = try Self.upstream()
        let socket = self.folder.path("gateway.sock")
        let gateway = try Gateway(
            "sources:\n  a: { url: \"\(upstream.url("/"))\", interval: 1h }",
            listen: isUnixSocket ? "unix:\(socket)" : "127.0.0.1:0"
        )
        let target: String
        if isUnixSocket {
            #expect(await gateway.process.waitForOutput(containing: "listening on"))
            target = "http://unix:\(socket)"
        } else {
            target = "http://127.0.0.1:\(try await gateway.process.listeningPort())"
        }
        let proxy = try await NginxProcess(target, configuration: configuration)
        let client = HTTPTestClient(proxy.endpoint)
        try await Self.waitForValue(client)
        for headers: HeaderFields in [
            [:], ["Host": "localhost"], ["Host": "127.0.0.1:8080"], ["X-Forwarded-For": "127.0.0.1"],
            ["Authorization": "Bearer AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"], ["Forwarded": "for=127.0.0.1"],
        ] {
            for (method, path) in [
                ("POST", "sources/a/value"), ("POST", "sources/a/pause"), ("POST", "sources/a/poll"),
                ("POST", "reload"), ("GET", "subscribers"), ("DELETE", "subscribers/1"),
            ] {
                let body = method == "POST" ? Array(#"{"v":"forged"}"#.utf8) : nil
                let reply = try await client.send(method, "/v1/admin/\(path)", headers: headers, body: body)
                #expect(reply.status == 401, "\(method) \(path)")
            }
        }
        #expect(try await client.get("/v1/values/a").text == Self.value)
        let source = try Document(parsing: try await client.get("/v1/sources/a").body).root
        #expect(source["state"]?.string == "ok")
        #expect(source["polls"]?.int == 1)
        let key = try gateway.process.key()
        let reply = try await client.post(
            "/v1/admin/sources/a/poll",
            headers: ["Authorization": "Bearer \(key)"],
            body: []
        )
        #expect(reply.status == 200, "the key opens it through a proxy as well")
    }

    private static func waitForValue(_ client: HTTPTestClient) async throws {
        let reply = try await client.get("/v1/values/a?wait=20s", headers: ["If-None-Match": "\"none\""])
        try #require(reply.status == 200, "\(reply.text)")
    }

    @Test(
        "A02: without the key nobody administers, from whatever address; on admin.listen everybody does who may open it"
    )
    func listeners() async throws {
        let upstream = try Self.upstream()
        let gateway = try Gateway(
            """
            admin: { listen: "unix:\(self.folder.path("admin.sock"))" }
            sources:
              a: { url: "\(upstream.url("/"))", interval: 1h }
            """
        )
        try await gateway.waitForValues(of: ["a"])
        let anonymous = HTTPTestClient(try await gateway.process.endpoint())
        #expect(try await anonymous.post("/v1/admin/sources/a/pause", body: []).status == 401)
        let admin = HTTPTestClient(.unix(path: self.folder.path("admin.sock")))
        #expect(try await admin.post("/v1/admin/sources/a/poll", body: []).status == 200)
        let foreign: HeaderFields = ["Origin": "http://evil.example"]
        #expect(try await admin.post("/v1/admin/sources/a/pause", headers: foreign, body: []).status == 403)
        let rebound: HeaderFields = ["Host": "evil.example"]
        #expect(try await admin.post("/v1/admin/sources/a/pause", headers: rebound, body: []).status == 421)
        #expect(try await gateway.document("/v1/sources/a").root["state"]?.string == "ok")
    }

    @Test("A02: behind nginx the limits per address count the client that it names, not what the client writes")
    func forwarded() async throws {
        let upstream = try Self.upstream()
        let gateway = try Gateway(
            """
            limits: { max_subscribers_per_address: 2, trusted_proxies: [unix] }
            sources:
              a: { url: "\(upstream.url("/"))", interval: 1h }
            """,
            listen: "unix:\(self.folder.path("gateway.sock"))"
        )
        #expect(await gateway.process.waitForOutput(containing: "listening on"))
        let proxy = try await NginxProcess(
            "http://unix:\(self.folder.path("gateway.sock"))",
            configuration: "proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;"
        )
        try await Self.waitForValue(HTTPTestClient(proxy.endpoint))
        var held: [EventStreamClient] = []
        var statuses: [Int] = []
        for number in 1...4 {
            let headers: HeaderFields = ["X-Forwarded-For": "198.51.100.\(number)"]
            held.append(try EventStreamClient(proxy.endpoint, path: "/v1/streams/a", headers: headers))
            statuses.append(try await held[number - 1].head().status)
        }
        #expect(statuses == [200, 200, 503, 503])
        for stream in held { await stream.close() }
    }

    @Test("A03: another host name gets nothing from the program on loopback, in a stream neither")
    func rebinding() async throws {
        let upstream = try Self.upstream()
        let gateway = try Gateway(
            "admin: { host_names: [gate.example] }\nsources:\n  a: { url: \"\(upstream.url("/"))\", interval: 1h }"
        )
        try await gateway.waitForValues(of: ["a"])
        let endpoint = try await gateway.process.endpoint()
        for path in ["/v1/values/a", "/v1/streams/a", "/v1/sources", "/v1/changes/a", "/", "/metrics"] {
            let reply = try await RawHTTP.get(path, from: endpoint, headers: ["Host": "rebound.evil.example"])
            #expect(reply.status == 421)
            #expect(!reply.text.contains("genuine"))
        }
        #expect(try await RawHTTP.get("/v1/values/a", from: endpoint, headers: ["Host": "gate.example"]).status == 200)
    }
}

/// Looks at a metric until it fits, for half a minute.
private func eventually(of client: HTTPTestClient, _ series: String, _ fits: (Double) -> Bool) async throws -> Bool {
    let deadline = ContinuousClock.now + .seconds(30)
    while ContinuousClock.now < deadline {
        let lines = try await client.get("/metrics").text.split(separator: "\n")
        let value = lines.first { $0.hasPrefix(series + " ") }.flatMap { Double($0.dropFirst(series.count + 1)) }
        if let value, fits(value) { return true }
        try await Task.sleep(for: .milliseconds(20))
    }
    return false
}
