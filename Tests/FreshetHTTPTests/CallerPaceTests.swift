import EventStream
import FreshetAccess
import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Limits of one caller")
    struct CallerPaceTests {
        private static func key(_ id: String) -> String { "\(id)-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa" }
        private static func field(_ id: String) -> HeaderFields { ["X-API-Key": self.key(id)] }

        /// Two keys of `one`, and one of `other`; everybody may read.
        private static func authenticator() throws -> Authenticator {
            let keys = [("one", "one"), ("one", "again"), ("other", "other")].map { id, secret in
                APIKey(id: id, secret: Secret(self.key(secret)), grants: Grants(read: .all))
            }
            return try Authenticator(
                AccessConfiguration(anonymous: Grants(read: .all), keys: keys),
                ticketKey: .random(),
                fetch: { _ in KeyResponse(status: 404, body: []) },
                clock: { WallClock.now }
            )
        }

        /// A refusal by a limit: 429, a code, and a time to come back.
        private static func isRefusal(_ reply: HTTPReply, _ expected: String) throws -> Bool {
            let seconds = reply.headers["Retry-After"].flatMap { Int($0) } ?? 0
            return try reply.status == 429 && code(reply) == expected && seconds >= 1
        }

        @Test("requests count by caller, whichever of its keys it uses; others, anonymous callers and probes go on")
        func requests() async throws {
            try await withGateway(
                {
                    $0.maxRequestsPerCaller = 1
                    $0.overRatePause = .milliseconds(1)
                },
                authenticator: Self.authenticator()
            ) { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                for number in 0..<10 {
                    let field = Self.field(number.isMultiple(of: 2) ? "one" : "again")
                    #expect(try await gateway.get("/v1/values/rates", field).status == 200)
                }
                var refused = 0
                // A bucket that is empty gives one more at the earliest a second later.
                for path in [
                    "/v1/values/rates", "/v1/streams/rates", "/v1/changes/rates", "/v1/me", "/v1/admin/subscribers",
                ] {
                    let reply = try await gateway.get(path, Self.field("one"))
                    refused += try Self.isRefusal(reply, "too_many_requests_from_caller") ? 1 : 0
                }
                let posted = try await gateway.send("POST", "/v1/sources/rates/value", Self.field("again"), body: "[1]")
                refused += try Self.isRefusal(posted, "too_many_requests_from_caller") ? 1 : 0
                #expect(refused >= 4)
                for field in [Self.field("other"), [:]] as [HeaderFields] {
                    #expect(try await gateway.get("/v1/values/rates", field).status == 200)
                }
                #expect(try await gateway.get("/readyz", Self.field("one")).status == 200)
                let metrics = String(
                    decoding: try await gateway.get("/metrics", GatewayFixture.credential).body,
                    as: UTF8.self
                )
                #expect(metrics.contains("freshet_caller_requests_refused_total{reason=\"requests\"} \(refused)"))
            }
        }

        @Test("streams count by caller, and one that ends makes room")
        func streams() async throws {
            var settings = StreamSettings(shards: 1)
            settings.maxSubscribersPerCaller = 2
            try await withGateway(streams: settings, authenticator: Self.authenticator()) { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                func open(_ id: String?) throws -> EventStreamClient {
                    try EventStreamClient(
                        gateway.endpoint,
                        path: "/v1/streams/rates",
                        headers: id.map(Self.field) ?? [:]
                    )
                }
                var held: [EventStreamClient] = []
                for id in ["one", "again", "other", "other", nil, nil, nil] {
                    held.append(try open(id))
                    #expect(try await held.last?.head().status == 200)
                }
                let refused = try await gateway.get("/v1/streams/rates", Self.field("one"))
                #expect(try Self.isRefusal(refused, "too_many_streams_of_caller"))
                #expect(gateway.streams.statistics.refusals[.caller] == 1)
                await held[0].close()
                try await eventually { gateway.streams.statistics.subscribers == 6 }
                let next = try open("again")
                #expect(try await next.head().status == 200)
            }
        }

        @Test(
            "what a caller reads of the log is counted, in changes and in streams; past its rate it waits",
            arguments: [true, false]
        )
        func replay(isStream: Bool) async throws {
            try await withGateway(
                { $0.maxReplayBytesPerCaller = 1000 },
                authenticator: Self.authenticator()
            ) { gateway in
                let rates = try gateway.source("rates")
                let first = try gateway.publish("[0]", of: rates)
                for number in 0..<30 {
                    try gateway.publish(
                        "[\"\(number)\(String(repeating: "x", count: 1000))\"]",
                        of: rates,
                        isWhole: true
                    )
                }
                if isStream {
                    let stream = try EventStreamClient(
                        gateway.endpoint,
                        path: "/v1/streams/rates?mode=snapshot",
                        lastEventID: first.description,
                        headers: Self.field("one")
                    )
                    #expect(try await stream.next(31).last?.type == "snapshot")
                    await stream.close()
                } else {
                    let reply = try await gateway.get("/v1/changes/rates?since=\(first)", Self.field("one"))
                    #expect(reply.status == 200 && reply.body.count > 20_000)
                }
                #expect(try await gateway.get("/v1/changes/rates?since=latest", Self.field("other")).status == 200)
                for path in ["/v1/changes/rates", "/v1/streams/rates?since=\(first)", "/v1/values/rates?at=\(first)"] {
                    let reply = try await gateway.get(path, Self.field("again"))
                    #expect(try Self.isRefusal(reply, "too_much_replay_for_caller"), "\(path)")
                    let seconds = reply.headers["Retry-After"].flatMap { Int($0) } ?? 0
                    #expect(seconds >= 10, "it owes more than twenty seconds' worth")
                    #expect(try await gateway.send("HEAD", path).status == 200)
                }
                // The present value is no replay.
                #expect(try await gateway.get("/v1/values/rates", Self.field("one")).status == 200)
                #expect(try await gateway.send("HEAD", "/v1/streams/rates", Self.field("one")).status == 200)
            }
        }
    }
}
