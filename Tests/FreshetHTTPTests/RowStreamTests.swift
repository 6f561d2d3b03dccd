import EventStream
import FreshetAccess
import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Rows as a stream", .overHTTP2)
    struct RowStreamTests {
        private static let accept: HeaderFields = ["Accept": "text/event-stream"]

        private static func accept(after id: String) -> HeaderFields {
            var headers = Self.accept
            headers.append("Last-Event-ID", id)
            return headers
        }

        private static func data(_ event: StreamEvent) throws -> Value {
            try Document(parsing: Array(event.text.utf8)).root
        }

        /// The next event that is a row of this source.
        private static func row(_ name: String, of client: EventStreamClient) async throws -> Value {
            while let event = try await client.next() {
                guard event.type == "row" else { continue }
                let row = try Self.data(event)
                if row["name"]?.string == name { return row }
            }
            throw CancellationError()
        }

        @Test("a stream begins with hello and every row, and goes on with those that change")
        func rows() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.source("other")
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/sources", headers: Self.accept)
                let head = try await client.head()
                #expect(head.status == 200)
                #expect(head.headers["Content-Type"] == "text/event-stream")
                #expect(head.headers["Cache-Control"] == "no-store" && head.headers["X-Accel-Buffering"] == "no")
                let opening = try await client.next(3)
                #expect(opening.map(\.type) == ["hello", "row", "row"])
                let hello = try Self.data(opening[0])
                #expect(hello["resumed"]?.bool == false && hello["sources"]?.int == 2)
                #expect(try opening.dropFirst().map { try Self.data($0)["name"]?.string } == ["rates", "other"])
                try gateway.publish("[1]", of: rates)
                try gateway.publish("[2]", of: rates)
                let changed = try await Self.row("rates", of: client)
                #expect(changed["cursor"]?.string == "\(gateway.cursor(2))")
                try gateway.update(rates) { $0.state = .failing }
                #expect(try await Self.row("rates", of: client)["state"]?.string == "failing")
                gateway.hub.removeSource(rates)
                let gone = try #require(try await client.next())
                #expect(gone.type == "removed" && gone.text == #"{"name":"rates"}"#)
            }
        }

        @Test("a row of the stream is the row of the list")
        func same() async throws {
            try await withGateway { gateway in
                try gateway.publish("[1]", of: gateway.source("rates"))
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/sources", headers: Self.accept)
                let row = try await Self.row("rates", of: client)
                let list = try await gateway.get("/v1/sources")
                #expect(try json(list, "/sources/0") == row)
            }
        }

        @Test(
            "the list stays JSON unless a stream is asked for",
            arguments: [nil, "*/*", "application/json", "text/html, */*"]
        )
        func list(accept: String?) async throws {
            try await withGateway { gateway in
                let reply = try await gateway.get("/v1/sources", accept.map { ["Accept": $0] } ?? [:])
                #expect(reply.headers["Content-Type"] == "application/json")
            }
        }

        @Test("HEAD tells what a stream is, and ends")
        func head() async throws {
            try await withGateway { gateway in
                let reply = try await gateway.send("HEAD", "/v1/sources", Self.accept)
                #expect(reply.status == 200 && reply.headers["Content-Type"] == "text/event-stream")
            }
        }

        @Test("a client that comes back gets what changed since, and one of another process everything")
        func resume() async throws {
            try await withGateway { gateway in
                let rates = try gateway.source("rates")
                try gateway.source("other")
                let first = try EventStreamClient(gateway.endpoint, path: "/v1/sources", headers: Self.accept)
                let id = try #require(try await first.next(3).last?.lastEventID)
                await first.close()
                try gateway.update(rates) { $0.state = .stale }
                let headers = Self.accept(after: id)
                let second = try EventStreamClient(gateway.endpoint, path: "/v1/sources", headers: headers)
                #expect(try Self.data(#require(try await second.next()))["resumed"]?.bool == true)
                let event = try #require(try await second.next())
                #expect(try Self.data(event)["name"]?.string == "rates" && Self.data(event)["state"]?.string == "stale")
                for other in ["", "x-1", "zz-zz", "1-99999", id + "9"] {
                    let headers = Self.accept(after: other)
                    let client = try EventStreamClient(gateway.endpoint, path: "/v1/sources", headers: headers)
                    #expect(try Self.data(#require(try await client.next()))["resumed"]?.bool == false, "\(other)")
                    #expect(try await client.next(2).map(\.type) == ["row", "row"], "\(other)")
                }
            }
        }

        @Test("there are at most so many, a place is free again once its client has gone, and metrics tell")
        func bound() async throws {
            try await withGateway({ $0.maxRowStreams = 1 }) { gateway in
                try gateway.source("rates")
                let first = try EventStreamClient(gateway.endpoint, path: "/v1/sources", headers: Self.accept)
                _ = try await first.next(2)
                let refused = try await gateway.get("/v1/sources", Self.accept)
                #expect(refused.status == 503 && refused.headers["Retry-After"] != nil)
                #expect(try text(refused, "/code") == "too_many_row_streams")
                let metrics = try await gateway.get("/metrics").text
                #expect(metrics.contains("freshet_row_streams 1\n"))
                #expect(metrics.contains("freshet_row_streams_refused_total 1\n"))
                await first.close()
                try await eventually { try await gateway.get("/metrics").text.contains("freshet_row_streams 0\n") }
            }
        }

        @Test("a quiet stream shows that it lives")
        func heartbeat() async throws {
            try await withGateway({ $0.rowHeartbeat = .milliseconds(50) }) { gateway in
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/sources", headers: Self.accept)
                #expect(try await client.next()?.type == "hello")
                #expect(await client.waitForBody(containing: "\n:\n"))
            }
        }

        @Test("a caller is sent the rows of what it may read, and bye when its credential ends")
        func caller() async throws {
            let secret = "mobile-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa"
            let pattern = SourcePattern(try #require(SourceSelector("orders")))
            let key = APIKey(id: "mobile", secret: Secret(secret), grants: Grants(read: pattern))
            let authenticator = try Authenticator(
                AccessConfiguration(keys: [key]),
                ticketKey: .random(),
                fetch: { _ in KeyResponse(status: 404, body: []) },
                clock: { WallClock.now }
            )
            try await withGateway(authenticator: authenticator) { gateway in
                let orders = try gateway.source("orders")
                let salaries = try gateway.source("salaries")
                #expect(try await gateway.get("/v1/sources", Self.accept).status == 401)
                var headers = Self.accept
                headers.append("Authorization", "Bearer \(secret)")
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/sources", headers: headers)
                let opening = try await client.next(2)
                #expect(try Self.data(opening[0])["sources"]?.int == 1)
                #expect(try Self.data(opening[1])["name"]?.string == "orders")
                try gateway.update(salaries) { $0.state = .failing }
                try gateway.update(orders) { $0.state = .paused }
                #expect(try await Self.row("orders", of: client)["state"]?.string == "paused")
                try authenticator.update(AccessConfiguration())
                let bye = try #require(try await client.next())
                #expect(bye.type == "bye" && bye.text == #"{"reason":"revoked"}"#)
                #expect(try await client.next() == nil)
            }
        }

        @Test("a drain ends the streams with bye")
        func drain() async throws {
            try await withGateway { gateway in
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/sources", headers: Self.accept)
                #expect(try await client.next()?.type == "hello")
                gateway.server.gateway.rows.close()
                let bye = try #require(try await client.next())
                #expect(bye.type == "bye" && bye.text == #"{"reason":"drain"}"#)
                #expect(try await client.next() == nil)
            }
        }

        @Test("what every poll changes is sent less often, so that a thousand sources cost a hundred rows a second")
        func pace() async throws {
            try await withGateway { gateway in
                let sources = try (0..<1000).map { try gateway.source("s\($0)") }
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/sources", headers: Self.accept)
                #expect(try await client.next(1001).last?.type == "row")
                for source in sources.dropFirst() { try gateway.update(source) { $0.polls += 1 } }
                try gateway.update(sources[0]) { $0.state = .failing }
                // The one that failed comes first, although the figures of 999 others are older.
                let next = try await Self.data(#require(client.next()))
                #expect(next["name"]?.string == "s0")
            }
        }
    }
}
