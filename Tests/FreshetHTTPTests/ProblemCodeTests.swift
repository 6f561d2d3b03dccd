import FreshetAccess
import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import NIOCore
import System
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    /// Codes that the suites of single routes do not name. `Tests/CWebTests/docs.test.js` holds that each code of the
    /// description is named by a test.
    @Suite("Codes of problems")
    struct ProblemCodeTests {
        /// The status and the code of the answer to bytes as they are.
        private static func refusal(_ gateway: GatewayFixture, _ request: String) async throws -> String {
            let reply = try await RawHTTP.exchange(gateway.endpoint, sending: Array(request.utf8), halfClose: true)
            let member = try #require(reply.text.firstMatch(of: /"code":"([a-z_]+)"/), "\(reply.text)")
            let code = member.1
            return "\(try #require(reply.statuses().last)) \(code)"
        }

        @Test("of requests that are refused before a route sees them")
        func requests() async throws {
            try await withGateway({ settings in
                settings.headerTimeout = .milliseconds(200)
                settings.maxBodyBytes = 1000
            }) { gateway in
                try gateway.source("rates")
                let long = String(repeating: "x", count: 20_000)
                let admin = "Authorization: Bearer \(GatewayFixture.key.text)\r\n"
                for (request, expected) in [
                    ("GET / HTTP/1.1\r\n\r\n", "400 malformed_request"),
                    ("GET /\(long.prefix(9000)) HTTP/1.1\r\nHost: a\r\n\r\n", "414 target_too_long"),
                    ("GET / HTTP/1.1\r\nHost: a\r\nX: \(long)\r\n\r\n", "431 headers_too_large"),
                    ("GET / HTTP/3.0\r\nHost: a\r\n\r\n", "505 http_version"),
                    ("GET / HTTP/1.1\r\nHost: evil.example\r\n\r\n", "421 unknown_host"),
                    (
                        "POST /v1/admin/reload HTTP/1.1\r\nHost: a\r\nExpect: x\r\nContent-Length: 0\r\n\(admin)\r\n",
                        "417 expectation_failed"
                    ),
                    (
                        "POST /v1/admin/sources/rates/value HTTP/1.1\r\nHost: a\r\n\(admin)Content-Length: 1001\r\n\r\n",
                        "413 body_too_large"
                    ),
                    (
                        "GET /v1/socket HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                            + "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x\r\n\r\n",
                        "400 bad_handshake"
                    ),
                ] {
                    #expect(try await Self.refusal(gateway, request) == expected)
                }
                // Bytes of a request, and then none for as long as a head may take.
                let connection = try await RawConnection(gateway.endpoint)
                try await connection.send("GET / HTTP/1.1\r\nHost:")
                #expect(try await connection.receiveToEnd().text.contains(#""code":"request_timeout""#))
            }
        }

        @Test("of requests that a route refuses")
        func routes() async throws {
            let reload: ReloadAction = { throw CancellationError() }
            try await withGateway(reload: reload) { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                let nobody = try await RawHTTP.send("POST", "/v1/admin/reload", to: gateway.endpoint)
                #expect(nobody.status == 401)
                #expect(try code(nobody) == "admin_key_required")
                for (method, path, fields, expected) in [
                    ("GET", "/v1/sources?after=x", [:], "400 bad_after"),
                    ("GET", "/v1/changes/rates", ["Accept": "image/png"], "406 not_acceptable"),
                    ("DELETE", "/v1/admin/subscribers/-", [:], "404 unknown_subscriber"),
                    ("POST", "/v1/admin/reload", [:], "422 reload_refused"),
                ] as [(String, String, HeaderFields, String)] {
                    let reply = try await gateway.send(method, path, fields)
                    #expect("\(reply.status) \(try code(reply))" == expected)
                }
            }
        }

        @Test("of credentials")
        func credentials() async throws {
            let everything = try #require(SourceSelector("*").map(SourcePattern.init))
            let secret = "reader-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa"
            let authenticator = try Authenticator(
                AccessConfiguration(
                    keys: [APIKey(id: "reader", secret: Secret(secret), grants: Grants(read: everything))]
                ),
                ticketKey: .random(),
                fetch: { _ in KeyResponse(status: 404, body: []) },
                clock: { WallClock.now }
            )
            try await withGateway(authenticator: authenticator) { gateway in
                let fields: HeaderFields = ["Authorization": "Bearer \(secret)"]
                let admin = try await gateway.send("POST", "/v1/admin/reload", fields)
                #expect(admin.status == 403)
                #expect(try code(admin) == "not_granted")
                let names = (0..<60).map { "s\($0)-\(String(repeating: "n", count: 60))" }
                for name in names { try gateway.source(name) }
                let body = #"{"sources":"\#(names.joined(separator: ","))"}"#
                let ticket = try await gateway.send("POST", "/v1/tickets", fields, body: body)
                #expect(ticket.status == 400)
                #expect(try code(ticket) == "ticket_too_long")
            }
        }

        @Test("of backups: without a log, while one is made, of a disk that fails; and where the copy is")
        func backups() async throws {
            let cursor = Cursor(epoch: GatewayFixture.epoch, sequence: 7)
            let results: [(BackupAction?, String)] = [
                (nil, "501 not_supported"),
                ({ () throws(StoreError) in throw StoreError(.locked, "one") }, "409 backup_under_way"),
                ({ () throws(StoreError) in throw StoreError(.full, "no space") }, "503 backup_failed"),
            ]
            for (backup, expected) in results {
                try await withGateway(backup: backup) { gateway in
                    let reply = try await gateway.send("POST", "/v1/admin/log/backup")
                    #expect("\(reply.status) \(try code(reply))" == expected)
                }
            }
            let backup: BackupAction = { () throws(StoreError) in
                BackupReport(path: "/log/changes.db.backup", bytes: 4096, cursor: cursor)
            }
            try await withGateway(backup: backup) { gateway in
                let reply = try await gateway.send("POST", "/v1/admin/log/backup")
                #expect(reply.text == #"{"path":"/log/changes.db.backup","bytes":4096,"cursor":"\#(cursor)"}"#)
            }
        }

        @Test("of one address that has as much as it may")
        func address() async throws {
            for (path, expected) in [
                ("/v1/streams/rates", "503 too_many_from_address"),
                ("/v1/streams/rates?pointer=/b", "429 too_many_views_from_address"),
            ] {
                var streams = StreamSettings(shards: 1)
                streams.maxViewsPerAddress = 1
                if !path.contains("?") { streams.maxSubscribersPerAddress = 1 }
                let proxies = TrustedProxies([TrustedProxies.Entry("127.0.0.1")].compactMap { $0 })
                try await withGateway(streams: streams, { $0.trustedProxies = proxies }) { gateway in
                    try gateway.publish(#"{"a":1,"b":2}"#, of: gateway.source("rates"))
                    let fields: HeaderFields = ["X-Forwarded-For": "198.51.100.1"]
                    let target = "/v1/streams/rates?pointer=/a"
                    let first = try EventStreamClient(gateway.endpoint, path: target, headers: fields)
                    #expect(try await first.head().status == 200)
                    let second = try await gateway.get(path, fields)
                    #expect("\(second.status) \(try code(second))" == expected)
                }
            }
        }

        @Test("of a stream that cannot begin, as bytes that came before it have not left")
        func waitingBytes() async throws {
            try await withGateway { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                try await gateway.withHandler({ UnflushedBytes() }) { endpoint in
                    let connection = try await RawConnection(endpoint)
                    try await connection.send("GET /v1/streams/rates HTTP/1.1\r\nHost: a\r\n\r\n")
                    let text = try await connection.receive(until: #""code":"client_too_slow""#)
                    #expect(text.hasPrefix("HTTP/1.1 102 ") && text.contains("HTTP/1.1 503 "), "\(text)")
                    #expect(text.contains("Retry-After: 1\r\n"))
                }
                #expect(gateway.streams.statistics.subscribers == 0)
            }
        }

        @Test("of bounds, and of failures within the gateway")
        func values() {
            for (problem, expected) in [
                (WaitRefusal.address.problem, "503 too_many_waiting_from_address"),
                (.tooManySourceSets(retryAfter: 1), "429 too_many_source_sets"),
                (.internalError, "500 internal_error"),
            ] {
                #expect("\(problem.statusCode) \(problem.code)" == expected)
            }
        }
    }
}

/// Writes an interim answer to each request and leaves it with the channel, as if the socket were full.
private final class UnflushedBytes: ChannelInboundHandler {
    typealias InboundIn = ByteBuffer
    typealias OutboundOut = ByteBuffer

    func channelRead(context: ChannelHandlerContext, data: NIOAny) {
        let interim = ByteBuffer(string: "HTTP/1.1 102 Processing\r\n\r\n")
        context.write(self.wrapOutboundOut(interim), promise: nil)
        context.fireChannelRead(data)
    }
}
