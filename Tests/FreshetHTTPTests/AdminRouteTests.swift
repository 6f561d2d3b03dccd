import EventStream
import FreshetCore
import FreshetStreaming
import FreshetTesting
import Glibc
import JSON
import Logging
import Synchronization
import System
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Administration")
    struct AdminRouteTests {
        @Test("a pushed value becomes the value, and says so")
        func push() async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                let headers: HeaderFields = ["Content-Type": "application/json"]
                let first = try await gateway.send("POST", "/v1/admin/sources/rates/value", headers, body: "[1]")
                #expect(first.status == 200)
                #expect(first.text == #"{"cursor":"\#(gateway.cursor(1))","changed":true}"#)
                let same = try await gateway.send("POST", "/v1/admin/sources/rates/value", headers, body: "[ 1 ]")
                #expect(same.text == #"{"cursor":"\#(gateway.cursor(1))","changed":false}"#)
                #expect(try await gateway.get("/v1/values/rates").text == "[1]")
                #expect(gateway.control.log == ["push application/json rates", "push application/json rates"])
            }
        }

        @Test("a value that is refused says why, with the kind of the failure")
        func refused() async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                let reply = try await gateway.send("POST", "/v1/admin/sources/rates/value", body: "{")
                #expect(reply.status == 422)
                #expect(try code(reply) == "value_refused")
                #expect(try text(reply, "/kind") == "malformed")
            }
        }

        @Test("a value over the limit is refused before it is read", arguments: ["length", "chunked"])
        func tooLarge(framing: String) async throws {
            try await withGateway({ $0.maxBodyBytes = 1000 }) { gateway in
                try gateway.source("rates")
                let start =
                    "POST /v1/admin/sources/rates/value HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                    + "Authorization: Bearer \(GatewayFixture.key.text)\r\n"
                let rest =
                    framing == "length" ? "Content-Length: 1001\r\n\r\n" : "Transfer-Encoding: chunked\r\n\r\n3e9\r\n"
                let reply = try await RawHTTP.exchange(gateway.endpoint, sending: Array((start + rest).utf8))
                #expect(try reply.statuses() == [413])
                #expect(reply.end == .closed)
                #expect(gateway.control.log.isEmpty)
                let whole = try await gateway.send(
                    "POST",
                    "/v1/admin/sources/rates/value",
                    body: "[\(String(repeating: " ", count: 998))]"
                )
                #expect(whole.status == 200)
            }
        }

        @Test("poll, pause and resume reach the source")
        func control() async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                let poll = try await gateway.send("POST", "/v1/admin/sources/rates/poll")
                #expect(poll.text == #"{"outcome":"not_modified","cursor":null}"#)
                let pause = try await gateway.send("POST", "/v1/admin/sources/rates/pause")
                #expect(try text(pause, "/name") == "rates")
                #expect(try await gateway.send("POST", "/v1/admin/sources/rates/resume").status == 200)
                #expect(gateway.control.log == ["poll rates", "pause rates", "resume rates"])
                gateway.control.outcome.withLock { $0 = .failure(UpstreamError(.connect, "Connection refused.")) }
                let failed = try await gateway.send("POST", "/v1/admin/sources/rates/poll")
                #expect(failed.status == 502)
                #expect(try code(failed) == "poll_failed")
                #expect(try text(failed, "/kind") == "connect")
                #expect(try await gateway.send("POST", "/v1/admin/sources/nothing/poll").status == 404)
            }
        }

        @Test("reload runs, is refused with the reason, or is not there")
        func reload() async throws {
            struct Refusal: Error, CustomStringConvertible {
                var description: String { "freshet.yaml:3:5: sources.rates.interval: 5 has no unit; write 5s" }
            }
            try await withGateway { gateway in
                let reply = try await gateway.send("POST", "/v1/admin/reload")
                #expect(reply.status == 501)
            }
            try await withGateway(reload: { ["cluster", "polling"] }) { gateway in
                let reply = try await gateway.send("POST", "/v1/admin/reload")
                #expect(reply.text == #"{"reloaded":true,"needs_restart":["cluster","polling"]}"#)
            }
            try await withGateway(reload: { throw Refusal() }) { gateway in
                let reply = try await gateway.send("POST", "/v1/admin/reload")
                #expect(reply.status == 422)
                #expect(try text(reply, "/detail").contains("write 5s"))
            }
        }

        @Test("subscribers are listed, and one can be told to go")
        func subscribers() async throws {
            try await withGateway { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates?mode=merge")
                _ = try await client.next(2)
                let list = try await gateway.get("/v1/admin/subscribers")
                #expect(try text(list, "/subscribers/0/sources/0") == "rates")
                #expect(try text(list, "/subscribers/0/mode") == "merge")
                #expect(try text(list, "/subscribers/0/format") == "sse")
                #expect(try text(list, "/subscribers/0/peer").hasPrefix("127.0.0.1:"))
                #expect(try text(list, "/subscribers/0/cursor") == "\(gateway.cursor(1))")
                let id = try text(list, "/subscribers/0/id")
                #expect(try await gateway.send("DELETE", "/v1/admin/subscribers/\(id)").status == 204)
                let bye = try #require(try await client.next())
                #expect(bye.type == "bye")
                #expect(bye.text == #"{"reason":"revoked"}"#)
                try await eventually { try await gateway.send("DELETE", "/v1/admin/subscribers/\(id)").status == 404 }
                #expect(try await gateway.send("DELETE", "/v1/admin/subscribers/%2F").status == 404)
            }
        }

        @Test(
            "S4: what a web page of another origin sends changes nothing where no key is needed",
            arguments: [
                ["Origin": "https://evil.example"], ["Origin": "null"], ["Origin": "https://app.example.evil.example"],
                ["Origin": "https://APP.example"], ["Origin": "https://app.example"], ["Sec-Fetch-Site": "cross-site"],
                ["Sec-Fetch-Site": "same-site"],
            ] as [HeaderFields]
        )
        func crossOrigin(headers: HeaderFields) async throws {
            try await Self.withAdminListener { gateway, admin in
                var headers = headers
                headers.append("Content-Type", "text/plain")
                for path in ["sources/rates/value", "sources/rates/poll", "sources/rates/pause", "reload"] {
                    let reply = try await RawHTTP.send(
                        "POST",
                        "/v1/admin/\(path)",
                        to: admin,
                        headers: headers,
                        body: Array("[1]".utf8)
                    )
                    #expect(reply.status == 403)
                    #expect(try code(reply) == "cross_origin")
                    #expect(reply.headers["Access-Control-Allow-Origin"] == nil)
                }
                #expect(try await RawHTTP.get("/v1/admin/subscribers", from: admin, headers: headers).status == 403)
                #expect(gateway.control.log.isEmpty)
                let preflight: HeaderFields = [
                    "Origin": "https://app.example", "Access-Control-Request-Method": "POST",
                ]
                let options = try await RawHTTP.send("OPTIONS", "/v1/admin/reload", to: admin, headers: preflight)
                #expect(options.headers["Access-Control-Allow-Methods"] == nil)
                #expect(options.headers["Access-Control-Allow-Origin"] == nil)
            }
        }

        @Test("S4: a page of the listener itself may administer there")
        func ownOrigin() async throws {
            try await Self.withAdminListener { gateway, admin in
                let headers: HeaderFields = ["Origin": "http://127.0.0.1", "Host": "127.0.0.1"]
                let path = "/v1/admin/sources/rates/poll"
                let reply = try await RawHTTP.send("POST", path, to: admin, headers: headers)
                #expect(reply.status == 200)
                #expect(gateway.control.log == ["poll rates"])
            }
        }

        /// A gateway whose administration has a listener of its own, and a source.
        private static func withAdminListener(
            _ body: (GatewayFixture, _ admin: Endpoint) async throws -> Void
        ) async throws {
            try await withGateway({ settings in
                settings.adminListen = .tcp(host: "127.0.0.1", port: 0)
                settings.corsOrigins = ["https://app.example", "*"]
            }) { gateway in
                try gateway.source("rates")
                try await body(gateway, try #require(gateway.adminEndpoint))
            }
        }

        /// Every request to administration.
        private static let requests = [
            ("POST", "sources/rates/value"), ("POST", "sources/rates/poll"), ("POST", "sources/rates/pause"),
            ("POST", "sources/rates/resume"), ("POST", "reload"), ("GET", "subscribers"), ("HEAD", "subscribers"),
            ("DELETE", "subscribers/1"),
        ]

        @Test(
            "A02: a main listener serves no administration without the key",
            arguments: [
                [], [""], ["Bearer"], ["Bearer "], ["Bearer nonsense"], [String(repeating: "A", count: 43)],
                ["Bearer \(String(repeating: "A", count: 43))"], ["Basic \(GatewayFixture.key.text)"],
                ["Bearer \(GatewayFixture.key.text)x"], ["Bearer \(GatewayFixture.key.text.dropLast())"],
                ["Bearer \(GatewayFixture.key.text.lowercased())"], ["Bearer \(GatewayFixture.key)"],
                ["Bearer \(GatewayFixture.key.text), Bearer x"], ["Bearer x", "Bearer \(GatewayFixture.key.text)"],
                ["Bearer \(GatewayFixture.key.text)", "Bearer \(GatewayFixture.key.text)"],
            ],
            [false, true]
        )
        func withoutKey(credentials: [String], isUnixSocket: Bool) async throws {
            let folder = try TemporaryFolder()
            try await withGateway(
                { settings in
                    if isUnixSocket { settings.listen = .unix(path: folder.path("gateway.sock")) }
                    settings.adminListen = .unix(path: folder.path("admin.sock"))
                },
                reload: { [] }
            ) { gateway in
                try gateway.source("rates")
                let headers = HeaderFields(credentials.map { ("Authorization", $0) })
                for (method, path) in Self.requests {
                    for own: HeaderFields in [[:], ["Origin": "http://127.0.0.1", "Host": "127.0.0.1"]] {
                        let reply = try await RawHTTP.send(
                            method,
                            "/v1/admin/\(path)",
                            to: gateway.endpoint,
                            headers: HeaderFields(
                                headers.all.map { ($0.name, $0.value) } + own.all.map { ($0.name, $0.value) }
                            ),
                            body: method == "POST" ? Array("[1]".utf8) : nil
                        )
                        #expect(reply.status == 401)
                        #expect(reply.headers["WWW-Authenticate"]?.hasPrefix("Bearer realm=") == true)
                        #expect(reply.headers["WWW-Authenticate"]?.contains("error=") == !credentials.isEmpty)
                    }
                }
                #expect(gateway.control.log.isEmpty)
            }
        }

        @Test("A02: with the key a main listener administers, whoever passes the request on", arguments: [false, true])
        func withKey(isUnixSocket: Bool) async throws {
            let folder = try TemporaryFolder()
            try await withGateway({ settings in
                if isUnixSocket { settings.listen = .unix(path: folder.path("gateway.sock")) }
            }) { gateway in
                try gateway.source("rates")
                for headers: HeaderFields in [
                    ["Authorization": "Bearer \(GatewayFixture.key.text)"],
                    ["authorization": "bearer  \(GatewayFixture.key.text)", "X-Forwarded-For": "192.0.2.1"],
                    ["Authorization": "Bearer \(GatewayFixture.key.text)", "Origin": "https://gate.example"],
                ] {
                    let path = "/v1/admin/sources/rates/poll"
                    #expect(try await RawHTTP.send("POST", path, to: gateway.endpoint, headers: headers).status == 200)
                }
            }
        }

        @Test(
            "A02: a body is not read before the key is",
            arguments: ["Content-Length: 5000000", "Transfer-Encoding: chunked"]
        )
        func bodyWithoutKey(framing: String) async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                let reply = try await RawHTTP.exchange(
                    gateway.endpoint,
                    sending: Array(
                        "POST /v1/admin/sources/rates/value HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n\(framing)\r\n\r\n"
                            .utf8
                    )
                )
                #expect(try reply.statuses() == [401])
                #expect(reply.end == .closed)
            }
        }

        @Test("A02: a gateway without a key serves administration where it has a listener of its own, and nowhere else")
        func noKey() async throws {
            try await withGateway({ settings in
                settings.adminKey = nil
                settings.adminListen = .tcp(host: "127.0.0.1", port: 0)
            }) { gateway in
                try gateway.source("rates")
                let admin = try #require(gateway.adminEndpoint)
                let path = "/v1/admin/sources/rates/poll"
                #expect(try await gateway.send("POST", path).status == 401)
                #expect(try await RawHTTP.send("POST", path, to: admin).status == 200)
            }
        }

        @Test("A02: keys differ, are 256 bits, and show themselves in no description")
        func keys() throws {
            let keys = Set((0..<100).map { _ in AdminKey.random() })
            #expect(keys.count == 100)
            for key in keys {
                #expect(key.text.utf8.count == 43)
                #expect(AdminKey(key.text) == key)
                #expect(!"\(key)".contains(key.text))
                #expect(key.matches(key.text) && !key.matches(String(key.text.reversed()) + "x"))
            }
        }

        @Test("over a unix socket for administration, whoever can open it is an administrator, and only its owner can")
        func unixSocket() async throws {
            let folder = try TemporaryFolder()
            let (path, main) = (folder.path("admin.sock"), folder.path("gateway.sock"))
            try await withGateway({ settings in
                settings.listen = .unix(path: main)
                settings.adminListen = .unix(path: path)
            }) { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                let admin = try #require(gateway.adminEndpoint)
                #expect(try await RawHTTP.send("POST", "/v1/admin/sources/rates/poll", to: admin).status == 200)
                var status = stat()
                #expect(stat(path, &status) == 0 && status.st_mode & 0o777 == 0o600)
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates")
                #expect(try await client.next(2).map(\.type) == ["hello", "snapshot"])
            }
            // The files go with the gateway, and a second one can take their place.
            try await withGateway({ $0.listen = .unix(path: path) }) { gateway in
                let reply = try await gateway.get("/livez")
                #expect(reply.status == 200)
            }
        }
    }
}
