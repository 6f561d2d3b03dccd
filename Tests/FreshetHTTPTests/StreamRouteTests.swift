import EventStream
import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import System
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Stream route", .overHTTP2)
    struct StreamRouteTests {
        @Test("a stream begins with hello and a snapshot, and goes on with patches")
        func stream() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.publish(#"{"eur":1,"list":[1,2,3,4,5,6,7,8,9]}"#, of: rates)
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates")
                let opening = try await client.next(2)
                #expect(opening.map(\.type) == ["hello", "snapshot"])
                #expect(opening[1].lastEventID == "\(gateway.cursor(1))")
                #expect(opening[1].text.contains(#""value":{"eur":1,"#))
                try gateway.publish(#"{"eur":2,"list":[1,2,3,4,5,6,7,8,9]}"#, of: rates)
                let change = try #require(try await client.next())
                #expect(change.type == "patch")
                #expect(change.text.contains(#""patch":[{"op":"replace","path":"/eur","value":2}]"#))
            }
        }

        @Test("F51: the head tells proxies not to buffer and caches not to keep")
        func head() async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates")
                let head = try await client.head()
                #expect(head.status == 200)
                #expect(head.headers["Content-Type"] == "text/event-stream")
                #expect(head.headers["Cache-Control"] == "no-store")
                #expect(head.headers["X-Accel-Buffering"] == "no")
                #expect(head.headers["X-Content-Type-Options"] == "nosniff")
                #expect(head.headers["Transfer-Encoding"] == "chunked")
                #expect(head.headers["Vary"] == "Accept")
                #expect(head.headers["Date"] != nil)
                #expect(head.headers["Server"] == nil)
                #expect(head.headers["Content-Encoding"] == nil)
                #expect(try await client.next()?.type == "hello")
            }
        }

        @Test("F53: a client that asks for compression gets the plain stream")
        func noCompression() async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                let headers: HeaderFields = ["Accept-Encoding": "gzip, br"]
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates", headers: headers)
                #expect(try await client.head().headers["Content-Encoding"] == nil)
                #expect(try await client.next()?.type == "hello")
            }
        }

        @Test("since a time, a stream begins with the value of then, and every change since")
        func sinceTime() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                for minutes in [Int64(50), 20, 10] {
                    let at = WallTime(milliseconds: WallClock.now.milliseconds - minutes * 60_000)
                    try gateway.publish(#"{"n":\#(minutes),"list":[1,2,3,4,5,6,7,8,9]}"#, of: rates, at: at)
                }
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates?since=30m")
                let events = try await client.next(4)
                #expect(events.map(\.type) == ["hello", "snapshot", "patch", "patch"])
                #expect(events[0].text.contains(#""cursor":"\#(gateway.cursor(1))""#))
                #expect(events[1].text.contains(#""value":{"n":50,"#))
                #expect(events.dropFirst().map(\.lastEventID) == (1...3).map { "\(gateway.cursor(UInt64($0)))" })
                let header: HeaderFields = ["Last-Event-ID": "30m"]
                let resumed = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates", headers: header)
                #expect(try await resumed.next(2).last?.text == #"{"reason":"malformed"}"#, "a cursor is no time")
            }
        }

        @Test("since a time that memory no longer reaches back to, a stream says so and gives all that it has")
        func sinceForgottenTime() async throws {
            try await withGateway(cacheBytes: 4000) { gateway in
                let rates = try gateway.source("rates")
                for number in 1...20 { try gateway.publish("[\(number)]", of: rates, isWhole: true) }
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates?since=1h")
                let opening = try await client.next(3)
                #expect(opening.map(\.type) == ["hello", "gap", "snapshot"])
                #expect(opening[1].text == #"{"reason":"evicted"}"#)
                var last = try #require(Document(parsing: opening[2].data).root["value"]?[0]?.int)
                #expect((2..<20).contains(last))
                while last < 20 {
                    let event = try #require(try await client.next())
                    let next = try #require(Document(parsing: event.data).root["value"]?[0]?.int)
                    #expect(next == last + 1)
                    last = next
                }
            }
        }

        @Test("JSON lines by Accept")
        func lines() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.publish("[1]", of: rates)
                let client = try LineClient(gateway.endpoint, path: "/v1/streams/rates")
                #expect(try await client.head().headers["Content-Type"] == "application/x-ndjson")
                let lines = try await client.next(2).map { String(decoding: $0, as: UTF8.self) }
                #expect(lines[0].hasPrefix(#"{"event":"hello","#))
                #expect(
                    lines[1].hasPrefix(#"{"id":"\#(gateway.cursor(1))","event":"snapshot","data":{"source":"rates","#)
                )
            }
        }

        @Test(
            "what a client accepts decides the form",
            arguments: [
                (nil, "text/event-stream"), ("", "text/event-stream"), ("*/*", "text/event-stream"),
                ("text/*", "text/event-stream"), ("application/*", "application/x-ndjson"),
                ("application/x-ndjson, text/event-stream;q=0.5", "application/x-ndjson"),
                ("text/html, */*;q=0.1", "text/event-stream"), ("APPLICATION/X-NDJSON", "application/x-ndjson"),
                ("text/event-stream;q=0, application/x-ndjson;q=0.1", "application/x-ndjson"),
                ("image/png", "406"), ("text/event-stream;q=0", "406"),
            ] as [(String?, String)]
        )
        func negotiation(accept: String?, expected: String) async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                var headers = HeaderFields()
                if let accept { headers.append("Accept", accept) }
                let reply = try await gateway.send("HEAD", "/v1/streams/rates", headers)
                #expect(reply.status == (expected == "406" ? 406 : 200))
                if expected != "406" { #expect(reply.headers["Content-Type"] == expected) }
            }
        }

        @Test("F50: HEAD gives the head, and the connection stays for more")
        func headRequest() async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                let client = HTTPTestClient(gateway.endpoint)
                let reply = try await client.head("/v1/streams/rates")
                #expect(reply.status == 200)
                #expect(reply.headers["Content-Type"] == "text/event-stream")
                #expect(reply.body.isEmpty)
                #expect(try await client.get("/livez").text == "ok\n")
                #expect(client.connectionCount == 1)
                #expect(gateway.streams.statistics.subscribers == 0)
            }
        }

        @Test("F50: an HTTP/1.0 client gets a stream without chunks, which ends with the connection", .http1Only)
        func http10() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.publish("[1]", of: rates)
                let connection = try await RawConnection(gateway.endpoint)
                try await connection.send("GET /v1/streams/rates HTTP/1.0\r\n\r\n")
                let text = try await connection.receive(until: #""value":[1]}"# + "\n\n")
                #expect(text.contains("\r\nConnection: close\r\n"))
                #expect(!text.contains("Transfer-Encoding"))
                let body = try #require(text.split(separator: "\r\n\r\n").last)
                #expect(body.hasPrefix("retry: "))
                gateway.streams.stop()
                #expect(try await connection.receiveToEnd().end == .closed)
            }
        }

        @Test("F50: requests that are pipelined before a stream are answered whole, then the stream begins", .http1Only)
        func pipelined() async throws {
            try await withGateway { gateway in
                let big = try gateway.source("big")
                try gateway.publish(#"["\#(String(repeating: "x", count: 3_000_000))"]"#, of: big)
                let connection = try await RawConnection(gateway.endpoint)
                let value = "GET /v1/values/big HTTP/1.1\r\nHost: a\r\n\r\n"
                try await connection.send(
                    value + value + "GET /v1/streams/big?since=latest HTTP/1.1\r\nHost: a\r\n\r\n"
                )
                let text = try await connection.receive(until: "event: hello")
                #expect(text.components(separatedBy: "HTTP/1.1 200 OK").count == 4)
                #expect(text.utf8.count > 6_000_000)
                #expect(text.components(separatedBy: "Content-Length: 3000004").count == 3)
            }
        }

        @Test("F50: a body on GET is read and dropped")
        func body() async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                let connection = try await RawConnection(gateway.endpoint)
                try await connection.send("GET /v1/streams/rates HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello")
                try await connection.receive(until: "event: hello")
            }
        }

        @Test("OPTIONS and other methods are told what the path can do")
        func methods() async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                let options = try await gateway.send("OPTIONS", "/v1/streams/rates")
                #expect(options.status == 204)
                #expect(options.headers["Allow"] == "GET, HEAD, OPTIONS")
                let post = try await gateway.send("POST", "/v1/streams/rates", body: "x")
                #expect(post.status == 405)
                #expect(post.headers["Allow"] == "GET, HEAD, OPTIONS")
                #expect(try code(post) == "method_not_allowed")
            }
        }

        @Test(
            "F52: sources that do not exist, and too many of them",
            arguments: [
                ("nothing", 404, "unknown_source"), ("rates,nothing", 404, "unknown_source"),
                ("x*", 404, "unknown_source"),
                ("UPPER", 404, "unknown_source"), ("a%2Fb", 404, "unknown_source"), ("..", 404, "unknown_source"),
                ("%00", 404, "unknown_source"), ("", 404, "unknown_source"), ("rates,,rates", 404, "unknown_source"),
                (Array(repeating: "rates", count: 1001).joined(separator: ","), 400, "too_many_sources"),
            ]
        )
        func unknown(names: String, status: Int, problem: String) async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                let reply = try await gateway.get("/v1/streams/\(names)")
                #expect(reply.status == status)
                #expect(try code(reply) == problem)
            }
        }

        @Test(
            "several sources, a beginning, all of them",
            arguments: ["a-1,a-2", "a-*", "*", "a-1%2Ca-2", "%2A", "a-2,a-1,a-1"]
        )
        func several(names: String) async throws {
            try await withGateway { gateway in
                for name in ["a-1", "a-2"] {
                    try gateway.publish("[1]", of: gateway.source(name))
                }
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/\(names)")
                let events = try await client.next(3)
                #expect(events.map(\.type) == ["hello", "snapshot", "snapshot"])
            }
        }

        @Test("a mode or an envelope that does not exist is refused")
        func parameters() async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                let mode = try await gateway.get("/v1/streams/rates?mode=fast")
                #expect(mode.status == 400)
                #expect(try code(mode) == "bad_mode")
                let envelope = try await gateway.get("/v1/streams/rates?envelope=parcel")
                #expect(envelope.status == 400)
                #expect(try code(envelope) == "bad_envelope")
                #expect(try await gateway.send("HEAD", "/v1/streams/rates?whatever=1&&=&x").status == 200)
            }
        }

        @Test(
            "where a stream begins: the field wins over its stand-ins, and they over since",
            arguments: [
                ("", "", ["hello", "snapshot"]),
                ("2", "", ["hello", "patch"]), ("", "last_event_id=2", ["hello", "patch"]),
                ("", "lastEventId=2", ["hello", "patch"]), ("", "evs_last_event_id=2", ["hello", "patch"]),
                ("", "since=2", ["hello", "patch"]), ("2", "since=latest", ["hello", "patch"]),
                ("2", "lastEventId=garbage", ["hello", "patch"]),
                ("", "since=earliest", ["hello", "snapshot", "patch", "patch"]),
                ("garbage", "", ["hello", "gap", "snapshot"]), ("99", "", ["hello", "gap", "snapshot"]),
                ("", "since=%00%ff", ["hello", "gap", "snapshot"]),
            ]
        )
        func position(field: String, query: String, expected: [String]) async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                for number in 1...3 {
                    try gateway.publish(
                        #"{"n":\#(number),"more":"xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"}"#,
                        of: rates
                    )
                }
                let prefix = String("\(gateway.cursor(2))".dropLast())
                let isNumber = field.utf8.first.map { (0x30...0x39).contains($0) } ?? false
                let path = "/v1/streams/rates?" + query.replacingNumber(with: prefix)
                let id = field.isEmpty ? nil : isNumber ? prefix + field : field
                let client = try EventStreamClient(gateway.endpoint, path: path, lastEventID: id)
                #expect(try await client.next(expected.count).map(\.type) == expected)
            }
        }

        // Ten thousand handshakes of TLS would say no more about ids.
        @Test(
            "S11 A24: ten thousand hostile ids, each over a connection of its own, get a gap and a snapshot",
            .ownTransport
        )
        func hostileIDs() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.publish("[1]", of: rates)
                var random = SplitMix64(seed: 11)
                for _ in 0..<20 {
                    let ids = (0..<500).map { _ in HostileID.draw(using: &random) }
                    let requests = ids.map { id in
                        Array("GET /v1/streams/rates HTTP/1.1\r\nHost: a\r\nLast-Event-ID: \(id)\r\n\r\n".utf8)
                    }
                    let crowd = try await Crowd(to: gateway.endpoint, sending: requests)
                    for (id, reply) in zip(ids, try await crowd.receive(until: #""value":[1]}"#)) {
                        let events = reply.components(separatedBy: "event: ").dropFirst()
                        let types = events.map { $0.prefix { $0 != "\n" } }
                        #expect(
                            reply.hasPrefix("HTTP/1.1 200") && types == ["hello", "gap", "snapshot"],
                            "id \(id.debugDescription)"
                        )
                    }
                    crowd.leave()
                }
                try await eventually { gateway.streams.statistics.subscribers == 0 }
            }
        }

        @Test("F43: over the cap a stream is refused with 503 and a time to come back")
        func cap() async throws {
            var settings = StreamSettings(shards: 1)
            settings.maxSubscribers = 2
            try await withGateway(streams: settings) { gateway in
                try gateway.source("rates")
                let held = try (0..<2).map { _ in try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates") }
                for client in held { #expect(try await client.next()?.type == "hello") }
                let reply = try await gateway.get("/v1/streams/rates")
                #expect(reply.status == 503)
                #expect(try code(reply) == "too_many_subscribers")
                let wait = try #require(reply.headers["Retry-After"].flatMap { Int($0) })
                #expect((1...10).contains(wait))
                await held[0].close()
                try await eventually { try await gateway.send("HEAD", "/v1/streams/rates").status == 200 }
                try await eventually { gateway.streams.statistics.subscribers == 1 }
                let next = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates")
                #expect(try await next.head().status == 200)
            }
        }

        @Test("F46: streams that come and go leave no connection and no subscriber behind", .http1Only)
        func comeAndGo() async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                for round in 0..<60 {
                    let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates")
                    #expect(try await client.next()?.type == "hello")
                    if round % 2 == 0 { await client.close() } else { await client.reset() }
                }
                try await eventually { gateway.streams.statistics.subscribers == 0 }
                let metrics = try await gateway.get("/metrics").text
                // The one that asks.
                #expect(metrics.contains("\nfreshet_http_connections 1\n"))
                #expect(metrics.contains("\nfreshet_http_handovers_total 60\n"))
            }
        }
    }
}

