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
        private typealias Credential = AccessOracle.Credential
        private typealias Action = AccessOracle.Action

        private static let secret = Secret("matrix-Zk3vQ9xWm2Lr7Tn5Yb8Hc1Qm4Zr8L2vXc7")
        private static let origin = "https://app.example"

        private static func key(_ tenant: String) -> String { "\(tenant)-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa" }
        private static func subject(_ tenant: String) -> String { "CN=backend,O=\(tenant)" }

        private static func grants(_ tenant: String) throws -> Grants {
            func pattern(_ text: String) throws -> SourcePattern { SourcePattern(try #require(SourceSelector(text))) }
            return Grants(
                read: try pattern("\(tenant)-0*,shared"),
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
            _ body: (GatewayFixture, Caller) async throws -> Void
        ) async throws {
            let push = PushDeskStub()
            try await withGateway(Self.configure, authenticator: Self.authenticator(), push: push) { gateway in
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

        private static func send(
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

        private static func makeTicket(_ tenant: String, _ sources: String, _ client: HTTPTestClient) async throws
            -> HTTPReply
        {
            try await client.post(
                "/v1/tickets",
                headers: ["X-API-Key": self.key(tenant)],
                body: Array(#"{"sources":"\#(sources)"}"#.utf8)
            )
        }

        /// What a caller sends along with each request.
        private struct Caller {
            var endpoint: Endpoint
            var fields: HeaderFields
            /// Where it uses tickets: whose, and one that opens a stream of `shared`.
            var ticketOwner: (tenant: String, ticket: String)?
        }

        private static let callers: [(String, Credential)] =
            AccessOracle.tenants.flatMap { tenant in
                Credential.allCases.filter { $0 != .none || tenant == "north" }.map { (tenant, $0) }
            }

        @Test("every caller, action and source: the gateway answers as the oracle says", arguments: Self.callers)
        func matrix(tenant: String, credential: AccessOracle.Credential) async throws {
            try await self.with(tenant, credential) { gateway, caller in
                var wrong: [String] = []
                let client = HTTPTestClient(caller.endpoint)
                for source in AccessOracle.sources + ["\(tenant)-0x", "none"] {
                    for action in Action.allCases {
                        let reply = try await Self.send(action, source, to: client, caller, isHead: true)
                        let expected = AccessOracle.status(tenant, credential, action, source)
                        if reply.status != expected {
                            wrong.append("\(action.rawValue) \(source): \(reply.status) instead of \(expected)")
                        }
                        // Whatever the answer is, it tells of no other source.
                        let text = String(decoding: reply.body, as: UTF8.self)
                        for other in AccessOracle.sources where other != source && text.contains(#""\#(other)""#) {
                            wrong.append("\(action.rawValue) \(source) tells of \(other)")
                        }
                    }
                }
                #expect(wrong.isEmpty)
                let allowed = AccessOracle.sources.filter {
                    AccessOracle.status(tenant, credential, .publish, $0) == 200
                }
                let administered = AccessOracle.sources.filter {
                    AccessOracle.status(tenant, credential, .admin, $0) == 200
                }
                #expect(gateway.control.log.count == allowed.count + administered.count, "nothing else was done")
            }
        }

        @Test(
            "what is forbidden and what does not exist are one answer: status, fields and body",
            arguments: Self.callers
        )
        func indistinct(tenant: String, credential: AccessOracle.Credential) async throws {
            try await self.with(tenant, credential) { _, caller in
                let client = HTTPTestClient(caller.endpoint)
                let other = tenant == "south" ? "north" : "south"
                for (there, missing) in [("\(other)-00", "\(other)-99"), ("\(tenant)-10", "\(tenant)-1x")] {
                    for action in Action.allCases {
                        guard AccessOracle.status(tenant, credential, action, there) != 200 else { continue }
                        let hidden = try await Self.send(action, there, to: client, caller)
                        let absent = try await Self.send(action, missing, to: client, caller)
                        #expect(hidden.status == absent.status)
                        func told(_ reply: HTTPReply) -> [String] {
                            reply.headers.all.filter { $0.name != "Date" }.map { "\($0.name): \($0.value)" }
                        }
                        #expect(told(hidden) == told(absent), "\(action.rawValue)")
                        let expected = String(decoding: absent.body, as: UTF8.self).replacing(missing, with: there)
                        #expect(String(decoding: hidden.body, as: UTF8.self) == expected, "\(action.rawValue)")
                    }
                }
            }
        }

        @Test("a subscription of a socket is answered as a stream is", arguments: Self.callers)
        func sockets(tenant: String, credential: AccessOracle.Credential) async throws {
            try await self.with(tenant, credential) { _, caller in
                guard caller.ticketOwner == nil else { return }
                let client = try await SocketClient(caller.endpoint, SocketClient.path, caller.fields)
                var wrong: [String] = []
                for (index, source) in (AccessOracle.sources + ["\(tenant)-0x", "none"]).enumerated() {
                    let message = #"{"re":\#(index),"op":"subscribe","sources":"\#(source)","since":"latest"}"#
                    let answer = try Document(parsing: Array(try await client.ask(message, re: index).utf8)).root
                    let status = answer["problem"]?["status"]?.int ?? (answer["ok"] == nil ? 0 : 200)
                    let expected = AccessOracle.status(tenant, credential, .stream, source)
                    if status != expected { wrong.append("\(source): \(status) instead of \(expected)") }
                }
                #expect(wrong.isEmpty)
                client.close()
            }
        }

        @Test("* is what the caller may read, in streams, changes and lists", arguments: Self.callers)
        func star(tenant: String, credential: AccessOracle.Credential) async throws {
            try await self.with(tenant, credential) { gateway, caller in
                let readable = AccessOracle.readable(tenant, credential)
                var path = "/v1/streams/*?mode=snapshot"
                if let owner = caller.ticketOwner {
                    let made = try await Self.makeTicket(owner.tenant, "*", HTTPTestClient(caller.endpoint))
                    path += "&ticket=\(try text(made, "/ticket"))"
                }
                let stream = try EventStreamClient(caller.endpoint, path: path, headers: caller.fields)
                let opening = try await stream.next(1 + readable.count)
                func names(_ events: ArraySlice<StreamEvent>) throws -> Set<String> {
                    Set(try events.compactMap { try Document(parsing: $0.data).root["source"]?.string })
                }
                #expect(try names(opening.dropFirst()) == readable)
                // Every source changes; of those that it may not read nothing comes, and a new one is as its name says.
                for name in AccessOracle.sources + ["\(tenant)-0new", "zzz"] {
                    let source = try gateway.hub.source(named: name) ?? gateway.source(name)
                    try gateway.publish(#"{"of":"\#(name) again"}"#, of: source, isWhole: true)
                }
                let isNewReadable = credential != .none
                let live = try await stream.next(readable.count + (isNewReadable ? 1 : 0))
                #expect(try names(live[...]) == readable.union(isNewReadable ? ["\(tenant)-0new"] : []))
                await stream.close()
                guard caller.ticketOwner == nil else { return }
                let client = HTTPTestClient(caller.endpoint)
                let changes = try await client.get("/v1/changes/*?since=earliest", headers: caller.fields)
                let events = try #require(try Document(parsing: changes.body).root["events"])
                let told = Set(events.elements.compactMap { $0["data"]?["source"]?.string })
                #expect(told == readable.union(isNewReadable ? ["\(tenant)-0new"] : []))
            }
        }
    }
}
