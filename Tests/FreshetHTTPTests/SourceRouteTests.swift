import FreshetCore
import FreshetTesting
import JSON
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Source route")
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
                        error: PollError(.timeout, "No answer\nwithin \"30s\"."),
                        at: WallTime(milliseconds: 1_700_000_001_000)
                    )
                    status.nextPollAt = WallTime(milliseconds: 1_700_000_002_500)
                    status.validators = Validators(etag: Array(#"W/"x""#.utf8), lastModified: nil)
                    (status.polls, status.notModified, status.unchanged) = (9, 4, 2)
                    (status.changes, status.failures, status.bytes) = (1, 2, 1234)
                }
                let reply = try await gateway.get("/v1/sources/rates")
                let expected = #"""
                    {"name":"rates","state":"failing","state_since":"2023-11-14T22:13:20.000Z","interval":"10s",
                    "interval_reason":"as configured","last_error":{"kind":"timeout",
                    "message":"No answer\nwithin \"30s\".","at":"2023-11-14T22:13:21.000Z"},
                    "next_poll_at":"2023-11-14T22:13:22.500Z","last_success_at":null,
                    "validator":{"etag":"W/\"x\"","last_modified":null},
                    "collection":null,"warnings":[],
                    "polls":9,"not_modified":4,"unchanged":2,"changes":1,"failures":2,"bytes":1234,
                    "consecutive_failures":0,"flaps":0,
                    "subscribers":0,"cursor":"\#(gateway.cursor(1))","value_bytes":5}
                    """#
                #expect(try Document(parsing: reply.body) == Document(parsing: Array(expected.utf8)))
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
    }
}