/// Ids that are no cursors of the log under test.
enum HostileID {
    static func draw(using random: inout SplitMix64) -> String {
        let digits = String(random.next())
        switch random.next() % 8 {
        case 0: return "-" + digits
        case 1: return "zz-" + digits
        case 2: return "\(Epoch(rawValue: 41))-\(digits)"
        case 3: return String(Cursor(epoch: GatewayFixture.epoch, sequence: 1 << 40 | random.next() >> 8).description)
        case 4: return "earliest"
        case 5: return String(repeating: "9", count: Int(random.next() % 4000) + 65)
        case 6:
            return String(
                decoding: (0..<20).map { _ in UInt8(truncatingIfNeeded: random.next()) | 0xA0 },
                as: UTF8.self
            )
        case _: return "../../etc/passwd%00" + digits
        }
    }
}

enum RequestHeadFixture {
    /// A GET as the parser would read it.
    static func head(_ target: String, _ fields: [FreshetHTTP.RequestHead.Field] = []) throws -> FreshetHTTP.RequestHead
    {
        let line = try FreshetHTTP.RequestHead.line(Array("GET \(target) HTTP/1.1".utf8), maxTargetBytes: 8192)
        return try FreshetHTTP.RequestHead(line, fields: [.init(name: "host", value: "a")] + fields)
    }
}

extension String {
    /// A cursor in place of the number behind the sign of equality.
    fileprivate func replacingNumber(with prefix: String) -> String {
        guard self.hasSuffix("=2") else { return self }
        return String(self.dropLast()) + prefix + "2"
    }

    fileprivate func components(separatedBy separator: String) -> [String] {
        var parts: [String] = []
        var rest = self[...]
        while let range = rest.firstRange(of: separator) {
            parts.append(String(rest[..<range.lowerBound]))
            rest = rest[range.upperBound...]
        }
        return parts + [String(rest)]
    }
}
