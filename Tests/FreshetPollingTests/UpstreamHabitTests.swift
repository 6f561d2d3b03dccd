import FreshetCore
import FreshetTesting
import HTTPFields
import Testing

@testable import FreshetPolling
@testable import FreshetUpstream

/// Faults found in the field, each on real connections.
@Suite("Habits of real upstreams")
struct UpstreamHabitTests {
    /// Answers by the tag that is asked for, and records what was.
    private func serve(_ fixture: PollingFixture, at path: String, _ body: String, etag: String) {
        fixture.upstream.on(path) { request in
            let headers: HeaderFields = ["ETag": etag]
            return [
                .respond(
                    request.headers["If-None-Match"] == etag
                        ? .status(304, headers: headers) : .json(body, headers: headers)
                )
            ]
        }
    }

    private func conditions(_ fixture: PollingFixture) -> [String] {
        fixture.upstream.requests.map { "\($0.path) \($0.headers["If-None-Match"] ?? "-")" }
    }

    @Test(
        "R04 a redirect that moves on brings the new value, though its tag is the old one's",
        arguments: [301, 302, 303, 307, 308]
    )
    func movedRedirect(status: Int) async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/latest", respond: .status(status, headers: ["Location": "/v1.json"]))
        self.serve(fixture, at: "/v1.json", #"{"v":1}"#, etag: "\"1\"")
        self.serve(fixture, at: "/v2.json", #"{"v":2}"#, etag: "\"1\"")
        let id = try fixture.add(path: "/latest")
        #expect(await fixture.poll(id) == .changed)
        #expect(await fixture.poll(id) == .notModified)
        fixture.upstream.on("/latest", respond: .status(status, headers: ["Location": "v2.json"]))
        #expect(await fixture.poll(id) == .changed)
        #expect(fixture.value(of: id) == #"{"v":2}"#)
        #expect(await fixture.poll(id) == .notModified)
        #expect(
            self.conditions(fixture) == [
                "/latest -", "/v1.json -", "/latest -", "/v1.json \"1\"", "/latest -", "/v2.json -", "/latest -",
                "/v2.json \"1\"",
            ]
        )
    }

