import EventStream
import FreshetAccess
import FreshetCore
import FreshetTesting
import JSON
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    // Its connections are planted with certificates, and are plain.
    @Suite("The matrix of access", .ownTransport)
    struct AccessMatrixTests {
        typealias Credential = AccessOracle.Credential
        typealias Action = AccessOracle.Action

        private static let secret = Secret("matrix-Zk3vQ9xWm2Lr7Tn5Yb8Hc1Qm4Zr8L2vXc7")
        private static let origin = "https://app.example"

        private static func key(_ tenant: String) -> String { "\(tenant)-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa" }
        private static func subject(_ tenant: String) -> String { "CN=backend,O=\(tenant)" }

        private static func grants(_ tenant: String) throws -> Grants {
            func pattern(_ text: String) throws -> SourcePattern { SourcePattern(try #require(SourceSelector(text))) }
            return Grants(
                read: try pattern("\(tenant)-0*,shared"),
                write: try pattern("\(tenant)-00,\(tenant)-01,\(tenant)-14"),
                publish: try pattern("\(tenant)-00,\(tenant)-01,\(tenant)-15"),
                admin: tenant == "east"
            )
        }

        private static func authenticator() throws -> Authenticator {
            var configuration = AccessConfiguration(
                anonymous: Grants(read: SourcePattern([.exact("lobby")])),
                issuers: [
                    TokenIssuer(issuer: "us", audience: "freshet", algorithms: [.hs256], keys: .secret(self.secret))
                ]
            )
            for tenant in AccessOracle.tenants {
                let grants = try self.grants(tenant)
                configuration.keys.append(APIKey(id: tenant, secret: Secret(self.key(tenant)), grants: grants))
                let holder = CertificateHolder(subject: self.subject(tenant), grants: grants)
                configuration.certificates.append(holder)
            }
            return try Authenticator(
                configuration,
                ticketKey: .random(),
                fetch: { _ in KeyResponse(status: 404, body: []) },
                clock: { WallClock.now }
            )
        }

        /// What a caller sends along. A certificate is its connection's.
        private static func fields(_ tenant: String, _ credential: Credential) async throws -> HeaderFields {
            switch credential {
            case .key: return ["Authorization": "Bearer \(self.key(tenant))"]
            case .cookie: return ["Cookie": "id=\(self.key(tenant))", "Origin": self.origin]
            case .certificate, .ticket, .none: return [:]
            case .jwt:
                let now = WallClock.now
                let token = NewToken(
                    issuer: "us",
                    audience: "freshet",
                    subject: tenant,
                    issuedAt: now,
                    expiresAt: WallTime(milliseconds: now.milliseconds + 3_600_000),
                    grants: try self.grants(tenant)
                )
                let key = try #require(SigningKey(self.secret))
                return ["Authorization": "Bearer \(try await token.signed(by: key, with: .hs256))"]
            }
        }

        private static func configure(_ settings: inout HTTPSettings) {
            settings.credentialCookie = "id"
            settings.corsOrigins = [self.origin]
        }

        /// A gateway with all sources, and one caller of it.
        private func with(
            _ tenant: String,
            _ credential: Credential,
            writes: Watched<Int> = Watched(0),
            _ body: (GatewayFixture, Caller) async throws -> Void
        ) async throws {
            let push = PushDeskStub()
            try await withGateway(
                Self.configure,
                authenticator: Self.authenticator(),
                writer: { AccessWriter($0, done: writes) },
                push: push
            ) { gateway in
                for name in AccessOracle.sources {
                    try gateway.publish(#"{"of":"\#(name)"}"#, of: try gateway.source(name))
                }
                let fields = try await Self.fields(tenant, credential)
                let subject = credential == .certificate ? Self.subject(tenant) : nil
                try await gateway.withCertificate(subject) { endpoint in
                    var caller = Caller(endpoint: endpoint, fields: fields)
                    if credential == .ticket {
                        let made = try await Self.makeTicket(tenant, "shared", HTTPTestClient(endpoint))
                        caller.ticketOwner = (tenant, try text(made, "/ticket"))
                    }
                    try await body(gateway, caller)
                }
            }
        }

        static func send(
            _ action: Action,
            _ source: String,
            to client: HTTPTestClient,
            _ caller: Caller,
            isHead: Bool = false
        ) async throws -> HTTPReply {
            if let owner = caller.ticketOwner {
                // Streams use tickets up; the others must not, so that one is enough.
                guard action == .stream else {
                    return try await self.send(action, "\(source)?ticket=\(owner.ticket)", to: client, [:])
                }
                let made = try await self.makeTicket(owner.tenant, source, client)
                guard made.status == 200 else { return made }
                let path = "/v1/streams/\(source)?ticket=\(try text(made, "/ticket"))"
                let stream = try EventStreamClient(caller.endpoint, path: path)
                let head = try await stream.head()
                await stream.close()
                return HTTPReply(head: head, body: [])
            }
            return try await self.send(action, source, to: client, caller.fields, isHead: isHead)
        }

        private static func send(
            _ action: Action,
            _ source: String,
            to client: HTTPTestClient,
            _ fields: HeaderFields,
            isHead: Bool = false
        ) async throws -> HTTPReply {
            switch action {
            case .stream:
                return try await client.send(isHead ? "HEAD" : "GET", "/v1/streams/\(source)", headers: fields)
            case .value: return try await client.get("/v1/values/\(source)", headers: fields)
            case .changes: return try await client.get("/v1/changes/\(source)", headers: fields)
            case .write:
                return try await client.send("PUT", "/v1/values/\(source)", headers: fields, body: Array("[1]".utf8))
            case .publish:
                let path = Self.path("/v1/sources/", source, "/value")
                return try await client.post(path, headers: fields, body: Array("[1]".utf8))
            case .admin:
                let path = Self.path("/v1/admin/sources/", source, "/poll")
                return try await client.post(path, headers: fields, body: [])
            case .push:
                let parts = source.split(separator: "?", maxSplits: 1).map(String.init)
                let path = "/v1/push/subscriptions" + (parts.count > 1 ? "?\(parts[1])" : "")
                return try await client.post(path, headers: fields, body: PushDeskStub.body(sources: parts[0]))
            }
        }

        /// A path that goes on after the name, in front of the query behind it.
        private static func path(_ start: String, _ source: String, _ end: String) -> String {
            let parts = source.split(separator: "?", maxSplits: 1)
            return "\(start)\(parts[0])\(end)" + (parts.count > 1 ? "?\(parts[1])" : "")
        }

        static func makeTicket(_ tenant: String, _ sources: String, _ client: HTTPTestClient) async throws
            -> HTTPReply
        {
            try await client.post(
                "/v1/tickets",
                headers: ["X-API-Key": self.key(tenant)],
                body: Array(#"{"sources":"\#(sources)"}"#.utf8)
            )
        }

        /// What a caller sends along with each request.
        struct Caller {
            var endpoint: Endpoint
            var fields: HeaderFields
            /// Where it uses tickets: whose, and one that opens a stream of `shared`.
            var ticketOwner: (tenant: String, ticket: String)?
        }

        private static let callers: [(String, Credential)] =
            AccessOracle.tenants.flatMap { tenant in
                Credential.allCases.filter { $0 != .none || tenant == "north" }.map { (tenant, $0) }
            }

        @Test(
            "every caller, action and source: the gateway answers as the oracle says",
            arguments: Self.callers,
            AccessWay.allCases
        )
        func matrix(who: (tenant: String, credential: AccessOracle.Credential), way: AccessWay) async throws {
            let (tenant, credential) = who
            let writes = Watched(0)
            try await self.with(tenant, credential, writes: writes) { gateway, caller in
                var wrong: [String] = []
                var line = try await AccessLine(way, caller)
                for source in AccessOracle.sources + ["\(tenant)-0x", "none"] {
                    for action in way.actions {
                        let told = try await line.ask(action, source, isHead: true)
                        let expected = AccessOracle.status(tenant, credential, action, source)
                        if told.status != expected {
                            wrong.append("\(action.rawValue) \(source): \(told.status) instead of \(expected)")
                        }
                        // Whatever the answer is, it tells of no other source.
                        for other in AccessOracle.sources where other != source && told.text.contains(#""\#(other)""#) {
                            wrong.append("\(action.rawValue) \(source) tells of \(other)")
                        }
                    }
                }
                line.close()
                #expect(wrong.isEmpty)
                func allowed(_ action: Action) -> Int {
                    guard way.actions.contains(action) else { return 0 }
                    return AccessOracle.sources.count { AccessOracle.status(tenant, credential, action, $0) == 200 }
                }
                #expect(gateway.control.log.count == allowed(.publish) + allowed(.admin), "nothing else was done")
                #expect(writes.value == allowed(.write), "nothing else was written")
            }
        }

        @Test(
            "what is forbidden and what does not exist are one answer: status, fields and body",
            arguments: Self.callers,
            AccessWay.allCases
        )
        func indistinct(who: (tenant: String, credential: AccessOracle.Credential), way: AccessWay) async throws {
            let (tenant, credential) = who
            try await self.with(tenant, credential) { _, caller in
                var line = try await AccessLine(way, caller)
                let other = tenant == "south" ? "north" : "south"
                for (there, missing) in [("\(other)-00", "\(other)-99"), ("\(tenant)-10", "\(tenant)-1x")] {
                    for action in way.actions {
                        guard AccessOracle.status(tenant, credential, action, there) != 200 else { continue }
                        let hidden = try await line.ask(action, there)
                        let absent = try await line.ask(action, missing)
                        #expect(hidden.status == absent.status && hidden.status >= 400)
                        #expect(hidden.fields == absent.fields, "\(action.rawValue)")
                        #expect(hidden.text == absent.text.replacing(missing, with: there), "\(action.rawValue)")
                    }
                }
                line.close()
            }
        }

        @Test(
            "* is what the caller may read, in streams, sockets, changes and lists",
            arguments: Self.callers,
            AccessWay.allCases
        )
        func star(who: (tenant: String, credential: AccessOracle.Credential), way: AccessWay) async throws {
            let (tenant, credential) = who
            try await self.with(tenant, credential) { gateway, caller in
                let readable = AccessOracle.readable(tenant, credential)
                var listener = try await AccessListener(way, caller)
                #expect(try await listener.next(readable.count) == readable)
                // Every source changes; of those that it may not read nothing comes, and a new one is as its name says.
                for name in AccessOracle.sources + ["\(tenant)-0new", "zzz"] {
                    let source = try gateway.hub.source(named: name) ?? gateway.source(name)
                    try gateway.publish(#"{"of":"\#(name) again"}"#, of: source, isWhole: true)
                }
                let now = readable.union(credential == .none ? [] : ["\(tenant)-0new"])
                #expect(try await listener.next(now.count) == now)
                await listener.close()
                guard caller.ticketOwner == nil, way == .requests else { return }
                let client = HTTPTestClient(caller.endpoint)
                let changes = try await client.get("/v1/changes/*?since=earliest", headers: caller.fields)
                let events = try #require(try Document(parsing: changes.body).root["events"])
                #expect(Set(events.elements.compactMap { $0["data"]?["source"]?.string }) == now)
            }
        }
    }
}
