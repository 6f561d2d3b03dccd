import EventStream
import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import Logging
import Synchronization
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
                let start = "POST /v1/admin/sources/rates/value HTTP/1.1\r\nHost: 127.0.0.1\r\n"
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
                gateway.control.outcome.withLock { $0 = .failure(PollError(.connect, "Connection refused.")) }
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
            try await withGateway(reload: {}) { gateway in
                let reply = try await gateway.send("POST", "/v1/admin/reload")
                #expect(reply.text == #"{"reloaded":true}"#)
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
            "S4: what a web page of another origin sends changes nothing",
            arguments: [
                ["Origin": "https://evil.example"], ["Origin": "null"], ["Origin": "https://app.example.evil.example"],
                ["Origin": "https://APP.example"], ["Sec-Fetch-Site": "cross-site"], ["Sec-Fetch-Site": "same-site"],
            ] as [HeaderFields]
        )
        func crossOrigin(headers: HeaderFields) async throws {
            try await withGateway({ $0.corsOrigins = ["https://app.example", "*"] }) { gateway in
                try gateway.source("rates")
                var headers = headers
                headers.append("Content-Type", "text/plain")
                for path in ["sources/rates/value", "sources/rates/poll", "sources/rates/pause", "reload"] {
                    let reply = try await gateway.send("POST", "/v1/admin/\(path)", headers, body: "[1]")
                    #expect(reply.status == 403)
                    #expect(try code(reply) == "cross_origin")
                    #expect(reply.headers["Access-Control-Allow-Origin"] == nil)
                }
                #expect(try await gateway.get("/v1/admin/subscribers", headers).status == 403)
                #expect(gateway.control.log.isEmpty)
                let preflight: HeaderFields = [
                    "Origin": "https://app.example", "Access-Control-Request-Method": "POST",
                ]
                let options = try await gateway.send("OPTIONS", "/v1/admin/reload", preflight)
                #expect(options.headers["Access-Control-Allow-Methods"] == nil)
            }
        }

        @Test(
            "S4: a page of our own may, and one of a listed origin may only read",
            arguments: [("http://127.0.0.1", 200), ("https://app.example", 403)]
        )
        func ownOrigin(origin: String, status: Int) async throws {
            try await withGateway({ $0.corsOrigins = ["https://app.example"] }) { gateway in
                try gateway.source("rates")
                let headers: HeaderFields = ["Origin": origin, "Host": "127.0.0.1"]
                #expect(try await gateway.send("POST", "/v1/admin/sources/rates/poll", headers).status == status)
                #expect(try await gateway.get("/v1/sources", headers).status == 200)
            }
        }

        @Test(
            "S5: a name that is not ours does not reach the administration",
            arguments: [
                ("evil.test", 421), ("evil.test:8080", 421), ("127.0.0.1.evil.test", 421), ("localhost.evil.test", 421),
                ("localhost", 200), ("LOCALHOST:1", 200), ("127.0.0.1:8080", 200), ("[::1]:8080", 200),
                ("gate.example", 200),
            ]
        )
        func host(name: String, status: Int) async throws {
            try await withGateway({ $0.hostNames = ["gate.example"] }) { gateway in
                try gateway.source("rates")
                let headers: HeaderFields = ["Host": name]
                #expect(try await gateway.send("POST", "/v1/admin/sources/rates/poll", headers).status == status)
                #expect(try await gateway.get("/v1/admin/subscribers", headers).status == status)
                #expect(try await gateway.get("/v1/sources", headers).status == 200)
                #expect(try await gateway.get("/", headers).status == 200)
            }
        }

        @Test("what a proxy passes on is not local", arguments: ["X-Forwarded-For", "Forwarded", "Via", "X-Real-IP"])
        func proxied(field: String) async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                let reply = try await gateway.send("POST", "/v1/admin/sources/rates/poll", [field: "192.0.2.1"])
                #expect(reply.status == 403)
                #expect(try code(reply) == "admin_local_only")
            }
        }

        @Test("only peers on this machine are administrators of the main listener")
        func remote() throws {
            let hub = Hub(log: ChangeLog(epoch: GatewayFixture.epoch))
            let gateway = Gateway(
                hub: hub,
                streams: StreamServer(hub: hub),
                control: TestControl(hub: hub),
                settings: HTTPSettings(),
                logger: .init(label: "test"),
                metrics: [],
                reload: nil
            )
            for (peer, isAllowed) in [("127.0.0.1", true), ("::1", true), ("192.0.2.1", false), ("2001:db8::1", false)]
            {
                let head = try RequestHeadFixture.head("/v1/admin/subscribers", [])
                var local = head
                local.authority = "localhost"
                let refusal = AdminRoutes(gateway: gateway).refusal(of: local, from: PeerAddress(peer), by: .main)
                #expect((refusal == nil) == isAllowed, "\(peer)")
            }
        }

        @Test("with a listener of its own, the administration is there and nowhere else")
        func ownListener() async throws {
            try await withGateway({ $0.adminListen = .tcp(host: "127.0.0.1", port: 0) }) { gateway in
                try gateway.source("rates")
                let admin = try #require(gateway.adminEndpoint)
                let path = "/v1/admin/sources/rates/poll"
                #expect(try await gateway.send("POST", path).status == 404)
                #expect(try await RawHTTP.send("POST", path, to: admin).status == 200)
                #expect(
                    try await RawHTTP.send("POST", path, to: admin, headers: ["Origin": "https://evil.example"]).status
                        == 403
                )
            }
        }

        @Test("over a unix socket, whoever can open it is an administrator")
        func unixSocket() async throws {
            let folder = try TemporaryFolder()
            let path = folder.path("gateway.sock")
            try await withGateway({ $0.listen = .unix(path: path) }) { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                let poll = try await gateway.send("POST", "/v1/admin/sources/rates/poll", ["Host": "anything.example"])
                #expect(poll.status == 200)
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates")
                #expect(try await client.next(2).map(\.type) == ["hello", "snapshot"])
            }
            // The file goes with the gateway, and a second one can take its place.
            try await withGateway({ $0.listen = .unix(path: path) }) { gateway in
                let reply = try await gateway.get("/livez")
                #expect(reply.status == 200)
            }
        }
    }
}
