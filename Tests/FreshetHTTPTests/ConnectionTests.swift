import EventStream
import FreshetCore
import FreshetStreaming
import FreshetTesting
import System
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Connection")
    struct ConnectionTests {
        private static let get = "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n"

        @Test("a connection carries one request after the other")
        func keepAlive() async throws {
            try await withGateway { gateway in
                let client = HTTPTestClient(gateway.endpoint)
                for _ in 0..<50 {
                    let reply = try await client.get("/livez")
                    #expect(reply.text == "ok\n")
                }
                #expect(client.connectionCount == 1)
            }
        }

        @Test("pipelined requests are answered in order, whatever the bytes come in", arguments: [1, 7, 64, 100_000])
        func pipelining(step: Int) async throws {
            try await withGateway { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                let paths = ["/livez", "/v1/values/rates", "/nothing", "/v1/streams/nothing", "/livez"]
                let bytes = Array(paths.map { "GET \($0) HTTP/1.1\r\nHost: a\r\n\r\n" }.joined().utf8)
                let connection = try await RawConnection(gateway.endpoint)
                for start in stride(from: 0, to: bytes.count, by: step) {
                    try await connection.send(Array(bytes[start..<min(start + step, bytes.count)]))
                }
                connection.halfClose()
                let reply = try await connection.receiveToEnd()
                #expect(try reply.statuses() == [200, 200, 404, 404, 200])
                #expect(reply.end == .closed)
            }
        }

        @Test("a thousand pipelined refusals do not nest")
        func manyRefusals() async throws {
            try await withGateway { gateway in
                let request = "GET /v1/streams/nothing HTTP/1.1\r\nHost: a\r\n\r\n"
                let bytes = Array(String(repeating: request, count: 1000).utf8)
                let reply = try await RawHTTP.exchange(gateway.endpoint, sending: bytes, halfClose: true)
                #expect(try reply.statuses() == Array(repeating: 404, count: 1000))
            }
        }

        @Test(
            "the client decides whether the connection stays",
            arguments: [
                ("HTTP/1.1", "", true), ("HTTP/1.1", "Connection: close\r\n", false), ("HTTP/1.0", "", false),
                ("HTTP/1.0", "Connection: keep-alive\r\n", true), ("HTTP/1.1", "Connection: x, CLOSE\r\n", false),
                ("HTTP/1.1", "Connection: keep-alive\r\nConnection: close\r\n", false),
            ]
        )
        func persistence(version: String, field: String, stays: Bool) async throws {
            try await withGateway { gateway in
                let connection = try await RawConnection(gateway.endpoint)
                try await connection.send("GET /livez \(version)\r\nHost: a\r\n\(field)\r\n")
                let text = try await connection.receive(until: "ok\n")
                #expect(text.contains("Connection: close\r\n") == !stays)
                if stays {
                    try await connection.send(Self.get + "GET /livez HTTP/1.0\r\n\r\n")
                    #expect(try await connection.receiveToEnd().statuses() == [200, 200, 200])
                } else {
                    #expect(try await connection.receiveToEnd().end == .closed)
                }
            }
        }

        @Test(
            "F50: a long target is 414, a large header 431, and the connection ends",
            arguments: [
                ("GET /\(String(repeating: "x", count: 9000)) HTTP/1.1\r\nHost: a\r\n\r\n", 414),
                ("GET /\(String(repeating: "x", count: 1 << 20))", 414),
                ("GET / HTTP/1.1\r\nHost: a\r\nX: \(String(repeating: "x", count: 17_000))\r\n\r\n", 431),
                ("GET / HTTP/1.1\r\n\(String(repeating: "X: y\r\n", count: 101))\r\n", 431),
                ("GET / HTTP/1.1\r\nX: \(String(repeating: "x", count: 1 << 20))", 431),
            ]
        )
        func limits(request: String, status: Int) async throws {
            try await withGateway { gateway in
                let reply = try await RawHTTP.exchange(gateway.endpoint, sending: Array(request.utf8))
                #expect(try reply.statuses() == [status])
                #expect(reply.end != .timedOut)
            }
        }

        @Test("R26: 16 KiB of request fields are taken, such as all cookies of localhost", arguments: [1, 20, 90])
        func cookies(count: Int) async throws {
            try await withGateway { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                let lines = String(
                    repeating: "Cookie: \(String(repeating: "c", count: 16_200 / count - 10))\r\n",
                    count: count
                )
                for path in ["/v1/values/rates", "/v1/streams/rates"] {
                    let connection = try await RawConnection(gateway.endpoint)
                    try await connection.send("GET \(path) HTTP/1.1\r\nHost: a\r\n\(lines)\r\n")
                    try await connection.receive(until: "HTTP/1.1 200 OK")
                }
            }
        }

        @Test("100 Continue comes where it is waited for, and not where the body is refused")
        func expectContinue() async throws {
            try await withGateway({ $0.maxBodyBytes = 100 }) { gateway in
                try gateway.source("rates")
                let start =
                    "POST /v1/admin/sources/rates/value HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n"
                    + "Authorization: Bearer \(GatewayFixture.key.text)\r\n"
                let connection = try await RawConnection(gateway.endpoint)
                try await connection.send(start + "Content-Length: 3\r\nConnection: close\r\n\r\n")
                try await connection.receive(until: "HTTP/1.1 100 Continue\r\n\r\n")
                try await connection.send("[1]")
                #expect(try await connection.receiveToEnd().statuses() == [100, 200])
                let refused = try await RawHTTP.exchange(
                    gateway.endpoint,
                    sending: Array((start + "Content-Length: 300\r\n\r\n").utf8)
                )
                #expect(try refused.statuses() == [413])
            }
        }

        @Test(
            "S13: who does not send a header in time is answered 408 or closed",
            arguments: ["", "G", "GET / HTTP/1.1\r\nHost: a\r\n"]
        )
        func headerDeadline(start: String) async throws {
            try await withGateway({ $0.headerTimeout = .seconds(2) }) { gateway in
                let reply = try await RawHTTP.exchange(gateway.endpoint, sending: Array(start.utf8))
                #expect(reply.end == .closed)
                #expect(try reply.statuses() == (start.isEmpty ? [] : [408]))
            }
        }

        @Test("S13: dripping does not move the deadline, in the header or in the body", arguments: ["header", "body"])
        func drip(part: String) async throws {
            try await withGateway({ settings in
                settings.headerTimeout = .milliseconds(part == "header" ? 2000 : 10_000)
                settings.bodyTimeout = .milliseconds(300)
            }) { gateway in
                try gateway.source("rates")
                let connection = try await RawConnection(gateway.endpoint)
                try await connection.send(
                    "POST /v1/admin/sources/rates/value HTTP/1.1\r\nHost: localhost\r\n"
                        + "Authorization: Bearer \(GatewayFixture.key.text)\r\n"
                )
                if part == "body" { try await connection.send("Content-Length: 100000\r\n\r\n") }
                let deadline = ContinuousClock.now + .patience
                while ContinuousClock.now < deadline, (try? await connection.send("x", timeout: .seconds(1))) != nil {
                    if try await connection.receiveToEnd(timeout: .milliseconds(5)).end != .timedOut { break }
                }
                let reply = try await connection.receiveToEnd()
                #expect(reply.end != .timedOut)
                #expect(reply.text.hasPrefix("HTTP/1.1 408 "))
            }
        }

        @Test("S13: half-open requests by the hundred leave the server answering")
        func slowloris() async throws {
            try await withGateway({ $0.headerTimeout = .seconds(2) }) { gateway in
                var slow: [RawConnection] = []
                for _ in 0..<300 {
                    let connection = try await RawConnection(gateway.endpoint)
                    try await connection.send("GET / HTTP/1.1\r\nHost: a\r\nX-")
                    slow.append(connection)
                }
                #expect(try await gateway.get("/livez").status == 200)
                for connection in slow {
                    #expect(try await connection.receiveToEnd().end != .timedOut)
                }
                try await eventually { gateway.server.connectionCount == 0 }
            }
        }

        @Test("an idle connection is closed after its time, and serves before that")
        func idle() async throws {
            try await withGateway({ $0.keepAliveTimeout = .seconds(2) }) { gateway in
                let connection = try await RawConnection(gateway.endpoint)
                try await connection.send(Self.get)
                try await connection.receive(until: "ok\n")
                try await connection.send(Self.get)
                let reply = try await connection.receiveToEnd()
                #expect(try reply.statuses() == [200, 200])
                #expect(reply.end == .closed)
            }
        }

        @Test("an answer that is not taken is given up after its time, and others get theirs")
        func writeDeadline() async throws {
            try await withGateway({ $0.writeTimeout = .seconds(2) }) { gateway in
                let big = try gateway.source("big")
                try gateway.publish(#"["\#(String(repeating: "x", count: 20_000_000))"]"#, of: big)
                let stalled = try await RawConnection(gateway.endpoint)
                try await stalled.send("GET /v1/values/big HTTP/1.1\r\nHost: a\r\n\r\n")
                try await stalled.receive(until: "HTTP/1.1 200 OK")
                try await eventually { gateway.server.connectionCount == 0 }
                #expect(try await gateway.get("/v1/values/big").body.count == 20_000_004)
            }
        }

        @Test("A24: an answer that is taken slowly is sent whole, though it takes several times the write time-out")
        func slowReader() async throws {
            try await withGateway({ $0.writeTimeout = .milliseconds(250) }) { gateway in
                let big = try gateway.source("big")
                try gateway.publish(#"["\#(String(repeating: "x", count: 20_000_000))"]"#, of: big)
                let slow = try await RawConnection(gateway.endpoint)
                try await slow.send("GET /v1/values/big HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
                let start = ContinuousClock.now
                while try await slow.receive(atMost: 1_000_000) {
                    // What makes it slow.
                    try await Task.sleep(for: .milliseconds(60))
                }
                let reply = try await slow.receiveToEnd()
                #expect(reply.end == .closed && reply.bytes.count > 20_000_004)
                #expect(ContinuousClock.now - start > .milliseconds(750), "it was not slow")
            }
        }

        @Test("over the cap a connection is told to come back, and a free place is given again")
        func cap() async throws {
            try await withGateway({ $0.maxConnections = 2 }) { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                let held = [try await RawConnection(gateway.endpoint), try await RawConnection(gateway.endpoint)]
                for connection in held {
                    try await connection.send("GET /v1/values/rates?wait=5m HTTP/1.1\r\nHost: a\r\n\r\n")
                }
                try await gateway.waitForWaiters(2)
                let reply = try await gateway.get("/v1/values/rates")
                #expect(reply.status == 503)
                #expect(try code(reply) == "too_many_connections")
                #expect(reply.headers["Retry-After"].flatMap { Int($0) } != nil)
                // A14: the places that are kept for probes.
                for path in ["/livez", "/readyz", "/healthz"] {
                    #expect(try await gateway.get(path).text == "ok\n")
                }
                let connection = try await RawConnection(gateway.endpoint)
                try await connection.send(Self.get)
                #expect(try await connection.receiveToEnd().statuses() == [200], "a probe's connection is not kept")
                held[0].close()
                try await eventually { try await gateway.get("/v1/values/rates").status == 200 }
                let counter = #"freshet_http_connections_refused_total{reason="full"} "#
                // The place may still be that of the request before.
                try await eventually {
                    let lines = try await gateway.get("/metrics").text.split(separator: "\n")
                    let line = lines.first { $0.hasPrefix(counter) }
                    return line.map { $0.dropFirst(counter.count).first != "0" } == true
                }
            }
        }

        @Test(
            "A14: in a full table half requests go, the oldest first, and whoever has a whole one is answered",
            arguments: [
                "", "G", "GET / HTTP/1.1\r\nHost: a\r\nX-",
                "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc",
            ]
        )
        func halfRequests(start: String) async throws {
            try await withGateway({ settings in
                settings.maxConnections = 20
                settings.headerTimeout = .seconds(3600)
                settings.bodyTimeout = .seconds(3600)
            }) { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                var slow: [RawConnection] = []
                for _ in 0..<60 {
                    let connection = try await RawConnection(gateway.endpoint)
                    try? await connection.send(start)
                    slow.append(connection)
                }
                #expect(try await gateway.get("/livez").status == 200)
                #expect(try await gateway.get("/v1/values/rates").status == 200)
                // Those that have gone are the first of them.
                for connection in slow.prefix(20) {
                    #expect(try await connection.receiveToEnd().end != .timedOut)
                }
                try await eventually { gateway.server.connectionCount <= 20 }
            }
        }

        @Test("S13: connections are counted by IPv4 address and by IPv6 /64, those on this machine not at all")
        func networks() {
            func network(_ address: String) -> PeerAddress? { PeerAddress(address).countedNetwork }
            #expect(network("127.0.0.1") == nil)
            #expect(network("::1") == nil)
            #expect(network("192.0.2.1") != network("192.0.2.2"))
            #expect(network("192.0.2.1") == network("::ffff:192.0.2.1"))
            #expect(network("2001:db8::1") == network("2001:db8::ffff:2"))
            #expect(network("2001:db8::1") != network("2001:db8:0:1::1"))
            #expect(network("fe80::1%eth0") == network("fe80::2"))
            #expect(network("") != nil, "A01: an unknown client is counted")
        }

        @Test(
            "a reset in the middle of anything leaves nothing behind",
            arguments: [
                "", "GET /v", "GET /livez HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET /v1/values/big HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET /v1/values/big?wait=1m HTTP/1.1\r\nHost: a\r\n\r\n",
                "GET /v1/streams/big HTTP/1.1\r\nHost: a\r\n\r\n",
                "POST /v1/admin/sources/big/value HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n[1",
            ]
        )
        func resets(start: String) async throws {
            try await withGateway { gateway in
                let big = try gateway.source("big")
                try gateway.publish(#"["\#(String(repeating: "x", count: 3_000_000))"]"#, of: big)
                for _ in 0..<50 {
                    let connection = try await RawConnection(gateway.endpoint)
                    try await connection.send(start)
                    connection.reset()
                }
                try await eventually { gateway.server.connectionCount == 0 }
                try await eventually { gateway.streams.statistics.subscribers == 0 }
                try await gateway.waitForWaiters(0)
                #expect(try await gateway.get("/livez").status == 200)
            }
        }
    }
}
