import EventStream
import FreshetAccess
import FreshetCore
import FreshetStreaming
import FreshetTesting
import JSON
import Testing

@testable import FreshetHTTP

extension HTTPTests {
    @Suite("Credentials of requests", .overHTTP2)
    struct CredentialTests {
        private static let mobile = "mobile-3fJ9tq0Zr8QmL2vXc7Yb1NwK5sDhUeGa"
        private static let feeder = "feeder-Qm4Zr8L2vXc7Yb1NwK5sDhUeGa3fJ9tq"
        private static let chief = "chief-Yb1NwK5sDhUeGa3fJ9tqQm4Zr8L2vXc7"

        private static func pattern(_ text: String) throws -> SourcePattern {
            SourcePattern(try #require(SourceSelector(text)))
        }

        private static func configuration(mobileUntil: WallTime? = nil) throws -> AccessConfiguration {
            AccessConfiguration(
                anonymous: Grants(read: try self.pattern("open")),
                keys: [
                    APIKey(
                        id: "mobile",
                        secret: Secret(self.mobile),
                        grants: Grants(read: try self.pattern("open,orders*")),
                        notAfter: mobileUntil
                    ),
                    APIKey(
                        id: "feeder",
                        secret: Secret(self.feeder),
                        grants: Grants(publish: try self.pattern("orders"))
                    ),
                    APIKey(id: "chief", secret: Secret(self.chief), grants: .administrator),
                ]
            )
        }

        private static func authenticator(_ configuration: AccessConfiguration) throws -> Authenticator {
            try Authenticator(
                configuration,
                ticketKey: .random(),
                fetch: { _ in KeyResponse(status: 404, body: []) },
                clock: { WallClock.now }
            )
        }

        /// A gateway with `open`, `orders` and `salaries`.
        private func withGateway(
            _ authenticator: Authenticator,
            _ configure: (inout HTTPSettings) -> Void = { _ in },
            _ body: (GatewayFixture) async throws -> Void
        ) async throws {
            try await FreshetHTTPTests.withGateway(configure, authenticator: authenticator) { gateway in
                for name in ["open", "orders", "salaries"] {
                    try gateway.publish(#"{"of":"\#(name)"}"#, of: try gateway.source(name))
                }
                try await body(gateway)
            }
        }

        @Test(
            "a key opens what it may read; the rest is 404, whether it is there or not",
            arguments: [("Authorization", "Bearer \(Self.mobile)"), ("X-API-Key", Self.mobile)]
        )
        func keys(name: String, value: String) async throws {
            try await self.withGateway(Self.authenticator(Self.configuration())) { gateway in
                let credential = HeaderFields([(name, value)])
                for path in ["values", "changes", "streams", "sources"] {
                    func reply(_ source: String) async throws -> HTTPReply {
                        try await gateway.send("HEAD", "/v1/\(path)/\(source)", credential)
                    }
                    #expect(try await reply("orders").status == 200)
                    #expect(try await reply("open").status == 200)
                    #expect(try await reply("salaries").status == 404)
                    #expect(try await reply("nothing").status == 404)
                }
                let hidden = try await gateway.get("/v1/values/salaries", credential)
                let missing = try await gateway.get("/v1/values/nosuches", credential)
                let expected = String(decoding: missing.body, as: UTF8.self).replacing("nosuches", with: "salaries")
                #expect(String(decoding: hidden.body, as: UTF8.self) == expected)
                let listed = try await gateway.get("/v1/sources", credential)
                #expect(try text(listed, "/sources/1/name") == "orders")
            }
        }

        @Test("who calls, and what it may")
        func me() async throws {
            let until = WallTime(milliseconds: WallClock.now.milliseconds + 3_600_000)
            try await self.withGateway(Self.authenticator(Self.configuration(mobileUntil: until))) { gateway in
                let anonymous = try await gateway.get("/v1/me")
                #expect(try text(anonymous, "/kind") == "anonymous")
                #expect(try text(anonymous, "/read/0") == "open")
                let mobile = try await gateway.get("/v1/me", ["X-API-Key": Self.mobile])
                #expect(try text(mobile, "/id") == "mobile")
                #expect(try text(mobile, "/kind") == "key")
                #expect(try text(mobile, "/read/1") == "orders*")
                #expect(try json(mobile, "/admin").bool == false)
                #expect(try text(mobile, "/expires_at") == until.description)
                let chief = try await gateway.get("/v1/me", ["X-API-Key": Self.chief])
                #expect(try json(chief, "/admin").bool == true)
            }
        }

        @Test("what proves nothing is refused where a credential counts, and not looked at elsewhere")
        func refusals() async throws {
            try await self.withGateway(Self.authenticator(Self.configuration())) { gateway in
                let wrong = try await gateway.get("/v1/values/open", ["Authorization": "Bearer nonsense"])
                #expect(wrong.status == 401)
                #expect(wrong.headers["WWW-Authenticate"]?.contains(#"error="invalid_token""#) == true)
                let basic = try await gateway.get("/v1/values/open", ["Authorization": "Basic YTpi"])
                #expect(basic.status == 401)
                let twice: HeaderFields = ["Authorization": "Bearer \(Self.mobile)", "X-API-Key": Self.mobile]
                let several = try await gateway.get("/v1/values/open", twice)
                #expect(several.status == 400)
                #expect(try code(several) == "several_credentials")
                #expect(try await gateway.get("/livez", ["Authorization": "Bearer nonsense"]).status == 200)
                // Off unless the configuration allows it: a URL ends up in logs.
                let query = try await gateway.get("/v1/values/orders?access_token=\(Self.mobile)")
                #expect(query.status == 401)
            }
        }

        @Test("a token in the query where it is allowed opens sources, and never administration")
        func queryToken() async throws {
            try await self.withGateway(
                Self.authenticator(Self.configuration()),
                { $0.allowsQueryToken = true }
            ) { gateway in
                let read = try await gateway.get("/v1/values/orders?access_token=\(Self.mobile)")
                #expect(read.status == 200)
                let path = "/v1/admin/subscribers?access_token=\(Self.chief)"
                let administration = try await RawHTTP.send("GET", path, to: gateway.endpoint)
                #expect(administration.status == 403)
            }
        }

        @Test(
            "S4: a cookie counts for pages of ours and listed ones, and never for administration",
            arguments: [
                (nil, nil, 200), ("https://app.example", nil, 200), ("https://evil.example", nil, 401),
                (nil, "cross-site", 401), ("null", nil, 401), (nil, "same-origin", 200),
            ] as [(String?, String?, Int)]
        )
        func cookie(origin: String?, site: String?, status: Int) async throws {
            try await self.withGateway(
                Self.authenticator(Self.configuration()),
                {
                    $0.credentialCookie = "__Secure-freshet"
                    $0.corsOrigins = ["https://app.example"]
                }
            ) { gateway in
                var fields: HeaderFields = ["Cookie": "a=b; __Secure-freshet=\(Self.chief); c=d"]
                if let origin { fields.append("Origin", origin) }
                if let site { fields.append("Sec-Fetch-Site", site) }
                let reply = try await gateway.get("/v1/values/salaries", fields)
                #expect(reply.status == status)
                let allowed = reply.headers["Access-Control-Allow-Credentials"]
                #expect(allowed == (origin == "https://app.example" ? "true" : nil))
                let admin = try await RawHTTP.send(
                    "POST",
                    "/v1/admin/sources/open/poll",
                    to: gateway.endpoint,
                    headers: fields
                )
                #expect(admin.status == 401 || admin.status == 403)
                #expect(gateway.control.log.isEmpty)
            }
        }

        @Test("administration takes the grant, and a key without it is 403")
        func administration() async throws {
            try await self.withGateway(Self.authenticator(Self.configuration())) { gateway in
                func reply(_ key: String, _ path: String) async throws -> Int {
                    try await RawHTTP.send("GET", path, to: gateway.endpoint, headers: ["X-API-Key": key]).status
                }
                for path in ["/v1/admin/subscribers", "/metrics", "/readyz?verbose"] {
                    let (chief, mobile) = (try await reply(Self.chief, path), try await reply(Self.mobile, path))
                    let nobody = try await RawHTTP.send("GET", path, to: gateway.endpoint)
                    #expect(chief == 200 && mobile == 403 && nobody.status == 401, "\(path)")
                }
                let ready = try await RawHTTP.send("GET", "/readyz", to: gateway.endpoint)
                #expect(ready.status == 200)
            }
        }

        @Test("a value is published with the grant, and only where it is granted")
        func publish() async throws {
            try await self.withGateway(Self.authenticator(Self.configuration())) { gateway in
                func status(_ key: String, _ source: String) async throws -> Int {
                    let fields: HeaderFields = ["X-API-Key": key, "Content-Type": "application/json"]
                    return try await gateway.send("POST", "/v1/sources/\(source)/value", fields, body: "[1]").status
                }
                #expect(try await status(Self.feeder, "orders") == 200)
                #expect(try await status(Self.feeder, "salaries") == 404)
                #expect(try await status(Self.feeder, "nothing") == 404)
                #expect(try await status(Self.mobile, "orders") == 404)
                let nobody = try await gateway.send("POST", "/v1/sources/orders/value", body: "[1]")
                #expect(nobody.status == 401)
                #expect(gateway.control.log == ["push application/json orders"])
            }
        }

        @Test(
            "S4: by the right of everybody or a cookie no page of another site publishes; with a field it may",
            arguments: [
                (nil, nil, 200), ("https://app.example", nil, 200), ("https://evil.example", nil, 403),
                ("null", nil, 403),
                (nil, "cross-site", 403), (nil, "same-origin", 200),
            ] as [(String?, String?, Int)]
        )
        func crossSitePublish(origin: String?, site: String?, status: Int) async throws {
            var configuration = try Self.configuration()
            configuration.anonymous.publish = try Self.pattern("open")
            try await self.withGateway(
                Self.authenticator(configuration),
                { $0.corsOrigins = ["https://app.example"] }
            ) { gateway in
                var fields: HeaderFields = ["Content-Type": "text/plain"]
                if let origin { fields.append("Origin", origin) }
                if let site { fields.append("Sec-Fetch-Site", site) }
                let lent = try await gateway.send("POST", "/v1/sources/open/value", fields, body: "[1]")
                #expect(lent.status == status)
                #expect(gateway.control.log.count == (status == 200 ? 1 : 0))
                fields.append("X-API-Key", Self.feeder)
                let meant = try await gateway.send("POST", "/v1/sources/orders/value", fields, body: "[1]")
                #expect(meant.status == 200)
            }
        }

        @Test("S9: a stream ends with its key's time, and says why")
        func expiry() async throws {
            let until = WallTime(milliseconds: WallClock.now.milliseconds + 4000)
            try await self.withGateway(Self.authenticator(Self.configuration(mobileUntil: until))) { gateway in
                let credential: HeaderFields = ["X-API-Key": Self.mobile]
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/orders", headers: credential)
                let others = try EventStreamClient(gateway.endpoint, path: "/v1/streams/open")
                #expect(try await client.next(2).map(\.type) == ["hello", "snapshot"])
                #expect(try await others.next(2).map(\.type) == ["hello", "snapshot"])
                let bye = try #require(try await client.next())
                #expect(bye.type == "bye")
                #expect(bye.text.contains(#""expired""#))
                #expect(WallClock.now >= until)
                #expect(try await client.next() == nil)
                #expect(try await gateway.get("/v1/values/orders", credential).status == 401)
                try await eventually { gateway.streams.statistics.subscribers == 1 }
            }
        }

        @Test("S9: a stream ends when its key is gone, and those of others go on")
        func revocation() async throws {
            let authenticator = try Self.authenticator(Self.configuration())
            try await self.withGateway(authenticator) { gateway in
                let credential: HeaderFields = ["X-API-Key": Self.mobile]
                let client = try EventStreamClient(gateway.endpoint, path: "/v1/streams/*", headers: credential)
                let chief: HeaderFields = ["X-API-Key": Self.chief]
                let other = try EventStreamClient(gateway.endpoint, path: "/v1/streams/orders", headers: chief)
                #expect(try await client.next(3).map(\.type) == ["hello", "snapshot", "snapshot"])
                #expect(try await other.next(2).map(\.type) == ["hello", "snapshot"])
                let listed = try await gateway.get("/v1/admin/subscribers", chief)
                #expect(String(decoding: listed.body, as: UTF8.self).contains(#""subject":"mobile""#))
                var configuration = try Self.configuration()
                configuration.keys.removeAll { $0.id == "mobile" }
                try authenticator.update(configuration)
                gateway.streams.review { owner -> OwnerVerdict in
                    if case .valid = authenticator.standing(of: owner.principal) { .goesOn } else { .ends(.revoked) }
                }
                let bye = try #require(try await client.next())
                #expect(bye.type == "bye")
                #expect(bye.text.contains(#""revoked""#))
                #expect(try await gateway.get("/v1/values/orders", credential).status == 401)
                let orders = try #require(gateway.hub.source(named: "orders"))
                try gateway.publish(#"{"of":"more"}"#, of: orders, isWhole: true)
                #expect(try await other.next()?.type == "snapshot")
            }
        }
    }
}
