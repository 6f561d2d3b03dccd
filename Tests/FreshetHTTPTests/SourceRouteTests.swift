import EventStream
import FreshetCore
import FreshetTesting
import HTTPFields
import JSON
import NIOPosix
import Synchronization
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Source route", .overHTTP2)
    struct SourceRouteTests {
        @Test("a source shows everything that the contract names")
        func fields() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                let bare = try await gateway.get("/v1/sources/rates")
                #expect(try json(bare, "/last_error").isNull)
                #expect(try json(bare, "/cursor").isNull)
                #expect(try json(bare, "/next_poll_at").isNull)
                try gateway.publish("[1, 2]", of: rates)
                try gateway.update(rates) { status in
                    status.state = .failing
                    status.lastError = ReportedError(
                        error: UpstreamError(.timeout, "No answer\nwithin \"30s\"."),
                        at: WallTime(milliseconds: 1_700_000_001_000)
                    )
                    status.nextPollAt = WallTime(milliseconds: 1_700_000_002_500)
                    status.validators = Validators(etag: Array(#"W/"x""#.utf8), lastModified: nil)
                    (status.polls, status.notModified, status.unchanged) = (9, 4, 2)
                    (status.changes, status.failures, status.bytes) = (1, 2, 1234)
                    status.url = "https://api.example.com/rates?key=***"
                }
                let reply = try await gateway.get("/v1/sources/rates")
                let hours = "[\(Array(repeating: "0", count: 24).joined(separator: ","))]"
                let expected = #"""
                    {"name":"rates","url":"https://api.example.com/rates?key=***",
                    "problem":{"what":"api.example.com does not answer in time","why":"No answer\nwithin \"30s\".",
                    "effect":"Nobody listens; who comes will have no value yet and know the state of the source.",
                    "fix":"Raise timeout, or find out why the upstream is slow."},
                    "last_change":null,"requests_saved":0,"last_poll":null,
                    "changes_per_hour":\#(hours),"failures_per_hour":\#(hours),"state":"failing","state_since":"2023-11-14T22:13:20.000Z","interval":"10s",
                    "interval_reason":"as configured","last_error":{"kind":"timeout",
                    "message":"No answer\nwithin \"30s\".","at":"2023-11-14T22:13:21.000Z"},
                    "next_poll_at":"2023-11-14T22:13:22.500Z","last_success_at":null,
                    "validator":{"etag":"W/\"x\"","last_modified":null,"checks":0,"caught_at":null},
                    "collection":null,"warnings":[],
                    "polls":9,"not_modified":4,"unchanged":2,"changes":1,"failures":2,"bytes":1234,
                    "consecutive_failures":0,"flaps":0,
                    "subscribers":0,"cursor":"\#(gateway.cursor(1))","value_bytes":5}
                    """#
                #expect(try Document(parsing: reply.body) == Document(parsing: Array(expected.utf8)))
            }
        }

        @Test("the last change and the last poll are told, without what may be secret")
        func reports() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                let (old, new) = (try Document(parsing: Array("[1]".utf8)), try Document(parsing: Array("[2]".utf8)))
                var change = Change(document: new, at: WallTime(milliseconds: 1_700_000_000_000))
                change.summary = ChangeSummary(from: old, to: new, operations: 1, items: nil)
                gateway.hub.publish(change, of: rates)
                let trace = ExchangeTrace(
                    version: "HTTP/2",
                    status: 304,
                    isNewConnection: false,
                    timing: .init(firstByte: 38.20049, download: 0.5),
                    request: [.init("GET", "https://api.example.com/"), .init("Authorization", nil)],
                    received: [HeaderField(name: Array("etag".utf8), value: Array("\"x\"".utf8))]
                )
                let at = WallTime(milliseconds: 1_700_000_001_000)
                try gateway.update(rates) {
                    $0.lastPoll = PollRecord(at: at, outcome: .notModified, bytes: 0, trace: trace)
                    $0.changesPerHour.add(at: WallClock.now)
                }
                let reply = try await gateway.get("/v1/sources/rates")
                let lastChange = #"""
                    {"at":"2023-11-14T22:13:20.000Z","cursor":"\#(gateway.cursor(1))","added":0,"removed":0,"updated":0,
                    "values":1,"sample":{"item":null,"path":"/0","old":1,"new":2}}
                    """#
                #expect(try json(reply, "/last_change") == Document(parsing: Array(lastChange.utf8)).root)
                let lastPoll = #"""
                    {"at":"2023-11-14T22:13:21.000Z","outcome":"not_modified","status":304,"protocol":"HTTP/2",
                    "connection":"kept","bytes":0,
                    "timing_ms":{"dns":0,"connect":0,"tls":0,"first_byte":38.2,"download":0.5},
                    "request_headers":[["GET","https://api.example.com/"],["Authorization",null]],
                    "response_headers":[["etag","\"x\""]]}
                    """#
                #expect(try json(reply, "/last_poll") == Document(parsing: Array(lastPoll.utf8)).root)
                #expect(try json(reply, "/changes_per_hour").elements.compactMap(\.int).reduce(0, +) == 1)
                let listed = try await gateway.get("/v1/sources")
                #expect(try json(listed, "/sources/0/last_poll/timing_ms/first_byte").double == 38.2)
                #expect(!listed.text.contains("request_headers"), "headers are told of one source alone")
            }
        }

        @Test("polls are saved by every subscriber but one")
        func saved() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.update(rates) { $0.notModified += 5 }
                var clients: [EventStreamClient] = []
                for _ in 0..<3 {
                    let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates")
                    #expect(try await client.next()?.type == "hello")
                    clients.append(client)
                }
                try gateway.update(rates) { $0.notModified += 10 }
                let reply = try await gateway.get("/v1/sources/rates")
                #expect(try json(reply, "/requests_saved").int == 20)
                for client in clients { await client.close() }
            }
        }

        @Test("the collection in force and what the owner should know are told", arguments: [true, false])
        func findings(isGuessed: Bool) async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                let rule = ItemRule(items: try #require(Pointer("/features")), key: Pointer("/properties/County Name"))
                try gateway.update(rates) { status in
                    status.collection = SourceCollection(rule: rule, isGuessed: isGuessed)
                    status.flaps = 7
                    status.failuresInARow = 3
                }
                let reply = try await gateway.get("/v1/sources/rates")
                #expect(try text(reply, "/collection/items") == "/features")
                #expect(try text(reply, "/collection/key") == "/properties/County Name")
                #expect(try text(reply, "/collection/origin") == (isGuessed ? "guessed" : "configured"))
                #expect(try json(reply, "/flaps").int == 7)
                #expect(try json(reply, "/consecutive_failures").int == 3)
            }
        }

        @Test("the list holds every source and the cursor of the log")
        func list() async throws {
            try await withGateway { gateway in
                #expect(
                    try await gateway.get("/v1/sources").text == #"{"sources":[],"cursor":"\#(gateway.cursor(0))"}"#
                )
                try gateway.source("b")
                try gateway.publish("[1]", of: gateway.source("a"))
                let reply = try await gateway.get("/v1/sources")
                #expect(try json(reply, "/sources").elements.compactMap { $0["name"]?.string } == ["b", "a"])
                #expect(try text(reply, "/cursor") == "\(gateway.cursor(1))")
            }
        }

        @Test("subscribers are counted")
        func subscribers() async throws {
            try await withGateway { gateway in
                try gateway.source("rates")
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates")
                _ = try await client.next()
                let reply = try await gateway.get("/v1/sources/rates")
                #expect(try json(reply, "/subscribers").int == 1)
            }
        }

        @Test(
            "S25: an unknown source is a problem that repeats nothing of the path",
            arguments: ["nothing", "%3Cscript%3E", "a%0d%0ab"]
        )
        func unknown(name: String) async throws {
            try await withGateway { gateway in
                let reply = try await gateway.get("/v1/sources/\(name)")
                #expect(reply.status == 404)
                #expect(try code(reply) == "unknown_source")
                #expect(!reply.text.contains("script"))
                #expect(!reply.text.contains("\r"))
            }
        }

        @Test("A15: the list comes in pages, each source once, in the order in which they were added")
        func pages() async throws {
            try await withGateway { gateway in
                for number in 0..<2345 { try gateway.source("s\(number)") }
                gateway.hub.removeSource(try #require(gateway.hub.source(named: "s999")))
                var names: [String] = []
                var path: String? = "/v1/sources"
                var count = 0
                while let next = path {
                    let reply = try await gateway.get(next)
                    names += try json(reply, "/sources").elements.compactMap { $0["name"]?.string }
                    count += 1
                    let after = try Document(parsing: reply.body).root["next"]?.string
                    path = after.map { "/v1/sources?limit=1000&after=\($0)" }
                    #expect(reply.headers["Link"] == path.map { "<\($0)>; rel=\"next\"" })
                }
                #expect(names == (0..<2345).filter { $0 != 999 }.map { "s\($0)" })
                #expect(count == 3)
                #expect(try await text(gateway.get("/v1/sources?limit=1"), "/sources/0/name") == "s0")
                #expect(try await gateway.get("/v1/sources?after=99999999").text.hasPrefix(#"{"sources":[],"#))
            }
        }

        @Test(
            "A15: a page that cannot be is refused",
            arguments: [
                "limit=0", "limit=1001", "limit=x", "after=-1", "after=s1", "limit=99999999999", "after=9999999999",
            ]
        )
        func badPage(query: String) async throws {
            try await withGateway { gateway in
                let reply = try await gateway.get("/v1/sources?\(query)")
                #expect(reply.status == 400)
                #expect(try code(reply) == "bad_\(query.prefix { $0 != "=" })")
            }
        }

        @Test("A15: metrics, list and readiness are made once for many who ask, and on no event loop")
        func shared() async throws {
            let made = Mutex((count: 0, onLoop: 0))
            let provider: MetricsProvider = { _ in
                made.withLock { made in
                    made.count += 1
                    made.onLoop += MultiThreadedEventLoopGroup.currentEventLoop == nil ? 0 : 1
                }
            }
            try await withGateway({ $0.sharedTextLifetime = .seconds(3600) }, metrics: [provider]) { gateway in
                try gateway.source("first")
                try await withThrowingTaskGroup(of: String.self) { group in
                    for _ in 0..<40 {
                        group.addTask { try await gateway.get("/metrics").text }
                    }
                    for try await text in group { #expect(text.contains("freshet_http_requests_total")) }
                }
                #expect(made.withLock { $0.count } == 1 && made.withLock { $0.onLoop } == 0)
                for path in ["/v1/sources", "/readyz?verbose"] {
                    let before = try await gateway.get(path).text
                    try gateway.source("later-\(path.utf8.count)")
                    #expect(try await gateway.get(path).text == before)
                }
                #expect(try await gateway.get("/v1/sources/later-11").status == 200, "one source is told as it is")
            }
        }
    }
}
