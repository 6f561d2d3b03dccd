import EventStream
import FreshetAccess
import FreshetCore
import FreshetTesting
import JSON
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("The matrix of access")
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
            case .certificate, .none: return [:]
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
            _ body: (GatewayFixture, Endpoint, HeaderFields) async throws -> Void
        ) async throws {
            try await withGateway(Self.configure, authenticator: Self.authenticator()) { gateway in
                for name in AccessOracle.sources {
                    try gateway.publish(#"{"of":"\#(name)"}"#, of: try gateway.source(name))
                }
                let fields = try await Self.fields(tenant, credential)
                let subject = credential == .certificate ? Self.subject(tenant) : nil
                try await gateway.withCertificate(subject) { try await body(gateway, $0, fields) }
            }
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
                return try await client.post("/v1/sources/\(source)/value", headers: fields, body: Array("[1]".utf8))
            case .admin: return try await client.post("/v1/admin/sources/\(source)/poll", headers: fields, body: [])
            }
        }

        private static let callers: [(String, Credential)] =
            AccessOracle.tenants.flatMap { tenant in
                Credential.allCases.filter { $0 != .none || tenant == "north" }.map { (tenant, $0) }
            }

        @Test("every caller, action and source: the gateway answers as the oracle says", arguments: Self.callers)
        func matrix(tenant: String, credential: AccessOracle.Credential) async throws {
            try await self.with(tenant, credential) { gateway, endpoint, fields in
                var wrong: [String] = []
                let client = HTTPTestClient(endpoint)
                for source in AccessOracle.sources + ["\(tenant)-0x", "none"] {
                    for action in Action.allCases {
                        let reply = try await Self.send(action, source, to: client, fields, isHead: true)
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
            try await self.with(tenant, credential) { _, endpoint, fields in
                let client = HTTPTestClient(endpoint)
                let other = tenant == "south" ? "north" : "south"
                for (there, missing) in [("\(other)-00", "\(other)-99"), ("\(tenant)-10", "\(tenant)-1x")] {
                    for action in Action.allCases {
                        guard AccessOracle.status(tenant, credential, action, there) != 200 else { continue }
                        let hidden = try await Self.send(action, there, to: client, fields)
                        let absent = try await Self.send(action, missing, to: client, fields)
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

        @Test("* is what the caller may read, in streams, changes and lists", arguments: Self.callers)
        func star(tenant: String, credential: AccessOracle.Credential) async throws {
            try await self.with(tenant, credential) { gateway, endpoint, fields in
                let readable = AccessOracle.readable(tenant, credential)
                let stream = try EventStreamClient(endpoint, path: "/v1/streams/*?mode=snapshot", headers: fields)
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
                let changes = try await HTTPTestClient(endpoint).get("/v1/changes/*?since=earliest", headers: fields)
                let events = try #require(try Document(parsing: changes.body).root["events"])
                let told = Set(events.elements.compactMap { $0["data"]?["source"]?.string })
                #expect(told == readable.union(isNewReadable ? ["\(tenant)-0new"] : []))
                await stream.close()
            }
        }
    }
}
