import EventStream
import FreshetAccess
import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Gateway route")
    struct GatewayRouteTests {
        @Test("the whole in a few figures")
        func figures() async throws {
            try await withGateway({ $0.version = "1.2.3" }) { gateway in
                let rates = try gateway.source("rates")
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/rates")
                #expect(try await client.next()?.type == "hello")
                for number in 1...3 { try gateway.publish("[\(number)]", of: rates) }
                _ = try await client.next(3)
                var reply = try await gateway.get("/v1/gateway")
                // What a shard did is visible after its turn.
                try await eventually {
                    reply = try await gateway.get("/v1/gateway")
                    return try json(reply, "/deliveries_per_minute").int == 3
                }
                #expect(try text(reply, "/version") == "1.2.3")
                #expect(try text(reply, "/started_at").hasSuffix("Z"))
                #expect(try text(reply, "/caller/kind") == "anonymous")
                #expect(try json(reply, "/caller/admin").bool == false)
                #expect(try json(reply, "/caller/read/0").string == "*")
                #expect(try json(reply, "/events_per_minute").int == 3)
                #expect(try json(reply, "/subscribers").int == 1)
                #expect(try json(reply, "/subscribers_behind").int == 0)
                #expect(try json(reply, "/upstream_requests_saved").int == 0)
                #expect(try json(reply, "/upstream_requests_per_minute").int == 0)
                let admin = try await gateway.get("/v1/gateway", GatewayFixture.credential)
                #expect(try json(admin, "/caller/admin").bool == true)
            }
        }

        @Test("with auth, figures about everybody are for administrators")
        func access() async throws {
            let secrets = ["reader-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa", "chief-Yb1NwK5sDhUeGa3fJ9tqQm4Zr8L2vXc7"]
            let read = Grants(read: SourcePattern(try #require(SourceSelector("a"))))
            let authenticator = try Authenticator(
                AccessConfiguration(
                    keys: [
                        APIKey(id: "reader", secret: Secret(secrets[0]), grants: read),
                        APIKey(id: "chief", secret: Secret(secrets[1]), grants: .administrator),
                    ]
                ),
                ticketKey: .random(),
                fetch: { _ in KeyResponse(status: 404, body: []) },
                clock: { WallClock.now }
            )
            try await withGateway({ $0.version = "1.2.3" }, authenticator: authenticator) { gateway in
                let nobody = try await gateway.get("/v1/gateway")
                #expect(nobody.status == 200)
                #expect(try json(nobody, "/version").isNull && json(nobody, "/caller/read").count == 0)
                let reader = try await gateway.get("/v1/gateway", ["Authorization": "Bearer \(secrets[0])"])
                #expect(try text(reader, "/caller/id") == "reader" && text(reader, "/version") == "1.2.3")
                #expect(try json(reader, "/subscribers").isNull && json(reader, "/events_per_minute").isNull)
                let chief = try await gateway.get("/v1/gateway", ["Authorization": "Bearer \(secrets[1])"])
                #expect(try json(chief, "/subscribers").int == 0 && json(chief, "/caller/admin").bool == true)
                #expect(try await gateway.get("/v1/gateway", ["Authorization": "Bearer wrong"]).status == 401)
            }
        }

        @Test("a minute is the last sixty seconds, or the time since the start")
        func pulse() async throws {
            let hub = Hub(log: ChangeLog(epoch: Epoch(rawValue: 1)))
            let requests = Watched<UInt64>(0)
            let pulse = GatewayPulse(hub: hub, streams: StreamServer(hub: hub)) {
                UpstreamFigures(requests: requests.value, saved: 0)
            }
            for _ in 1...30 {
                requests.update { $0 += 5 }
                pulse.note()
            }
            requests.update { $0 += 2 }
            // Eleven notes of 5 s lie between the oldest that is kept and the newest.
            #expect(pulse.figures().lastMinute.requests == 57)
        }
    }
}
