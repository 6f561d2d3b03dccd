import FreshetCore
import FreshetTesting
import System
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Value route", .overHTTP2)
    struct ValueRouteTests {
        @Test("the value is the upstream's own text, with validators, age and cursor")
        func value() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.publish(#"{ "b": 1.50, "a": 9007199254740993 }"#, of: rates)
                let reply = try await gateway.get("/v1/values/rates")
                #expect(reply.status == 200)
                #expect(reply.text == #"{"b":1.50,"a":9007199254740993}"#)
                #expect(reply.headers["Content-Type"] == "application/json")
                #expect(reply.headers["ETag"] == "\"\(gateway.cursor(1))\"")
                #expect(reply.headers["Freshet-Cursor"] == "\(gateway.cursor(1))")
                #expect(reply.headers["Freshet-State"] == "starting")
                #expect(reply.headers["Cache-Control"] == "no-cache")
                #expect(reply.headers["Age"].flatMap { Int($0) }.map { (0...60).contains($0) } == true)
                #expect(reply.headers["Content-Length"] == "\(reply.body.count)")
                #expect(reply.headers["Last-Modified"] != nil)
            }
        }

        @Test(
            "Last-Modified is the upstream's where that is a date",
            arguments: [
                ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"),
                ("Sunday, 06-Nov-94 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:37 GMT"),
                ("yesterday", "Tue, 14 Nov 2023 22:13:20 GMT"),
                ("a\r\nX: y", "Tue, 14 Nov 2023 22:13:20 GMT"),
            ]
        )
        func lastModified(stated: String, shown: String) async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                let validators = Validators(etag: Array("\"a\r\nX: y\"".utf8), lastModified: Array(stated.utf8))
                let at = WallTime(milliseconds: 1_700_000_000_000)
                try gateway.publish("[1]", of: rates, validators: validators, at: at)
                let reply = try await gateway.get("/v1/values/rates")
                #expect(reply.headers["Last-Modified"] == shown, "S14")
                #expect(reply.headers["X"] == nil)
            }
        }

        @Test("Age counts from the last confirmation; max-age is the upstream's")
        func freshness() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                let now = WallClock.now
                let hourAgo = WallTime(milliseconds: now.milliseconds - 3_600_000)
                try gateway.publish("[1]", of: rates, freshness: .seconds(90), at: hourAgo)
                let old = try #require(try await gateway.get("/v1/values/rates").headers["Age"].flatMap { Int($0) })
                #expect((3600...3700).contains(old))
                try gateway.update(rates) { $0.lastSuccessAt = WallTime(milliseconds: now.milliseconds - 30_000) }
                let reply = try await gateway.get("/v1/values/rates")
                let age = try #require(reply.headers["Age"].flatMap { Int($0) })
                #expect((30...130).contains(age))
                #expect(reply.headers["Cache-Control"] == "max-age=90")
            }
        }

        @Test("F35: what the upstream's last answer allows is what the value's caches are told")
        func caching() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.publish("[1]", of: rates, freshness: .seconds(90))
                var policy = CachePolicy()
                policy.freshFor = .seconds(20)
                policy.isPrivate = true
                try gateway.update(rates) { $0.caching = policy }
                #expect(try await gateway.get("/v1/values/rates").headers["Cache-Control"] == "max-age=20, private")
                policy.forbidsStoring = true
                try gateway.update(rates) { $0.caching = policy }
                let reply = try await gateway.get("/v1/values/rates")
                #expect(reply.headers["Cache-Control"] == "no-store")
                #expect(reply.headers["Warning"] == nil, "RFC 9111 has done away with it")
            }
        }

        @Test("no cache is told to keep a value for longer than a year")
        func longest() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.publish("[1]", of: rates)
                var policy = CachePolicy()
                policy.freshFor = .seconds(2_147_483_648)
                policy.staleIfError = policy.freshFor
                try gateway.update(rates) { $0.caching = policy }
                let fields = try await gateway.get("/v1/values/rates").headers
                #expect(fields["Cache-Control"] == "max-age=31536000, stale-if-error=31536000")
            }
        }

        @Test("a stale value is served with its age and its state")
        func stale() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                let hourAgo = WallTime(milliseconds: WallClock.now.milliseconds - 3_600_000)
                try gateway.publish("[1]", of: rates, at: hourAgo)
                try gateway.update(rates) { $0.state = .stale }
                let reply = try await gateway.get("/v1/values/rates")
                #expect(reply.status == 200)
                #expect(reply.headers["Freshet-State"] == "stale")
                #expect(try #require(reply.headers["Age"].flatMap { Int($0) }) >= 3600)
            }
        }

        @Test(
            "conditional requests",
            arguments: [
                ("If-None-Match", "TAG", 304), ("If-None-Match", "W/TAG", 304), ("If-None-Match", "*", 304),
                ("If-None-Match", #""other", W/"x" ,TAG"#, 304), ("If-None-Match", #""other""#, 200),
                ("If-None-Match", "TA", 200), ("If-None-Match", "", 200), ("If-None-Match", #""unclosed, TAG"#, 200),
                ("If-Modified-Since", "Tue, 14 Nov 2023 22:13:20 GMT", 304),
                ("If-Modified-Since", "Tue, 14 Nov 2023 22:13:19 GMT", 200),
                ("If-Modified-Since", "Sun, 06 Nov 2094 08:49:37 GMT", 304), ("If-Modified-Since", "now", 200),
            ]
        )
        func conditional(field: String, value: String, status: Int) async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.publish("[1]", of: rates, at: WallTime(milliseconds: 1_700_000_000_000))
                let tag = "\"\(gateway.cursor(1))\""
                let value = value.hasSuffix("TAG") ? String(value.dropLast(3)) + tag : value
                let reply = try await gateway.get("/v1/values/rates", [field: value])
                #expect(reply.status == status)
                #expect(reply.headers["ETag"] == tag)
                #expect(reply.headers["Cache-Control"] == "no-cache")
                #expect(reply.body.isEmpty == (status == 304))
                #expect((reply.headers["Content-Length"] == nil) == (status == 304))
            }
        }

        @Test("If-None-Match wins over If-Modified-Since")
        func precedence() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.publish("[1]", of: rates, at: WallTime(milliseconds: 1_700_000_000_000))
                let headers: HeaderFields = [
                    "If-None-Match": "\"other\"", "If-Modified-Since": "Sun, 06 Nov 2094 08:49:37 GMT",
                ]
                #expect(try await gateway.get("/v1/values/rates", headers).status == 200)
            }
        }

        @Test("HEAD gives the length and no body")
        func head() async throws {
            try await withGateway { gateway in
                try gateway.publish("[1,2,3]", of: gateway.source("rates"))
                let reply = try await gateway.send("HEAD", "/v1/values/rates")
                #expect(reply.status == 200)
                #expect(reply.headers["Content-Length"] == "7")
                #expect(reply.body.isEmpty)
            }
        }

        @Test("an unknown source is 404, one without a value 503 with a time to come back")
        func absent() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                let unknown = try await gateway.get("/v1/values/nothing")
                #expect(unknown.status == 404)
                #expect(try code(unknown) == "unknown_source")
                try gateway.update(rates) { status in
                    status.state = .failing
                    let error = UpstreamError(.connect, "no route to 10.0.0.1 with token abc")
                    status.lastError = ReportedError(error: error, at: status.stateSince)
                }
                let reply = try await gateway.get("/v1/values/rates")
                #expect(reply.status == 503)
                #expect(try code(reply) == "no_value_yet")
                #expect(reply.headers["Retry-After"] == "1")
                #expect(try text(reply, "/state") == "failing")
                #expect(try text(reply, "/kind") == "connect")
            }
        }

        @Test("a client that has the value waits, and a publish wakes it", arguments: ["etag", "since"])
        func longPoll(by: String) async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                let cursor = try gateway.publish("[1]", of: rates)
                let path = "/v1/values/rates?wait=1m" + (by == "since" ? "&since=\(cursor)" : "")
                let headers: HeaderFields = by == "etag" ? ["If-None-Match": "\"\(cursor)\""] : [:]
                async let reply = gateway.get(path, headers)
                try await gateway.waitForWaiters(1)
                try gateway.publish("[2]", of: rates)
                #expect(try await reply.status == 200)
                #expect(try await reply.text == "[2]")
                #expect(gateway.server.gateway.waits.count == 0)
            }
        }

        @Test("a wait for the first value is woken by it")
        func firstValue() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                async let reply = gateway.get("/v1/values/rates?wait=1m")
                try await gateway.waitForWaiters(1)
                try gateway.publish("[1]", of: rates)
                #expect(try await reply.text == "[1]")
            }
        }

        @Test("a wait ends with 304, or with 503 where there is no value, when its time is up")
        func timeout() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                #expect(try await gateway.get("/v1/values/rates?wait=20ms").status == 503)
                let cursor = try gateway.publish("[1]", of: rates)
                let headers: HeaderFields = ["If-None-Match": "\"\(cursor)\""]
                #expect(try await gateway.get("/v1/values/rates?wait=20ms", headers).status == 304)
                #expect(gateway.server.gateway.waits.count == 0)
            }
        }

        @Test("who does not have the value is answered at once")
        func news() async throws {
            try await withGateway { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                let path = "/v1/values/rates?wait=5m&since="
                #expect(try await gateway.get(path + "\(gateway.cursor(0))").status == 200)
                let reply = try await gateway.get(path + "nonsense")
                #expect(reply.status == 400)
                #expect(try code(reply) == "bad_since")
            }
        }

        @Test("who says nothing of what it has waits for the next value", arguments: ["", "&since=latest"])
        func fromNow(since: String) async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.publish("[1]", of: rates)
                async let reply = gateway.get("/v1/values/rates?wait=1m\(since)")
                try await gateway.waitForWaiters(1)
                try gateway.publish("[2]", of: rates)
                #expect(try await reply.text == "[2]")
                let late = try await gateway.get("/v1/values/rates?wait=20ms\(since)")
                #expect(late.status == 200)
                #expect(late.text == "[2]")
            }
        }

        @Test("a wait that is no duration is refused", arguments: ["5", "", "abc", "-1s", "1s1m", "1d", "5 s", "1e3s"])
        func badWait(text: String) async throws {
            try await withGateway { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                let reply = try await gateway.get("/v1/values/rates?wait=\(text.replacing(" ", with: "%20"))")
                #expect(reply.status == 400)
                #expect(try code(reply) == "bad_wait")
            }
        }

        @Test(
            "a client that goes away while it waits leaves no waiter behind",
            .http1Only,
            arguments: ["close", "reset", "half"]
        )
        func leaving(how: String) async throws {
            try await withGateway { gateway in
                let cursor = try gateway.publish("[1]", of: gateway.source("rates"))
                let connection = try await RawConnection(gateway.endpoint)
                try await connection.send("GET /v1/values/rates?wait=5m&since=\(cursor) HTTP/1.1\r\nHost: a\r\n\r\n")
                try await gateway.waitForWaiters(1)
                switch how {
                case "close": connection.close()
                case "reset": connection.reset()
                case _: connection.halfClose()
                }
                try await gateway.waitForWaiters(0)
                // Who only has nothing more to ask still gets the answer.
                if how == "half" { #expect(try await connection.receiveToEnd().statuses() == [304]) }
            }
        }

        @Test("writing is not offered", arguments: ["PUT", "PATCH", "DELETE", "POST"])
        func writing(method: String) async throws {
            try await withGateway { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                let reply = try await gateway.send(method, "/v1/values/rates", body: "[2]")
                #expect(reply.status == 405)
                #expect(reply.headers["Allow"] == "GET, HEAD, OPTIONS")
                #expect(try await gateway.get("/v1/values/rates").text == "[1]")
            }
        }
    }
}