    @Test("R04 nor does the source's own tag follow a redirect, or a redirect's come back")
    func redirectComesAndGoes() async throws {
        let fixture = try PollingFixture()
        self.serve(fixture, at: "/latest", #"{"v":1}"#, etag: "\"1\"")
        self.serve(fixture, at: "/v2.json", #"{"v":2}"#, etag: "\"1\"")
        let id = try fixture.add(path: "/latest")
        #expect(await fixture.poll(id) == .changed)
        fixture.upstream.on("/latest", respond: .status(302, headers: ["Location": "/v2.json"]))
        #expect(await fixture.poll(id) == .changed)
        self.serve(fixture, at: "/latest", #"{"v":3}"#, etag: "\"1\"")
        #expect(await fixture.poll(id) == .changed)
        #expect(fixture.value(of: id) == #"{"v":3}"#)
        #expect(self.conditions(fixture) == ["/latest -", "/latest \"1\"", "/v2.json -", "/latest -"])
    }

    @Test("R04 a reload keeps validators with their URL")
    func reload() async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/latest", respond: .status(302, headers: ["Location": "/v1.json"]))
        self.serve(fixture, at: "/v1.json", #"{"v":1}"#, etag: "\"1\"")
        let id = try fixture.add(path: "/latest")
        #expect(await fixture.poll(id) == .changed)
        var configuration = SourceConfiguration(name: "trains", url: fixture.upstream.url("/latest"))
        configuration.interval = .fixed(.seconds(1800))
        try fixture.poller.add(id, configuration)
        #expect(await fixture.poll(id) == .notModified)
        #expect(self.conditions(fixture) == ["/latest -", "/v1.json -", "/latest -", "/v1.json \"1\""])
    }

    @Test("R06 an answer that was under way when a value was pushed is dropped, and the upstream asked again at once")
    func overtaken() async throws {
        let fixture = try PollingFixture()
        let gate = try Gate()
        fixture.upstream.on("/", respond: .json(#"{"v":1}"#, headers: ["ETag": "\"1\""]))
        let id = try fixture.add()
        #expect(await fixture.poll(id) == .changed)
        // The upstream answers with what it had when the poll arrived.
        fixture.upstream.on("/") { request in
            request.number > 2
                ? [.respond(.json(#"{"v":2}"#, headers: ["ETag": "\"2\""]))]
                : [.hold(gate), .respond(.json(#"{"v":1}"#, headers: ["ETag": "\"1b\""]))]
        }
        async let outcome = fixture.poll(id)
        #expect(await fixture.upstream.waitForRequests(count: 2))
        let cursor = try await fixture.poller.push(id, body: Array(#"{"v":2}"#.utf8), contentType: nil)
        gate.open()
        #expect(await outcome == .unchanged, "who waits for the poll waits for the one in its place")
        #expect(fixture.value(of: id) == #"{"v":2}"#)
        #expect(fixture.events == 2 && cursor.sequence == 2)
        #expect(fixture.upstream.requests.count == 3)
        #expect(fixture.poller.metrics.polls[id]?[.superseded] == 1)
    }

    @Test("R06 the second poll comes by itself where nobody waits for the first")
    func overtakenUnawaited() async throws {
        let fixture = try PollingFixture()
        let gate = try Gate()
        fixture.upstream.on("/") { request in
            request.number == 1
                ? [.hold(gate), .respond(.json(#"{"v":1}"#))] : [.respond(.json(#"{"v":2}"#))]
        }
        let id = try fixture.add()
        #expect(await fixture.upstream.waitForRequests(count: 1))
        _ = try await fixture.poller.push(id, body: Array(#"{"v":2}"#.utf8), contentType: nil)
        gate.open()
        #expect(await fixture.upstream.waitForRequests(count: 2))
        #expect(await fixture.poll(id) == .unchanged)
        #expect(fixture.value(of: id) == #"{"v":2}"#)
        #expect(fixture.events == 1)
    }

    @Test("R07 a server that says 304 when either condition matches hides nothing")
    func eitherMatches() async throws {
        let fixture = try PollingFixture()
        let date = "Sun, 23 Nov 2014 06:00:00 GMT"
        fixture.upstream.on("/") { request in
            let headers: HeaderFields = ["ETag": "\"\(request.number)\"", "Last-Modified": date]
            let isUnmodified =
                request.headers["If-None-Match"] == "\"\(request.number)\""
                || request.headers["If-Modified-Since"] == date
            return [
                .respond(isUnmodified ? .status(304, headers: headers) : .json("[\(request.number)]", headers: headers))
            ]
        }
        let id = try fixture.add()
        for number in 1...4 {
            #expect(await fixture.poll(id) == .changed)
            #expect(fixture.value(of: id) == "[\(number)]")
        }
    }

    @Test("R11 an upstream that refuses conditions is polled without", arguments: [400, 412])
    func refusedCondition(status: Int) async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/") { request in
            let isConditional = request.headers["If-None-Match"] != nil || request.headers["If-Modified-Since"] != nil
            let headers: HeaderFields = [
                "ETag": "\"\(request.number)\"", "Last-Modified": "Sun, 23 Nov 2014 06:00:00 GMT",
            ]
            return [.respond(isConditional ? .status(status) : .json("[\(request.number)]", headers: headers))]
        }
        let id = try fixture.add()
        for _ in 0..<5 { #expect(await fixture.poll(id) == .changed) }
        #expect(fixture.upstream.requests.count == 6, "one of them was refused")
        #expect(fixture.status(of: id)?.failures == 0)
        #expect(fixture.status(of: id)?.warnings.map(\.kind) == [.conditionRefused])
    }

    @Test(
        "R13 a refusal with a used-up quota holds the host's other sources back, and is no matter of credentials",
        arguments: [403, 429, 503],
        [
            ["X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "3600"], ["RateLimit": "\"d\";r=0;t=3600"],
            ["X-RateLimit-Remaining-Requests": "0", "X-RateLimit-Reset-Requests": "60m"], ["Retry-After": "3600.0"],
        ] as [HeaderFields]
    )
    func refusedQuota(status: Int, headers: HeaderFields) async throws {
        let fixture = try PollingFixture { $0.maxConcurrentPollsPerHost = 1 }
        fixture.upstream.on("*", respond: .status(status, headers: headers))
        let id = try fixture.add("first", path: "/first")
        #expect(await fixture.poll(id) == .failed(.throttled))
        #expect(fixture.status(of: id)?.state == .backoff)
        let other = try fixture.add("second", path: "/second") { $0.interval = .fixed(.milliseconds(10)) }
        let waits = await fixture.waitForStatus(of: other) {
            $0.intervalReason.contains("the host requested a pause")
        }
        #expect(waits)
        #expect(fixture.upstream.requests(to: "/second").isEmpty)
    }

    @Test("R13 a 403 without a word about waiting is about credentials, and holds nobody back")
    func plainRefusal() async throws {
        let fixture = try PollingFixture { $0.maxConcurrentPollsPerHost = 1 }
        fixture.upstream.on("/first", respond: .status(403, headers: ["X-RateLimit-Remaining": "7"]))
        fixture.upstream.on("/second", respond: .json("[1]"))
        let id = try fixture.add("first", path: "/first")
        #expect(await fixture.poll(id) == .failed(.auth))
        _ = try fixture.add("second", path: "/second") { $0.interval = .fixed(.milliseconds(10)) }
        #expect(await fixture.upstream.waitForRequests(count: 5))
    }

    @Test(
        "R15 a Last-Modified that is almost a date goes back byte for byte",
        arguments: ["Sun, 2 Nov 2014 06:00:00 UTC", "2014-11-02T06:00:00+00:00"]
    )
    func almostDate(text: String) async throws {
        let fixture = try PollingFixture()
        fixture.upstream.on("/") { request in
            [
                .respond(
                    request.headers["If-Modified-Since"] == text
                        ? .status(304) : .json("[1]", headers: ["Last-Modified": text])
                )
            ]
        }
        let id = try fixture.add()
        #expect(await fixture.poll(id) == .changed)
        #expect(await fixture.poll(id) == .notModified)
    }

    @Test("R16 what is served as text/plain while an upstream starts decides nothing")
    func plainText() async throws {
        let fixture = try PollingFixture()
        let bodies = ["starting up", #"{"a":1}"#, #"{"a":2}"#, "503 down", #"{"a":3}"#]
        fixture.upstream.on("/") { request in
            let body = bodies[min(request.number, bodies.count) - 1]
            return [.respond(UpstreamResponse(headers: ["Content-Type": "text/plain"], body: Array(body.utf8)))]
        }
        let id = try fixture.add()
        for outcome in [PollOutcome.changed, .changed, .changed, .failed(.malformed), .changed] {
            #expect(await fixture.poll(id) == outcome)
        }
        #expect(fixture.value(of: id) == #"{"a":3}"#)
        #expect(fixture.status(of: id)?.lastError?.error.message.contains("`format`") == true)
    }

    @Test("R31 a mass deletion is confirmed by a poll of its own, not after another interval of an hour")
    func massDeletion() async throws {
        let fixture = try PollingFixture()
        let rows = (0..<40).map { #"{"id":\#($0),"name":"station \#($0)"}"# }
        fixture.upstream.on("/") { request in
            [.respond(.json(request.number == 1 ? "[\(rows.joined(separator: ","))]" : "[]"))]
        }
        let id = try fixture.add()
        #expect(await fixture.poll(id) == .changed)
        #expect(await fixture.poll(id) == .unchanged)
        #expect(fixture.events == 1)
        #expect(await fixture.upstream.waitForRequests(count: 3))
        // The status counts a change before it is published.
        #expect(await fixture.waitForEvents(2))
        #expect(fixture.value(of: id) == "[]")
    }
}
