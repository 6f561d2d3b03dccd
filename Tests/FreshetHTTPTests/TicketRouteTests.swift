import EventStream
import FreshetAccess
import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import NIOCore
import Synchronization
import System
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Tickets of requests", .overHTTP2)
    struct TicketRouteTests {
        private static let mobile = "mobile-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa"
        private static let chief = "chief-Yb1NwK5sDhUeGa3fJ9tqQm4Zr8L2vXc7"

        private static func pattern(_ text: String) throws -> SourcePattern {
            SourcePattern(try #require(SourceSelector(text)))
        }

        private static func configuration() throws -> AccessConfiguration {
            AccessConfiguration(
                anonymous: Grants(read: try self.pattern("open")),
                keys: [
                    APIKey(
                        id: "mobile",
                        secret: Secret(self.mobile),
                        grants: Grants(read: try self.pattern("open,orders*"))
                    ),
                    APIKey(id: "chief", secret: Secret(self.chief), grants: .administrator),
                ]
            )
        }

        private static func authenticator(_ sharing: (any TicketSharing)? = nil) throws -> Authenticator {
            try Authenticator(
                self.configuration(),
                ticketKey: .random(),
                ticketSharing: sharing,
                fetch: { _ in KeyResponse(status: 404, body: []) },
                clock: { WallClock.now }
            )
        }

        private func withGateway(
            _ authenticator: Authenticator? = nil,
            _ body: (GatewayFixture, Authenticator) async throws -> Void
        ) async throws {
            let authenticator = try authenticator ?? Self.authenticator()
            try await FreshetHTTPTests.withGateway(authenticator: authenticator) { gateway in
                for name in ["open", "orders", "salaries"] {
                    try gateway.publish(#"{"of":"\#(name)"}"#, of: try gateway.source(name))
                }
                try await body(gateway, authenticator)
            }
        }

        private func issue(_ gateway: GatewayFixture, _ sources: String, _ key: String = Self.mobile) async throws
            -> HTTPReply
        {
            try await gateway.send("POST", "/v1/tickets", ["X-API-Key": key], body: #"{"sources":"\#(sources)"}"#)
        }

        private func ticket(_ gateway: GatewayFixture, _ sources: String = "orders") async throws -> String {
            let reply = try await self.issue(gateway, sources)
            #expect(reply.status == 200, "\(reply.text)")
            return try text(reply, "/ticket")
        }

        /// What the other gateways of a cluster say of each ticket that is new.
        private final class Others: TicketSharing {
            let taking: TicketTaking
            let taken = Mutex<Set<Fingerprint>>([])

            init(_ taking: TicketTaking) { self.taking = taking }

            func take(_ ticket: Fingerprint) async -> TicketTaking {
                let isNew = self.taken.withLock { $0.insert(ticket).inserted }
                return isNew || self.taking == .unavailable ? self.taking : .gone
            }

            func resumed(_ ticket: Fingerprint) {}
            func revoke(_ ticket: Fingerprint) {}
        }

        @Test(
            "in a cluster the others are asked before a ticket opens a stream, and for nothing else",
            arguments: [(TicketTaking.taken, 200), (.gone, 401), (.unavailable, 503)]
        )
        func shared(taking: TicketTaking, status: Int) async throws {
            try await self.withGateway(Self.authenticator(Others(taking))) { gateway, _ in
                let ticket = try await self.ticket(gateway)
                #expect(try await gateway.send("GET", "/v1/values/orders?ticket=\(ticket)").status == 401)
                let path = "/v1/streams/orders?ticket=\(ticket)"
                guard status != 200 else {
                    #expect(try await self.status(gateway, "orders?ticket=\(ticket)") == 200)
                    #expect(try await self.status(gateway, "orders?ticket=\(ticket)") == 401)
                    return
                }
                let reply = try await gateway.send("GET", path)
                #expect(reply.status == status)
                if status == 503 {
                    #expect(try code(reply) == "ticket_unavailable")
                    #expect(reply.headers["Retry-After"] == "1")
                }
            }
        }

        /// The status of a stream that is asked for and let go.
        private func status(_ gateway: GatewayFixture, _ path: String, id: String? = nil) async throws -> Int {
            let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/\(path)", lastEventID: id)
            return try await client.head().status
        }

        @Test("are made for what the caller may read, and refused as streams are")
        func issue() async throws {
            try await self.withGateway { gateway, _ in
                let made = try await self.issue(gateway, "orders,open")
                #expect(made.status == 200 && made.headers["Cache-Control"] == "no-store")
                let until = try #require(WallTime(rfc3339: try text(made, "/expires_at")))
                #expect(until > WallClock.now)
                for (sources, status, code) in [
                    ("salaries", 404, "unknown_source"), ("nothing", 404, "unknown_source"),
                    ("orders,salaries", 404, "unknown_source"), ("", 404, "unknown_source"),
                    ("%6f", 404, "unknown_source"),
                ] {
                    let reply = try await self.issue(gateway, sources)
                    #expect(reply.status == status, "\(sources)")
                    #expect(try FreshetHTTPTests.code(reply) == code)
                }
                for body in ["", "[]", "{}", #"{"sources":1}"#, "orders", #"{"sources":"orders""#] {
                    let reply = try await gateway.send("POST", "/v1/tickets", ["X-API-Key": Self.mobile], body: body)
                    #expect(reply.status == 400, "\(body)")
                    #expect(try code(reply) == "bad_body")
                }
                let nobody = try await gateway.send("POST", "/v1/tickets", body: #"{"sources":"open"}"#)
                #expect(nobody.status == 401 && nobody.headers["WWW-Authenticate"] != nil)
                let long = String(repeating: "o", count: 70_000)
                let tooLarge = try await gateway.send("POST", "/v1/tickets", ["X-API-Key": Self.mobile], body: long)
                #expect(tooLarge.status == 413)
            }
            try await FreshetHTTPTests.withGateway { gateway in
                let open = try await gateway.send("POST", "/v1/tickets", body: #"{"sources":"a"}"#)
                #expect(open.status == 404)
                #expect(try code(open) == "no_tickets")
            }
        }

        @Test("open one stream; an id of it resumes it, and nothing else does")
        func streams() async throws {
            try await self.withGateway { gateway, authenticator in
                let ticket = try await self.ticket(gateway)
                let path = "orders?ticket=\(ticket)"
                let first = try EventStreamClient(gateway.endpoint, path: "/v1/streams/\(path)")
                let opening = try await first.next(2)
                #expect(opening.map(\.type) == ["hello", "snapshot"])
                let id = opening[1].lastEventID
                let parts = EventID(id)
                let suffix = try #require(parts.suffix)
                #expect(suffix.utf8.count == 22 && EventID(opening[0].lastEventID).suffix == suffix)
                let orders = try #require(gateway.hub.source(named: "orders"))
                #expect(Cursor(parts.cursor) == gateway.hub.version(of: orders)?.cursor)
                // Alone, with another's id, with an id in the URL, for more sources.
                #expect(try await self.status(gateway, path) == 401)
                #expect(try await self.status(gateway, path, id: String(parts.cursor)) == 401)
                #expect(try await self.status(gateway, path, id: "\(parts.cursor)~\(String(suffix.reversed()))") == 401)
                #expect(try await self.status(gateway, "\(path)&lastEventId=\(id)") == 401)
                #expect(try await self.status(gateway, "orders,open?ticket=\(ticket)", id: id) == 401)
                #expect(try await self.status(gateway, "orders?ticket=\(ticket)&ticket=\(ticket)", id: id) == 400)
                try gateway.publish(#"{"of":"more"}"#, of: orders, isWhole: true)
                #expect(try await first.next()?.lastEventID == "\(gateway.hub.cursor)~\(suffix)")
                let again = try EventStreamClient(gateway.endpoint, path: "/v1/streams/\(path)", lastEventID: id)
                #expect(try await again.next(2).map(\.type) == ["hello", "snapshot"])
                // The earlier one is told so.
                let bye = try #require(try await first.next())
                #expect(bye.type == "bye" && bye.text.contains(#""revoked""#))
                try await eventually { gateway.streams.statistics.subscribers == 1 }
                // Its key is gone: 204 ends EventSource's loop, and the URL alone is spent as ever.
                try authenticator.update(AccessConfiguration())
                #expect(try await self.status(gateway, path, id: id) == 204)
                #expect(try await self.status(gateway, path) == 401)
            }
        }

        @Test("are good for streams alone, and still good where no stream came of them")
        func others() async throws {
            try await self.withGateway { gateway, authenticator in
                let ticket = try await self.ticket(gateway)
                for path in ["values/orders", "changes/orders", "me", "sources"] {
                    let reply = try await gateway.get("/v1/\(path)?ticket=\(ticket)")
                    #expect(reply.status == 401, "\(path)")
                    #expect(try code(reply) == "invalid_credential")
                }
                let admin = try await RawHTTP.send(
                    "GET",
                    "/v1/admin/subscribers?ticket=\(ticket)",
                    to: gateway.endpoint
                )
                #expect(admin.status == 401)
                let more = try await gateway.send(
                    "POST",
                    "/v1/tickets?ticket=\(ticket)",
                    body: #"{"sources":"orders"}"#
                )
                #expect(more.status == 401)
                let path = "/v1/streams/orders?ticket=\(ticket)"
                #expect(try await gateway.send("HEAD", path).status == 401)
                #expect(try await gateway.get(path, ["Accept": "application/x-ndjson"]).status == 406)
                #expect(try await gateway.get("\(path)&mode=none").status == 400)
                #expect(try await gateway.get(path, ["X-API-Key": Self.mobile]).status == 400)
                #expect(authenticator.snapshot.tickets.unused == 1)
                #expect(try await self.status(gateway, "orders?ticket=\(ticket)") == 200)
                let counts = authenticator.snapshot.tickets
                #expect(counts.unused == 0 && counts.opened == 1)
            }
        }

        @Test("of a stream that an administrator closed resume nothing")
        func closed() async throws {
            try await self.withGateway { gateway, _ in
                let path = "orders?ticket=\(try await self.ticket(gateway))"
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/\(path)")
                let id = try #require(try await client.next(2).last).lastEventID
                let list = try await gateway.get("/v1/admin/subscribers")
                #expect(try text(list, "/subscribers/0/format") == "sse")
                #expect(try text(list, "/subscribers/0/subject") == "mobile")
                let subscriber = try text(list, "/subscribers/0/id")
                #expect(try await gateway.send("DELETE", "/v1/admin/subscribers/\(subscriber)").status == 204)
                let bye = try #require(try await client.next())
                #expect(bye.type == "bye" && bye.text.contains(#""revoked""#))
                #expect(try await self.status(gateway, path, id: id) == 204)
                // Its key is as good as before.
                #expect(try await self.status(gateway, "orders?ticket=\(try await self.ticket(gateway))") == 200)
            }
        }

        @Test("that wait to be used are bounded, for each caller")
        func bounds() async throws {
            try await self.withGateway { gateway, authenticator in
                let identified = await authenticator.authenticate(Credentials(.apiKey(Secret(Self.mobile))))
                let principal = try identified.get()
                for _ in 0..<TicketLimits.maxUnusedPerAccount {
                    _ = try authenticator.issueTicket(for: principal, sources: "orders")
                }
                let reply = try await self.issue(gateway, "orders")
                #expect(reply.status == 429 && reply.headers["Retry-After"] != nil)
                #expect(try code(reply) == "too_many_tickets")
                #expect(try await self.issue(gateway, "orders", Self.chief).status == 200)
            }
        }

        @Test(
            "say where a stream goes on",
            arguments: [
                (nil, "", "snapshot"), (nil, "since=latest", "latest"), ("k3f9q-41", "", "after"),
                ("k3f9q-41~abc", "since=latest", "after"), (nil, "since=k3f9q-41~abc", "after"),
                (nil, "lastEventId=k3f9q-41~abc", "after"), ("nonsense~abc", "", "malformed"),
                // Cut off before its first value it begins as it did.
                ("k3f9q-0~abc", "", "snapshot"), ("k3f9q-0~abc", "since=10m", "time"),
                ("k3f9q-0~abc", "since=k3f9q-41", "after"),
                // It asked for no value: what came since hello must not be lost.
                ("k3f9q-0~abc", "since=latest", "after 0"),
            ] as [(String?, String, String)]
        )
        func positions(id: String?, query: String, expected: String) throws {
            var parser = RequestParser(
                limits: .init(maxTargetBytes: 1000, maxFieldBytes: 1000, maxFields: 10),
                bodyLimit: 0
            )
            let field = id.map { "Last-Event-ID: \($0)\r\n" } ?? ""
            var buffer = ByteBuffer(string: "GET /v1/streams/a?\(query) HTTP/1.1\r\nHost: a\r\n\(field)\r\n")
            guard case .head(let head) = parser.next(&buffer) else {
                Issue.record("no head")
                return
            }
            let name =
                switch StreamRequest.position(head, query: QueryString(head.query)) {
                case .snapshot: "snapshot"
                case .latest: "latest"
                case .earliest: "earliest"
                case .after(let cursor): cursor.sequence == 0 ? "after 0" : "after"
                case .time: "time"
                case .past: "past"
                case .malformed: "malformed"
                }
            #expect(name == expected)
        }

        @Test("that are refused for ever are told of once a minute and client")
        func knocks() {
            var counter = KnockCounter()
            let minute = KnockCounter.interval
            let clients = (0..<KnockCounter.maxClients).map { PeerAddress("10.0.\($0 >> 8).\($0 & 255)") }
            let (first, further) = (clients[0], PeerAddress("192.0.2.1"))
            #expect(counter.count(first, at: 0) == 1)
            for _ in 0..<1000 { #expect(counter.count(first, at: minute - 1) == nil) }
            #expect(counter.count(first, at: minute) == 1001)
            #expect(counter.count(first, at: minute) == nil)
            for client in clients.dropFirst() { #expect(counter.count(client, at: minute) == 1) }
            #expect(counter.count(further, at: minute) == nil)
            // Those that were quiet make room.
            #expect(counter.count(further, at: 2 * minute) == 1)
        }
    }
}
